"""A guard: what a return puts back and lowers, when there is one, and that nothing else changes."""

import contextlib
import itertools
import json
import math
import os
import re
import socket
import statistics
import subprocess
import sys
import warnings

import pytest
import torch
from children import child

from stepsize import Control, DivergedError, Plan, Task, Trial, guard, plateau, train
from stepsize.cli import run as command
from stepsize.control import Scheduler
from stepsize.diagnosis import Seen, diagnose
from stepsize.engine import serial
from stepsize.task import task_named


class Told:
    """Keeps what it is told."""

    def __init__(self):
        self.records = []

    def wants(self, step):
        return ()

    def begin(self, facts):
        pass

    def on(self, record):
        self.records.append(record)

    def end(self, status):
        pass


def made(seed=0, kind=torch.optim.AdamW, lr=0.01, **more):
    torch.manual_seed(seed)
    layers = torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Tanh(), torch.nn.Linear(8, 1)
    model = torch.nn.Sequential(*layers)
    return model, kind(model.parameters(), lr=lr, **more)


def batches(count, broken=(), seed=1):
    """Batches of one linear problem; those that are broken hold a value that is no number."""
    generator = torch.Generator().manual_seed(seed)
    for number in range(count):
        x = torch.randn(16, 4, generator=generator)
        y = x.sum(1, keepdim=True)
        yield (x, torch.full_like(y, math.nan)) if number in broken else (x, y)


def trained(control, model, data, before=None):
    for number, (x, y) in enumerate(data):
        if before is not None:
            before(number)
        loss = (model(x) - y).square().mean()
        loss.backward()
        control.step(loss)


def bits(model, optimizer):
    found = {name: value.clone() for name, value in model.state_dict().items()}
    for number, entries in optimizer.state_dict()["state"].items():
        found |= {f"{number} {name}": torch.as_tensor(value).clone() for name, value in entries.items()}
    return found


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def guarded(model, optimizer, **more):
    return Control(optimizer, **{"lr": "cosine()", "total": 60, "model": model, "guard": guard(check=2), **more})


# the value and its text


def test_a_guard_is_read_back_from_its_text_and_a_plan_with_one_too():
    for given in (guard(), guard(returns=2, factor=0.1), guard(every="5%", patience="2ep", lost=1.5, check=3)):
        plan = Plan("cosine()", guard=given, clip=1)
        assert Plan.parse(str(plan)) == plan
        assert Plan("cosine()", guard=str(given)) == Plan("cosine()", guard=given)
        laid = plan.over(500, per_epoch=50)
        assert Plan.parse(str(laid)) == laid
        assert isinstance(laid.guard.every, float)


def test_lengths_are_shares_of_the_run_and_a_plan_without_a_guard_has_the_text_it_always_had():
    assert guard().over(1000).every == 20
    assert guard().over(1000).patience == 30
    assert guard(every="10%", patience="1ep").over(200, per_epoch=25).every == 20
    assert guard(every="10%", patience="1ep").over(200, per_epoch=25).patience == 25
    assert guard().over(None).every is None
    with pytest.raises(ValueError, match="every=10% of guard needs the run's length"):
        guard(every="10%").over(None)
    assert "guard" not in str(Plan("cosine()", feedback=plateau(), clip=1))


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ({"returns": -1}, "returns"),
        ({"returns": 1.5}, "returns"),
        ({"factor": 0}, "factor"),
        ({"factor": 1.5}, "factor"),
        ({"lost": 0}, "lost"),
        ({"check": 0}, "check"),
        ({"every": "5"}, "every"),
        ({"patience": -1}, "patience"),
    ],
)
def test_bad_arguments_are_named(words, problem):
    with pytest.raises((TypeError, ValueError), match=f"{problem} of guard"):
        guard(**words)


