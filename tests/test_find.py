"""The finder: right where the answer is known in closed form, honest where there is none."""

import itertools
import math

import pytest
import torch

from stepsize import Task, find
from stepsize.task import task_named


def bowl(curvatures, steps=200, optimizer=torch.optim.SGD, schedule="constant()", **changes):
    """Gradient descent on sum(h x^2 / 2): with a constant rate, stable below 2 / max h."""
    h = torch.tensor(curvatures)

    class Point(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.x = torch.nn.Parameter(torch.ones(len(h)))

    settings = {
        "name": "bowl",
        "model": Point,
        "batches": lambda generator: itertools.repeat(None),
        "loss": lambda model, batch: (h * model.x.square()).sum() / 2,
        "optimizer": lambda parameters, lr: optimizer(parameters, lr=lr),
        "score": lambda model: float((h * model.x.square()).sum() / 2),
        "metrics": lambda model: {},
        "steps": steps,
        "schedule": schedule,
    }
    return Task(**(settings | changes))


@pytest.mark.parametrize("largest", [1e-2, 1.0, 100.0])
def test_on_a_quadratic_it_stays_below_two_over_the_curvature_and_near_the_best(largest):
    finding = find(bowl([largest, largest / 10]))
    assert finding.low <= finding.rate <= finding.high
    assert finding.rate < 2 / largest
    # the best of a long run is 2 / (h_max + h_min); errors high are ruin, errors low cost progress
    assert abs(math.log10(finding.rate * largest / 2)) < 0.75


def test_the_same_search_gives_the_same_answer_and_every_trial_is_kept():
    task, seen = bowl([1.0, 0.01]), []
    first, second = find(task, on_result=seen.append), find(task)
    assert first.rate == second.rate
    assert tuple(seen) == first.results
    assert first.cost.steps == sum(len(result.losses) for result in seen)
    assert first.cost.runs == first.cost.steps / 200


def test_it_walks_on_where_the_best_is_at_the_border_and_says_so_at_the_end_of_the_range():
    far = find(bowl([1e-4]))
    assert far.rate == pytest.approx(100 * 10**-0.1, rel=0.01)
    assert "still improving at the border" in far.verdict
    assert find(bowl([1e-4]), high=1e6).rate > 1e3


@pytest.mark.parametrize(
    ("task", "said"),
    [
        (bowl([1.0], loss=lambda model, batch: 0 * model.x.sum()), "nothing was learnt at any rate"),
        (bowl([1.0], score=lambda model: float("nan")), "the loss is nan before any training"),
        (bowl([1.0], loss=lambda model, batch: -model.x.sum() * float("nan")), "loss is nan at the first step"),
    ],
)
def test_where_there_is_no_answer_it_gives_none(task, said):
    finding = find(task)
    assert finding.rate is finding.low is finding.high is None
    assert said in finding.verdict
    assert str(finding).startswith("no usable rate")


def test_the_answer_stays_in_the_range_and_no_trial_is_done_twice():
    finding = find(bowl([1.0]), low=0.05, high=0.06)
    assert 0.05 <= finding.low <= finding.rate <= finding.high <= 0.06
    short = find(bowl([1.0]), steps=1)
    assert len({result.trial.key for result in short.results}) == len(short.results)


def test_an_absolute_schedule_is_refused():
    with pytest.raises(ValueError, match="leave out absolute"):
        find(bowl([1.0]), schedule="absolute(cosine())")


def test_progress_tells_how_far_it_is():
    told = []
    finding = find(bowl([1.0]), progress=lambda done, total, note: told.append((done, total, note)))
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
    assert all(done <= total for done, total, _ in told)
    assert told[-1][0] == finding.cost.steps


@pytest.mark.slow
def test_digits_is_learnt_at_the_found_rate():
    from stepsize import train

    finding = find(task_named("digits"), seed=11)
    assert finding.cost.runs < 2.5
    assert train(task_named("digits"), lr=finding.rate, seed=11).metrics["accuracy"] >= 0.98
