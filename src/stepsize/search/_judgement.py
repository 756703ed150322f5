"""What forks at several rates say of the rate that a run has: of the run as a whole, and from here on."""

import math
from dataclasses import dataclass

from stepsize.search._rung import Rung, spread

# Why these, and what they were chosen by: docs/decisions/0031-verify.md
LOW_FROM = 1.0  # decades above the rate at which the best fork must lie for the rate to be too low,
SUSPECTED_FROM = 0.5  # or these, where the record says so too
HIGH_FROM = 0.25  # decades above the rate at which it may lie at most for the rate to be too high
GIVEN_BACK = 0.8  # share of the run's progress so far that a fork must give back in its few steps, for the same
LOW_AT, LOW_PER = 1.0, 0.6  # decades to go up: so many, and so much for each decade from the rate to the best fork:
# short forks end lower at higher rates than whole runs would, but do not see how far a low rate is from its end
HIGH_BY = -1.1  # decades to go down, of a run as a whole
LOW_REACH, HIGH_REACH, ON_REACH = 0.65, 0.7, 0.6  # decades that intervals reach to both sides
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
    """

    away: float
    reach: float
    onward: float
    best: float
    worth: float
    error: float
    verdict: str


def judged(rung: Rung, begun: float | None = None, suspected: bool = False) -> Judgement:
    """What forks come to.

    Args:
        rung: the forks, by the exponent of their factor, with the run's own at 0, and the loss where they began.
        begun: the loss before any training; None where nobody knows it, and then nothing is said to be too high of a
            run as a whole.
        suspected: whether the record says that the rate is too low.
    """
    best, own = rung.best, rung.score(0.0)
    lead = own - rung.score(best)
    error = _error(rung, best)
    if not math.isfinite(rung.score(best)):
        return Judgement(HIGH_BY, HIGH_REACH, -1.0, min(rung.results), 1.0, 0.0, "all forks diverge")
    vertex, progress = rung.vertex, math.inf if begun is None else max(0.0, begun - rung.start)
    sure = lead > SURE * error
    low = lead > 0 and best >= (SUSPECTED_FROM if suspected else LOW_FROM)
    high = begun is not None and best <= HIGH_FROM and rung.gained > GIVEN_BACK * progress
    lower = sure and best < 0 and (not math.isfinite(progress) or lead > ON_GAIN * progress)
    away = LOW_AT + LOW_PER * vertex if low else HIGH_BY if high else 0.0
    onward = min(max(vertex, best), max(rung.results)) if low else min(vertex, -0.1) if lower else 0.0
    scale = abs(own) if math.isfinite(own) and own else 1.0
    worth = (lead / scale if math.isfinite(lead) else 1.0) if onward else 0.0
    reach = HIGH_REACH if away < 0 else LOW_REACH if away else ON_REACH
    return Judgement(
        away, reach, onward, vertex, worth, error / scale if onward else 0.0, _words(best, low, high, lower)
    )


def _error(rung: Rung, best: float) -> float:
    """A standard error of the best fork's lead over the run's own rate, on common batches."""
    own, other = rung.results[0.0].probed, rung.results[best].probed
    count = min(len(own), len(other))
    return spread(own, other) / math.sqrt(count) if count > 1 else 0.0


def _words(best: float, low: bool, high: bool, lower: bool) -> str:
    at = f"forks end lowest at {10**best:.3g} times the rate"
    if low:
        return at
    if high:
        back = "a few steps of a decaying rate give back more than the run had gained"
        return f"{back}; {at}" if lower else f"{back}, so that from here on the rest of its schedule will do"
    if lower:
        return at
    return "no fork ends lower by more than noise" if best else at
