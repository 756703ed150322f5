"""Saving and going on: any split is the run never stopped; what differs is a choice, never a silent jump."""

import copy
import io
import warnings

import numpy as np
import pytest
import torch
from children import ended, ran
from hypothesis import given, settings
from hypothesis import strategies as st
from test_control import OPTIMIZERS, loss_of, net, weights

from stepsize import Control, cosine, greedy, linear, plateau, warmup
from stepsize.control import ShortRunWarning
from stepsize.schedule import absolute, constant, from_function, noise, one_minus_sqrt, step_decay

TOTAL = 20


def wavy(position):
    return 1 + 0.5 * (position % 3)


SCHEDULES = st.sampled_from(
    [
        warmup("10%") >> cosine(),
        linear() * noise(std=0.1, seed=3),
        absolute(warmup(3, start=0.01) >> 0.3 * linear()),
        step_decay(every="20%"),
        from_function(wavy, name="wavy"),
        warmup(7) >> constant() >> one_minus_sqrt("10%"),
    ]
)
FEEDBACK = st.sampled_from([None, plateau(patience=1, factor=0.5), greedy(patience=0, factor=0.7, window=2)])
SHORT = "cosine()"
PLANS = st.fixed_dictionaries(
    {
        "lr": st.one_of(
            SCHEDULES, st.lists(SCHEDULES, min_size=2, max_size=2), st.just({"head": "cosine()", "*": "linear()"})
        ),
        "weight_decay": st.sampled_from([None, linear()]),
        "momentum": st.sampled_from([None, linear(start=0.5)]),
        "feedback": FEEDBACK,
        "clip": st.sampled_from([None, 0.1, linear(start=1, end=0.1)]),
        "floor": st.sampled_from([None, 1e-3]),
        "cap": st.sampled_from([None, linear(start=0.5, end=0.05)]),
    }
)
CHANGES = {
    4: lambda control: control.scale(0.5, group="head", reason="by hand"),
    6: lambda control: control.set(0.02, group="group0"),
    9: lambda control: control.release(),
    11: lambda control: control.rebase(0.07) if "absolute" not in str(control.plan.lr) else None,
    13: lambda control: control.extend(30, "stretch"),
    16: lambda control: control.extend(24, "cooldown"),
}


def begin(name):
    model = net()
    groups = [{"params": model[0].parameters()}, {"params": model[2].parameters(), "name": "head"}]
    optimizer = OPTIMIZERS[name](groups)
    for group in optimizer.param_groups:  # groups that follow different schedules need tensors of their own
        group["lr"] = copy.deepcopy(group["lr"])
    return model, optimizer


def go(control, model, steps, changes):
    rates = []
    for step in steps:
        if changes and step in CHANGES:
            CHANGES[step](control)
        loss = loss_of(model, step)
        loss.backward()
        control.step(loss)
        rates.append(control.rates)
    return rates


def given_parts(plan):
    return {name: part for name, part in plan.items() if part is not None}


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(sorted(OPTIMIZERS)),
    PLANS,
    st.integers(0, TOTAL),
    st.booleans(),
    st.permutations("mco"),
    st.booleans(),
)
def test_any_split_in_any_order_of_loading_is_the_run_never_stopped(name, plan, split, changes, order, early):
    parts = given_parts(plan)
    model, optimizer = begin(name)
    whole = Control(optimizer, **parts, total=TOTAL, remind=False)
    rates = go(whole, model, range(TOTAL), changes)

    half, optimizer = begin(name)
    control = Control(optimizer, **parts, total=TOTAL, remind=False)
    first = go(control, half, range(split), changes)
    file = io.BytesIO()
    torch.save({"m": half.state_dict(), "o": optimizer.state_dict(), "c": control.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)

    again, optimizer = begin(name)
    if early:  # the optimizer's state may also be there before Control is made
        optimizer.load_state_dict(saved["o"])
    resumed = Control(optimizer, **parts, total=TOTAL, remind=False, foreign="raise")
    targets = {"m": again, "o": optimizer, "c": resumed}
    for part in order:
        targets[part].load_state_dict(saved[part])
    assert first + go(resumed, again, range(split, TOTAL), changes) == rates
    assert torch.equal(weights(again), weights(model))
    assert resumed.state_dict()["position"] == whole.state_dict()["position"]
    assert [tuple(e) for e in resumed.log] == [tuple(e) for e in whole.log]


RUN = """
import sys, torch
from stepsize import Control, plateau
path, begin, end = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
torch.manual_seed(0)
model = torch.nn.Linear(3, 1)
optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
control = Control(optimizer, lr="warmup(10%) >> cosine()", feedback=plateau(patience=1, factor=0.5), total=20, clip=0.5)
if begin:
    saved = torch.load(path, weights_only=True)
    control.load_state_dict(saved["control"]), model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
for step in range(begin, end):
    x = torch.randn(8, 3, generator=torch.Generator().manual_seed(step))
    loss = (model(x) - x.sum(1, keepdim=True)).square().mean()
    loss.backward()
    control.step(loss)
state = {"control": control.state_dict(), "model": model.state_dict(), "optimizer": optimizer.state_dict()}
torch.save(state, path)
print(list(control.rates.values()), model.weight.tolist(), len(control.log))
"""


def test_a_run_goes_on_in_a_new_process_to_the_bit(tmp_path):
    runs = [(RUN, "a", "0", "20"), (RUN, "b", "0", "9"), (RUN, "b", "9", "20")]
    whole, part, resumed = (ran(["-c", *words], cwd=tmp_path) for words in runs)
    assert whole.returncode == part.returncode == resumed.returncode == 0
    assert resumed.stdout == whole.stdout != ""


def sgd(base):
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=base)


