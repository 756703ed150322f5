"""Feedback: torch's and Transformers' decisions bit for bit, pure, saved, the same on every rank."""

import json
import math
import random

import numpy as np
import pytest
import torch
from children import ranks
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stepsize import Control, Plan, from_torch, greedy, linear, noisy_plateau, plateau, warmup
from stepsize.control import Decision, Observation
from stepsize.control.feedback import Steering
from stepsize.control.feedback._noisy_plateau import chance, score
from stepsize.schedule import constant


def sgd(lr=0.1):
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)


def factors(controller, values, position=0.0):
    state, seen = controller.begin(), []
    for value in values:
        state, decision = controller(state, Observation(value, position))
        seen.append(decision.factor)
    return seen


losses = st.lists(st.one_of(st.floats(-1, 1), st.sampled_from([0.0, 0.5, math.nan, math.inf, -math.inf])), max_size=60)
settings_of_plateau = st.fixed_dictionaries(
    {
        "mode": st.sampled_from(["min", "max"]),
        "factor": st.floats(0.1, 0.9),
        "patience": st.integers(0, 4),
        "threshold": st.sampled_from([0.0, 1e-4, 0.3]),
        "threshold_mode": st.sampled_from(["rel", "abs"]),
        "cooldown": st.integers(0, 3),
    }
)


@settings(max_examples=200, deadline=None)
@given(losses, settings_of_plateau, st.sampled_from([0.0, 0.03]))
def test_plateau_decides_as_torch_does(values, parameters, floor):
    optimizer, twin = sgd(), sgd()
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(twin, **parameters, min_lr=floor, eps=0)
    ours = Control(optimizer, plan=from_torch(theirs), remind=False)
    for value in values:
        ours.observe(metric=value)
        theirs.step(value)
        assert ours.rates["group0"] == pytest.approx(twin.param_groups[0]["lr"], rel=1e-12)


settings_of_greedy = st.fixed_dictionaries(
    {
        "mode": st.sampled_from(["min", "max"]),
        "factor": st.floats(0.5, 0.9),
        "patience": st.integers(0, 3),
        "threshold": st.sampled_from([0.0, 1e-6, 0.1]),
        "threshold_mode": st.sampled_from(["rel", "abs"]),
        "cooldown": st.integers(0, 2),
    }
)
EAGER = {"factor": 0.5, "patience": 0, "threshold": 0.0, "threshold_mode": "rel"}
finite = st.lists(st.floats(0, 1), max_size=80)


@settings(max_examples=100, deadline=None)
@given(finite, settings_of_greedy, st.integers(0, 2), st.sampled_from([1, 5]), st.integers(1, 5))
@example([0.0] * 9, {**EAGER, "cooldown": 1}, 0, 1, 1)  # a restart is followed by the cooldown too
def test_greedy_decides_as_transformers_does(values, parameters, wait, window, restart):
    optimization = pytest.importorskip("transformers.optimization")
    twin = sgd(1.0)
    averaged = {"smooth": window > 1, "window_size": window}
    theirs = optimization.GreedyLR(
        twin, **parameters, warmup=wait, min_lr=0.2, max_lr=3.0, eps=0, reset_start=restart, **averaged
    )
    ours = greedy(**parameters, wait=wait, window=window, restart=restart, least=0.2, most=3.0)
    for value, factor in zip(values, factors(ours, values), strict=True):
        theirs.step(value)
        assert factor == pytest.approx(twin.param_groups[0]["lr"], rel=1e-12)


CONTROLLERS = {
    "plateau": plateau(patience=2, factor=0.5, cooldown=1),
    "noisy_plateau": noisy_plateau(patience=20, factor=0.5),
    "greedy": greedy(patience=2, factor=0.5, window=3, wait=1),
}


def falling(steps, seed=0, noise=0.01):
    draw = random.Random(seed)
    return [max(1 - step / 60, 0.2) + draw.gauss(0, noise) for step in range(steps)]


@pytest.mark.parametrize("name", CONTROLLERS)
def test_controllers_are_pure_and_their_state_is_json(name):
    controller, state = CONTROLLERS[name], CONTROLLERS[name].begin()
    changed = False
    for value in falling(200):
        before = json.dumps(state)
        once, again = controller(state, Observation(value, 0.0)), controller(state, Observation(value, 0.0))
        assert once == again
        assert json.dumps(state) == before
        state = json.loads(json.dumps(once[0]))
        changed = changed or once[1].factor != 1
    assert changed


@pytest.mark.parametrize("name", CONTROLLERS)
def test_the_text_of_a_controller_reads_back_and_stands_in_a_plan(name):
    controller = CONTROLLERS[name]
    plan = Plan("cosine()", feedback=controller, floor=1e-3, cap={"*": linear(start=1, end=0.5)})
    assert Plan.parse(str(plan)) == plan
    assert Plan(feedback=str(controller)).feedback == controller
    late = type(controller)(after="5%", of="validation_loss")
    assert Plan.parse(str(Plan(feedback=late).over(1_000))).feedback.after == 50
    with pytest.raises(ValueError, match="depends on the run"):
        late(late.begin(), Observation(1.0, 0.0))


