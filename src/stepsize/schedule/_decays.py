"""Pieces that fall by ratios: exponential, step_decay, multi_step, inverse_sqrt."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import ModuleType
from typing import Any, ClassVar

from stepsize import _check
from stepsize.schedule._length import Length
from stepsize.schedule._piece import Piece

# ruff: noqa: N801 - pieces are written like functions


@dataclass(frozen=True, repr=False)
class _Power(Piece):
    """The base of exponential and staircase decay: a factor gamma per stretch of ``every`` positions."""

    gamma: float = 0.1
    every: Length = field(default=None, kw_only=True)
    _lengths: ClassVar[tuple[str, ...]] = ("length", "every")

    def _check(self) -> None:
        self._check_number("gamma", above=0)
        if self.every is not None:
            self._check_width("every")
        if self.missing is None and self._stretch / self._width * math.log(self.gamma) > math.log(1e300):
            rule = "at most 1 without a length, and such that the end is below 1e300"
            raise ValueError(_check.message(self._name("gamma"), self.gamma, rule))

    @property
    def _is_endless(self) -> bool:
        return self.every is not None

    @cached_property
    def _width(self) -> float:
        """Positions in which the factor changes by gamma: ``every``, or the whole length."""
        return self.every if isinstance(self.every, float) else self._stretch or 1.0


@dataclass(frozen=True, repr=False)
class exponential(_Power):
    """A constant ratio from each position to the next.

    Formula:
        f(t) = gamma ^ (t / every)

    Args:
        length: positions, a share of the run (``"20%"``), epochs (``"3ep"``); without one it takes the rest, or has no
            end if ``every`` is given.
        gamma: factor per ``every``, > 0.
        every: positions, share of the run or epochs in which the factor falls by gamma; the whole length when left out,
            so that gamma is where it ends.

    Raises:
        TypeError, ValueError: an argument is not a length, gamma is not a finite number > 0, or the value would grow
            beyond all numbers.

    Example:
        >>> from stepsize.schedule import exponential
        >>> to_one_percent = exponential(100, gamma=0.01)
        >>> to_one_percent(0), to_one_percent(50), to_one_percent(100), to_one_percent(500)
        (1.0, 0.1, 0.01, 0.01)
        >>> exponential(gamma=0.5, every=10)(30)
        0.125

    Source: ``torch.optim.lr_scheduler.ExponentialLR`` is ``exponential(gamma=gamma, every="1ep")``.
    """

    def _formula(self, position: Any, length: float, xp: ModuleType) -> Any:
        return self.gamma ** (position / self._width)

    def _limit(self, length: float) -> float:
        return self.gamma if self.every is None else self.gamma ** (length / self._width)


@dataclass(frozen=True, repr=False)
class step_decay(_Power):
    """A staircase: one factor more after each stretch.

    Formula:
        f(t) = gamma ^ floor(t / every)

    Args:
        length: positions, a share of the run (``"20%"``), epochs (``"3ep"``); without one it takes the rest, or has no
            end.
        gamma: factor per step of the stairs, > 0.
        every: width of a step of the stairs: positions, share of the run or epochs, > 0.

    Raises:
        TypeError, ValueError: an argument is not a length, ``every`` is missing, gamma is not a finite number > 0, or
            the value would grow beyond all numbers.

    Example:
        >>> from stepsize.schedule import step_decay
        >>> stairs = step_decay(90, gamma=0.1, every=30)
        >>> stairs(0), stairs(29), stairs(30), round(stairs(90), 12)
        (1.0, 1.0, 0.1, 0.01)

    Source: ``torch.optim.lr_scheduler.StepLR`` is ``step_decay(gamma=gamma, every="30ep")``.
    """

    every: Length = field(kw_only=True)

    def _check(self) -> None:
        self._check_width("every")
        _Power._check(self)

    def _formula(self, position: Any, length: float, xp: ModuleType) -> Any:
        return self.gamma ** xp.floor(position / self._width)

    def _limit(self, length: float) -> float:
        return self.gamma ** max(0, math.ceil(length / self._width) - 1)


@dataclass(frozen=True, repr=False)
class multi_step(Piece):
    """A staircase with its edges at given positions.

    Formula:
        f(t) = gamma ^ (number of edges <= t)

    Args:
        length: positions, a share of the run (``"20%"``), epochs (``"3ep"``); without one it takes the rest, or has no
            end.
        gamma: factor at each edge, > 0.
        at: the edges, not falling: positions, shares of the run or epochs. One that stands twice counts twice.

    Raises:
        TypeError, ValueError: an argument is not a length or a list of rising ones, or gamma not a finite number > 0.

    Example:
        >>> from stepsize.schedule import multi_step
        >>> stairs = multi_step(at=[30, 80])
        >>> stairs(0), stairs(29), stairs(30), round(stairs(80), 12), round(stairs(500), 12)
        (1.0, 1.0, 0.1, 0.01, 0.01)

    Source: ``torch.optim.lr_scheduler.MultiStepLR`` is ``multi_step(at=milestones, gamma=gamma)``.
    """

    gamma: float = 0.1
    at: Sequence[Length] = field(kw_only=True)
    _tables: ClassVar[tuple[str, ...]] = ("at",)
    _jumps: ClassVar[bool] = True

    def _check(self) -> None:
        self._check_number("gamma", above=0)

    @property
    def _is_endless(self) -> bool:
        return True

    def _formula(self, position: Any, length: float, xp: ModuleType) -> Any:
        return self.gamma ** sum((position >= edge) * 1.0 for edge in self.at)


@dataclass(frozen=True, repr=False)
class inverse_sqrt(Piece):
    """Falls like one over the root of the step, behind a warm-up: ``warmup(4_000) >> inverse_sqrt(every=4_000)``.

    Formula:
        f(t) = sqrt(every / (every + t))

    Args:
        length: positions, a share of the run (``"20%"``), epochs (``"3ep"``); without one it takes the rest, or has no
            end.
        every: the time scale, usually the length of the warm-up before it: positions, share of the run or epochs, > 0.

    Raises:
        TypeError, ValueError: an argument is not a length, or ``every`` is missing or 0.

    Example:
        >>> from stepsize.schedule import inverse_sqrt
        >>> decay = inverse_sqrt(every=100)
        >>> decay(0), decay(300), inverse_sqrt(300, every=100)(10_000)
        (1.0, 0.5, 0.5)

    Source: Vaswani et al. 2017, "Attention is all you need" (arXiv 1706.03762), equation 3, counted from the warm-up's
    end.
    """

    every: Length = field(kw_only=True)
    _lengths: ClassVar[tuple[str, ...]] = ("length", "every")

    def _check(self) -> None:
        self._check_width("every")

    @property
    def _is_endless(self) -> bool:
        return True

    def _formula(self, position: Any, length: float, xp: ModuleType) -> Any:
        return xp.sqrt(self.every / (self.every + position))