# what a return does


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW, torch.optim.Adagrad, torch.optim.NAdam])
def test_a_return_puts_back_every_bit_lowers_the_rate_and_skips_the_bad_batch(kind):
    model, optimizer = made(kind=kind)
    told = Told()
    control = guarded(model, optimizer, guard=guard(check=5, factor=0.5), watch=told)
    kept = {}

    def before(number):
        kept[number] = bits(model, optimizer)

    plan = control.preview().rates["group0"]
    trained(control, model, batches(45, broken={41}), before)  # the check after step 45 sees it
    (event,) = [record for record in told.records if record.text.get("what") == "guard"]
    assert (event.kind, event.step, event.values["value"]) == ("event", 45, 0.5)
    said = re.fullmatch(r"the loss was nan; went back to step (25|30|35|40)", event.text["reason"])
    assert same(bits(model, optimizer), kept[int(said[1])])
    assert event.values["before"] == pytest.approx(plan[45])
    assert event.values["after"] == pytest.approx(plan[45] / 2)
    assert (control.position, control.rates["group0"]) == (45, pytest.approx(plan[45] / 2))
    trained(control, model, batches(15, seed=2))
    assert control.position == control.total
    assert all(value.isfinite().all() for value in bits(model, optimizer).values())


def test_feedback_and_buffers_go_back_too():
    model, optimizer = made()
    control = guarded(model, optimizer, feedback=plateau(patience=1, factor=0.5), remind=False)
    trained(control, model, batches(4, broken={1, 2, 3}))
    assert [event.what for event in control.log].count("guard") == 2
    assert control._governor.steering.factor == 1.0
    assert model[1].running_mean.isfinite().all()
    assert control.rates["group0"] == pytest.approx(
        0.25 * Control(made()[1], lr="cosine(60)").preview([4]).rates["group0"][0]
    )


def test_data_and_random_numbers_go_on():
    model, optimizer = made()
    control = guarded(model, optimizer)
    torch.manual_seed(7)
    drawn = []
    trained(control, model, batches(8, broken={3}), lambda _: drawn.append(torch.rand(1).item()))
    torch.manual_seed(7)
    assert drawn == [torch.rand(1).item() for _ in range(8)]


def test_what_a_person_has_set_stays_and_the_factor_is_one_of_its_own():
    model, optimizer = made()
    control = guarded(model, optimizer, lr="constant()")
    control.scale(3)
    trained(control, model, batches(2, broken={1}))
    assert control.rates["group0"] == pytest.approx(0.01 * 3 / 2)
    control.set(0.5)
    trained(control, model, batches(2, broken={1}))
    assert control.rates["group0"] == 0.5
    control.release()
    assert control.rates["group0"] == pytest.approx(0.01 * 3 / 4)


@pytest.mark.parametrize("returns", [0, 1, 3])
def test_never_more_returns_than_allowed_then_a_clear_end_with_the_last_good_state(returns):
    model, optimizer = made()
    first = [value.clone() for value in model.parameters()]
    control = guarded(model, optimizer, guard=guard(check=1, returns=returns), remind=False)
    with pytest.raises(DivergedError, match=f"gives up after {returns} return"):
        trained(control, model, batches(20, broken=set(range(20))))
    assert [event.what for event in control.log] == ["guard"] * (returns + 1)
    assert control.position == returns + 1
    assert all(map(torch.equal, model.parameters(), first))
    assert not optimizer.state


# when there is one


def descent(lr, steps, total=None, plan=None, noise=0.0, seed=0):
    """Gradient descent on the bowl x^2 / 2, which diverges above a rate of 2; losses and control."""
    weight = torch.ones(1, dtype=torch.float64, requires_grad=True)
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.SGD([weight], lr=lr)
    control = Control(optimizer, total=total, guard=plan or guard(), remind=False)
    losses = []
    for _ in range(steps):
        loss = weight.square().sum() / 2 + 1
        loss = loss + noise * torch.randn(1, generator=generator, dtype=torch.float64).item()
        loss.backward()
        control.step(loss)
        losses.append(loss.item())
    return losses, control


def test_a_rate_that_diverges_slowly_is_lowered_until_the_run_converges():
    losses, control = descent(2.1, 300, total=300)  # |1 - 2.1| = 1.1: the loss grows by a fifth each step
    assert [event.what for event in control.log] == ["guard"]
    assert control.log[0].reason.startswith("the loss rose to ")
    assert control.rates["group0"] == pytest.approx(1.05)
    assert losses[-1] == pytest.approx(1)