def test_feedback_multiplies_any_schedule_and_begins_after_the_warm_up():
    schedule = warmup(4) >> linear(16)
    control = Control(sgd(), lr=schedule, feedback=plateau(patience=0, factor=0.5, after=4), total=20)
    for step in range(8):
        cuts = max(0, step - 5)  # from the 5th update on the loss is looked at; the first look is the best
        assert control.rates["group0"] == pytest.approx(0.1 * schedule(float(step)) * 0.5**cuts)
        control.step(1.0)
    assert [event.what for event in control.log] == ["feedback"] * 3
    assert "has not been below 1 for 1 observations" in control.log[0].reason


def test_a_controller_that_raises_stays_under_the_cap():
    control = Control(
        sgd(), feedback=greedy(patience=0, factor=0.5, most=100), cap=linear(start=0.4, end=0.1), total=10
    )
    for step in range(10):
        assert control.rates["group0"] <= linear(10, start=0.4, end=0.1)(float(step)) + 1e-12
        control.step(1.0 / (step + 1))
    assert control.log[-1].value == 100


def test_plateau_looks_at_what_is_observed_and_refuses_other_names():
    control = Control(sgd(), feedback=plateau(of="validation_loss", patience=0, factor=0.5))
    control.observe(validation_loss=1.0, accuracy=0.5)
    control.observe(validation_loss=torch.tensor(1.0))
    assert control.rates["group0"] == 0.05
    with pytest.raises(ValueError, match=r"looks at 'validation_loss', and observe got 'val_loss'"):
        control.observe(val_loss=1.0)
    blind = Control(sgd(), lr=linear(4), feedback=plateau())
    with pytest.raises(ValueError, match="feedback looks at the loss of every step"):
        blind.step()
    assert blind.position == 0


def test_a_step_that_a_scaler_left_out_is_not_looked_at():
    weight = torch.zeros(1, requires_grad=True)
    scaler = torch.amp.GradScaler("cpu")
    feedback = plateau(patience=0, factor=0.5)
    control = Control(torch.optim.SGD([weight], lr=0.1), feedback=feedback, scaler=scaler)
    for loss, gradient in ((1.0, 1.0), (math.inf, math.inf), (0.5, 1.0)):
        scaler.scale(torch.ones(()))
        weight.grad = torch.full((1,), gradient)
        control.step(loss)
    assert control.rates["group0"] == 0.1
    assert [event.what for event in control.log] == ["skipped"]


def test_a_controller_of_ones_own_is_taken_and_its_nonsense_refused():
    class Mine:
        of = "loss"

        def over(self, total, per_epoch):
            return self

        def begin(self):
            return {}

        def __call__(self, state, observation):
            return state, Decision(-1.0 if observation.value > 1 else 0.5, "because")

    control = Control(sgd(), feedback=Mine())
    control.step(0.5)
    assert control.rates["group0"] == 0.05
    with pytest.raises(ValueError, match="factor decided by"):
        control.step(2.0)
    with pytest.raises(TypeError, match="feedback must be"):
        Control(sgd(), feedback=Mine)


def test_the_rank_test_of_a_fall_is_the_textbooks():
    scipy = pytest.importorskip("scipy.stats")
    generator = np.random.default_rng(0)
    for slope in np.linspace(-0.1, 0.1, 20):
        values = (slope * np.arange(20) + generator.normal(size=20)).tolist()
        textbook = scipy.kendalltau(np.arange(20), values, method="asymptotic", alternative="less")
        assert score(values) == pytest.approx(-textbook.statistic * 190)
        assert chance(score(values), 20) == pytest.approx(textbook.pvalue, rel=1e-6)


def test_the_noisy_plateau_waits_for_a_fall_and_cuts_when_it_has_ended():
    assert set(factors(noisy_plateau(patience=100), falling(1_000)[-900:])) == {1.0}  # it never saw the fall
    for mode, sign in (("min", 1), ("max", -1)):
        values = [sign * value for value in falling(600, noise=0.05)]
        seen = factors(noisy_plateau(patience=100, factor=0.5, mode=mode), values)
        assert seen[47] == 1  # the fall lasts 48 steps
        assert 48 < seen.index(0.5) < 300
        assert seen[-1] == 0.5  # no new fall, no new cut


@pytest.mark.parametrize("patience", [20, 40, 100, 200])
def test_one_spike_in_a_steady_fall_or_at_its_beginning_is_no_plateau(patience):
    controller, cut = noisy_plateau(patience=patience), factors
    line = [1 - step / 2_000 for step in range(600)]
    for at in [0, 1, 2, *range(3, 600, 37), 599]:
        spiky = [value + 5 * (step == at) for step, value in enumerate(line)]
        assert set(cut(controller, spiky)) == {1.0}, at
    draw = random.Random(0)
    level = [1 + draw.gauss(0, 0.02) for _ in range(600)]
    assert set(cut(noisy_plateau(patience=200), [level[0] + 5, *level[1:]])) == {1.0}


