"""Cutting the rate when a noisy measure has stopped falling: a rank test of its trend, away from where it began."""

import math
from dataclasses import dataclass
from statistics import median

from stepsize.control.feedback._protocol import Controller, State

# ruff: noqa: N801 - controllers are written in lower case, like schedules

BLOCKS = 20  # means of so many stretches are ranked
FEWEST = 3  # observations whose median is the start: one spike is no start
OUTER = 2  # of which so many on either side do not count for their spread: one spike is no spread


@dataclass(frozen=True, kw_only=True)
class noisy_plateau(Controller):
    """Cuts the rate when a noisy measure, such as every step's loss, has fallen and then stopped falling.

    Formula:
        the last ``patience`` observations are averaged in twenty blocks, with means m_1 to m_20;
        falling: erfc(K / sqrt(2 V)) / 2 <= ``significance``, with Kendall's score K = sum of sign(m_i - m_j) over
        i < j and V = 950, its variance without a trend; and twice the fall from the median of the first ten to that of
        the last ten is at least ``threshold`` of the level;
        has fallen: start - median(m) > ``margin`` * (third highest m - third lowest m);
        has fallen and is not falling: feedback <- max(feedback * factor, least), and start <- median(m)

    The start is the median of the first block, later the level at the last cut, and twenty new blocks are waited for
    after a cut. A best value never enters, since the best of many noisy values is a lucky one; ranks and medians do not
    mind spikes, as long as few blocks have one. A measure that never fell, or has not fallen since the last cut, is not
    cut: a smaller rate did not help it.

    Args:
        of: what it looks at: ``"loss"``, the loss of every step (read back each time), or a name handed to
            ``control.observe``.
        after: the position from which on it looks: steps, a share of the run (``"5%"``) or epochs (``"3ep"``).
        mode: ``"min"`` for losses, ``"max"`` for accuracies.
        factor: what the rate is multiplied by, > 0 and < 1.
        least: the smallest product of all cuts, >= 0 and <= 1. At 1e-4 of its base a rate hardly trains any more.
        patience: observations over which a fall must be visible, >= 20, used in whole twentieths; the cut comes about
            so many after the end of the fall. Ten times the noise's correlation time or more, and so many that a fall
            worth waiting for is visible over them.
        significance: how often noise without a trend may pass for a fall at one look, > 0 and < 0.5; smaller cuts
            sooner, and more often while the measure still falls slowly.
        margin: how many times their spread the means must lie below the start, > 0; larger is safer from noise that is
            correlated over more than a block, and passes over smaller falls.
        threshold: the share of the level that a fall over ``patience`` observations must have to count, >= 0.

    Raises:
        TypeError, ValueError: an argument is invalid.

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

    Source: Kendall, "A new measure of rank correlation", Biometrika 30 (1938), for K and V; figures in
    ``benchmarks/logs/feedback.log``.
    """

    least: float = 1e-4
    patience: int = 200
    significance: float = 0.15
    margin: float = 3.0
    threshold: float = 1e-4

    def _check(self) -> None:
        self._whole("patience", least=BLOCKS)
        self._number("significance", above=0)
        if not self.significance < 0.5:
            raise ValueError(self._message("significance", "a finite number > 0 and < 0.5"))
        self._number("margin", above=0)
        self._number("threshold", least=0)

    def begin(self) -> State:
        """Nothing seen yet."""
        return {"factor": 1.0, "start": None, "first": [], "sum": 0.0, "count": 0, "means": []}

    def _decide(self, state: State, value: float) -> tuple[State, str]:
        if not math.isfinite(value):
            return state, ""
        state |= {"sum": state["sum"] + value, "count": state["count"] + 1}
        block = self.patience // BLOCKS
        if state["start"] is None:
            first = [*state.get("first", []), value]
            enough = len(first) >= max(block, FEWEST)
            state |= {"start": median(first), "first": []} if enough else {"first": first}
        if state["count"] < block:
            return state, ""
        means = [*state["means"], state["sum"] / block][-BLOCKS:]
        start = state["start"]
        state |= {"sum": 0.0, "count": 0, "means": means}
        if len(means) < BLOCKS or not self._has_fallen(start, means) or self._falls(means):
            return state, ""
        level = median(means)
        smaller = max(state["factor"] * self.factor, self.least)
        verb, side = ("falls", "below") if self.mode == "min" else ("rises", "above")
        seen = f"no longer {verb} visibly over {block * BLOCKS} observations"
        reason = f"{self.of} {seen}, at {level:.4g}, {abs(start - level):.3g} {side} the start"
        changed = smaller < state["factor"]
        return {**self.begin(), "factor": smaller, "start": level}, reason if changed else ""

    def _has_fallen(self, start: float, means: list[float]) -> bool:
        ordered = sorted(means)
        drop = (start - median(means)) * (1 if self.mode == "min" else -1)
        return drop > self.margin * (ordered[-1 - OUTER] - ordered[OUTER])

    def _falls(self, means: list[float]) -> bool:
        sign, half = 1 if self.mode == "min" else -1, BLOCKS // 2
        fall = 2 * sign * (median(means[:half]) - median(means[half:]))  # of a straight line, over all blocks
        large = fall >= self.threshold * abs(median(means))
        return large and chance(sign * score(means), BLOCKS) <= self.significance


def score(values: list[float]) -> int:
    """Kendall's score of a fall: pairs in which the later value is lower, minus pairs in which it is higher."""
    return sum((value > later) - (value < later) for place, value in enumerate(values) for later in values[place + 1 :])


def chance(score: int, count: int) -> float:
    """The chance that so many values in random order have this score or a higher one, nearly."""
    variance = count * (count - 1) * (2 * count + 5) / 18
    return math.erfc(score / math.sqrt(2 * variance)) / 2
