"""The algebra: what a schedule is, and the three ways to combine schedules: ``>>``, ``*`` and ``absolute``."""

import math
from abc import ABC, abstractmethod
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any, Union, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stepsize import _check
from stepsize.schedule._length import Horizon, Length, format_number

Array = NDArray[np.float64]
OUTER, IN_SEQUENCE, IN_PRODUCT = range(3)  # where a text stands, for its brackets


class Schedule(ABC):
    """A number over the position of a run: an immutable value, called with a position or an array of them.

    A schedule is a factor of a hyperparameter's base, unless it says ``absolute``. Positions are real numbers,
    in optimizer steps by default; the first step is at 0. Past its length a schedule holds its end.

    ``a >> b`` puts b after a, each with its own values; ``a * b`` and ``0.5 * a`` multiply. ``*`` binds tighter.

    Example:
        >>> from stepsize.schedule import Schedule, cosine, warmup
        >>> schedule = (warmup("10%") >> cosine()).over(10)
        >>> schedule
        warmup(1) >> cosine(9)
        >>> schedule(0), schedule(1), schedule(10), schedule(1_000)
        (0.5, 1.0, 0.0, 0.0)
        >>> schedule([0, 1, 4])
        array([0.5 , 1.  , 0.75])
        >>> Schedule.parse(str(schedule)) == schedule
        True
    """

    @overload
    def __call__(self, position: float) -> float: ...
    @overload
    def __call__(self, position: ArrayLike) -> Array: ...
    def __call__(self, position: Any) -> Any:
        """Value at a position >= 0: a float for a number, a float64 array of the same shape for an array.

        Raises:
            ValueError: a length is still open or relative (call ``.over(total)`` first), or a position is negative
                or NaN.
        """
        if self.missing is not None:
            raise ValueError(f"{self} cannot be called yet: {self.missing}")
        kind = type(position)
        if kind is int or kind is float:
            if not position >= 0:
                raise ValueError(_check.message("position", position, "a number >= 0"))
            return self._at(position)
        array = np.asarray(position, dtype=np.float64)
        if not bool(np.all(array >= 0)):
            raise ValueError(_check.message("position", position, "numbers >= 0"))
        values = self._on(array)
        return values if array.ndim or isinstance(position, np.ndarray) else float(values)

    def over(self, total: float, per_epoch: float | None = None) -> "Schedule":
        """This schedule on a run of ``total`` positions: every length becomes a number.

        Args:
            total: length of the whole run, in positions (steps), > 0. Shares (``"5%"``) are shares of it.
            per_epoch: positions in an epoch, > 0; needed only for lengths such as ``"3ep"``.

        Raises:
            ValueError: the pieces need more than the total, or leave nothing to the one without a length.

        Example:
            >>> from stepsize.schedule import cosine, warmup
            >>> (warmup("5%") >> cosine()).over(1_000)
            warmup(50) >> cosine(950)
            >>> warmup("2ep").over(1_000, per_epoch=93.75)
            warmup(187.5)
        """
        total = _check.number("total", total, above=0, remedy="give the run's length in steps")
        if per_epoch is not None:
            per_epoch = _check.number("per_epoch", per_epoch, above=0)
        horizon = Horizon(total, per_epoch)
        needed = self._span(horizon)
        if needed is not None and needed > total * (1 + 1e-9):
            raise ValueError(
                f"{self} takes {needed:g} positions and the total is {total:g}; shorten its pieces or raise the total"
            )
        return self._over(total if needed is None else needed, horizon)

    def stretch(self, factor: float) -> "Schedule":
        """The same course, ``factor`` times as long: lengths in positions and epochs are multiplied, shares stay.

        Args:
            factor: > 0.

        Raises:
            TypeError, ValueError: factor is not a finite number > 0.

        Example:
            >>> from stepsize.schedule import cosine, warmup
            >>> (warmup(500) >> cosine("90%")).stretch(0.1)
            warmup(50) >> cosine(90%)
        """
        return self._stretched(_check.number("factor", factor, above=0))

    @staticmethod
    def parse(text: str) -> "Schedule":
        """Read a schedule from its text, the inverse of ``str``. The text is parsed, never evaluated.

        Args:
            text: for example ``"warmup(5%) >> cosine()"``; at most 10,000 characters, brackets at most 50 deep.

        Raises:
            ScheduleTextError: a ``ValueError`` that says what is wrong and where.

        Example:
            >>> from stepsize.schedule import Schedule
            >>> Schedule.parse("warmup(5%) >> 0.5 * cosine(end=0.1)")
            warmup(5%) >> (0.5 * cosine(end=0.1))
        """
        from stepsize.schedule._text import parse

        return parse(text)

    def __rshift__(self, other: "Schedule") -> "Schedule":
        if not isinstance(other, Schedule):
            return NotImplemented
        return Sequence(_parts(self) + _parts(other))

    def __mul__(self, other: Union["Schedule", float]) -> "Schedule":
        if isinstance(other, Schedule):
            (scale, factors), (more, others) = _factors(self), _factors(other)
            return _product(scale * more, factors + others)
        if isinstance(other, bool) or not isinstance(other, int | float | np.number):
            return NotImplemented
        scale, factors = _factors(self)
        return _product(scale * _check.number(f"factor of {self}", other, least=0), factors)

    def __rmul__(self, other: float) -> "Schedule":
        return self * other

    def __str__(self) -> str:
        return self._text(OUTER)

    __repr__ = __str__

    @property
    @abstractmethod
    def length(self) -> Length:
        """Positions from the first to the held end; a text while relative, None while open."""

    @property
    @abstractmethod
    def end(self) -> float:
        """The limit at the length, held from there on."""

    @property
    @abstractmethod
    def is_absolute(self) -> bool:
        """Whether the values are the hyperparameter itself rather than a factor of its base."""

    @property
    @abstractmethod
    def borders(self) -> tuple[float, ...]:
        """Positions at which one piece hands over to the next."""

    @property
    @abstractmethod
    def missing(self) -> str | None:
        """What has to be said before a call, or None when it can be called."""

    @abstractmethod
    def _at(self, position: float) -> float:
        """Value at one position >= 0."""

    @abstractmethod
    def _on(self, positions: Array) -> Array:
        """Values at many positions >= 0."""

    @abstractmethod
    def _span(self, horizon: Horizon) -> float | None:
        """Length in positions on a horizon, None if it takes what is left."""

    @abstractmethod
    def _over(self, span: float, horizon: Horizon) -> "Schedule":
        """The same with every length a number, an open one becoming ``span``."""

    @abstractmethod
    def _stretched(self, factor: float) -> "Schedule":
        """The same with every length in positions or epochs multiplied."""

    @abstractmethod
    def _text(self, place: int) -> str:
        """The text, in brackets where the place asks for them."""