def test_a_rate_just_below_the_edge_needs_no_return_with_noise_or_without():
    for noise, seed in itertools.product([0.0, 0.01, 0.3], range(3)):
        assert not descent(1.95, 300, total=300, noise=noise, seed=seed)[1].log


def test_a_few_wild_losses_are_no_divergence():
    weight = torch.ones(1, requires_grad=True)
    control = Control(torch.optim.SGD([weight], lr=0.1), total=300, guard=guard(), remind=False)
    for number in range(300):
        loss = weight.square().sum() + (1e6 if 100 <= number < 114 else 0.0)
        loss.backward()
        control.step(loss)
    assert not control.log


def test_a_loss_that_has_lost_what_it_gained_is_one_though_it_is_no_higher_than_at_first():
    weight = torch.ones(1, requires_grad=True)
    control = Control(torch.optim.SGD([weight], lr=0.1), total=300, guard=guard(), remind=False)
    for number in range(300):
        loss = 0 * weight.sum() + (2.3 - 0.02 * number if number < 100 else 2.2)
        loss.backward()
        control.step(loss)
        if control.log:
            break
    assert number == 129, "three checks after the loss"
    share = (2.2 - 0.41) / (2.3 - 0.41)
    assert f"lost {share:.0%} of what it had gained" in control.log[0].reason


def test_the_end_of_a_run_is_looked_at_whatever_the_checks():
    model, optimizer = made()
    first = [value.clone() for value in model.parameters()]
    control = guarded(model, optimizer, total=7, guard=guard(check=100))
    trained(control, model, batches(7, broken={6}))
    assert all(map(torch.equal, model.parameters(), first))
    assert control.log[0].step == 7


def test_gradients_that_are_not_finite_are_seen_though_the_loss_is():
    weight = torch.ones(1, requires_grad=True)
    control = Control(torch.optim.SGD([weight], lr=0.1), guard=guard(check=3), remind=False, total=3)
    for number in range(3):
        (weight * (math.inf if number == 2 else 1.0)).sum().backward()
        control.step(1.0)
    assert "the weights were not finite" in control.log[0].reason
    assert weight.isfinite().all()


def test_a_step_left_out_is_no_divergence_but_many_in_a_row_are():
    model, optimizer = made()
    control = guarded(model, optimizer, nonfinite="skip")
    trained(control, model, batches(40, broken=set(range(10, 30))))
    assert {event.what for event in control.log} == {"skipped"}
    trained(control, model, batches(20, broken=set(range(30))))
    assert not [event for event in control.log if event.what == "guard"]
    trained(control, model, batches(5, broken=set(range(30))))
    assert "25 updates in a row were left out" in control.log[-1].reason


def test_a_scaler_goes_back_too_and_its_skipped_steps_are_no_divergence():
    weight = torch.ones(1, requires_grad=True)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0, growth_interval=1000)
    control = Control(torch.optim.SGD([weight], lr=0.1), guard=guard(check=2), scaler=scaler, remind=False)
    for number in range(6):
        loss = weight.square().sum() * (math.inf if number == 3 else 1.0)
        scaler.scale(loss).backward()
        control.step(loss)
    assert [event.what for event in control.log] == ["skipped"]
    assert scaler.get_scale() == 2.0
    for _ in range(25):
        scaler.scale(weight.square().sum() * math.inf).backward()
        control.step(weight.square().sum())
    assert control.log[-1].what == "guard"
    assert scaler.get_scale() == 4.0


# nothing else changes


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW])
def test_a_run_that_needs_no_guard_has_the_same_bits_as_without(kind):
    ends = []
    for more in ({}, {"guard": guard(check=3)}):
        model, optimizer = made(kind=kind)
        control = Control(optimizer, lr="warmup(5) >> cosine()", total=60, **more)
        trained(control, model, batches(60))
        ends.append(bits(model, optimizer))
        assert not control.log
    assert same(*ends)


