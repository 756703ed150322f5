"""Control: the rates are the formula's, the updates the hand-written loop's, and a resumed run is one never stopped."""

import copy
import io
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from stepsize import Control, Plan, absolute, cosine, linear, warmup
from stepsize.schedule import one_cycle, step_decay

SCHEDULE = warmup("10%") >> cosine()


def net(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))


def batch(step):
    return torch.randn(16, 3, generator=torch.Generator().manual_seed(step))


def loss_of(model, step):
    x = batch(step)
    return (model(x) - x.sum(1, keepdim=True)).square().mean()


def weights(*models):
    return torch.cat([p.detach().flatten() for model in models for p in model.parameters()])


OPTIMIZERS = {
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=1e-3),
    "adamw": lambda parameters: torch.optim.AdamW(parameters, lr=0.01),
    "tensor rate": lambda parameters: torch.optim.AdamW(parameters, lr=torch.tensor(0.01)),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("clip", [None, 0.5])
def test_equals_the_hand_written_loop_bit_for_bit(name, clip):
    ours, theirs = net(), net()
    optimizer, twin = OPTIMIZERS[name](ours.parameters()), OPTIMIZERS[name](theirs.parameters())
    base, rate = float(twin.param_groups[0]["lr"]), optimizer.param_groups[0]["lr"]
    control = Control(optimizer, lr=SCHEDULE, total=50, clip=clip)
    for step in range(50):
        loss = loss_of(ours, step)
        loss.backward()
        done = control.step(loss)

        twin.zero_grad()
        loss_of(theirs, step).backward()
        norm = None if clip is None else nn.utils.clip_grad_norm_(theirs.parameters(), clip)
        factor = (step + 1) / 6 if step < 5 else (1 + np.cos(np.pi * (step - 5) / 45)) / 2
        if isinstance(rate, torch.Tensor):
            twin.param_groups[0]["lr"].fill_(base * factor)
        else:
            twin.param_groups[0]["lr"] = base * factor
        twin.step()

        assert done.position == step
        assert norm is None or done.norm == norm
        assert done.clipped == (clip is not None and bool(norm > clip))
        assert torch.equal(weights(ours), weights(theirs))
        assert all(p.grad is None for p in ours.parameters())
    if isinstance(rate, torch.Tensor):
        assert optimizer.param_groups[0]["lr"] is rate


def test_a_gan_loop_with_two_optimizers_equals_the_hand_written_one_bit_for_bit():
    def parts():
        torch.manual_seed(0)
        generator, critic = nn.Linear(2, 3), nn.Linear(3, 1)
        return (
            generator,
            critic,
            torch.optim.Adam(generator.parameters(), 1e-2),
            torch.optim.SGD(critic.parameters(), 0.1),
        )

    noise = [torch.randn(8, 2, generator=torch.Generator().manual_seed(step)) for step in range(20)]

    generator, critic, for_generator, for_critic = parts()
    control_generator = Control(for_generator, lr=linear(), total=20)
    control_critic = Control(for_critic, lr=cosine(), total=20, clip=1.0)
    for step in range(20):
        real = batch(step)
        loss = critic(generator(noise[step]).detach()).mean() - critic(real).mean()
        loss.backward()
        control_critic.step(loss)
        loss = -critic(generator(noise[step])).mean()
        loss.backward()
        control_generator.step(loss)
        control_critic.zero_grad()
    ours = weights(generator, critic)

    generator, critic, for_generator, for_critic = parts()
    for step in range(20):
        for_generator.param_groups[0]["lr"] = 1e-2 * (1 - step / 20)
        for_critic.param_groups[0]["lr"] = 0.1 * ((1 + np.cos(np.pi * (step / 20))) / 2)
        real = batch(step)
        for_critic.zero_grad()
        (critic(generator(noise[step]).detach()).mean() - critic(real).mean()).backward()
        nn.utils.clip_grad_norm_(critic.parameters(), 1.0)
        for_critic.step()
        for_generator.zero_grad()
        (-critic(generator(noise[step])).mean()).backward()
        for_generator.step()
    assert torch.equal(ours, weights(generator, critic))


def test_groups_keep_their_ratio_and_late_groups_their_own_base():
    model = net()
    first, last = model[0], model[2]
    optimizer = torch.optim.SGD([{"params": first.parameters(), "lr": 0.4, "name": "first"}], lr=0.1)
    control = Control(optimizer, lr=linear(), total=4)
    loss_of(model, 0).backward()
    control.step()
    optimizer.add_param_group({"params": list(last.parameters()), "lr": 0.1})
    assert control.rates == pytest.approx({"first": 0.3, "group1": 0.075})
    loss_of(model, 1).backward()
    control.step()
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.2, 0.05])


