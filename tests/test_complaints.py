"""What users of torch's schedulers have complained about for years cannot happen here.

Each test is named after its complaints (numbers of issues of pytorch/pytorch). Its body runs on torch as well, marked
as a strict expected failure where torch 2.13 still has the flaw: when torch mends it, the mark must go.
"""

import math
import warnings

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler as schedulers

from stepsize import Control, cosine, linear, warmup
from stepsize.schedule import constant, cosine_restarts, exponential, step_decay

BASE = 0.1
both = pytest.mark.parametrize("library", ["stepsize", pytest.param("torch", marks=pytest.mark.xfail(strict=True))])


@pytest.fixture(autouse=True)
def _quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, about its order of calls
        yield


def sgd():
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=BASE)


def rate(optimizer):
    return optimizer.param_groups[0]["lr"]


def advance(optimizer, driver, steps):
    seen = []
    for _ in range(steps):
        seen.append(rate(optimizer))
        if isinstance(driver, Control):
            driver.step()
        else:
            optimizer.step()
            driver.step()
    return seen


def halves(t):
    return (1 + math.cos(math.pi * t)) / 2


@both
def test_168044_a_rate_written_from_outside_changes_nothing_that_comes_later(library):
    """Schedulers with two formulas: after one foreign write the chained and the closed form disagree for ever."""
    optimizer = sgd()
    ours = library == "stepsize"
    driver = Control(optimizer, lr=step_decay(every=30)) if ours else schedulers.StepLR(optimizer, 30)
    advance(optimizer, driver, 10)
    optimizer.param_groups[0]["lr"] = 0.05
    advance(optimizer, driver, 25)
    assert rate(optimizer) == pytest.approx(BASE * 0.1 ** (35 // 30))


@both
def test_162591_a_sequence_resumes_at_the_rate_of_its_step(library):
    optimizer = sgd()
    if library == "stepsize":
        driver = Control(optimizer, lr=warmup(10, start=0.1) >> cosine(90))
        advance(optimizer, driver, 40)
        saved, state = optimizer.state_dict(), driver.state_dict()
        optimizer = sgd()
        optimizer.load_state_dict(saved)
        Control(optimizer, lr=warmup(10, start=0.1) >> cosine(90)).load_state_dict(state)
    else:
        parts = [schedulers.LinearLR(optimizer, 0.1, 1, 10), schedulers.CosineAnnealingLR(optimizer, 90)]
        advance(optimizer, schedulers.SequentialLR(optimizer, parts, [10]), 40)
        saved = optimizer.state_dict()
        optimizer = sgd()
        optimizer.load_state_dict(saved)
        parts = [schedulers.LinearLR(optimizer, 0.1, 1, 10), schedulers.CosineAnnealingLR(optimizer, 90)]
        schedulers.SequentialLR(optimizer, parts, [10], last_epoch=40)
    assert rate(optimizer) == pytest.approx(BASE * halves(30 / 90))


@both
def test_65342_building_anew_after_loading_the_optimizer_keeps_the_base(library):
    """Loading in the order optimizer, then scheduler: the rate must not be reset, nor the base be the rate of now.

    The complaint was of CosineAnnealingLR, which torch 2.13 gets right; LinearLR stays at a tenth for ever.
    """
    optimizer = sgd()
    ours, line = library == "stepsize", linear(100, start=0.1, end=1)
    make = (lambda o: Control(o, lr=line)) if ours else (lambda o: schedulers.LinearLR(o, 0.1, 1, 100))
    driver = make(optimizer)
    advance(optimizer, driver, 50)
    saved, state = optimizer.state_dict(), driver.state_dict()
    optimizer = sgd()
    optimizer.load_state_dict(saved)
    driver = make(optimizer)
    driver.load_state_dict(state)
    assert rate(optimizer) == pytest.approx(BASE * line(50))
    advance(optimizer, driver, 25)
    assert rate(optimizer) == pytest.approx(BASE * line(75))


@pytest.mark.parametrize("library", ["stepsize", "torch"])  # closed in torch in 2026
def test_185872_72874_67586_the_first_rate_of_a_sequence_is_its_first_pieces(library):
    optimizer = sgd()
    if library == "stepsize":
        driver = Control(optimizer, lr=constant(5, value=0.2) >> exponential(gamma=0.9, every=1))
    else:
        parts = [schedulers.ConstantLR(optimizer, 0.2, 5), schedulers.ExponentialLR(optimizer, 0.9)]
        driver = schedulers.SequentialLR(optimizer, parts, [5])
    expected = [0.2] * 5 + [0.9**t for t in range(5)]
    assert advance(optimizer, driver, 10) == pytest.approx([BASE * factor for factor in expected])


@both
def test_129565_a_product_does_not_depend_on_the_order(library):
    curves = []
    for order in (1, -1):
        optimizer = sgd()
        if library == "stepsize":
            first, second = [cosine_restarts(every=10), exponential(gamma=0.9, every=1)][::order]
            driver = Control(optimizer, lr=first * second)
        else:
            parts = [schedulers.CosineAnnealingWarmRestarts(optimizer, 10), schedulers.ExponentialLR(optimizer, 0.9)]
            driver = schedulers.ChainedScheduler(parts[::order])
        curves.append(advance(optimizer, driver, 40))
    expected = [BASE * halves(t % 10 / 10) * 0.9**t for t in range(40)]
    assert curves[0] == pytest.approx(expected)
    assert curves[1] == pytest.approx(expected)


@both
def test_40997_152081_cosine_values_are_those_of_the_documented_formula(library):
    """The recursive form is the formula only if nothing else ever touches the rate, such as a second factor."""
    optimizer = sgd()
    if library == "stepsize":
        driver = Control(optimizer, lr=linear(20, start=0.5, end=1) * cosine(20, end=0.1))
    else:
        parts = [schedulers.LinearLR(optimizer, 0.5, 1, 20), schedulers.CosineAnnealingLR(optimizer, 20, BASE * 0.1)]
        driver = schedulers.ChainedScheduler(parts)
    expected = [BASE * (0.5 + 0.5 * t / 20) * (0.1 + 0.9 * halves(t / 20)) for t in range(21)]
    assert advance(optimizer, driver, 21) == pytest.approx(expected)


def test_22343_83159_weight_decay_and_momentum_are_driven_like_the_rate():
    """Open since 2019; torch has no scheduler for them, so there is nothing of torch's to run."""
    optimizer = torch.optim.AdamW([torch.zeros(1, requires_grad=True)], lr=BASE, weight_decay=0.2)
    control = Control(optimizer, lr=cosine(100), weight_decay=linear(100), momentum=linear(100, start=1, end=0.5))
    group, seen = optimizer.param_groups[0], []
    for _ in range(101):
        seen.append((group["lr"], group["weight_decay"], group["betas"][0]))
        control.step()
    steps = np.arange(101)
    expected = (BASE * cosine(100)(steps), 0.2 * (1 - steps / 100), 0.9 * (1 - steps / 200))
    np.testing.assert_allclose(np.array(seen), np.array(expected).T, atol=1e-15)