def test_several_optimizers_and_accumulated_gradients():
    model, _ = made()
    parts = {"a": torch.optim.SGD(model[0].parameters(), lr=0.1), "b": torch.optim.AdamW(model[3].parameters())}
    control = Control(parts, guard=guard(check=1), model=model, accumulate=2, remind=False)
    trained(control, model, batches(4))
    assert not torch.equal(model[0].weight, made()[0][0].weight)
    trained(control, model, batches(2, broken={0}))
    assert control.log[0].step == 3
    for layer in (0, 3):
        assert torch.equal(model[layer].weight, made()[0][layer].weight)
    assert control.rates == {"a/group0": 0.05, "b/group0": 0.0005}


def test_a_closure_is_guarded_too():
    weight = torch.ones(1, requires_grad=True)
    control = Control(torch.optim.LBFGS([weight], lr=1.0), guard=guard(check=1), remind=False)

    def closure():
        weight.grad = None
        loss = (weight * math.nan).sum()
        loss.backward()
        return loss

    control.step(closure)
    assert weight.item() == 1.0
    assert control.rates["group0"] == 0.5


def test_between_checks_nothing_is_read_back(monkeypatch):
    weight = torch.ones(9, requires_grad=True)
    control = Control(torch.optim.SGD([weight], lr=0.1), guard=guard(check=10), total=100)
    reads = []
    for name in ("item", "__float__", "__bool__", "__int__", "tolist", "cpu", "numpy"):
        original = getattr(torch.Tensor, name)
        monkeypatch.setattr(torch.Tensor, name, lambda *a, own=original: (reads.append(control.position), own(*a))[1])
    for _ in range(30):
        loss = weight.square().sum()
        loss.backward()
        control.step(loss)
    assert set(reads) == {10.0, 20.0, 30.0}


# refused


def test_what_a_guard_cannot_do_is_said():
    model, optimizer = made()
    with pytest.raises(ValueError, match="guard looks at the loss of every step"):
        Control(optimizer, guard=guard()).step()
    with pytest.raises(ValueError, match="model is what a guard puts back, and there is none"):
        Control(made()[1], model=model)
    with pytest.raises(ValueError, match="guard"):
        Scheduler(made()[1], Plan("cosine(10)", guard=guard()))
    with pytest.raises(TypeError, match="guard must be a guard or its text"):
        Control(made()[1], guard=True)


# going on


@pytest.mark.parametrize("stop", [7, 20, 33, 43, 50])
@pytest.mark.parametrize("optimizer_first", [True, False])
def test_a_run_that_goes_on_from_a_checkpoint_is_the_run_never_stopped(stop, optimizer_first, tmp_path):
    data = list(batches(60, broken={19, 41, 42}))

    def begun():
        model, optimizer = made()
        return model, optimizer, guarded(model, optimizer, feedback=plateau(patience=9), guard=guard(check=4))

    model, optimizer, control = begun()
    trained(control, model, data)
    whole, log = bits(model, optimizer), control.log
    model, optimizer, control = begun()
    trained(control, model, data[:stop])
    parts = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "control": control.state_dict()}
    torch.save(parts, tmp_path / "run.pt")
    saved = torch.load(tmp_path / "run.pt", weights_only=True)
    trained(control, model, data[stop:])
    assert same(bits(model, optimizer), whole), "saving changes nothing"
    model, optimizer, control = begun()
    model.load_state_dict(saved["model"])
    if optimizer_first:
        optimizer.load_state_dict(saved["optimizer"])
    control.load_state_dict(saved["control"])
    if not optimizer_first:
        optimizer.load_state_dict(saved["optimizer"])
    trained(control, model, data[stop:])
    assert same(bits(model, optimizer), whole)
    assert control.log == log


def test_a_state_saved_without_a_guard_is_gone_on_with_under_one_if_that_is_said():
    model, optimizer = made()
    control = Control(optimizer, lr="cosine()", total=60, remind=False)
    trained(control, model, batches(5))
    state = control.state_dict()
    assert "guard" not in state
    control.detach()
    control = guarded(model, optimizer)
    with pytest.raises(ValueError, match="plan was"):
        control.load_state_dict(state)
    control.load_state_dict(state, plan="new")
    before = [value.clone() for value in model.parameters()]
    trained(control, model, batches(2, broken={1}))
    assert all(map(torch.equal, model.parameters(), before)), "the state that it went on from"


