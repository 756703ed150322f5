"""A value over a run: what of it is finite, and from where on it was not finite any more."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Course:
    """A value over a run.

    Attributes:
        steps: rising, [n].
        values: [n], finite; n is 0 where no value was.
        seconds: since the run's beginning, [n]; None where that is not known.
        broken: the place from which on, to the end, no value was finite; None where the last one is.

    Example:
        >>> import numpy as np
        >>> from stepsize.record import Course
        >>> Course(np.arange(2.0), np.array([4.0, 2.0])).last, Course(np.arange(2.0), np.ones(2), broken=2.0).last
        (2.0, nan)
    """

    steps: Array
    values: Array
    seconds: Array | None = None
    broken: float | None = None

    @property
    def last(self) -> float:
        """The value that it ended at; NaN where it became not finite and stayed so."""
        return math.nan if self.broken is not None or not len(self.values) else float(self.values[-1])


def course_of(
    lines: Sequence[Mapping[str, Any]],
    name: str,
    place: Callable[[Mapping[str, Any]], float] = lambda line: float(line["step"]),
) -> Course | None:
    """The course of a name over lines; None where no line has it.

    Args:
        lines: in order; None, or a number that is not finite, is a value that was not finite.
        name: of the value.
        place: of a line; its step when left out.

    Example:
        >>> from stepsize.record import course_of
        >>> course = course_of([{"step": 0, "loss": 4.0}, {"step": 5, "loss": None}, {"step": 9, "loss": None}], "loss")
        >>> course.values, course.broken, course.last
        (array([4.]), 5.0, nan)
    """
    had = [line for line in lines if name in line and not isinstance(line[name], str)]
    if not had:
        return None
    finite = [is_number(line[name]) for line in had]
    last = max((index for index, is_finite in enumerate(finite) if is_finite), default=-1)
    points = [(place(line), float(line[name])) for line, is_finite in zip(had, finite, strict=True) if is_finite]
    broken = place(had[last + 1]) if last + 1 < len(had) else None
    steps, values = np.array(points, float).reshape(-1, 2).T
    return Course(steps, values, broken=broken)


def is_number(value: Any) -> bool:
    """Whether a value of a line is a finite number.

    Args:
        value: any.
    """
    return isinstance(value, int | float) and abs(value) < math.inf
