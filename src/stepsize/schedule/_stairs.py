"""A smooth schedule as a staircase: one value for each epoch, or for each so many steps."""

import math
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import Any

import numpy as np

from stepsize import _check
from stepsize.schedule._core import Array, Schedule
from stepsize.schedule._length import REMEDY, Horizon, Length, canonical, format_value, resolve, stretch
from stepsize.schedule._wrap import _Wrapper


@dataclass(frozen=True, repr=False)
class stairs(_Wrapper):  # noqa: N801 - schedules are written in lower case, like range and property
    """A schedule as a staircase: on each stair, the value that the schedule has where the stair begins.

    Formula:
        f(t) = schedule(every floor(t / every)) for t < length; then the last stair's value

    Stairs are counted from where the schedule begins, and their edges are never rounded.

    Args:
        schedule: any schedule.
        every: width of a stair: positions, a share of the run (``"10%"``) or epochs (``"1ep"``), > 0.

    Raises:
        TypeError, ValueError: not a schedule, or every is not a length above 0.

    Example:
        >>> from stepsize.schedule import linear, stairs
        >>> once_an_epoch = stairs(linear(), "1ep").over(40, per_epoch=10)
        >>> once_an_epoch(0), once_an_epoch(9), once_an_epoch(10), once_an_epoch(39), once_an_epoch(500)
        (1.0, 1.0, 0.75, 0.25, 0.25)

    Source: a scheduler of ``torch.optim.lr_scheduler`` whose ``step()`` is called once an epoch.
    """

    every: Length

    def _check(self) -> None:
        object.__setattr__(self, "every", canonical("every of stairs", self.every))
        if self.every is None or self.every in (0, "0%", "0ep"):
            raise ValueError(_check.message("every of stairs", self.every, "a length above 0", REMEDY))

    def _arguments(self) -> list[str]:
        return [f"every={format_value(self.every)}"]

    @property
    def end(self) -> float:
        length = self.schedule.length
        if self.missing is not None or not isinstance(length, float):
            raise ValueError(f"{self} has no end yet; give it a length, or call .over(total) first")
        return self.schedule._at(self._edge(max(0.0, math.nextafter(length, 0.0)), math))

    @cached_property
    def missing(self) -> str | None:
        if isinstance(self.every, str):
            return f"every={self.every} depends on the run; call .over(total) first"
        return self.schedule.missing

    @cached_property
    def _stretch(self) -> float:
        return self.schedule.length if isinstance(self.schedule.length, float) else math.inf

    @cached_property
    def _width(self) -> float:
        return self.every if isinstance(self.every, float) else math.nan

    def _edge(self, position: Any, xp: ModuleType) -> Any:
        """Where the stair of a position begins; a stair begins at exactly ``every`` times its number."""
        stair = xp.floor(position / self._width) * 1.0
        stair = stair + ((stair + 1) * self._width <= position) * 1.0 - (stair * self._width > position) * 1.0
        return stair * self._width

    def _at(self, position: float) -> float:
        return self.schedule._at(self._edge(position, math)) if position < self._stretch else self.end

    def _on(self, positions: Array) -> Array:
        inside = positions < self._stretch
        values = np.full_like(positions, 0.0 if inside.all() else self.end)
        values[inside] = self.schedule._on(self._edge(positions[inside], np))
        return values

    def _over(self, span: float, horizon: Horizon) -> Schedule:
        return stairs(self.schedule._over(span, horizon), resolve("every of stairs", self.every, horizon))

    def _stretched(self, factor: float) -> Schedule:
        return stairs(self.schedule._stretched(factor), stretch(self.every, factor))