def begun(base=0.1, **plan):
    return Control(sgd(base), **plan, remind=False)


def at(position, base=0.1, **plan):
    control = begun(base, **plan)
    for _ in range(position):
        control.step()
    return control


def curve(control, *positions):
    return control.preview(positions).rates["group0"].tolist()


def test_another_base_is_an_error_that_names_the_choice():
    saved = at(5, lr=linear(), total=10).state_dict()
    control = begun(0.2, lr=linear(), total=10)
    before = copy.deepcopy(control.state_dict())
    with pytest.raises(ValueError, match=r'group0 was 0\.1 .* is 0\.2 now; choose .*base="saved" or base="new"'):
        control.load_state_dict(saved)
    assert control.state_dict() == before
    control.load_state_dict(saved, base="saved")
    assert control.rates["group0"] == pytest.approx(0.05)
    control = begun(0.2, lr=linear(), total=10)
    control.load_state_dict(saved, base="new")
    assert control.rates["group0"] == pytest.approx(0.1)
    assert control.log[-1][2:6] == ("resume", None, "*", "base=new")


def test_another_plan_is_an_error_that_names_the_choice():
    saved = at(5, lr=linear(), total=10).state_dict()
    control = begun(lr=cosine(), total=10)
    with pytest.raises(ValueError, match=r"plan was 'lr: linear\(\)' .*plan=\"saved\" or plan=\"new\""):
        control.load_state_dict(saved)
    control.load_state_dict(saved, plan="saved")
    assert curve(control, 5, 8) == pytest.approx([0.05, 0.02])
    assert str(control.plan) == "lr: linear(10)"
    control = begun(lr=cosine(), total=20, feedback=plateau(patience=0, factor=0.5))
    control.load_state_dict(saved, plan="new")
    assert curve(control, 5, 10) == pytest.approx((0.1 * cosine(20)(np.array([5, 10]))).tolist())
    control.step(1.0)
    control.step(1.0)
    assert control.rates["group0"] == pytest.approx(0.05 * cosine(20)(7.0))


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("keep", [0.06, 0.04, 0.0, 0.0, 0.0]),
        ("stretch", [0.06, 0.05, 0.03, 0.02, 0.0]),
        ("cooldown", [0.06, 0.05, 0.03, 0.02, 0.0]),
    ],
)
def test_another_total_is_an_error_that_names_the_choice(how, expected):
    saved = at(4, lr=linear(), total=10).state_dict()
    control = begun(lr=linear(), total=16)
    with pytest.raises(ValueError, match=r'total was 10.0 .* is 16.0 now; choose .*"keep", "stretch" or "cooldown"'):
        control.load_state_dict(saved)
    control.load_state_dict(saved, extend=how)
    assert curve(control, 4, 6, 10, 12, 16) == pytest.approx(expected)
    assert curve(control, 0, 2) == pytest.approx([0.1, 0.08])  # what was done stays what it was
    # the new total is part of the state: it goes on whether the script says the old or the new one
    for total in (10, 16):
        again = begun(lr=linear(), total=total)
        if total == 16:
            again.load_state_dict(control.state_dict())
        else:
            with pytest.raises(ValueError, match="total was 16"):
                again.load_state_dict(control.state_dict())
            again = begun(lr=linear(), total=10)
            again.load_state_dict(control.state_dict(), plan="saved")
        assert curve(again, 4, 6, 10, 12, 16) == pytest.approx(expected)


