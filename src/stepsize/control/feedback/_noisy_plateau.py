"""Cutting the rate when a noisy measure has stopped falling: a test of its trend."""

import math
from dataclasses import dataclass

from stepsize.control.feedback._protocol import Controller, State

# ruff: noqa: N801 - controllers are written in lower case, like schedules

BLOCKS = 10  # means of so many stretches of the window make one line; their noise is nearly independent


@dataclass(frozen=True, kw_only=True)
class noisy_plateau(Controller):
    """Cuts the rate when a noisy measure, such as every step's loss, has fallen and then stopped falling.

    Formula:
        the last ``patience`` observations are averaged in ten blocks, and a straight line is laid through the means;
        t is the line's fall over its standard error. The controller is armed when t is significant (Student's t, one
        side, 8 degrees of freedom), and cuts when it is armed and t < 1, or the fall over the window is below
        ``threshold`` of the level: feedback <- max(feedback * factor, least). After a cut it starts anew.

    A best value never enters, since the best of many noisy values is a lucky one. Averaging in blocks takes care of
    noise that is correlated over less than a block. A measure that never fell is not cut: that is no plateau.

    Args:
        of: what it looks at: ``"loss"``, the loss of every step (read back each time), or a name handed to
            ``control.observe``.
        after: the position from which on it looks: steps, a share of the run (``"5%"``) or epochs (``"3ep"``).
        mode: ``"min"`` for losses, ``"max"`` for accuracies.
        factor: what the rate is multiplied by, > 0 and < 1.
        least: the smallest product of all cuts, >= 0 and <= 1.
        patience: observations that the test looks at, >= 20; ten times the noise's correlation time or more.
        significance: how seldom noise may be taken for a fall at one look, > 0 and < 0.5.
        threshold: the share of the level that a fall over the window must have to count, >= 0.

    Raises:
        TypeError, ValueError: an argument is not what is said above.

    Example:
        >>> import random
        >>> from stepsize.control import Observation, noisy_plateau
        >>> random.seed(0)
        >>> cut, cuts = noisy_plateau(patience=100), []
        >>> state = cut.begin()
        >>> for step in range(1_000):
        ...     loss = max(1 - step / 500, 0.2) + random.gauss(0, 0.05)
        ...     state, decision = cut(state, Observation(loss, step))
        ...     cuts += [step] if decision.reason else []
        >>> 400 < cuts[0] < 600
        True

    Source: figures in ``benchmarks/logs/feedback.log``; batch means as in Law and Kelton, "Simulation modeling and
    analysis", section 9.5.3.
    """

    patience: int = 200
    significance: float = 1e-4
    threshold: float = 1e-4

    def _check(self) -> None:
        self._whole("patience", least=2 * BLOCKS)
        self._number("significance", above=0)
        if not self.significance < 0.5:
            raise ValueError(self._message("significance", "a finite number > 0 and < 0.5"))
        self._number("threshold", least=0)

    def begin(self) -> State:
        """Nothing seen yet."""
        return {"factor": 1.0, "sum": 0.0, "count": 0, "means": [], "armed": False}

    def _decide(self, state: State, value: float) -> tuple[State, str]:
        if not math.isfinite(value):
            return state, ""
        state |= {"sum": state["sum"] + value, "count": state["count"] + 1}
        block = self.patience // BLOCKS
        if state["count"] < block:
            return state, ""
        means = [*state["means"], state["sum"] / block][-BLOCKS:]
        state |= {"sum": 0.0, "count": 0, "means": means}
        if len(means) < BLOCKS:
            return state, ""
        fall, error = trend(means if self.mode == "min" else [-mean for mean in means])
        t = fall / error if error > 0 else math.copysign(math.inf, fall) if fall else 0.0
        large = fall >= self.threshold * abs(sum(means) / BLOCKS)
        if large and tail(t) < self.significance:
            state["armed"] = True
        if not state["armed"] or (t >= 1 and large):
            return state, ""
        smaller = max(state["factor"] * self.factor, self.least)
        verb = "fell" if self.mode == "min" else "rose"
        reason = f"{self.of} {verb} by {fall:.3g} +- {error:.2g} over the last {block * BLOCKS} observations"
        changed = smaller < state["factor"]
        return {**self.begin(), "factor": smaller}, reason if changed else ""


def trend(means: list[float]) -> tuple[float, float]:
    """The fall of the straight line through equally spaced points, first to last, and its standard error."""
    n = len(means)
    places = [index - (n - 1) / 2 for index in range(n)]
    square = sum(place * place for place in places)
    level = sum(means) / n
    slope = sum(place * mean for place, mean in zip(places, means, strict=True)) / square
    rest = sum((mean - level - slope * place) ** 2 for place, mean in zip(places, means, strict=True))
    return -slope * (n - 1), math.sqrt(rest / (n - 2) / square) * (n - 1)


def tail(t: float, freedom: int = BLOCKS - 2) -> float:
    """The chance that Student's t with an even number of degrees of freedom exceeds t."""
    angle = math.atan(t / math.sqrt(freedom))
    term = total = 1.0
    for k in range(1, freedom // 2):
        term *= (2 * k - 1) / (2 * k) * math.cos(angle) ** 2
        total += term
    return (1 - math.sin(angle) * total) / 2