def test_a_base_of_zero_stays_zero_and_absolute_ignores_the_base():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.0)
    with pytest.warns(UserWarning, match="every learning rate has a base of 0"):
        assert Control(optimizer, lr=SCHEDULE, total=10).rates == {"group0": 0}
    assert Control(optimizer, lr=absolute(linear(start=0.5)), total=10).rates == {"group0": 0.5}


def test_preview_is_what_will_be_written_and_touches_nothing():
    model = net()
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    control = Control(optimizer, lr=SCHEDULE, total=30)
    before = optimizer.param_groups[0]["lr"]
    preview = control.preview()
    assert optimizer.param_groups[0]["lr"] == before
    written = []
    for step in range(30):
        written.append(optimizer.param_groups[0]["lr"])
        loss_of(model, step).backward()
        control.step()
    np.testing.assert_allclose(preview.rates["group0"], written, rtol=1e-15)


plans = st.sampled_from(
    [SCHEDULE, linear(), step_decay(every="20%"), cosine(5) >> cosine(), warmup(7) >> cosine("10%")]
)


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from(sorted(OPTIMIZERS)), plans, st.integers(0, 20), st.sampled_from([None, 0.1]), st.permutations("mco")
)
def test_any_split_of_a_run_by_save_and_load_is_the_run_never_stopped(name, schedule, split, clip, order):
    def begin():
        model = net()
        return model, OPTIMIZERS[name](model.parameters())

    def go(control, model, steps):
        for step in steps:
            loss_of(model, step).backward()
            control.step()
        return control.rates

    model, optimizer = begin()
    rates = go(Control(optimizer, lr=schedule, total=20, clip=clip), model, range(20))

    half, optimizer = begin()
    control = Control(optimizer, lr=schedule, total=20, clip=clip)
    go(control, half, range(split))
    file = io.BytesIO()
    torch.save({"m": half.state_dict(), "o": optimizer.state_dict(), "c": control.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)

    again, optimizer = begin()
    if order[0] == "o":  # the optimizer's state may also be there before Control is made
        optimizer.load_state_dict(saved["o"])
    control = Control(optimizer, lr=schedule, total=20, clip=clip)
    targets = {"m": again, "o": optimizer, "c": control}
    for part in order:
        targets[part].load_state_dict(saved[part])
    assert go(control, again, range(split, 20)) == rates
    assert torch.equal(weights(again), weights(model))


def test_momentum_and_weight_decay_follow_the_same_formula():
    parameters = [torch.ones(1, requires_grad=True)]
    adam = torch.optim.AdamW(parameters, lr=0.1, weight_decay=0.2, betas=(0.9, 0.99))
    control = Control(adam, **one_cycle(), weight_decay=linear(), total=10)
    for _ in range(3):
        control.step()
    assert adam.param_groups[0]["betas"] == pytest.approx((0.85, 0.99))
    assert adam.param_groups[0]["weight_decay"] == pytest.approx(0.2 * 0.7)
    assert control.rates["group0"] == pytest.approx(0.1)
    sgd = torch.optim.SGD([{"params": parameters, "weight_decay": 0.0}], lr=0.1, momentum=0.9, weight_decay=0.5)
    Control(sgd, momentum="absolute(constant(value=0.5))", weight_decay=linear(), total=10)
    assert (sgd.param_groups[0]["momentum"], sgd.param_groups[0]["weight_decay"]) == (0.5, 0)
    with pytest.raises(ValueError, match="the optimizer has no 'momentum'"):
        Control(torch.optim.Adagrad(parameters), momentum=linear(), total=10)


def test_one_schedule_for_each_group():
    parameters = [{"params": [torch.ones(1)]}, {"params": [torch.ones(1)]}]
    control = Control(torch.optim.SGD(parameters, lr=0.1), lr=[linear(), cosine()], total=4)
    control.step()
    assert control.rates == pytest.approx({"group0": 0.075, "group1": 0.1 * (1 + np.cos(np.pi / 4)) / 2})
    with pytest.raises(ValueError, match="lr has 3 schedules and the optimizer 2"):
        Control(torch.optim.SGD([*map(dict, parameters)], lr=0.1), lr=[linear()] * 3, total=4)
    with pytest.raises(ValueError, match="lr has 1 schedules and the optimizer 2"):
        Control(torch.optim.SGD([*map(dict, parameters)], lr=0.1), lr=[linear()], total=4)


def test_names_that_stand_twice_hide_no_group_and_a_long_clock_no_memory():
    groups = [{"params": [torch.ones(1)], "name": "a"}, {"params": [torch.ones(1)], "name": "a"}]
    control = Control(torch.optim.SGD(groups, lr=0.1), lr=linear(), total=1e13)
    assert set(control.rates) == {"a#0", "a#1"}
    assert len(control.preview().positions) == 100_000


def test_optimizers_that_need_a_closure_say_so():
    control = Control(torch.optim.LBFGS([torch.ones(1, requires_grad=True)]))
    with pytest.raises(TypeError, match="LBFGS steps with a closure"):
        control.step()
    with pytest.raises(ValueError, match="since it steps with a closure"):
        Control([torch.optim.LBFGS([torch.ones(1)]), torch.optim.SGD([torch.ones(1)], lr=0.1)])


def test_a_state_of_another_plan_total_or_base_is_refused_and_nothing_changes():
    def make(lr=0.1, **settings):
        return Control(torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=lr), **settings)

    saved = make(lr=0.1).state_dict()
    for other, said in [
        (make(lr=0.2), "base rate of group0 was 0.1"),
        (make(total=5), "total was None"),
        (make(clip=1.0), r"plan was 'lr: constant\(\)'"),
    ]:
        before = copy.deepcopy(other.state_dict())
        with pytest.raises(ValueError, match=said):
            other.load_state_dict(saved)
        assert other.state_dict() == before
    with pytest.raises(ValueError, match="it lacks"):
        make().load_state_dict({"position": 3})
    two = Control(torch.optim.SGD([{"params": [torch.ones(1)]}, {"params": [torch.ones(1)]}], lr=0.1))
    with pytest.raises(ValueError, match="parameter groups"):
        two.load_state_dict(saved)


