"""The base of all pieces: one formula on [0, length), held at its end from there on."""

import math
from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from stepsize import _check
from stepsize.schedule._core import Array, Schedule
from stepsize.schedule._length import REMEDY, Horizon, Length, canonical, format_value, is_relative, resolve, stretch


@dataclass(frozen=True, repr=False)
class Piece(Schedule):
    """The base of all pieces: a length, and one formula for numbers (``math``) and arrays (``numpy``)."""

    length: Length = None
    _lengths: ClassVar[tuple[str, ...]] = ("length",)  # parameters that are lengths
    _tables: ClassVar[tuple[str, ...]] = ()  # parameters that are lists of lengths
    _jumps: ClassVar[bool] = False  # whether the formula may jump at the length

    def __post_init__(self) -> None:
        for name in self._lengths:
            self._set(name, canonical(self._name(name), getattr(self, name)))
        for name in self._tables:
            self._set(name, self._check_table(name))
        self._check()

    @abstractmethod
    def _check(self) -> None:
        """Check the piece's own parameters."""

    @abstractmethod
    def _formula(self, position: Any, length: float, xp: ModuleType) -> Any:
        """Value at a position in [0, length); ``xp`` is ``math`` for a number, ``numpy`` for an array."""

    def _limit(self, length: float) -> float:
        """The formula's limit at the length, from the left."""
        at = math.nextafter(length, 0.0) if self._jumps else length
        return float(self._formula(at, length, math))

    @property
    def end(self) -> float:
        if self.missing is not None or not isinstance(self.length, float):
            raise ValueError(f"{self} has no end yet; give it a length, or call .over(total) first")
        return self._limit(self.length)

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _check_number(self, name: str, least: float | None = None, above: float | None = None) -> None:
        self._set(name, _check.number(self._name(name), getattr(self, name), least=least, above=above))

    def _check_width(self, name: str) -> None:
        value = getattr(self, name)
        if value is None or value == 0 or value in ("0%", "0ep"):
            raise ValueError(_check.message(self._name(name), value, "a length above 0", REMEDY))

    def _check_table(self, name: str) -> tuple[Length, ...]:
        """A list of lengths that do not fall, as far as they can be compared before the run is known."""
        values = getattr(self, name)
        if isinstance(values, str) or not isinstance(values, Iterable):
            raise TypeError(_check.message(self._name(name), values, "a list of lengths", "write [30, 80]"))
        table = tuple(canonical(self._name(name), value) for value in values)
        known = [value for value in table if isinstance(value, float)]
        if None in table or not table or known != sorted(known):
            raise ValueError(_check.message(self._name(name), values, "a list of lengths that do not fall"))
        return table

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
        """Whether the formula does without a length, so that the piece may have no end."""
        return False

    @cached_property
    def missing(self) -> str | None:
        for name in self._lengths + self._tables:
            if is_relative(getattr(self, name)):
                return f"{name}={format_value(getattr(self, name))} depends on the run; call .over(total) first"
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

    def _compiled(self) -> Callable[[float], float]:
        formula, stretch = self._formula, self._stretch
        if stretch == math.inf:
            return lambda position: formula(position, stretch, math)
        end = self.end
        return lambda position: formula(position, stretch, math) if position < stretch else end

    def _on(self, positions: Array) -> Array:
        inside = positions < self._stretch
        values = np.full_like(positions, 0.0 if inside.all() else self.end)
        values[inside] = self._formula(positions[inside], self._stretch, np)
        return values

    def _span(self, horizon: Horizon) -> float | None:
        return resolve(self._name("length"), self.length, horizon)

    def _over(self, span: float, horizon: Horizon) -> Schedule:
        resolved = self._with_lengths(lambda name, length: resolve(self._name(name), length, horizon))
        return replace(self, **{**resolved, "length": span})

    def _stretched(self, factor: float) -> Schedule:
        return replace(self, **self._with_lengths(lambda _, length: stretch(length, factor)))

    def _with_lengths(self, change: Callable[[str, Length], Length]) -> dict[str, Any]:
        single = {name: change(name, getattr(self, name)) for name in self._lengths}
        tables = {name: [change(name, length) for length in getattr(self, name)] for name in self._tables}
        return {**single, **tables}

    def _text(self, place: int) -> str:
        arguments = []
        for parameter in fields(self):
            name, value = parameter.name, getattr(self, parameter.name)
            if value == parameter.default:
                continue
            arguments.append(format_value(value) if name == "length" else f"{name}={format_value(value)}")
        return f"{type(self).__name__}({', '.join(arguments)})"
