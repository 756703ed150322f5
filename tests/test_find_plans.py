"""Plans race at rates of their own: the better one wins, equals keep their order, what is no plan is refused."""

import itertools
from dataclasses import replace

import pytest
import torch

from stepsize import Task
from stepsize.finder import find_plan
from stepsize.task import task_named


def valley():
    """Gradient descent from far out in a long valley, which momentum crosses and plain steps do not."""
    h = torch.tensor([1.0, 1e-3])

    class Point(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.x = torch.nn.Parameter(torch.tensor([1.0, 100.0]))

    return Task(
        name="valley",
        model=Point,
        batches=lambda generator: itertools.repeat(None),
        loss=lambda model, batch: (h * model.x.square()).sum() / 2,
        optimizer=lambda parameters, lr: torch.optim.SGD(parameters, lr=lr),
        score=lambda model: float((h * model.x.square()).sum() / 2),
        metrics=lambda model: {},
        steps=200,
        schedule="constant()",
    )


def test_momentum_wins_in_a_long_valley():
    found = find_plan(valley(), {"optimizer": [None, "sgd(momentum=0.9)"]})
    assert found.best.settings == {"optimizer": "sgd(momentum=0.9)"}
    assert found.best is found.entries[0]
    assert len(found.entries) == 2
    assert "before" in found.verdict
    losing = found.entries[1]
    assert max(losing.scores) == max(found.best.scores)
    assert found.best.scores[max(losing.scores)] < losing.scores[max(losing.scores)]
    assert found.cost.steps > sum(entry.finding.cost.steps for entry in found.entries)


def test_what_the_task_does_anyway_is_no_plan_of_its_own_and_equals_keep_their_order():
    found = find_plan(valley(), {"schedule": [None, "constant()"]})
    assert [entry.settings for entry in found.entries] == [{}]
    assert found.verdict == "the only one with a usable rate"
    twins = find_plan(valley(), {"optimizer": [None, "sgd"]})
    assert [entry.settings for entry in twins.entries] == [{}, {"optimizer": "sgd"}]


def test_the_same_race_ends_the_same():
    first, second = (find_plan(task_named("digits"), {"optimizer": ["sgd", "adamw"]}, steps=20) for _ in range(2))
    assert [entry.scores for entry in first.entries] == [entry.scores for entry in second.entries]


def test_where_nothing_learns_there_is_no_plan():
    deaf = replace(valley(), loss=lambda model, batch: 0 * model.x.sum())
    found = find_plan(deaf, {"optimizer": [None, "adamw"]})
    assert found.best is None
    assert found.verdict == "no plan learnt anything"
    assert str(found).startswith("no usable plan")


@pytest.mark.parametrize(
    ("over", "error", "said"),
    [
        ({}, TypeError, "over must be a mapping by axis"),
        ({"lr": [0.1]}, TypeError, "an axis other than lr"),
        ({"optimizer": "adamw"}, TypeError, "several values"),
        ({"optimizer": []}, ValueError, "one value or more"),
        ({"optimizer": ["adamx"]}, ValueError, "adamx"),
        ({"clip": None}, ValueError, "only schedule and optimizer have usual ones"),
        ({"colour": ["red"]}, ValueError, "'colour', which is not an axis"),
        ({"schedule": ["absolute(cosine())"]}, ValueError, "leave out absolute"),
    ],
)
def test_plans_that_are_none_are_refused(over, error, said):
    with pytest.raises(error, match=said):
        find_plan(valley(), over)