@dataclass(frozen=True, repr=False)
class Sequence(Schedule):
    """One schedule after the other, made by ``>>``. Each piece gives its own values on its own stretch."""

    parts: tuple[Schedule, ...]

    def __post_init__(self) -> None:
        open_parts = [part for part in self.parts if part.length is None]
        if len(open_parts) > 1:
            raise ValueError(
                f"only one piece of a sequence may leave its length out, and {open_parts[0]} and {open_parts[1]} "
                'both do; give one of them a length such as 1000, "20%" or "3ep"'
            )
        if len({part.is_absolute for part in self.parts}) > 1:
            kinds = [next(part for part in self.parts if part.is_absolute is kind) for kind in (True, False)]
            raise ValueError(
                f"{kinds[0]} gives values themselves and {kinds[1]} factors of the base, and a sequence is one or the "
                "other; write absolute(...) around the whole sequence"
            )

    @cached_property
    def _starts(self) -> list[float]:
        """Where each piece starts; complete when the sequence can be called."""
        lengths = [part.length for part in self.parts[:-1]]
        return list(accumulate((length for length in lengths if isinstance(length, float)), initial=0.0))

    @property
    def length(self) -> Length:
        lengths = [part.length for part in self.parts]
        if None in lengths:
            return None
        known = [length for length in lengths if isinstance(length, float)]
        return sum(known) if len(known) == len(lengths) else " + ".join(map(str, lengths))

    @property
    def end(self) -> float:
        return self.parts[-1].end

    @property
    def is_absolute(self) -> bool:
        return self.parts[0].is_absolute

    @property
    def borders(self) -> tuple[float, ...]:
        if self.missing:
            raise ValueError(f"{self} has no borders yet: {self.missing}")
        inner = [start + at for start, part in zip(self._starts, self.parts, strict=True) for at in part.borders]
        return tuple(sorted({*inner, *self._starts[1:]}))

    @cached_property
    def missing(self) -> str | None:
        for part in self.parts[:-1]:
            if not isinstance(part.length, float):
                return f"the length of {part} is not known; call .over(total) first"
        return self.parts[-1].missing

    @cached_property
    def _finish(self) -> float:
        """Where the end is held from: exact, whatever the rounding of the pieces' starts."""
        return self.length if isinstance(self.length, float) else math.inf

    def _at(self, position: float) -> float:
        if position >= self._finish:
            return self.end
        index = bisect_right(self._starts, position) - 1
        return self.parts[index]._at(position - self._starts[index])

    def _on(self, positions: Array) -> Array:
        which = np.searchsorted(self._starts, positions, side="right") - 1
        values = np.empty_like(positions)
        for index, (start, part) in enumerate(zip(self._starts, self.parts, strict=True)):
            mine = which == index
            values[mine] = part._on(positions[mine] - start)
        over = positions >= self._finish
        if over.any():
            values[over] = self.end
        return values

    def _span(self, horizon: Horizon) -> float | None:
        spans = [part._span(horizon) for part in self.parts]
        known = [span for span in spans if span is not None]
        return sum(known) if len(known) == len(spans) else None

    def _over(self, span: float, horizon: Horizon) -> Schedule:
        spans = [part._span(horizon) for part in self.parts]
        rest = span - sum(known for known in spans if known is not None)
        if None in spans and not rest > 0:
            greedy = self.parts[spans.index(None)]
            others = " and ".join(str(part) for part in self.parts if part is not greedy)
            raise ValueError(
                f"{others} takes {span - rest:g} of {span:g} positions and leaves nothing for {greedy}; "
                "shorten it or raise the total"
            )
        pairs = zip(self.parts, spans, strict=True)
        return Sequence(tuple(part._over(rest if own is None else own, horizon) for part, own in pairs))

    def _stretched(self, factor: float) -> Schedule:
        return Sequence(tuple(part._stretched(factor) for part in self.parts))

    def _text(self, place: int) -> str:
        text = " >> ".join(part._text(IN_SEQUENCE) for part in self.parts)
        return text if place == OUTER else f"({text})"


