"""Extending a run: however often it is done, the course is the one that was meant and its text stays short."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stepsize import Control, Plan
from stepsize.control._extend import extended
from stepsize.schedule import Schedule, linear, part

TEXTS = [
    "warmup(5%) >> cosine()",
    "absolute(warmup(3) >> linear())",
    "warmup(7) >> constant() >> one_minus_sqrt(10%)",
    "warmup(20) * cosine()",
    "0.5 * (warmup(4) >> linear(end=0.1))",
    "piecewise_linear(at=[0, 10%, 80%], values=[1, 0.5, 0.1])",
    "clip(repeat(cosine(), 2), low=0.1)",
    "part(cosine(200), start=40, length=60)",
    "exponential(gamma=0.01)",
    "constant()",
]
moves = st.tuples(st.floats(0.01, 0.5), st.floats(0.5, 2.0))  # share of what is left that goes by; change of the rest


def unfolded(schedule, position, old, total):
    """A stretch, as it is written down: the schedule up to here, then what is left of it at another speed."""
    left = total - position
    tail = part(schedule, start=position, length=left, speed=(old - position) / left)
    return part(schedule, start=0, length=position) >> tail


@given(st.sampled_from(TEXTS), st.lists(moves, min_size=1, max_size=5))
@settings(max_examples=60)
def test_stretches_of_stretches_are_the_course_that_they_say(text, steps):
    folded = meant = Schedule.parse(text).over(100)
    position, total = 0.0, 100.0
    for share, change in steps:
        position += share * (total - position)
        new = position + change * (total - position)
        before = folded(position)
        folded = extended(Plan(folded), position, total, new, "stretch").lr
        meant, total = unfolded(meant, position, total, new), new
        assert folded(position) == pytest.approx(before, abs=1e-9)
        at = np.linspace(position, total * 1.1, 50)
        np.testing.assert_allclose(folded(at), meant(at), atol=1e-9)
    assert Schedule.parse(str(folded)) == folded


@pytest.mark.parametrize("text", TEXTS)
def test_a_first_extension_leaves_the_past_as_it_was(text):
    schedule = Schedule.parse(text).over(100)
    at = np.linspace(0, 37, 100)[:-1]
    for how in ("keep", "stretch", "cooldown"):
        longer = extended(Plan(schedule), 37.0, 100.0, 160.0, how).lr
        np.testing.assert_allclose(longer(at), schedule(at), atol=1e-12)


@pytest.mark.parametrize("text", TEXTS)
def test_the_text_does_not_grow_with_the_number_of_extensions(text):
    numbers = np.random.default_rng(0)
    plan = Plan(text, weight_decay="linear()", clip=linear(start=1, end=0.1), floor=1e-6).over(100)
    position, total, sizes = 0.0, 100.0, []
    for count in range(200):
        position += 0.1 * numbers.random() * (total - position)
        new = position + numbers.uniform(0.6, 1.6) * (total - position)
        how = ["stretch", "cooldown", "keep", "stretch", "linear(start=1, end=0.3)"][count % 5]
        rate = plan.lr(position)
        plan = extended(plan, position, total, new, how)
        total = new
        assert plan.lr(position) == pytest.approx(rate, rel=1e-9, abs=1e-12)
        assert str(plan.floor) == "constant(value=1e-06)"
        sizes.append(len(str(plan)))
    assert max(sizes) < 3 * (700 + len(text))
    assert Plan.parse(str(plan)) == plan


def begun(total, **parts):
    return Control(torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1), total=total, remind=False, **parts)


@pytest.mark.parametrize("how", ["keep", "stretch", "cooldown", "one_minus_sqrt()"])
def test_an_unchanged_script_loads_its_own_checkpoint_as_often_as_it_likes(how):
    """The total is raised once, at step 30; from then on every restart says the same."""
    state, expected = None, None
    for restart in range(12):
        control = begun(100 if restart == 0 else 160, lr="warmup(5%) >> cosine()")
        if state is not None:
            control.load_state_dict(state, extend=how)
        if restart == 1:
            expected = control.preview(np.arange(30, 160)).rates["group0"]
        if restart > 1:
            np.testing.assert_array_equal(control.preview(np.arange(30, 160)).rates["group0"], expected)
        for _ in range(30 if restart == 0 else 13):
            if control.position < 160:
                control.step()
        state = control.state_dict()
        control.detach()
    assert state["position"] == 160
    assert len(state["plan"]) < 250


def test_a_cool_down_within_the_same_total_begins_where_it_is_asked_for():
    control = begun(100, lr="constant()")
    for _ in range(60):
        control.step()
    control.extend(100, "cooldown")
    assert control.preview([59, 60, 80, 100]).rates["group0"] == pytest.approx([0.1, 0.1, 0.05, 0])
    plan = str(control.plan)
    control.step()
    control.extend(100, "cooldown")
    assert str(control.plan) == plan == "lr: constant(60) >> linear(40)"
    control.extend(81, "cooldown")  # another end is another cool-down
    assert control.preview([61, 71, 81]).rates["group0"] == pytest.approx([0.0975, 0.04875, 0])


def test_a_total_known_better_after_each_epoch_keeps_a_short_plan():
    control = begun(100, lr="cosine()")
    for epoch in range(40):
        control.step()
        control.extend(101 + epoch, "stretch")
    assert len(str(control.plan)) < 500
    assert control.preview([140]).rates["group0"] == pytest.approx(0, abs=1e-12)
