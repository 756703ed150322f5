"""The two operators: ``>>`` puts schedules one after the other, ``*`` multiplies them."""

import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import numpy as np

from stepsize import _check
from stepsize.schedule._core import IN_PRODUCT, IN_SEQUENCE, OUTER, Array, Schedule
from stepsize.schedule._length import Horizon, Length, format_number


def then(left: Schedule, right: Schedule) -> Schedule:
    """``left >> right``, flat, so that it is associative."""
    return Sequence(left.pieces + right.pieces)


def times(left: Schedule, right: Schedule | float) -> Schedule:
    """``left * right``, flat, numbers gathered in one."""
    scale, factors = _factors(left)
    if isinstance(right, Schedule):
        more, others = _factors(right)
        return _product(_check.number("product of the factors", scale * more, least=0), factors + others)
    scale *= _check.number(f"factor of {left}", right, least=0)
    return _product(_check.number("product of the factors", scale, least=0), factors)


@dataclass(frozen=True, repr=False)
class Sequence(Schedule):
    """One schedule after the other, made by ``>>``. Each piece gives its own values on its own stretch."""

    parts: tuple[Schedule, ...]

    def __post_init__(self) -> None:
        open_parts = [part for part in self.parts if part.length is None]
        if len(open_parts) > 1:
            first, second = map(_open_in, open_parts[:2])
            raise ValueError(
                f"only one piece of a sequence may leave its length out, and {first} and {second} "
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
    def pieces(self) -> tuple[Schedule, ...]:
        return self.parts

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
        return next((part.missing for part in self.parts if part.missing), None)

    @cached_property
    def _finish(self) -> float:
        """Where the end is held from: exact, whatever the rounding of the pieces' starts."""
        return self.length if isinstance(self.length, float) else math.inf

    def _at(self, position: float) -> float:
        if position >= self._finish:
            return self.end
        index = bisect_right(self._starts, position) - 1
        return self.parts[index]._at(position - self._starts[index])

    def _compiled(self) -> Callable[[float], float]:
        starts, finish, end = self._starts, self._finish, self.end if self._finish < math.inf else math.nan
        parts = [part._compiled() for part in self.parts]

        def at(position: float) -> float:
            if position >= finish:
                return end
            index = bisect_right(starts, position) - 1
            return parts[index](position - starts[index])

        return at

    def _on(self, positions: Array) -> Array:
        which = np.searchsorted(self._starts, positions, side="right") - 1
        values = np.empty_like(positions)
        for index, (start, part) in enumerate(zip(self._starts, self.parts, strict=True)):
            here = which == index
            values[here] = part._on(positions[here] - start)
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
        if None in spans and not rest > 1e-9 * span:
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
    """A number times schedules, made by ``*``: their values multiplied, point by point.

    A factor without a length takes the whole stretch on which the product stands; one that has ended holds its end.
    """

    scale: float
    factors: tuple[Schedule, ...]

    def __post_init__(self) -> None:
        absolutes = [factor for factor in self.factors if factor.is_absolute]
        if len(absolutes) > 1:
            raise ValueError(
                f"{absolutes[0]} and {absolutes[1]} both give values themselves, and values are not multiplied with "
                "each other; make one of them a factor by leaving out absolute(...)"
            )

    @property
    def length(self) -> Length:
        lengths = [factor.length for factor in self.factors]
        if None in lengths:
            return None
        known = [length for length in lengths if isinstance(length, float)]
        return max(known) if len(known) == len(lengths) else f"the longest of {' and '.join(map(str, lengths))}"

    @property
    def end(self) -> float:
        return self.scale * math.prod(factor.end for factor in self.factors)

    @property
    def is_absolute(self) -> bool:
        return any(factor.is_absolute for factor in self.factors)

    @property
    def borders(self) -> tuple[float, ...]:
        inner = {border for factor in self.factors for border in factor.borders}
        lengths = {factor.length for factor in self.factors}
        ended = {length for length in lengths if isinstance(length, float) and length != self.length}
        return tuple(sorted(inner | ended))

    @cached_property
    def missing(self) -> str | None:
        return next((factor.missing for factor in self.factors if factor.missing), None)

    def _at(self, position: float) -> float:
        value = self.scale
        for factor in self.factors:
            value *= factor._at(position)
        return value

    def _compiled(self) -> Callable[[float], float]:
        scale, factors = self.scale, [factor._compiled() for factor in self.factors]
        if len(factors) == 1:
            only = factors[0]
            return lambda position: scale * only(position)
        return lambda position: math.prod((factor(position) for factor in factors), start=scale)

    def _on(self, positions: Array) -> Array:
        values = np.full_like(positions, self.scale)
        for factor in self.factors:
            values *= factor._on(positions)
        return values

    def _span(self, horizon: Horizon) -> float | None:
        spans = [factor._span(horizon) for factor in self.factors]
        known = [span for span in spans if span is not None]
        return max(known) if len(known) == len(spans) else None

    def _over(self, span: float, horizon: Horizon) -> Schedule:
        laid = []
        for factor in self.factors:
            own = factor._span(horizon)
            if own is not None and own > span * (1 + 1e-9):
                raise ValueError(
                    f"{factor} takes {own:g} positions, and its product stands on {span:g}; shorten it, or raise the "
                    "total"
                )
            laid.append(factor._over(span if own is None else own, horizon))
        return Product(self.scale, tuple(laid))

    def _stretched(self, factor: float) -> Schedule:
        return Product(self.scale, tuple(part._stretched(factor) for part in self.factors))

    def _text(self, place: int) -> str:
        parts = [factor._text(IN_PRODUCT) for factor in self.factors]
        if self.scale != 1:
            parts.insert(0, format_number(self.scale))
        text = " * ".join(parts)
        return text if place == OUTER else f"({text})"


def _open_in(schedule: Schedule) -> str:
    """The open parts of a schedule: a product is as open as one of its factors."""
    if not isinstance(schedule, Product) or len(schedule.factors) == 1:
        return str(schedule)
    return f"{next(factor for factor in schedule.factors if factor.length is None)} in {schedule}"


def _factors(schedule: Schedule) -> tuple[float, tuple[Schedule, ...]]:
    return (schedule.scale, schedule.factors) if isinstance(schedule, Product) else (1.0, (schedule,))


def _product(scale: float, factors: tuple[Schedule, ...]) -> Schedule:
    return factors[0] if scale == 1 and len(factors) == 1 else Product(scale, factors)
