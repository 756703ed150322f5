"""The pieces: each one formula on [0, length), held at its end from there on."""

import math
from abc import abstractmethod
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from stepsize import _check
from stepsize.schedule._core import Array, Schedule
from stepsize.schedule._length import Horizon, Length, canonical, format_number, resolve, stretch

# Pieces are classes used like functions, and written like them: cosine(100), as range(100).
# ruff: noqa: N801


@dataclass(frozen=True, repr=False)
class Piece(Schedule):
    """What all pieces share: a length, and one formula that serves numbers (``math``) and arrays (``numpy``)."""

    length: Length = None
    _lengths: ClassVar[tuple[str, ...]] = ("length",)

    def __post_init__(self) -> None:
        for name in self._lengths:
            object.__setattr__(self, name, canonical(self._name(name), getattr(self, name)))
        self._check()

    @abstractmethod
    def _check(self) -> None:
        """Check the piece's own parameters."""

    @abstractmethod
    def _formula(self, position: Any, length: float, xp: ModuleType) -> Any:
        """Value at a position in [0, length); ``xp`` is ``math`` for a number, ``numpy`` for an array."""

    def _check_number(self, name: str, **bounds: float) -> None:
        object.__setattr__(self, name, _check.number(self._name(name), getattr(self, name), **bounds))  # type: ignore[arg-type]

    def _name(self, parameter: str) -> str:
        return f"{parameter} of {type(self).__name__}"

    @property
    def is_absolute(self) -> bool:
        return False

    @property
    def borders(self) -> tuple[float, ...]:
        return ()

    @property
    def _is_endless(self) -> bool:
        """Whether the formula does without a length, so that the piece may go on for ever."""
        return False

    @cached_property
    def missing(self) -> str | None:
        for name in self._lengths:
            if isinstance(getattr(self, name), str):
                return f"{name}={getattr(self, name)} depends on the run; call .over(total) first"
        if self.length is None and not self._is_endless:
            return "its length is open; give one, or call .over(total) first"
        return None

    @cached_property
    def _stretch(self) -> float:
        """The length as a number; endless pieces have an infinite one."""
        return self.length if isinstance(self.length, float) else math.inf

    def _at(self, position: float) -> float:
        if position < self._stretch:
            return self._formula(position, self._stretch, math)  # type: ignore[no-any-return]
        return self.end

    def _on(self, positions: Array) -> Array:
        inside = positions < self._stretch
        values = np.full_like(positions, 0.0 if inside.all() else self.end)
        values[inside] = self._formula(positions[inside], self._stretch, np)
        return values

    def _span(self, horizon: Horizon) -> float | None:
        return resolve(self._name("length"), self.length, horizon)

    def _over(self, span: float, horizon: Horizon) -> Schedule:
        lengths = {name: resolve(self._name(name), getattr(self, name), horizon) for name in self._lengths}
        return replace(self, **{**lengths, "length": span})

    def _stretched(self, factor: float) -> Schedule:
        return replace(self, **{name: stretch(getattr(self, name), factor) for name in self._lengths})

    def _text(self, place: int) -> str:
        arguments = []
        for parameter in fields(self):
            name, value = parameter.name, getattr(self, parameter.name)
            if value == parameter.default:
                continue
            text = format_number(value) if isinstance(value, float) else value
            arguments.append(text if name == "length" else f"{name}={text}")
        return f"{type(self).__name__}({', '.join(arguments)})"


@dataclass(frozen=True, repr=False)
class constant(Piece):
    """One value all along.

    Formula:
        f(t) = value

    Args:
        length: positions, a share of the run (``"20%"``), epochs (``"3ep"``); without one it takes the rest, or goes
            on for ever.
        value: factor of the base, >= 0.

    Raises:
        TypeError, ValueError: an argument is not a length, or not a finite number >= 0.

    Example:
        >>> from stepsize.schedule import constant
        >>> constant(100, value=0.5)(0), constant(100, value=0.5)(99), constant(100, value=0.5)(200)
        (0.5, 0.5, 0.5)
        >>> constant()(10**9)
        1.0

    Source: ``torch.optim.lr_scheduler.ConstantLR`` is ``constant(total_iters, value=factor) >> constant()``.
    """

    value: float = 1.0

    def _check(self) -> None:
        self._check_number("value", least=0)

    def _formula(self, position: Any, length: float, xp: ModuleType) -> Any:
        return self.value

    @property
    def end(self) -> float:
        return self.value

    @property
    def _is_endless(self) -> bool:
        return True


@dataclass(frozen=True, repr=False)
class linear(Piece):
    """A straight line from start to end.

    Formula:
        f(t) = start + (end - start) t / length

    Args:
        length: positions, a share of the run (``"20%"``), epochs (``"3ep"``); without one it takes the rest.
        start: factor at the first position, >= 0.
        end: factor reached at the length and held, >= 0.

    Raises:
        TypeError, ValueError: an argument is not a length, or not a finite number >= 0.

    Example:
        >>> from stepsize.schedule import linear
        >>> decay = linear(100)
        >>> decay(0), decay(75), decay(100), decay(500)
        (1.0, 0.25, 0.0, 0.0)

    Source: Defazio et al. 2023, "Optimal linear decay learning rate schedules" (arXiv 2310.07831), section 3.
    """

    start: float = 1.0
    end: float = 0.0

    def _check(self) -> None:
        self._check_number("start", least=0)
        self._check_number("end", least=0)

    def _formula(self, position: Any, length: float, xp: ModuleType) -> Any:
        share = position / length
        return self.start * (1 - share) + self.end * share


