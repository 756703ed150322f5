"""What the rungs of a race come to: a rate, an interval and a verdict."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from stepsize.search._rung import Rung

# Why these, and what they were chosen by: docs/decisions/0013-finder.md
DRIFT = 0.2  # share of the drift between the last rungs that is believed to go on with each doubling
FARTHEST = (-0.5, 0.25)  # decades that it may lead to
MARGIN = 0.25  # decades kept below the lowest rate that breaks a run
CAUTION = 0.03  # decades stepped back, times the square of the doublings to a whole run: too high costs more;
NEAR = 2.0  # which the first two doublings do not count for
MOST = 0.3  # decades stepped back at most
FLAT = 0.01  # share of the best progress beyond which noise is no excuse
BELOW, ABOVE = 0.25, 0.45  # decades that the interval reaches below and above the answer
FINE = 0.1  # share of the best progress that a rate of the last rung may miss to be in it


@dataclass(frozen=True)
class Scope:
    """The rates that may be tried, by their exponents (base 10)."""

    low: float
    high: float

    def allowed(self, exponent: float) -> bool:
        """Whether a rate is in the range."""
        return math.log10(self.low) - 1e-9 <= exponent <= math.log10(self.high) + 1e-9

    def inside(self, exponent: float, room: float = 0.0) -> float:
        """The nearest exponent in the range, so far from its ends; the middle of a range that is too narrow."""
        low, high = math.log10(self.low), math.log10(self.high)
        room = min(room, (high - low) / 2)
        return max(low + room, min(high - room, exponent))


@dataclass(frozen=True)
class Answer:
    """A rate, the ends of its interval, and why."""

    rate: float
    low: float
    high: float
    verdict: str
    initial: float


def answer(rungs: Sequence[Rung], scope: Scope, total: int, remark: str = "") -> Answer:
    """The answer, from all rungs in which something was learnt.

    Args:
        rungs: one or more, the shortest runs first.
        scope: the rates allowed.
        total: steps of a whole run.
        remark: what else the verdict says.
    """
    rungs = [rung for rung in rungs if rung.learnt] or rungs
    last = rungs[-1]
    alike = last.alike(FLAT)
    further = drift(rungs, total) if len(alike) == 1 else 0.0  # where noise decides it says nothing of the way on
    whole = last.length >= total
    at = scope.inside(last.best if whole else last.vertex + further)
    # of equals the lower; not above the best one that was tried, and far from a whole run a little less
    beyond = max(0.0, math.log2(total / last.length) - NEAR)
    lower = at if whole else min(at - min(MOST, CAUTION * beyond**2), alike[0] + further)
    breaks = min((exponent for rung in rungs for exponent in rung.broken() if exponent > last.best), default=math.inf)
    chosen = scope.inside(lower if whole else min(lower, breaks - MARGIN))
    fine = [exponent for exponent in last.results if last.score(exponent) <= last.score(last.best) + FINE * last.gained]
    low = scope.inside(min(chosen - BELOW, last.vertex - BELOW, *fine))
    high = scope.inside(max(chosen + ABOVE, min(last.vertex + 0.1, breaks), *fine))
    rate = float(f"{10**chosen:.3g}")
    interval = min(rate, max(scope.low, 10**low)), max(rate, min(scope.high, 10**high))
    words = verdict(last, scope, at if abs(further) > 0.02 else None, breaks, remark)
    return Answer(rate, *interval, words, last.start)


def verdict(last: Rung, scope: Scope, drifted: float | None, breaks: float, remark: str) -> str:
    """The conclusion in words; exponents of where drift leads and of the lowest rate that breaks a run."""
    words, alike = f"lowest loss at {10 ** scope.inside(last.vertex):.3g}", last.alike(FLAT)
    if len(alike) > 1:
        span = f"{10 ** alike[0]:.3g} to {10 ** alike[-1]:.3g}"
        words = f"rates from {span} are indistinguishable: the lower is taken"
    elif drifted is not None:
        words += f", drifting to {10**drifted:.3g} by the end of a whole run"
    if remark:
        words += f"; {remark}"
    if breaks < math.inf:
        words += f", and {10**breaks:.3g} breaks the run"
    ends = (min(last.results), -last.distance), (max(last.results), last.distance)
    if any(last.best == end and not scope.allowed(end + step) for end, step in ends):
        words += "; still improving at the border"
    return words


def drift(rungs: Sequence[Rung], total: int) -> float:
    """Decades by which the best rate moves on from the last rung to a whole run."""
    last = rungs[-1]
    before = next((rung for rung in reversed(rungs) if rung.length < last.length), None)
    if before is None:
        return 0.0
    doubling = (last.vertex - before.vertex) / math.log2(last.length / before.length)
    low, high = FARTHEST
    return max(low, min(high, DRIFT * doubling * math.log2(total / last.length)))
