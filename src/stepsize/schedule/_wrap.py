"""Schedules around a schedule: absolute, clip, repeat, and a part of one."""

import math
from abc import abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from stepsize import _check
from stepsize.schedule._core import OUTER, Array, Schedule
from stepsize.schedule._length import Horizon, Length, canonical, format_number, resolve, stretch

ROUNDING = 1e-12  # how far from a whole's end a part may end and still end there

# ruff: noqa: N801 - schedules are written in lower case, like range and property


@dataclass(frozen=True, repr=False)
class _Wrapper(Schedule):
    """The base of all wrappers: one schedule inside, asked for everything that is not changed."""

    schedule: Schedule

    def __post_init__(self) -> None:
        if not isinstance(self.schedule, Schedule):
            rule = f"a schedule (in {type(self).__name__})"
            raise TypeError(_check.message("schedule", self.schedule, rule, "write for example cosine()"))
        self._check()

    @abstractmethod
    def _check(self) -> None:
        """Check the wrapper's own arguments."""

    @abstractmethod
    def _arguments(self) -> list[str]:
        """The texts of the arguments after the schedule."""

    @property
    def length(self) -> Length:
        return self.schedule.length

    @property
    def is_absolute(self) -> bool:
        return self.schedule.is_absolute

    @property
    def borders(self) -> tuple[float, ...]:
        return self.schedule.borders

    @property
    def missing(self) -> str | None:
        return self.schedule.missing

    def _span(self, horizon: Horizon) -> float | None:
        return self.schedule._span(horizon)

    def _over(self, span: float, horizon: Horizon) -> Schedule:
        return replace(self, schedule=self.schedule._over(span, horizon))

    def _stretched(self, factor: float) -> Schedule:
        return replace(self, schedule=self.schedule._stretched(factor))

    def _text(self, place: int) -> str:
        return f"{type(self).__name__}({', '.join([self.schedule._text(OUTER), *self._arguments()])})"