@dataclass(frozen=True, repr=False)
class warmup(Piece):
    """A line up to 1, put in front of what follows: ``warmup(500) >> cosine()``.

    Formula:
        f(t) = (t + 1) / (length + 1), or start + (1 - start) t / length

    No step is spent at zero and none twice at the peak: the first step has 1 / (length + 1), and the first step after
    the warm-up is the first at the full rate.

    Args:
        length: positions, a share of the run (``"5%"``), epochs (``"3ep"``); without one it takes the rest.
        start: factor at the first position, >= 0; 1 / (length + 1) when left out.

    Raises:
        TypeError, ValueError: an argument is not a length, or not a finite number >= 0.

    Example:
        >>> from stepsize.schedule import constant, warmup
        >>> up = warmup(4) >> constant()
        >>> up(0), up(3), up(4), up(100)
        (0.2, 0.8, 1.0, 1.0)
        >>> warmup(4, start=0)(2)
        0.5

    Source: Goyal et al. 2017, "Accurate, large minibatch SGD" (arXiv 1706.02677), section 2.2 (gradual warm-up).
    """

    start: float | None = None

    def _check(self) -> None:
        if self.start is not None:
            self._check_number("start", least=0)

    def _formula(self, position: Any, length: float, xp: ModuleType) -> Any:
        if self.start is None:
            return (position + 1) / (length + 1)
        share = position / length
        return self.start * (1 - share) + share

    @property
    def end(self) -> float:
        return 1.0


@dataclass(frozen=True, repr=False)
class cosine(Piece):
    """Half a cosine wave from start to end.

    Formula:
        f(t) = end + (start - end) (1 + cos(pi t / length)) / 2

    Args:
        length: positions, a share of the run (``"20%"``), epochs (``"3ep"``); without one it takes the rest.
        start: factor at the first position, >= 0.
        end: factor reached at the length and held, >= 0.

    Raises:
        TypeError, ValueError: an argument is not a length, or not a finite number >= 0.

    Example:
        >>> from stepsize.schedule import cosine
        >>> anneal = cosine(100)
        >>> anneal(0), round(anneal(50), 12), round(anneal(99), 6), anneal(100), anneal(500)
        (1.0, 0.5, 0.000247, 0.0, 0.0)

    Source: Loshchilov and Hutter 2017, "SGDR" (arXiv 1608.03983), equation 5, one cycle.
    """

    start: float = 1.0
    end: float = 0.0

    def _check(self) -> None:
        self._check_number("start", least=0)
        self._check_number("end", least=0)

    def _formula(self, position: Any, length: float, xp: ModuleType) -> Any:
        share = (1 + xp.cos(math.pi * (position / length))) / 2
        return self.start * share + self.end * (1 - share)


@dataclass(frozen=True, repr=False)
class _Power(Piece):
    """What exponential and staircase decay share: a factor gamma per stretch of ``every`` positions."""

    gamma: float = 0.1
    every: Length = field(default=None, kw_only=True)
    _lengths: ClassVar[tuple[str, ...]] = ("length", "every")

    def _check(self) -> None:
        self._check_number("gamma", above=0)
        if self.every == 0 or self.every in ("0%", "0ep"):
            raise ValueError(_check.message(self._name("every"), self.every, "above 0"))
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

    @property
    def end(self) -> float:
        if self.missing is not None or not isinstance(self.length, float):
            raise ValueError(f"{self} has no end yet; give it a length, or call .over(total) first")
        return self._limit(self.length)

    @abstractmethod
    def _limit(self, length: float) -> float:
        """The formula's limit at the length, from the left."""


@dataclass(frozen=True, repr=False)
class exponential(_Power):
    """A constant ratio from each position to the next.

    Formula:
        f(t) = gamma ^ (t / every)

    Args:
        length: positions, a share of the run (``"20%"``), epochs (``"3ep"``); without one it takes the rest, or goes on
            for ever if ``every`` is given.
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
        length: positions, a share of the run (``"20%"``), epochs (``"3ep"``); without one it takes the rest, or goes on
            for ever.
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
        if self.every is None:
            raise ValueError(_check.message(self._name("every"), None, "a length", 'write every=30 or every="30ep"'))
        _Power._check(self)

    def _formula(self, position: Any, length: float, xp: ModuleType) -> Any:
        return self.gamma ** xp.floor(position / self._width)

    def _limit(self, length: float) -> float:
        return self.gamma ** max(0, math.ceil(length / self._width) - 1)


PIECES: dict[str, type[Piece]] = {
    piece.__name__: piece for piece in (constant, cosine, exponential, linear, step_decay, warmup)
}
