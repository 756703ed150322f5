"""Cutting the rate when a measure has stopped improving, as torch does it."""

from dataclasses import dataclass

from stepsize.control.feedback._protocol import Controller, State

# ruff: noqa: N801 - controllers are written in lower case, like schedules


@dataclass(frozen=True, kw_only=True)
class plateau(Controller):
    """Cuts the rate when a measure has not improved for a while: torch's ReduceLROnPlateau, under any schedule.

    Formula:
        feedback <- max(feedback * factor, least)   after more than ``patience`` observations without an improvement;
        improved: value < best - threshold |best|, or value < best - threshold with ``threshold_mode="abs"``

    Args:
        of: what it looks at: ``"loss"``, the loss of every step (read back each time), or a name handed to
            ``control.observe``, such as ``"validation_loss"``.
        after: the position from which on it looks, so that a warm-up is over: steps, a share of the run (``"5%"``) or
            epochs (``"3ep"``).
        mode: ``"min"`` for losses, ``"max"`` for accuracies.
        factor: what the rate is multiplied by, > 0 and < 1.
        least: the smallest product of all cuts, >= 0 and <= 1. Torch's ``min_lr`` is Control's ``floor``.
        patience: observations without improvement that are waited for, >= 0.
        threshold: how much an improvement must be, >= 0.
        threshold_mode: ``"rel"``, a share of the best value's size; ``"abs"``; or ``"torch"``, torch's ``"rel"``:
            value < best (1 - threshold), which below zero calls nearly every value an improvement.
        cooldown: observations after a cut in which nothing is counted, >= 0.

    Raises:
        TypeError, ValueError: an argument is invalid.

    Example:
        >>> from stepsize.control import Observation, plateau
        >>> cut = plateau(patience=1, factor=0.5)
        >>> state = cut.begin()
        >>> for loss in [1.0, 0.5, 0.5, 0.5]:
        ...     state, decision = cut(state, Observation(loss, position=0))
        >>> decision
        Decision(factor=0.5, reason='loss 0.5 has not been below 0.5 for 2 observations')

    Source: ``torch.optim.lr_scheduler.ReduceLROnPlateau``; its ``eps`` (cuts that would take no more than 1e-8 off the
    rate are left out) is Control's ``floor`` too, which ``from_torch`` works out.
    """

    patience: int = 10
    threshold: float = 1e-4
    threshold_mode: str = "rel"
    cooldown: int = 0

    def _check(self) -> None:
        self._whole("patience", least=0)
        self._check_threshold()
        self._whole("cooldown", least=0)

    def begin(self) -> State:
        """Nothing seen yet."""
        return {"factor": 1.0, "best": None, "bad": 0, "cooling": 0}

    def _decide(self, state: State, value: float) -> tuple[State, str]:
        if self._better(value, state["best"], self.threshold, self.threshold_mode):
            state |= {"best": value, "bad": 0}
        else:
            state["bad"] += 1
        if state["cooling"] > 0:
            state |= {"cooling": state["cooling"] - 1, "bad": 0}
        if state["bad"] <= self.patience:
            return state, ""
        side, best = "below" if self.mode == "min" else "above", state["best"]
        known = "finite" if best is None else f"{side} {best:.6g}"
        reason = f"{self.of} {value:.6g} has not been {known} for {state['bad']} observations"
        smaller = max(state["factor"] * self.factor, self.least)
        changed = smaller < state["factor"]
        state |= {"factor": smaller, "bad": 0, "cooling": self.cooldown}
        return state, reason if changed else ""