def test_the_noisy_plateau_ends_at_a_rate_that_still_trains():
    falls = [1000 * 0.5**fall + 0.01 * random.Random(step).random() for fall in range(16) for step in range(200)]
    assert factors(noisy_plateau(patience=40), falls)[-1] == 1e-4
    assert factors(noisy_plateau(patience=40, least=0.0), falls)[-1] < 1e-6


def below_zero(mode):
    """A measure that improves and then stays, once above and once below zero."""
    sign = 1 if mode == "min" else -1
    return [[sign * (offset + max(0.0, 5 - step)) for step in range(40)] for offset in (3.0, 0.0, -100.0, -3.0)]


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("make", [plateau, greedy])
def test_a_plateau_is_cut_alike_above_zero_at_it_and_below(make, mode):
    controller = make(mode=mode, threshold=1e-4, threshold_mode="rel", factor=0.5, patience=3)
    draw = random.Random(1)
    for values in below_zero(mode):
        jitter = [value * (1 + 1e-6 * draw.random()) for value in values]  # far below the threshold
        assert factors(controller, values)[-1] < 1 / 16
        assert factors(controller, jitter)[-1] < 1 / 16
        falling = [value - step if mode == "min" else value + step for step, value in enumerate(values)]
        assert min(factors(controller, falling)) >= 1


@settings(max_examples=100, deadline=None)
@given(st.floats(-1e3, 1e3), st.floats(0, 0.9), st.sampled_from(["min", "max"]))
def test_a_relative_threshold_is_a_share_of_the_size_on_either_side_of_zero(best, threshold, mode):
    controller = plateau(mode=mode, threshold=threshold, patience=0, factor=0.5)
    sign, share = (-1 if mode == "min" else 1), threshold * abs(best)
    for value, better in ((best + sign * (1.01 * share + 1e-6), True), (best + sign * (0.99 * share - 1e-6), False)):
        assert factors(controller, [best, value])[-1] == (1.0 if better else 0.5)


def test_torchs_own_threshold_is_there_by_name_and_never_cuts_below_zero():
    values = [-100.0] * 30
    assert factors(plateau(patience=3, threshold_mode="torch"), values)[-1] == 1.0
    assert factors(plateau(patience=3), values)[-1] < 1e-3
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(sgd())
    assert from_torch(theirs).feedback == plateau(of="metric", threshold_mode="torch")


def test_values_that_are_not_finite_do_not_disturb_the_noisy_plateau():
    values = falling(600, noise=0.05)
    spoilt = [each for value in values for each in (value, math.nan, math.inf)]
    controller = noisy_plateau(patience=100, factor=0.5)
    assert factors(controller, spoilt)[::3] == factors(controller, values)


def test_steering_asks_no_other_process_when_there_is_none():
    steering = Steering(plateau(patience=0, factor=0.5))
    steering.take({"loss": 1.0})
    steering.take({"loss": 1.0})
    assert [decision.factor for decision in steering.digest(0.0)] == [0.5]
    assert not steering.together


WORKER = """
import json, os, sys
import torch, torch.distributed as dist
from stepsize import Control, plateau, greedy
dist.init_process_group("gloo")
rank = dist.get_rank()
out = {}
for name, feedback in (("plateau", plateau(patience=1, factor=0.5)), ("greedy", greedy(patience=1, factor=0.5))):
    generator = torch.Generator().manual_seed(rank)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    control = Control(optimizer, feedback=feedback, remind=False)
    rates = []
    for step in range(30):
        loss = 1 / (step + 1) + torch.rand(1, generator=generator).item()  # every rank has a loss of its own
        control.step(loss)
        rates.append(control.rates["group0"])
    out[name] = rates
optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
control = Control(optimizer, feedback=plateau(of="validation_loss", patience=0, factor=0.5), remind=False)
rates = []
for step in range(12):
    control.step()
    if step % 3 == 0 and rank == 0:
        control.observe(validation_loss=1.0)  # validation on one rank alone
    rates.append(control.rates["group0"])
out["observed"] = rates
print(json.dumps(out))
"""


@pytest.mark.slow
def test_two_processes_with_different_losses_take_one_decision(tmp_path):
    with ranks(["-c", WORKER]) as both:
        first, second = (json.loads(process.communicate(timeout=120)[0].splitlines()[-1]) for process in both)
    assert first == second
    for name in ("plateau", "greedy", "observed"):
        assert len(set(first[name])) > 2  # something was decided
    # noted after the 1st, 4th, 7th ... step, agreed on in the one behind it; the first is the best so far
    assert first["observed"] == [0.1] * 4 + [0.05] * 3 + [0.025] * 3 + [0.0125] * 2


def test_constant_feedback_changes_nothing():
    control = Control(sgd(), lr=constant(), feedback=plateau(least=1.0, patience=0), total=10)
    for _ in range(10):
        control.step(1.0)
    assert control.rates["group0"] == 0.1
    assert control.log == []
