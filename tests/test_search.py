"""The race as ask and tell: numbers in, numbers out, in any order, whatever trains."""

import math
from dataclasses import replace

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


def scattering(ask, scatter):
    """The same run with training losses that scatter about their level, up and down by turns, whole runs included."""
    run = ran(ask)
    learnt = 0.5 - run.score
    losses = tuple(loss + (-1) ** step * scatter * learnt for step, loss in enumerate(run.losses))
    return Tried(run.rate, run.steps, run.score, losses, run.probed)


def race_of(runs, total=200, **options):
    race, asked = Race(total, 1e-6, 100.0, **options), []
    while asks := race.ask():
        for ask in asks:
            asked.append(ask)
            race.tell(ask, runs(ask))
    return race.finding, asked


@pytest.mark.parametrize(("scatter", "trusted"), [(0.0, True), (0.1, True), (0.3, False), (1.0, False)])
def test_an_answer_whose_losses_scatter_is_doubted_and_the_price_of_settling_it_said(scatter, trusted):
    finding, _ = race_of(lambda ask: scattering(ask, scatter))
    assert finding.trusted == trusted
    assert bool(finding.doubts) == bool(finding.remedy) != trusted
    if not trusted:
        assert (
            f"scatters by {scatter:.0%} of what was learnt: settle it by 3 runs of 200 steps, 3 of a whole one"
            in str(finding)
        )


def test_an_answer_from_runs_that_gained_little_is_doubted():
    finding, _ = race_of(lambda ask: Tried(ask.rate, ask.steps, 10 + ran(ask).score, ran(ask).losses, ()))
    assert finding.doubts == ("only 4.8% of the loss was gained",)


def test_an_answer_on_which_rungs_disagree_is_doubted():
    def moving(ask):  # the best rate is a tenth where runs are long
        best = 1.0 if ask.steps <= 8 else 0.1
        return Tried(ask.rate, ask.steps, 0.01 + 0.4 * abs(math.log10(ask.rate / best)) if ask.steps else 1.0)

    finding, _ = race_of(moving)
    assert any("steps prefer" in doubt for doubt in finding.doubts)
    assert race_of(lambda ask: moving(ask), settle=True)[0].rate == pytest.approx(0.1, rel=0.5)


def test_settling_goes_on_to_whole_runs_and_takes_the_best_of_them():
    first, asked = race_of(lambda ask: scattering(ask, 1.0))
    settled, more = race_of(lambda ask: scattering(ask, 1.0), settle=True)
    assert more[: len(asked)] == asked
    whole = [run for run in settled.results if run.steps == 200]
    assert 3 <= len(whole) <= 6
    assert settled.trusted
    assert settled.remedy == ""
    assert settled.rate == pytest.approx(min(whole, key=lambda run: run.score).rate, rel=0.005)
    assert settled.cost.runs < first.cost.runs + 7
    trusted, same = race_of(ran, settle=True)
    assert same == race_of(ran)[1]
    assert trusted.trusted


def test_without_a_rate_there_is_nothing_to_trust():
    assert not race_of(lambda ask: Tried(ask.rate, ask.steps, 1.0, (1.0,) * ask.steps))[0].trusted


def test_progress_says_which_rung_it_is():
    notes = []
    race_of(ran, 1000, progress=lambda done, expected, note: notes.append(note.split(",")[0]))
    assert list(dict.fromkeys(notes)) == ["rung 1 of 3", "rung 2 of 3", "rung 3 of 3"]


@pytest.mark.parametrize("total", [60, 200, 2000])
def test_batches_whose_losses_differ_are_nothing_learnt(total):
    """A run may be scored on more batches than the loss before training was taken on."""
    batches = [1 / (1 + place) for place in range(total)]  # whatever is trained, and at any rate
    race = Race(total, 1e-6, 100.0)
    counts = set()
    while asks := race.ask():
        for ask in asks:
            probed = tuple(batches[: ask.probe])
            counts.add(ask.probe)
            losses = (1.0,) * ask.steps
            race.tell(ask, Tried(ask.rate, ask.steps, sum(probed) / len(probed), losses, probed))
    assert len(counts) > 1
    assert race.finding.rate is None
    assert "no signal" in race.finding.verdict


def test_what_is_told_is_how_the_run_went_that_was_asked_for():
    race = Race(200, 1e-6, 100.0)
    (start,) = race.ask()
    right = ran(start)
    for ask, run, error, said in [
        ("start", right, TypeError, r"ask must be one of those that ask\(\) gave, got 'start'"),
        (start, None, TypeError, "run must be a Tried, or something with losses, score and probed, got None"),
        (start, Tried(0.5, 0, 1.0), ValueError, "run must be of the rate 0.001 and 0 steps, as was asked for, got"),
        (start, Tried(start.rate, 7, 1.0), ValueError, "got 'rate 0.001 and 7 steps'"),
        (start, Tried(start.rate, 0, "low"), TypeError, "score of run must be one number, got 'low'"),
    ]:
        with pytest.raises(error, match=said):
            race.tell(ask, run)
    assert race.ask() == (start,)
    race.tell(start, right)


@pytest.mark.parametrize("odd", [-math.inf, math.nan])
def test_a_score_that_is_no_number_is_a_broken_run_and_not_the_best(odd):
    race = Race(200, 1e-6, 100.0)
    while asks := race.ask():
        for ask in asks:
            run = ran(ask)
            score = odd if ask.rate > 2 else run.score
            race.tell(ask, Tried(ask.rate, ask.steps, score, run.losses, (score,) * ask.probe))
    assert race.finding.rate == raced()[0].rate


def test_a_clock_that_stands_still_is_no_division_by_nothing():
    race = Race(200, 1e-6, 1.5, "5s", clock=lambda: 0.0)
    while asks := race.ask():
        for ask in asks:
            race.tell(ask, ran(ask))
    assert race.finding.rate is not None


def test_a_rate_without_effect_is_no_answer():
    race = Race(200, 1e-6, 100.0)
    while asks := race.ask():
        for ask in asks:
            race.tell(ask, replace(ran(replace(ask, rate=0.01)), rate=ask.rate))
    assert race.finding.rate is None
    assert race.finding.verdict.startswith("no signal: all rates from ")
    assert {run.steps for run in race.finding.results} == {race.finding.results[0].steps}
