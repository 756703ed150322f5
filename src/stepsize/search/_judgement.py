"""What forks at several rates say of the rate that a run has: of the run as a whole, and from here on."""

import math
from dataclasses import dataclass

from stepsize.search._chance import WEIGHTS, Weights, chance, high_signs, low_signs, weighed
from stepsize.search._rung import Rung, spread

# Why these, and what they were chosen by: docs/decisions/0031-verify.md
LOW_SAID, HIGH_SAID = 0.45, 0.5  # chances from which on it is said, where there is what they are weighed from
LOW_FROM = 1.0  # else: decades above the rate at which the best fork must lie for the rate to be too low,
SUSPECTED_FROM = 0.5  # or these, where the record says so too
HIGH_FROM = 0.25  # decades above the rate at which it may lie at most for the rate to be too high
GIVEN_BACK = 0.8  # share of the run's progress so far that a fork must give back in its few steps, for the same
LOW_AT, LOW_PER = 1.0, 0.6  # decades to go up: so many, and so much for each decade from the rate to the best fork:
# short forks end lower at higher rates than whole runs would, but do not see how far a low rate is from its end
HIGH_BY = -1.25  # decades to go down, of a run as a whole
LEAST_AWAY = 0.3  # decades to go at least
LOW_REACH, HIGH_REACH, ON_REACH = 0.8, 0.75, 0.6  # decades that intervals reach to both sides
ON_GAIN = 0.1  # share of the progress so far by which a lower rate must lead to be taken from here on
SURE = 2.0  # standard errors by which a lower rate must lead to be taken from here on


@dataclass(frozen=True)
class Judgement:
    """What forks come to, in decades.

    Attributes:
        away: to go for a run as a whole; 0 where the rate should be kept.
        reach: to both sides of it, for an interval.
        onward: to go from here on; 0 where it should be kept.
        best: where the forks ended lowest, between those tried.
        worth: by which share of it the loss at the end of the forks is lower at the best one than at the run's rate.
        error: a standard error of it, by the batches of the score.
        verdict: in words.
        chance: that ``away`` goes the right way far enough, where forks were weighed with the run's record; else None.
    """

    away: float
    reach: float
    onward: float
    best: float
    worth: float
    error: float
    verdict: str
    chance: float | None = None


@dataclass(frozen=True)
class _Side:
    """Whether a rate is off to one side, and then by how much."""

    said: bool
    away: float
    reach: float
    words: str
    chance: float | None = None


def judged(
    rung: Rung,
    begun: float | None = None,
    suspected: bool = False,
    curvature: float | None = None,
    anew: float | None = None,
    weights: Weights = WEIGHTS,
) -> Judgement:
    """What forks come to.

    Args:
        rung: the forks, by the exponent of their factor, with the run's own at 0, and the loss where they began.
        begun: the loss before any training; None where nobody knows it, and then nothing is said to be too high of a
            run as a whole.
        suspected: whether the record says that the rate is too low; nothing comes of it where the curvature is known.
        curvature: along the run's updates, by its record.
        anew: the loss after a short run begun anew at a tenth of the rate; infinite where that diverged.
        weights: of what is weighed.
    """
    best, own = rung.best, rung.score(0.0)
    lead = own - rung.score(best)
    error = _error(rung, best)
    if not math.isfinite(rung.score(best)):
        return Judgement(HIGH_BY, HIGH_REACH, -1.0, min(rung.results), 1.0, 0.0, "all forks diverge")
    vertex, progress = rung.vertex, math.inf if begun is None else max(0.0, begun - rung.start)
    low = _low(rung, lead, suspected, curvature, weights)
    high = _high(rung, begun, anew, weights)
    side = max((each for each in (low, high) if each.said), key=lambda each: each.chance or 0.0, default=None)
    raised = side is low and best >= SUSPECTED_FROM and lead > 0
    lower = lead > SURE * error and best < 0 and (not math.isfinite(progress) or lead > ON_GAIN * progress)
    onward = min(max(vertex, best), max(rung.results)) if raised else min(vertex, -0.1) if lower else 0.0
    scale = abs(own) if math.isfinite(own) and own else 1.0
    worth = (lead / scale if math.isfinite(lead) else 1.0) if onward else 0.0
    return Judgement(
        away=0.0 if side is None else side.away,
        reach=ON_REACH if side is None else side.reach,
        onward=onward,
        best=vertex,
        worth=worth,
        error=error / scale if onward else 0.0,
        verdict=_words(best, side, lower),
        chance=None if side is None else side.chance,
    )


def _low(rung: Rung, lead: float, suspected: bool, curvature: float | None, weights: Weights) -> _Side:
    """Whether the rate is too low: by record and forks, or by where forks end lowest."""
    at, signs = _at(rung.best), low_signs(rung, curvature)
    if signs is None:
        said = lead > 0 and rung.best >= (SUSPECTED_FROM if suspected else LOW_FROM)
        return _Side(said, LOW_AT + LOW_PER * rung.vertex, LOW_REACH, at)
    likely = chance(signs, weights.low)
    away = max(weighed(signs, weights.up), LEAST_AWAY)
    words = f"a chance of {likely:.2f} that it is ten times too low: {at}, and the curvature is {curvature:.2g}"
    return _Side(likely >= LOW_SAID, away, weights.up_reach, words, likely)


def _high(rung: Rung, begun: float | None, anew: float | None, weights: Weights) -> _Side:
    """Whether it is too high: by a run begun anew, or by how much forks give back."""
    signs = high_signs(rung, begun, anew)
    could_be = begun is not None and rung.best <= HIGH_FROM
    if signs is None:
        said = begun is not None and rung.gained > GIVEN_BACK * max(0.0, begun - rung.start)
        words = "a few steps of a decaying rate give back more than the run had gained"
        return _Side(could_be and said, HIGH_BY, HIGH_REACH, words)
    likely = chance(signs, weights.high)
    words = (
        f"a chance of {likely:.2f} that it is three times too high: a short run begun anew at a tenth of it gets "
        "further than this one had come"
    )
    return _Side(could_be and likely >= HIGH_SAID, weights.down, weights.down_reach, words, likely)


def _error(rung: Rung, best: float) -> float:
    """A standard error of the best fork's lead over the run's own rate, on common batches."""
    own, other = rung.results[0.0].probed, rung.results[best].probed
    count = min(len(own), len(other))
    return spread(own, other) / math.sqrt(count) if count > 1 else 0.0


def _at(best: float) -> str:
    return f"forks end lowest at {10**best:.3g} times the rate"


def _words(best: float, side: _Side | None, lower: bool) -> str:
    if side is not None and side.away > 0:
        return side.words
    if side is not None:
        return f"{side.words}; {_at(best) if lower else 'from here on the rest of its schedule will do'}"
    return _at(best) if lower or not best else "no fork ends lower by more than noise"
