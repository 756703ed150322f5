"""Feedback at work in a run: gathers what is observed, agrees with the other ranks, lets the controller decide."""

import math
from typing import TYPE_CHECKING, Any

from stepsize import _check
from stepsize.control.feedback._greedy import greedy
from stepsize.control.feedback._noisy_plateau import noisy_plateau
from stepsize.control.feedback._plateau import plateau
from stepsize.control.feedback._protocol import Decision, Feedback, Observation, State

if TYPE_CHECKING:  # a controller's text needs no torch
    import torch

BUILT_IN = {"greedy": greedy, "noisy_plateau": noisy_plateau, "plateau": plateau}


def as_feedback(value: Any) -> Feedback:
    """A feedback controller, from itself or its text."""
    from stepsize.schedule import parse_call

    if isinstance(value, str):
        return parse_call(value, BUILT_IN)  # type: ignore[no-any-return]
    if isinstance(value, type) or not isinstance(value, Feedback):
        rule = "a feedback controller or its text"
        raise TypeError(_check.message("feedback", value, rule, "write for example feedback=plateau(patience=5)"))
    return value


class Steering:
    """A controller with its state. What ranks must agree on is exchanged in ``digest``, which every rank calls."""

    def __init__(self, feedback: Feedback) -> None:
        self.feedback = feedback
        self.state: State = feedback.begin()
        self.factor = 1.0
        self.is_blind = True  # whether nothing was observed in this process, and that has not been said
        self._waiting: list[float] = []

    @property
    def together(self) -> bool:
        """Whether several processes decide together, so that decisions wait for a step."""
        return several_processes()

    def take(self, values: dict[str, Any]) -> None:
        """Note what was observed, if it is what the controller looks at.

        Raises:
            ValueError: it looks at something that is not among the values.
        """
        name = self.feedback.of
        if name not in values:
            what = ", ".join(map(repr, values))
            raise ValueError(
                f"feedback looks at {name!r}, and observe got {what}; hand {name}=... over too, or write "
                f"{type(self.feedback).__name__}(of={next(iter(values), 'loss')!r})"
            )
        self.is_blind = False
        self._waiting.append(float(values[name]))

    def digest(self, position: float, device: "torch.device | None" = None) -> list[Decision]:
        """Let the controller see what has been noted since; the decisions that change something.

        With several processes, their mean over all ranks that noted anything; every rank must call.
        """
        waiting, self._waiting = self._waiting, []
        if several_processes():
            waiting = agreed(waiting, device)
        decisions = []
        for value in waiting:
            self.state, decision = self.feedback(self.state, Observation(value, position))
            _check.number(f"factor decided by {self.feedback}", decision.factor, least=0)
            self.factor = float(decision.factor)
            if decision.reason:
                decisions.append(decision)
        return decisions

    def state_dict(self) -> dict[str, Any]:
        """Small plain data."""
        return {"factor": self.factor, "state": dict(self.state), "waiting": list(self._waiting)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of ``state_dict``."""
        self.factor, self.state = float(state["factor"]), dict(state["state"])
        self._waiting = [float(value) for value in state["waiting"]]


def several_processes() -> bool:
    """Whether this is one of several processes that train together."""
    from stepsize.state import processes

    return processes() > 1


def agreed(values: list[float], device: "torch.device | None") -> list[float]:
    """The mean of all ranks' values, the same on every rank; empty if no rank has any."""
    from stepsize.state import reduced

    total, count = reduced([math.fsum(values), len(values)], "sum", device)
    return [total / count] if count else []