def test_a_cool_down_branches_off_a_checkpoint_of_the_stable_phase_in_one_line():
    stable = at(50, lr=warmup(10) >> constant())
    branch = begun(lr=warmup(10) >> constant())
    branch.load_state_dict(stable.state_dict())
    branch.extend(60, one_minus_sqrt())
    expected = [0.1 * (1 - np.sqrt(t / 10)) for t in range(11)]
    assert curve(branch, *range(50, 61)) == pytest.approx(expected)
    stable.step()
    assert stable.rates["group0"] == 0.1


def test_what_is_left_of_a_schedule_can_be_stretched_from_anywhere_without_a_jump():
    for schedule in (warmup(3) >> cosine(), step_decay(every="30%"), absolute(linear(start=0.5))):
        for position in range(10):
            control = at(position, lr=schedule, total=10)
            before = control.rates["group0"]
            whole = curve(control, *np.linspace(position, 10, 7))
            control.extend(10 + 3 * (10 - position), "stretch")
            assert control.rates["group0"] == pytest.approx(before, rel=1e-12)
            assert curve(control, *np.linspace(position, 10 + 3 * (10 - position), 7)) == pytest.approx(
                whole, abs=1e-12
            )


def test_nonsense_in_resuming_is_refused_and_nothing_changes():
    saved = at(5, lr=linear(), total=10)
    for said, call in {
        "base must be 'saved' or 'new'": lambda c: c.load_state_dict(saved.state_dict(), base="old"),
        "give one of them": lambda c: c.load_state_dict(saved.state_dict(), plan="new", extend="keep"),
        "extend must be one of": lambda c: c.load_state_dict(saved.state_dict(), extend="strech"),
        "total must be a finite number > 0": lambda c: c.extend(0),
        "it lacks": lambda c: c.load_state_dict({"version": 2}),
        "version of state must be 2": lambda c: c.load_state_dict({**saved.state_dict(), "version": 7}),
        "state must be a mapping": lambda c: c.load_state_dict([]),
        "position of state": lambda c: c.load_state_dict({**saved.state_dict(), "position": -1}),
    }.items():
        control = begun(lr=linear(), total=10)
        before = copy.deepcopy(control.state_dict())
        with pytest.raises((TypeError, ValueError), match=said):
            call(control)
        assert control.state_dict() == before
    with pytest.raises(ValueError, match="nothing is left to be stretched"):
        begun(lr=constant()).extend(5, "stretch")
    groups = [{"params": [torch.ones(1)]}, {"params": [torch.ones(1)]}]
    two = Control(torch.optim.SGD(groups, lr=0.1), lr=linear(), total=10)
    with pytest.raises(ValueError, match="parameter groups"):
        two.load_state_dict(saved.state_dict())


def test_a_state_with_a_python_function_needs_the_function_at_hand():
    saved = at(5, lr=from_function(wavy, name="wavy"), total=10).state_dict()
    control = begun(lr=from_function(wavy, name="wavy"), total=20)
    control.load_state_dict(saved, extend="stretch")
    assert control.rates["group0"] == pytest.approx(0.1 * wavy(5))
    with pytest.raises(ValueError, match="the function 'wavy' is not known"):
        begun(lr=linear(), total=10).load_state_dict(saved, plan="saved")


def test_training_past_the_end_is_said_once():
    control = Control(sgd(0.1), lr=linear(), total=3)
    for _ in range(3):
        control.step()
    with pytest.warns(UserWarning, match="training goes on past its total of 3"):
        control.step()
    control.step()
    assert control.rates["group0"] == 0


def test_stopping_below_nine_tenths_is_said_when_the_control_is_dropped():
    def run(steps, total, **settings):
        control = Control(sgd(0.1), lr=linear(), total=total, **settings)
        for _ in range(steps):
            control.step()

    with pytest.warns(ShortRunWarning, match="training stopped at 8 of 10 .80%") as caught:
        run(8, 10)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(9, 10)
        run(0, 10)
        run(5, 10, remind=False)
        loaded = begun(lr=linear(), total=10)
        loaded.load_state_dict(at(5, lr=linear(), total=10).state_dict())
        del loaded


@pytest.mark.slow
def test_stopping_short_is_said_at_the_end_of_a_program_but_not_of_a_broken_one(tmp_path):
    program = "import torch\nfrom stepsize import Control\n"
    program += "c = Control(torch.optim.SGD([torch.zeros(1)], lr=0.1), lr='linear()', total=10)\nc.step()\n"
    program = "import warnings\nwarnings.resetwarnings()\n" + program
    programs = [[program + more] for more in ("", "raise SystemExit(0)", "raise ValueError")]
    codes, _, errors = zip(*ended(tmp_path, "import torch._dynamo, stepsize.control", *programs), strict=True)
    assert codes == (0, 0, 1)
    assert ["training stopped at 1 of 10 (10%)" in each for each in errors] == [True, True, False]