class Seen:
    def __init__(self, every):
        self.every, self.records, self.observed, self.events = every, [], [], []

    def wants(self, step):
        return {"loss", "rate", "gradient_norm", "update_ratio"} if step % self.every == 0 else ()

    def on_step(self, record):
        self.records.append(record)

    def on_observe(self, step, values):
        self.observed.append((step, values))

    def on_event(self, step, event):
        self.events.append((step, event))


def test_observers_see_the_step_as_it_was():
    weight = torch.tensor([3.0, 4.0], requires_grad=True)
    seen = Seen(every=2)
    control = Control(torch.optim.SGD([weight], lr=0.1), lr=linear(), total=4, watch=seen)
    for _ in range(4):
        loss = weight.square().sum() / 2
        loss.backward()
        control.step(loss)
    control.observe(validation_loss=torch.tensor(0.5))
    assert [record["step"] for record in seen.records] == [0, 2]
    assert seen.records[0] == pytest.approx(
        {"step": 0, "loss": 12.5, "rate": 0.1, "gradient_norm": 5.0, "update_ratio": 0.1}
    )
    assert seen.records[1]["rate"] == pytest.approx(0.05)
    assert seen.observed == [(4, {"validation_loss": 0.5})]


def test_between_two_log_points_nothing_is_read_back_from_the_device(monkeypatch):
    reads = []
    for name in ("item", "__float__", "__bool__", "tolist", "__int__", "cpu", "numpy"):
        real = getattr(torch.Tensor, name)
        monkeypatch.setattr(
            torch.Tensor, name, lambda self, *a, real=real, name=name: reads.append(name) or real(self, *a)
        )
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    control = Control(optimizer, lr=SCHEDULE, total=100, clip=1.0, watch=Seen(every=10))
    reads_at = []
    for step in range(40):
        loss = loss_of(model, step)
        loss.backward()
        before = len(reads)
        control.step(loss)
        reads_at.append(len(reads) - before)
    assert all(count == 0 for step, count in enumerate(reads_at) if step % 10)
    assert reads_at[0] > 0


def test_the_text_of_a_plan_is_yaml():
    yaml = pytest.importorskip("yaml")
    for plan in (
        Plan(),
        Plan("warmup(5%) >> 0.5 * cosine()", clip=1),
        Plan("(cosine(3) >> cosine()) * linear()", clip=0.25),
    ):
        read = yaml.safe_load(str(plan))
        assert Plan.parse(str(plan)) == plan
        assert read["lr"] == str(plan.lr)
        assert read.get("clip") == plan.clip
    several = Plan(["cosine()", "multi_step(at=[30, 80])"], momentum="absolute(constant(value=0.9))")
    assert Plan.parse(str(several)) == several
    assert yaml.safe_load(str(several))["lr"] == ["cosine()", "multi_step(at=[30, 80])"]


def test_from_a_step_to_the_arithmetic_are_four_calls():
    from stepsize.control._line import Line

    model = net()
    control = Control(torch.optim.SGD(model.parameters(), lr=0.1), lr=cosine(), total=9, clip=1.0)
    depths = []

    def look(frame, event, _):
        if event == "call" and frame.f_code is Line.write.__code__:
            depth = 1
            while frame.f_code is not Control.step.__code__:
                frame, depth = frame.f_back, depth + 1
            depths.append(depth)

    loss_of(model, 0).backward()
    sys.setprofile(look)
    try:
        control.step()
    finally:
        sys.setprofile(None)
    assert depths == [4]
