"""The race as ask and tell: numbers in, numbers out, in any order, whatever trains."""

import math

import pytest

from stepsize.search import Race, Tried


def ran(ask, curvature=1.0, start=1.0):
    """Gradient descent on ``curvature * x ** 2 / 2``, in closed form."""
    losses = [curvature * (start * (1 - ask.rate * curvature) ** step) ** 2 / 2 for step in range(ask.steps + 1)]
    score = losses[-1] if math.isfinite(losses[-1]) else math.inf
    return Tried(ask.rate, ask.steps, score, tuple(losses[:-1]), (score,) * ask.probe)


def raced(order=list, curvature=1.0, **options):
    race = Race(200, 1e-6, 100.0, **options)
    asked = []
    while asks := race.ask():
        for ask in order(asks):
            asked.append(ask)
            race.tell(ask, ran(ask, curvature))
    return race.finding, asked


@pytest.mark.parametrize("curvature", [0.1, 1.0, 30.0])
def test_it_finds_the_rate_of_a_formula(curvature):
    finding, asked = raced(curvature=curvature)
    assert finding.rate < 2 / curvature
    assert abs(math.log10(finding.rate * curvature)) < 0.75
    assert asked[0].steps == 0
    assert [(run.rate, run.steps) for run in finding.results] == [(ask.rate, ask.steps) for ask in asked[1:]]
    assert finding.cost.steps == sum(ask.steps for ask in asked)
    assert finding.cost.forwards == sum(ask.probe for ask in asked)
    assert finding.cost.runs == pytest.approx((finding.cost.steps + finding.cost.forwards / 3) / 200)


def test_the_order_in_which_runs_are_told_changes_nothing():
    first, second = raced()[0], raced(order=lambda asks: asks[::-1])[0]
    assert (first.rate, first.low, first.high, first.verdict) == (second.rate, second.low, second.high, second.verdict)


def test_what_was_not_told_is_asked_for_again_and_nothing_is_told_twice():
    race = Race(200, 1e-6, 100.0)
    (start,) = race.ask()
    assert race.ask() == (start,)
    with pytest.raises(RuntimeError, match="the race is not over"):
        _ = race.finding
    race.tell(start, ran(start))
    with pytest.raises(ValueError, match="is asked for; tell what"):
        race.tell(start, ran(start))
    first, *rest = race.ask()
    race.tell(first, ran(first))
    assert race.ask() == tuple(rest)


def test_a_probe_has_no_more_batches_than_there_are_and_costs_what_is_said():
    finding, asked = raced(most=2, forward=1.0)
    assert {ask.probe for ask in asked} == {2}
    assert finding.cost.runs == pytest.approx((finding.cost.steps + finding.cost.forwards) / 200)


def test_the_same_clock_that_is_given_decides_about_time():
    now = iter(range(10**6))
    race = Race(10_000, 1e-6, 100.0, "2min", clock=lambda: float(next(now)))
    while asks := race.ask():
        for ask in asks:
            race.tell(ask, ran(ask))
    assert race.finding.rate is not None
    assert race.finding.cost.seconds == next(now) - 1
