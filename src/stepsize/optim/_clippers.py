"""Ways of clipping as values: with thresholds that may be schedules, and texts. ``Control(clip=...)`` takes them."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Self

from stepsize import _check
from stepsize.schedule import PIECES, Schedule, parse_call

if TYPE_CHECKING:  # loaded at the first clipping, since their texts need no torch
    from torch import Tensor

    from stepsize.optim._clip import Clipped


@dataclass(frozen=True)
class Clipper(ABC):
    """A way of clipping, as a value: what it is and by what threshold.

    Args:
        threshold: > 0, or a schedule that gives it, or its text.

    Example:
        >>> from stepsize.optim import Clipper, value_clipping
        >>> way = value_clipping("linear(100, start=5, end=1)")
        >>> isinstance(way, Clipper), way.at(50)
        (True, 3.0)
    """

    threshold: float | Schedule | str

    def __post_init__(self) -> None:
        if isinstance(self.threshold, str):
            object.__setattr__(self, "threshold", Schedule.parse(self.threshold))
        if not isinstance(self.threshold, Schedule):
            name = f"threshold of {type(self).__name__}"
            remedy = "or a schedule that gives it"
            object.__setattr__(self, "threshold", _check.number(name, self.threshold, above=0, remedy=remedy))

    @abstractmethod
    def clip(self, parameters: "Iterable[Tensor]", threshold: float, norm: "Tensor | None" = None) -> "Clipped":
        """Clip the gradients in place.

        Args:
            parameters: tensors with or without a gradient.
            threshold: what ``at`` gives.
            norm: the gradients' global norm, where it is known already.
        """

    def at(self, position: float) -> float:
        """The threshold at a position of the clock.

        Args:
            position: >= 0.
        """
        threshold = self.threshold
        return threshold(position) if isinstance(threshold, Schedule) else float(threshold)

    def with_threshold(self, threshold: float | Schedule) -> Self:
        """The same way of clipping with another threshold.

        Args:
            threshold: > 0, or a schedule that gives it.
        """
        return replace(self, threshold=threshold)

    def __str__(self) -> str:
        first, *rest = ((field, getattr(self, field.name)) for field in fields(self))
        shown = [str(first[1]), *(f"{field.name}={value}" for field, value in rest if value != field.default)]
        return f"{type(self).__name__}({', '.join(shown)})"


@dataclass(frozen=True)
class norm_clipping(Clipper):  # noqa: N801 - called like a function, as schedules are
    """Clipping by the global norm, what a number as ``clip`` means: see ``clip_by_norm``.

    Args:
        threshold: largest norm let through, > 0, or a schedule that gives it, or its text.

    Raises:
        TypeError, ValueError: it is not that.

    Example:
        >>> from stepsize.optim import norm_clipping
        >>> print(norm_clipping("linear(100, start=5, end=1)"))
        norm_clipping(linear(100, start=5, end=1))
    """

    def clip(self, parameters: "Iterable[Tensor]", threshold: float, norm: "Tensor | None" = None) -> "Clipped":
        """Scale all gradients in place by one factor."""
        from stepsize.optim._clip import clip_by_norm

        return clip_by_norm(parameters, threshold, norm)


@dataclass(frozen=True)
class value_clipping(Clipper):  # noqa: N801
    """Clipping entry by entry: see ``clip_by_value``.

    Args:
        threshold: largest absolute entry let through, > 0, or a schedule that gives it, or its text.

    Raises:
        TypeError, ValueError: it is not that.

    Example:
        >>> import torch
        >>> from stepsize import Control
        >>> from stepsize.optim import value_clipping
        >>> weight = torch.zeros(2, requires_grad=True)
        >>> control = Control(torch.optim.SGD([weight], lr=1.0), clip=value_clipping(0.5))
        >>> weight.grad = torch.tensor([3.0, -0.25])
        >>> step = control.step()
        >>> weight.tolist(), round(step.norm.item(), 4), step.clipped
        ([-0.5, 0.25], 3.0104, True)
    """

    def clip(self, parameters: "Iterable[Tensor]", threshold: float, norm: "Tensor | None" = None) -> "Clipped":
        """Cut entries off in place."""
        from stepsize.optim._clip import clip_by_value

        return clip_by_value(parameters, threshold, norm)


@dataclass(frozen=True)
class adaptive_clipping(Clipper):  # noqa: N801
    """Adaptive gradient clipping (AGC), unit by unit beside the weights: see ``clip_adaptively``.

    Args:
        threshold: largest norm of a gradient as a share of its weights' norm, > 0, or a schedule, or its text.
        eps: what the weights' norm is at least taken for, > 0.

    Raises:
        TypeError, ValueError: an argument is invalid.

    Example:
        >>> import torch
        >>> from stepsize import Control
        >>> from stepsize.optim import adaptive_clipping
        >>> layer = torch.nn.Linear(3, 2)
        >>> control = Control(torch.optim.SGD(layer.parameters(), lr=0.1), clip=adaptive_clipping(0.02))
        >>> print(control.plan)
        lr: constant()
        clip: adaptive_clipping(0.02)
    """

    threshold: float | Schedule | str = 0.01
    eps: float = 1e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "eps", _check.number(f"eps of {type(self).__name__}", self.eps, above=0))

    def clip(self, parameters: "Iterable[Tensor]", threshold: float, norm: "Tensor | None" = None) -> "Clipped":
        """Scale units in place."""
        from stepsize.optim._clip import clip_adaptively

        return clip_adaptively(parameters, threshold, self.eps, norm)


CLIPPERS: dict[str, type[Clipper]] = {
    clipping.__name__: clipping for clipping in (adaptive_clipping, norm_clipping, value_clipping)
}


def as_clip(value: Any) -> float | Schedule | Clipper | None:
    """A value for ``clip`` from itself or its text; clipping by norm is its bare threshold.

    Args:
        value: a number > 0, a schedule, a way of clipping, the text of one of these, or None.

    Raises:
        TypeError, ValueError: it is none of these.

    Example:
        >>> from stepsize.optim import as_clip
        >>> as_clip("norm_clipping(1)"), as_clip("value_clipping(linear(100))").at(50)
        (1.0, 0.5)
    """
    if isinstance(value, str):
        name = value.partition("(")[0].strip()
        value = parse_call(value, {**PIECES, **CLIPPERS}) if name in CLIPPERS else Schedule.parse(value)
    if isinstance(value, norm_clipping):
        value = value.threshold
    if value is None or isinstance(value, Schedule | Clipper):
        return value
    remedy = f"or a schedule that gives it, or one of {', '.join(CLIPPERS)}"
    return _check.number("clip", value, above=0, remedy=remedy)