def test_a_damaged_state_is_refused():
    model, optimizer = made()
    control = guarded(model, optimizer)
    trained(control, model, batches(3))
    state = control.state_dict()
    for damage in ({"returns": -1}, {"good": {}}, {"losses": ["a"]}, {"level": None}):
        with pytest.raises(ValueError, match="guard of state"):
            control.load_state_dict({**state, "guard": {**state["guard"], **damage}})
    other = torch.nn.Linear(3, 1)
    wrong = Control(torch.optim.AdamW(other.parameters(), lr=0.01), lr="cosine()", total=60, guard=guard(check=2))
    with pytest.raises(ValueError, match="parameters of guard of state"):
        wrong.load_state_dict(state)


# tasks


def hot(**more):
    x = torch.randn(64, 3, generator=torch.Generator().manual_seed(0))
    return Task(
        name="hot",
        model=lambda: torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1)),
        batches=lambda generator: (
            (b := x[torch.randint(64, (8,), generator=generator)], b.sum(1)) for _ in itertools.count()
        ),
        loss=lambda model, batch: (model(batch[0]).squeeze(1) - batch[1]).square().mean(),
        optimizer=lambda parameters, lr: torch.optim.SGD(parameters, lr=lr, momentum=0.9),
        steps=120,
        evaluate_every=20,
        **more,
    )


def test_train_takes_a_guard_and_a_rate_that_ruins_a_run_no_longer_does(tmp_path):
    plain = train(hot(), lr=3.0)
    assert plain.diverged
    whole = train(hot(), lr=3.0, guard=True, folder=tmp_path / "a")
    assert not whole.diverged
    assert whole.steps == 120
    assert whole.score < 1
    for same_thing in ("on", "guard()", guard()):
        assert train(hot(), lr=3.0, guard=same_thing).losses == pytest.approx(whole.losses, nan_ok=True, rel=0, abs=0)
    assert train(hot(plan=Plan("warmup(5%) >> cosine()", guard=guard())), lr=3.0).score == whole.score
    assert train(hot(plan=Plan("cosine()", guard=guard())), lr=3.0, guard=False).diverged


def test_a_guarded_training_that_is_stopped_goes_on_exactly(tmp_path):
    whole = train(hot(), lr=3.0, guard=guard(check=7))
    task, trial = hot(), Trial("hot", {"lr": 3.0, "guard": "guard(check=7)"}, 0, 120)
    for stop in (3, 24, 61, 115):
        run, again = task.start(trial), task.start(trial)
        run.advance(stop)
        torch.save(run.state(), tmp_path / "state.pt")
        again.load_state(torch.load(tmp_path / "state.pt", weights_only=True))
        losses = again.advance(120 - stop)
        assert losses == pytest.approx(whole.losses[stop:], nan_ok=True, rel=0, abs=0)
        assert again.score() == whole.score


def test_a_guard_that_gives_up_ends_the_training_as_diverged():
    trained_ = train(hot(), lr=1e6, guard=guard(returns=1))
    assert trained_.diverged
    assert trained_.steps < 120
    assert "gives up after 1 return," in trained_.complaint
    (result,) = serial(hot(), [Trial("hot", {"lr": 1e6, "guard": "guard(returns=1)"}, 0, 120)])
    assert result.diverged


def test_engines_say_what_they_cannot_do_and_find_compares_without():
    from stepsize import Batched, find

    trial = Trial("digits", {"lr": 0.1, "guard": True}, steps=20)
    with pytest.raises(ValueError, match="cannot be batched: its guard"):
        list(Batched()(task_named("digits"), [trial]))
    with pytest.raises(ValueError, match="guard must be left out"):
        find(hot(), guard=True)
    found = find(hot(plan=Plan("warmup(5%) >> cosine()", guard=guard())), budget="1x")
    assert found.rate == find(hot(), budget="1x").rate
    assert found.rate < 1


