"""What a feedback controller is: pure steps from (state, observation) to (state, decision)."""

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple, Protocol, Self, runtime_checkable

from stepsize import _check
from stepsize.schedule import Length, constant

FAR = 2.0**52  # positions
THRESHOLDS = ("rel", "abs", "torch")
State = dict[str, Any]
"""Small plain data: numbers, texts, lists."""


class Observation(NamedTuple):
    """What a controller looks at.

    Attributes:
        value: the loss, or whatever the controller's ``of`` names.
        position: the run's clock when it was observed.
    """

    value: float
    position: float


class Decision(NamedTuple):
    """What a controller wants.

    Attributes:
        factor: what the learning rate is multiplied by from now on.
        reason: why it has changed, in words; empty when it has not.
    """

    factor: float
    reason: str = ""


@runtime_checkable
class Feedback(Protocol):
    """Anything that turns observations into a factor of the learning rate.

    It keeps nothing itself: its state is handed in and out, so that it can be saved, and every rank decides alike.

    Example:
        >>> from stepsize.control import Decision, Feedback
        >>> class Halve:
        ...     of = "loss"
        ...     def over(self, total, per_epoch):
        ...         return self
        ...     def begin(self):
        ...         return {"factor": 1.0}
        ...     def __call__(self, state, observation):
        ...         if observation.value < 1:
        ...             return state, Decision(state["factor"])
        ...         factor = state["factor"] / 2
        ...         return {"factor": factor}, Decision(factor, "the loss is not below 1")
        >>> isinstance(Halve(), Feedback)
        True
    """

    @property
    def of(self) -> str:
        """What it looks at: ``"loss"``, the loss handed to ``step``, or a name handed to ``observe``."""

    def over(self, total: float | None, per_epoch: float | None) -> "Feedback":
        """The same on a run of ``total`` positions."""

    def begin(self) -> State:
        """The state before the first observation."""

    def __call__(self, state: State, observation: Observation) -> tuple[State, Decision]:
        """The next state, and what is to be done; ``state`` itself is left as it is."""


@dataclass(frozen=True, kw_only=True)
class Controller(ABC):
    """What the built-in ones share: what they look at, from when on, and their text."""

    of: str = "loss"
    after: Length = 0.0
    mode: str = "min"
    factor: float = 0.1
    least: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.of, str) or not re.fullmatch(r'[^\s"][^"\n]*', self.of):
            raise TypeError(self._message("of", 'a name, such as "loss" or "validation_loss"'))
        if self.mode not in ("min", "max"):
            raise ValueError(self._message("mode", "'min' or 'max'"))
        object.__setattr__(self, "after", self._length("after"))
        self._number("factor", above=0)
        if not self.factor < 1:
            raise ValueError(self._message("factor", "a finite number > 0 and < 1"))
        self._number("least", least=0)
        if not self.least <= 1:
            raise ValueError(self._message("least", "at most 1, the factor at the beginning"))
        self._check()

    @abstractmethod
    def _check(self) -> None:
        """Check the controller's own arguments."""

    @abstractmethod
    def begin(self) -> State:
        """The state before the first observation."""

    @abstractmethod
    def _decide(self, state: State, value: float) -> tuple[State, str]:
        """The next state with its ``factor``, and why that changed."""

    def over(self, total: float | None, per_epoch: float | None = None) -> Self:
        """The same on a run of ``total`` positions: ``after`` becomes a number of them."""
        if not isinstance(self.after, str):
            return self
        if total is None:
            raise ValueError(f"after={self.after} of {type(self).__name__} needs the run's length; give total=")
        far = total if self.after.endswith("%") else max(total, FAR)  # epochs may end behind a short run
        return replace(self, after=constant(self.after).over(far, per_epoch).length)

    def __call__(self, state: State, observation: Observation) -> tuple[State, Decision]:
        """The next state, and what is to be done."""
        if not isinstance(self.after, float):
            raise ValueError(f"{self} cannot be called yet: after={self.after} depends on the run; call .over(total)")
        if observation.position < self.after:
            return state, Decision(state["factor"])
        after, reason = self._decide(dict(state), observation.value)
        return after, Decision(after["factor"], reason)

    def _better(self, value: float, best: float | None, threshold: float, way: str) -> bool:
        """Whether a value is an improvement on the best one; NaN is never better."""
        lower = self.mode == "min"
        if best is None:
            return value < float("inf") if lower else value > -float("inf")
        margin = -threshold if lower else threshold
        if way == "abs":
            bound = best + margin
        elif way == "rel" and best < 0:  # a share of its size, so that the bound is on the better side of it
            bound = best * (1.0 - margin)
        else:
            bound = best * (1.0 + margin)
        return value < bound if lower else value > bound

    def _check_threshold(self) -> None:
        self._number("threshold", least=0)
        if getattr(self, "threshold_mode") not in THRESHOLDS:  # noqa: B009 - of those that have one
            raise ValueError(self._message("threshold_mode", "'rel', 'abs' or 'torch'"))

    def _length(self, name: str) -> Length:
        try:
            return constant(getattr(self, name)).length or 0.0
        except (TypeError, ValueError) as error:
            problem = str(error).replace("length of constant", f"{name} of {type(self).__name__}")
            raise type(error)(problem) from None

    def _number(self, name: str, least: float | None = None, above: float | None = None) -> None:
        value = _check.number(f"{name} of {type(self).__name__}", getattr(self, name), least=least, above=above)
        object.__setattr__(self, name, value)

    def _whole(self, name: str, least: int) -> None:
        value = _check.whole(f"{name} of {type(self).__name__}", getattr(self, name), least=least)
        object.__setattr__(self, name, value)

    def _message(self, name: str, rule: str) -> str:
        return _check.message(f"{name} of {type(self).__name__}", getattr(self, name), rule)

    def __str__(self) -> str:
        shown = []
        for parameter in fields(self):
            value = getattr(self, parameter.name)
            if value != parameter.default:
                text = f'"{value}"' if isinstance(value, str) and parameter.name != "after" else f"{value}"
                shown.append(f"{parameter.name}={text}")
        return f"{type(self).__name__}({', '.join(shown)})"
