"""What a search costs is never more than is said, whatever the losses do."""

import itertools
import math
import time

import pytest
import torch
from torch import nn

from stepsize import Task, find
from stepsize.finder import budget_of, find_plan


class Point(nn.Module):
    def __init__(self):
        super().__init__()
        self.x = nn.Parameter(torch.ones(2))


CURVES = torch.tensor([1.0, 0.01])


def bowl(model):
    return (CURVES * model.x.square()).sum() / 2


LOSSES = {
    "a bowl": bowl,
    "a bowl far below zero": lambda model: bowl(model) - 1e4,
    "a flat start": lambda model: 1 + 1e-3 * bowl(model) - 0.5 * torch.sigmoid(50 * (0.2 - model.x[0])),
    "hardly any slope": lambda model: 1 + 1e-6 * bowl(model),
    "a slope of a thousandth": lambda model: 5 + 1e-3 * bowl(model),
    "downhill without end": lambda model: 1 - 1e-5 * model.x.sum(),
    "no slope": lambda model: 1 + 0 * model.x.sum(),
    "noise": lambda model: torch.randn(()) + 0 * model.x.sum(),
    "noise around a bowl": lambda model: bowl(model) + 0.2 * torch.randn(()),
    "uphill only": lambda model: -bowl(model).detach() + 2 * bowl(model) - bowl(model),
    "divergent everywhere": lambda model: 1e12 * model.x.square().sum(),
    "NaN after a step": lambda model: bowl(model) * (1.0 if bool((model.x == 1).all()) else math.nan),
}


def task(loss, steps):
    return Task(
        name="curve",
        model=Point,
        batches=lambda generator: itertools.repeat(None),
        loss=lambda model, batch: loss(model),
        optimizer=lambda parameters, lr: torch.optim.SGD(parameters, lr=lr),
        score=lambda model: loss(model).item(),
        metrics=lambda model: {},
        steps=steps,
        schedule="constant()",
    )


@pytest.mark.parametrize("name", list(LOSSES))
@pytest.mark.parametrize(("steps", "budget"), [(20, None), (200, None), (200, "0.3x"), (200, 10), (100, "1.5x")])
def test_a_search_takes_four_budgets_or_a_hundred_steps_at_most_and_says_what_it_took(name, steps, budget):
    finding = find(task(LOSSES[name], steps), budget=budget)
    taken = sum(len(result.losses) for result in finding.results)
    assert finding.cost.steps == taken
    assert finding.cost.runs * steps == pytest.approx(taken + finding.cost.forwards / 3)
    assert finding.cost.runs * steps <= max(4 * budget_of(budget, steps).steps, 100)
    assert finding.rate is None or 1e-6 <= finding.rate <= 100


@pytest.mark.parametrize("name", ["a bowl", "no slope"])
def test_a_time_is_kept_by_the_pace_of_a_step(name):
    slowest, seconds = 0.004, 0.2

    def slow(model):
        time.sleep(slowest)
        return LOSSES[name](model)

    finding = find(task(slow, 200), budget=f"{seconds}s")
    assert finding.cost.steps + finding.cost.forwards / 3 <= max(100, 4 * seconds / slowest)


@pytest.mark.parametrize("name", ["a bowl", "a flat start", "no slope"])
@pytest.mark.parametrize("budget", ["0.1x", "1x", "4x"])
def test_plans_keep_to_four_budgets_or_120_steps_each(name, budget):
    steps, plans = 100, [None, "sgd(momentum=0.9)", "adamw"]
    found = find_plan(task(LOSSES[name], steps), {"optimizer": plans}, budget=budget)
    assert found.cost.runs * steps <= max(4 * budget_of(budget, steps).steps, 120 * len(plans))


X = torch.randn(256, 4, generator=torch.Generator().manual_seed(0))
Y = X.sum(1) + 0.1 * torch.randn(256, generator=torch.Generator().manual_seed(1))


def regression(offset, factor=1.0):
    """Linear regression, its loss shifted and scaled: the best rate for a scale is known by that of another."""

    def batches(generator):
        while True:
            picked = torch.randint(256, (32,), generator=generator)
            yield X[picked], Y[picked]

    def loss(model, batch):
        return factor * (model(batch[0])[:, 0] - batch[1]).square().mean() + offset

    return Task(
        name="regression",
        model=lambda: nn.Linear(4, 1),
        batches=batches,
        loss=loss,
        optimizer=lambda parameters, lr: torch.optim.SGD(parameters, lr=lr),
        score=lambda model: loss(model, (X, Y)).item(),
        metrics=lambda model: {},
        steps=200,
    )


@pytest.mark.parametrize("offset", [-100.0, -30.0, -6.0, -4.0, -1.0, 30.0])
def test_a_constant_added_to_the_loss_changes_nothing_about_the_rate(offset):
    assert find(regression(offset)).rate == pytest.approx(find(regression(0.0)).rate, rel=0.05)


@pytest.mark.parametrize("offset", [-1e4, 1e4])
def test_far_from_zero_the_rate_is_still_one_that_trains(offset):
    rate = find(regression(offset)).rate
    assert 0.02 < rate < 1.5


def test_noise_around_zero_is_no_progress():
    def loss(model):
        return torch.randn(()) * 0.1 - 0.001 + 0 * model.x.sum()

    finding = find(task(loss, 60))
    assert finding.rate is None
    assert "nothing was learnt" in finding.verdict


@pytest.mark.parametrize(
    "given", [(nn.Linear(1, 1), [], nn.MSELoss()), (nn.Linear(1, 1),), (task(bowl, 10), "1x"), (nn.Linear(1, 1), [])]
)
def test_a_model_and_its_loss_are_no_task_and_one_line_names_the_way(given):
    with pytest.raises(TypeError) as caught:
        find(*given)
    message = str(caught.value)
    assert message.startswith("find takes one task and options by name, got ")
    assert "find(Task(" in message
    assert "\n" not in message