@dataclass(frozen=True, repr=False)
class absolute(_Wrapper):
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
        >>> rate = absolute(linear(100, start=0.75, end=1.25))
        >>> rate(0), rate(50), rate(1_000), rate.is_absolute
        (0.75, 1.0, 1.25, True)

    Source: bounds as in ``torch.optim.lr_scheduler.CyclicLR(base_lr=..., max_lr=...)``.
    """

    def _check(self) -> None:
        if self.schedule.is_absolute:
            raise ValueError(_check.message("schedule", self.schedule, "a factor", "absolute(...) is needed only once"))

    def _arguments(self) -> list[str]:
        return []

    @property
    def end(self) -> float:
        return self.schedule.end

    @property
    def is_absolute(self) -> bool:
        return True

    def _at(self, position: float) -> float:
        return self.schedule._at(position)

    def _on(self, positions: Array) -> Array:
        return self.schedule._on(positions)


@dataclass(frozen=True, repr=False)
class clip(_Wrapper):
    """A schedule kept between two bounds.

    Formula:
        f(t) = min(max(schedule(t), low), high)

    Args:
        schedule: any schedule.
        low: the smallest value, >= 0.
        high: the largest value, >= low; none when left out.

    Raises:
        TypeError, ValueError: not a schedule, a bound is not a finite number, or high is below low.

    Example:
        >>> from stepsize.schedule import clip, linear
        >>> kept = clip(linear(100), low=0.25, high=0.75)
        >>> kept(0), kept(50), kept(100), kept(500)
        (0.75, 0.5, 0.25, 0.25)

    Source: ``min_lr`` of timm and of fairseq's schedulers.
    """

    low: float = 0.0
    high: float | None = None

    def _check(self) -> None:
        object.__setattr__(self, "low", _check.number("low of clip", self.low, least=0))
        if self.high is not None:
            object.__setattr__(self, "high", _check.number("high of clip", self.high, least=self.low))

    def _arguments(self) -> list[str]:
        low = [f"low={format_number(self.low)}"] if self.low else []
        return low + ([] if self.high is None else [f"high={format_number(self.high)}"])

    @property
    def end(self) -> float:
        return self._bounded(self.schedule.end)

    def _bounded(self, value: float) -> float:
        value = max(value, self.low)
        return value if self.high is None else min(value, self.high)

    def _at(self, position: float) -> float:
        return self._bounded(self.schedule._at(position))

    def _on(self, positions: Array) -> Array:
        return np.clip(self.schedule._on(positions), self.low, self.high)


@dataclass(frozen=True, repr=False)
class repeat(_Wrapper):
    """A schedule several times, one after the other, each from its first position.

    Formula:
        f(t) = schedule(t mod L) for t < times L, L the schedule's length; then the schedule's end

    Args:
        schedule: any schedule; without a length it is given its share of what is left of the run.
        times: >= 1.

    Raises:
        TypeError, ValueError: not a schedule, or times is not a whole number >= 1.

    Example:
        >>> from stepsize.schedule import linear, repeat
        >>> saw = repeat(linear(10), 3)
        >>> saw(0), saw(10), saw(25), saw(30), saw(99)
        (1.0, 1.0, 0.5, 0.0, 0.0)

    Source: Loshchilov and Hutter 2017, "SGDR" (arXiv 1608.03983), section 3, with cycles of one length.
    """

    times: int = 1

    def _check(self) -> None:
        object.__setattr__(self, "times", _check.whole("times", self.times, least=1))

    def _arguments(self) -> list[str]:
        return [str(self.times)]

    @property
    def length(self) -> Length:
        length = self.schedule.length
        return self.times * length if isinstance(length, float) else length and f"{self.times} times {length}"

    @property
    def end(self) -> float:
        return self.schedule.end

    @property
    def borders(self) -> tuple[float, ...]:
        one = self._one
        inner = [cycle * one + at for cycle in range(self.times) for at in (0.0, *self.schedule.borders)]
        return tuple(inner[1:])

    @cached_property
    def missing(self) -> str | None:
        if not isinstance(self.schedule.length, float):
            return self.schedule.missing or "the length of what is repeated is not known; call .over(total) first"
        return self.schedule.missing

    @cached_property
    def _one(self) -> float:
        return self.schedule.length if isinstance(self.schedule.length, float) else math.inf

    def _at(self, position: float) -> float:
        if position >= self.times * self._one:
            return self.schedule.end
        cycle = min(math.floor(position / self._one), self.times - 1)
        inside = position - cycle * self._one
        return self.schedule._at(max(inside, 0.0))

    def _on(self, positions: Array) -> Array:
        values = np.full_like(positions, self.schedule.end)
        inside = positions < self.times * self._one
        if inside.any():
            cycles = np.minimum(np.floor(positions[inside] / self._one), self.times - 1)
            values[inside] = self.schedule._on(np.maximum(positions[inside] - cycles * self._one, 0.0))
        return values

    def _span(self, horizon: Horizon) -> float | None:
        one = self.schedule._span(horizon)
        return None if one is None else self.times * one

    def _over(self, span: float, horizon: Horizon) -> Schedule:
        return repeat(self.schedule._over(span / self.times, horizon), self.times)


@dataclass(frozen=True, repr=False)
class part(_Wrapper):
    """A stretch of a schedule: from a position on, for a length, at its own speed or another.

    Formula:
        f(t) = schedule(start + speed t) for t < length; then the limit there

    Args:
        schedule: any schedule.
        start: the position of the schedule at which the part begins: positions, a share of the run or epochs.
        length: positions, a share of the run or epochs; what is left of the schedule when left out.
        speed: positions of the schedule that go by in one position, > 0; below 1 the schedule takes longer.

    Raises:
        TypeError, ValueError: not a schedule, an argument is not a length, or speed is not a finite number > 0.

    Example:
        >>> from stepsize.schedule import linear, part
        >>> middle = part(linear(100), start=25, length=50)
        >>> middle(0), middle(25), round(middle(50), 12), round(middle(99), 12)
        (0.75, 0.5, 0.25, 0.25)

    Source: a run that goes on in the middle of a schedule, such as ``last_epoch`` of torch's schedulers.
    """

    start: Length = 0.0
    length: Length = None
    speed: float = 1.0

    def _check(self) -> None:
        object.__setattr__(self, "speed", _check.number("speed of part", self.speed, above=0))
        for name in ("start", "length"):
            object.__setattr__(self, name, canonical(f"{name} of part", getattr(self, name)))
        if self.start is None:
            raise ValueError(_check.message("start of part", None, "a length", "write 0 for the beginning"))
        if self.length is None and isinstance(self.start, float) and isinstance(self.schedule.length, float):
            object.__setattr__(self, "length", max(0.0, self.schedule.length - self.start) / self.speed)

    def _arguments(self) -> list[str]:
        pairs = [("start", self.start)] if self.start else []
        pairs += [] if self.length is None else [("length", self.length)]
        pairs += [] if self.speed == 1 else [("speed", self.speed)]
        return [f"{name}={format_number(value) if isinstance(value, float) else value}" for name, value in pairs]

    @property
    def end(self) -> float:
        if not isinstance(self.length, float):
            raise ValueError(f"{self} has no end yet; give it a length, or call .over(total) first")
        stop, whole = self._from + self.speed * self.length, self.schedule.length
        if isinstance(whole, float) and stop >= whole * (1 - ROUNDING):
            return self.schedule.end
        return self.schedule._at(max(0.0, math.nextafter(stop, 0.0)))

    @property
    def borders(self) -> tuple[float, ...]:
        inside = [(at - self._from) / self.speed for at in self.schedule.borders]
        return tuple(at for at in inside if 0 < at < self._stretch)

    @cached_property
    def missing(self) -> str | None:
        for name in ("start", "length"):
            if isinstance(getattr(self, name), str):
                return f"{name}={getattr(self, name)} depends on the run; call .over(total) first"
        return self.schedule.missing

    @cached_property
    def _from(self) -> float:
        return self.start if isinstance(self.start, float) else math.nan

    @cached_property
    def _stretch(self) -> float:
        return self.length if isinstance(self.length, float) else math.inf

    def _at(self, position: float) -> float:
        return self.schedule._at(self._from + self.speed * position) if position < self._stretch else self.end

    def _on(self, positions: Array) -> Array:
        inside = positions < self._stretch
        values = np.full_like(positions, 0.0 if inside.all() else self.end)
        values[inside] = self.schedule._on(self._from + self.speed * positions[inside])
        return values

    def _span(self, horizon: Horizon) -> float | None:
        length = resolve("length of part", self.length, horizon)
        whole = self.schedule._span(horizon)
        if length is not None or whole is None:
            return length
        return max(0.0, whole - (resolve("start of part", self.start, horizon) or 0.0)) / self.speed

    def _over(self, span: float, horizon: Horizon) -> Schedule:
        start = resolve("start of part", self.start, horizon) or 0.0
        whole = self.schedule._span(horizon)
        if whole is None:  # what is open inside is laid over the run, or to where an open part of it ends
            stop = start + span * self.speed
            whole = stop if self.length is None else max(horizon.total, stop)
        return part(self.schedule._over(whole, horizon), start, span, self.speed)

    def _stretched(self, factor: float) -> Schedule:
        inner = self.schedule._stretched(factor)
        return part(inner, stretch(self.start, factor), stretch(self.length, factor), self.speed)