def test_a_medians_distance_is_the_spread():
    from stepsize.control.guarding._level import window_of

    losses = [3.0, 1.0, 2.0, 10.0, 2.5]
    found = window_of(losses)
    assert found.middle == statistics.median(losses)
    assert found.spread == statistics.median(abs(loss - 2.5) for loss in losses)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert window_of([1.0]).spread == 0


def test_a_run_that_recovered_is_no_error_of_the_diagnosis():
    lines = [{"step": step, "loss": None if step == 30 else 2 / (1 + step), "rate": 0.1} for step in range(100)]
    returned = {"step": 31, "what": "guard", "group": "*", "value": 0.5, "reason": "the loss was nan"}
    for events, severity in (([], "error"), ([returned], "warning")):
        (found,) = [each for each in diagnose(Seen.of_lines(lines, events=events)) if each.name == "not-finite"]
        assert found.severity == severity


# several processes

WORKER = """
import json
import torch, torch.distributed as dist
from stepsize import Control, guard
dist.init_process_group("gloo")
rank = dist.get_rank()
weight = torch.ones(1, requires_grad=True)
control = Control(torch.optim.SGD([weight], lr=0.1), guard=guard(check=3), remind=False, total=40)
seen = []
for step in range(40):
    weight.grad = torch.full((1,), 0.1 * (step + 1))  # averaged over processes, as DDP does
    control.step(float("nan") if (step, rank) in ((7, 1), (25, 0)) else 1 / (step + 1) + rank)
    seen.append([weight.item(), control.rates["group0"]])
print(json.dumps([seen, [list(event) for event in control.log]]))
"""


@pytest.mark.slow
def test_two_processes_of_which_one_sees_a_loss_that_is_no_number_go_back_together():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    with contextlib.ExitStack() as ranks:
        processes = [
            ranks.enter_context(
                child(
                    [sys.executable, "-c", WORKER],
                    env={**environment, "RANK": str(rank), "OMP_NUM_THREADS": "1"},
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for rank in range(2)
        ]
        (seen, log), (others, other_log) = (
            json.loads(process.communicate(timeout=120)[0].splitlines()[-1]) for process in processes
        )
    assert seen == others
    assert [event[0] for event in log] == [event[0] for event in other_log] == [9, 27]
    assert seen[8] == [1.0, 0.05]
    assert seen[26] == [1.0, 0.025]


# the command line


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["train", "digits", "--lr", "0.1", "--guard", "maybe"], "guard must be on, off, or a guard's text"),
        (["train", "digits", "--lr", "0.1", "--guard", "guard(returns=-1)"], "returns of guard"),
        (["train", "frozenlake", "--lr", "0.1", "--guard"], "takes no guard"),
        (["find", "digits", "--guard"], "--guard is for training"),
    ],
)
def test_bad_words_are_one_line_and_exit_code_2(words, problem, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command(words) == 2
    said = capsys.readouterr().err.strip()
    assert problem in said
    assert len(said.splitlines()) == 1
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
def test_train_with_guard_alone_on_the_command_line_and_tune_by_itself(tmp_path):
    place = str(tmp_path / "a")
    assert command(["train", "digits", "--lr", "300", "--steps", "60", "--out", place, "--no-report", "--guard"]) == 0
    events = [json.loads(line) for line in (tmp_path / "a" / "events.jsonl").read_text().splitlines()]
    assert {event["what"] for event in events} == {"guard"}
    for number, words in enumerate(([], ["--guard", "off"])):
        place = tmp_path / f"tuned{number}"
        assert command(["tune", "digits", "--steps", "40", "--out", str(place), "--no-report", *words]) == 0
        run = json.loads((place / "run.json").read_text())
        assert run["said"]["guard"] == ("off" if words else "guard()")
        assert ("guard: guard()" in run["plan"]) is not bool(words)
    scores = [json.loads((tmp_path / f"tuned{n}" / "run.json").read_text())["metrics"]["loss"] for n in range(2)]
    assert scores[0] == scores[1]
