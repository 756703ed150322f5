"""Raising the rate while a measure improves, cutting it while it does not."""

from dataclasses import dataclass

from stepsize.control.feedback._protocol import Controller, State

# ruff: noqa: N801 - controllers are written in lower case, like schedules


@dataclass(frozen=True, kw_only=True)
class greedy(Controller):
    """Raises the rate after a row of improvements, and cuts it after a row of none: GreedyLR, under any schedule.

    Formula:
        feedback <- min(feedback / factor, most)    after more than ``patience`` improvements in a row,
        feedback <- max(feedback * factor, least)   after more than ``patience`` observations in a row without one;
        after ``restart`` cuts at ``least`` everything starts anew at 1. Improved: value < best - threshold.

    Args:
        of: what it looks at: ``"loss"``, the loss of every step (read back each time), or a name handed to
            ``control.observe``, such as ``"validation_loss"``.
        after: the position from which on it looks: steps, a share of the run (``"5%"``) or epochs (``"3ep"``).
        mode: ``"min"`` for losses, ``"max"`` for accuracies.
        factor: what the rate is multiplied or divided by, > 0 and < 1.
        least: the smallest feedback, >= 0 and <= 1.
        most: the largest feedback, >= 1.
        patience: observations in a row that are waited for, >= 0.
        threshold: how much an improvement must be, >= 0.
        threshold_mode: ``"abs"``; ``"rel"``, a share of the best value's size; or ``"torch"``, as for ``plateau``.
        cooldown: observations after a cut in which nothing is counted, >= 0.
        wait: observations after a raise in which nothing is counted, >= 0.
        window: how many observations are averaged, >= 1; 1 looks at each by itself.
        restart: cuts at ``least`` after which it starts anew, >= 1.

    Raises:
        TypeError, ValueError: an argument is invalid.

    Example:
        >>> from stepsize.control import Observation, greedy
        >>> steer = greedy(patience=1, factor=0.5, most=4)
        >>> state, factors = steer.begin(), []
        >>> for loss in [1.0, 0.9, 0.8, 0.7, 0.7, 0.7]:
        ...     state, decision = steer(state, Observation(loss, position=0))
        ...     factors.append(decision.factor)
        >>> factors
        [1.0, 2.0, 2.0, 4.0, 4.0, 2.0]

    Source: "GreedyLR" (arXiv 2512.14527), algorithm 1, as in ``transformers.optimization.GreedyLR``, whose bounds are
    rates: ``least`` and ``most`` are these over the base. Its ``eps`` is not taken over.
    """

    factor: float = 0.95
    least: float = 0.01
    most: float = 10.0
    patience: int = 10
    threshold: float = 1e-6
    threshold_mode: str = "abs"
    cooldown: int = 0
    wait: int = 0
    window: int = 1
    restart: int = 500

    def _check(self) -> None:
        self._number("most", least=1)
        self._check_threshold()
        for name, least in (("patience", 0), ("cooldown", 0), ("wait", 0), ("window", 1), ("restart", 1)):
            self._whole(name, least=least)

    def begin(self) -> State:
        """Nothing seen yet."""
        counts = {"good": 0, "bad": 0, "pause": 0, "left": self.restart}
        return {"factor": 1.0, "best": None, "recent": [], "sum": 0.0, **counts}

    def _decide(self, state: State, value: float) -> tuple[State, str]:
        value = self._averaged(state, value)
        if state["pause"] > 0:
            return state | {"pause": state["pause"] - 1, "good": 0, "bad": 0}, ""
        if self._better(value, state["best"], self.threshold, self.threshold_mode):
            state |= {"best": value, "good": state["good"] + 1, "bad": 0}
        else:
            state |= {"good": 0, "bad": state["bad"] + 1}
        before, reason = state["factor"], f"{self.of} {value:.6g} "
        if state["good"] > self.patience:
            reason += f"has improved {state['good']} times in a row"
            larger = min(before / self.factor, self.most)
            state |= {"factor": larger, "pause": self.wait, "good": 0, "left": self.restart}
        elif state["bad"] > self.patience:
            reason += f"has not improved {state['bad']} times in a row"
            smaller = max(before * self.factor, self.least)
            left = state["left"] - (smaller <= self.least)
            state |= {"factor": smaller, "pause": self.cooldown, "bad": 0, "left": left}
            if left <= 0:
                anew = self.begin() | {"pause": self.cooldown}
                return anew, reason + f", {self.restart} times at the smallest rate: it starts anew"
        return state, reason if state["factor"] != before else ""

    def _averaged(self, state: State, value: float) -> float:
        if self.window == 1:
            return value
        recent = [*state["recent"], value]
        total = state["sum"] + value
        if len(recent) > self.window:
            total -= recent.pop(0)
        state |= {"recent": recent, "sum": total}
        return float(total / len(recent))
