"""Pieces read from a table: piecewise_constant and piecewise_linear."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from stepsize import _check
from stepsize.schedule._length import Length
from stepsize.schedule._piece import Piece

# ruff: noqa: N801 - pieces are written like functions


@dataclass(frozen=True, repr=False)
class _Table(Piece):
    """Positions and values side by side."""

    at: Sequence[Length] = field(kw_only=True)
    values: Sequence[float] = field(kw_only=True)
    _tables: ClassVar[tuple[str, ...]] = ("at",)
    _more: ClassVar[int] = 0  # how many more values than positions

    def _check(self) -> None:
        if isinstance(self.values, str) or not isinstance(self.values, Iterable):
            raise TypeError(_check.message(self._name("values"), self.values, "a list of numbers"))
        self._set("values", tuple(_check.number(self._name("values"), value, least=0) for value in self.values))
        if len(self.values) != len(self.at) + self._more:
            rule = f"{len(self.at) + self._more} numbers for {len(self.at)} positions in at"
            raise ValueError(_check.message(self._name("values"), self.values, rule))

    @property
    def _is_endless(self) -> bool:
        return True


@dataclass(frozen=True, repr=False)
class piecewise_constant(_Table):
    """A value for each stretch between given positions.

    Formula:
        f(t) = values[number of positions in at that are <= t]

    Args:
        length: positions, a share of the run (``"20%"``), epochs (``"3ep"``); without one it takes the rest, or has no
            end.
        at: where the value changes, not falling: positions, shares of the run or epochs.
        values: one number >= 0 more than positions.

    Raises:
        TypeError, ValueError: an argument is not a list of lengths, or not as many numbers >= 0.

    Example:
        >>> from stepsize.schedule import piecewise_constant
        >>> table = piecewise_constant(at=[10, 20], values=[1, 0.5, 0.1])
        >>> table(0), table(10), table(20), table(500)
        (1.0, 0.5, 0.1, 0.1)

    Source: ``optax.piecewise_constant_schedule``, with values instead of factors.
    """

    _more: ClassVar[int] = 1
    _jumps: ClassVar[bool] = True

    def _formula(self, position: Any, length: float, xp: ModuleType) -> Any:
        index = sum(position >= edge for edge in self.at)
        return self.values[int(index)] if xp is math else np.array(self.values)[np.asarray(index, dtype=int)]


@dataclass(frozen=True, repr=False)
class piecewise_linear(_Table):
    """Straight lines between given points; the first value before them, the last one after.

    Formula:
        f(t) = values[i] + (values[i + 1] - values[i]) (t - at[i]) / (at[i + 1] - at[i]), at[i] <= t < at[i + 1]

    Args:
        length: positions, a share of the run (``"20%"``), epochs (``"3ep"``); without one it takes the rest, or has no
            end.
        at: the points' positions, rising: positions, shares of the run or epochs.
        values: their values, as many numbers >= 0.

    Raises:
        TypeError, ValueError: an argument is not a list of lengths, or not as many numbers >= 0.

    Example:
        >>> from stepsize.schedule import piecewise_linear
        >>> trapezoid = piecewise_linear(at=[0, 10, 90, 100], values=[0, 1, 1, 0])
        >>> trapezoid(0), trapezoid(5), trapezoid(50), trapezoid(95), trapezoid(500)
        (0.0, 0.5, 1.0, 0.5, 0.0)

    Source: ``numpy.interp``; ``optax.piecewise_interpolate_schedule("linear", ...)``.
    """

    def _check(self) -> None:
        _Table._check(self)
        known = [edge for edge in self.at if isinstance(edge, float)]
        if len(set(known)) < len(known):
            raise ValueError(
                _check.message(self._name("at"), list(self.at), "rising", "put piecewise_constant for jumps")
            )

    def _formula(self, position: Any, length: float, xp: ModuleType) -> Any:
        values = np.interp(position, np.array(self.at, dtype=np.float64), self.values)
        return float(values) if xp is math else values