@dataclass(frozen=True, repr=False)
class Product(Schedule):
    """A number times schedules of equal or no length, made by ``*``."""

    scale: float
    factors: tuple[Schedule, ...]

    def __post_init__(self) -> None:
        absolutes = [factor for factor in self.factors if factor.is_absolute]
        if len(absolutes) > 1:
            raise ValueError(
                f"{absolutes[0]} and {absolutes[1]} both give values themselves, and values are not multiplied with "
                "each other; make one of them a factor by leaving out absolute(...)"
            )
        self._common([length for length in self._lengths() if isinstance(length, float)])

    def _lengths(self) -> list[Length]:
        return [factor.length for factor in self.factors]

    def _common(self, lengths: list[float]) -> float | None:
        if lengths and not all(math.isclose(lengths[0], other, rel_tol=1e-9) for other in lengths):
            shown = " and ".join(f"{length:g}" for length in lengths)
            raise ValueError(
                f"{self} multiplies pieces of lengths {shown}; factors need equal lengths, or none: leave one out"
            )
        return lengths[0] if lengths else None

    @property
    def length(self) -> Length:
        stated = [length for length in self._lengths() if length is not None]
        known = [length for length in stated if isinstance(length, float)]
        return max(known) if known else next(iter(stated), None)  # equal but for rounding

    @property
    def end(self) -> float:
        return self.scale * math.prod(factor.end for factor in self.factors)

    @property
    def is_absolute(self) -> bool:
        return any(factor.is_absolute for factor in self.factors)

    @property
    def borders(self) -> tuple[float, ...]:
        return tuple(sorted({border for factor in self.factors for border in factor.borders}))

    @cached_property
    def missing(self) -> str | None:
        lengths = self._lengths()
        if None in lengths and any(length is not None for length in lengths):
            return "one factor has a length and another takes the rest; call .over(total) first"
        return next((factor.missing for factor in self.factors if factor.missing), None)

    def _at(self, position: float) -> float:
        value = self.scale
        for factor in self.factors:
            value *= factor._at(position)
        return value

    def _on(self, positions: Array) -> Array:
        values = np.full_like(positions, self.scale)
        for factor in self.factors:
            values *= factor._on(positions)
        return values

    def _span(self, horizon: Horizon) -> float | None:
        spans = [factor._span(horizon) for factor in self.factors]
        return self._common([span for span in spans if span is not None])

    def _over(self, span: float, horizon: Horizon) -> Schedule:
        return Product(self.scale, tuple(factor._over(span, horizon) for factor in self.factors))

    def _stretched(self, factor: float) -> Schedule:
        return Product(self.scale, tuple(each._stretched(factor) for each in self.factors))

    def _text(self, place: int) -> str:
        parts = [factor._text(IN_PRODUCT) for factor in self.factors]
        if self.scale != 1:
            parts.insert(0, format_number(self.scale))
        text = " * ".join(parts)
        return text if place == OUTER else f"({text})"


@dataclass(frozen=True, repr=False)
class absolute(Schedule):  # noqa: N801 - schedules are written in lower case, like range and property
    """The value itself instead of a factor of the base.

    Formula:
        value = schedule(position), whatever the base is.

    Args:
        schedule: any schedule that is not absolute already.

    Raises:
        TypeError: not a schedule.
        ValueError: already absolute.

    Example:
        >>> from stepsize.schedule import absolute, linear
        >>> absolute(linear(100, start=0.75, end=1.25))(50)
        1.0
        >>> absolute(linear(100)).is_absolute
        True
    """

    schedule: Schedule

    def __post_init__(self) -> None:
        if not isinstance(self.schedule, Schedule):
            raise TypeError(_check.message("schedule", self.schedule, "a schedule", "write absolute(constant(...))"))
        if self.schedule.is_absolute:
            raise ValueError(_check.message("schedule", self.schedule, "a factor", "absolute(...) is needed only once"))

    @property
    def length(self) -> Length:
        return self.schedule.length

    @property
    def end(self) -> float:
        return self.schedule.end

    @property
    def is_absolute(self) -> bool:
        return True

    @property
    def borders(self) -> tuple[float, ...]:
        return self.schedule.borders

    @property
    def missing(self) -> str | None:
        return self.schedule.missing

    def _at(self, position: float) -> float:
        return self.schedule._at(position)

    def _on(self, positions: Array) -> Array:
        return self.schedule._on(positions)

    def _span(self, horizon: Horizon) -> float | None:
        return self.schedule._span(horizon)

    def _over(self, span: float, horizon: Horizon) -> Schedule:
        return absolute(self.schedule._over(span, horizon))

    def _stretched(self, factor: float) -> Schedule:
        return absolute(self.schedule._stretched(factor))

    def _text(self, place: int) -> str:
        return f"absolute({self.schedule._text(OUTER)})"


def _parts(schedule: Schedule) -> tuple[Schedule, ...]:
    return schedule.parts if isinstance(schedule, Sequence) else (schedule,)


def _factors(schedule: Schedule) -> tuple[float, tuple[Schedule, ...]]:
    return (schedule.scale, schedule.factors) if isinstance(schedule, Product) else (1.0, (schedule,))


def _product(scale: float, factors: tuple[Schedule, ...]) -> Schedule:
    return factors[0] if scale == 1 and len(factors) == 1 else Product(scale, factors)
