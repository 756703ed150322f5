"""A schedule: called with a position it gives a number; it can be laid over a run, combined and written."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Union, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stepsize import _check
from stepsize.schedule._length import LIMIT, SMALLEST, Horizon, Length

Array = NDArray[np.float64]
LATER: dict[str, Callable[..., "Schedule"]] = {}  # what stands above this file and has a method here, by name
OUTER, IN_SEQUENCE, IN_PRODUCT = range(3)  # where a text stands, for its brackets


class Schedule(ABC):
    """A number over the position of a run: an immutable value, called with a position or an array of them.

    A schedule is a factor of a hyperparameter's base, unless it says ``absolute``. Positions are real numbers,
    in optimizer steps by default; the first step is at 0. Past its length a schedule holds its end.

    ``a >> b`` puts b after a, each with its own values; ``a * b`` and ``0.5 * a`` multiply at each position: a factor
    without a length takes the whole stretch on which the product stands, one that has ended holds its end. ``*`` binds
    tighter.

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

    __array_ufunc__ = None  # so that an array times a schedule is refused instead of made into objects

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
        kind = type(position)
        if kind is float and position >= 0.0 and self.missing is None:  # what a training loop asks, at once
            return self._at(position)
        if self.missing is not None:
            raise ValueError(f"{self} cannot be called yet: {self.missing}")
        if kind is int or kind is float:
            if not position >= 0:
                raise ValueError(_check.message("position", position, "a number >= 0"))
            return self._at(position)
        array = np.asarray(position)
        if array.dtype.kind not in "iuf" and array.size:
            raise TypeError(_check.message("position", position, "a number or an array of numbers"))
        array = array.astype(np.float64)
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
        if not SMALLEST <= total < LIMIT:
            raise ValueError(_check.message("total", total, f"at least {SMALLEST:g} and below {LIMIT:g}"))
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

    def repeat(self, times: int) -> "Schedule":
        """This schedule several times, one after the other, each from its first position.

        Args:
            times: >= 1. A schedule without a length is given its share of what is left of the run.

        Raises:
            TypeError, ValueError: times is not a whole number >= 1.

        Example:
            >>> from stepsize.schedule import linear
            >>> linear(10).repeat(3)([0, 5, 10, 15, 30])
            array([1. , 0.5, 1. , 0.5, 0. ])
        """
        return LATER["repeat"](self, times)

    def clip(self, low: float = 0.0, high: float | None = None) -> "Schedule":
        """This schedule kept between two bounds.

        Args:
            low: the smallest value, >= 0.
            high: the largest value, >= low; none when left out.

        Raises:
            TypeError, ValueError: a bound is not a finite number, or high is below low.

        Example:
            >>> from stepsize.schedule import linear
            >>> linear(10).clip(low=0.25)([0, 5, 10])
            array([1.  , 0.5 , 0.25])
        """
        return LATER["clip"](self, low, high)

    def stairs(self, every: Length) -> "Schedule":
        """This schedule as a staircase: on each stair, the value it has where the stair begins.

        Args:
            every: width of a stair: positions, a share of the run (``"10%"``) or epochs (``"1ep"``), > 0.

        Raises:
            TypeError, ValueError: every is not a length above 0.

        Example:
            >>> from stepsize.schedule import linear
            >>> linear(40).stairs(10)([0, 9, 10, 39])
            array([1.  , 1.  , 0.75, 0.25])
        """
        return LATER["stairs"](self, every)

    @staticmethod
    def parse(text: str, functions: Mapping[str, Callable[[float], float]] | None = None) -> "Schedule":
        """Read a schedule from its text, the inverse of ``str``. The text is parsed, never evaluated.

        Args:
            text: for example ``"warmup(5%) >> cosine()"``; at most 10,000 characters, brackets at most 50 deep.
            functions: by name, those that the text calls as ``function(name)``.

        Raises:
            ScheduleTextError: a ``ValueError`` that says what is wrong and where.

        Example:
            >>> from stepsize.schedule import Schedule
            >>> Schedule.parse("warmup(5%) >> 0.5 * cosine(end=0.1)")
            warmup(5%) >> (0.5 * cosine(end=0.1))
        """
        return LATER["parse"](text, functions)

    def compiled(self) -> Callable[[float], float]:
        """The value at one position as a plain function, for loops that ask at every step: nothing is checked there.

        Raises:
            ValueError: a length is still open or relative.

        Example:
            >>> from stepsize.schedule import linear
            >>> linear(4).compiled()(1.0)
            0.75
        """
        if self.missing is not None:
            raise ValueError(f"{self} cannot be called yet: {self.missing}")
        return self._compiled()

    def _compiled(self) -> Callable[[float], float]:
        return self._at

    @property
    def functions(self) -> dict[str, Callable[[float], float]]:
        """The Python functions inside, by name: what ``parse`` needs to read this schedule's text again."""
        found: dict[str, Callable[[float], float]] = {}
        for inside in vars(self).values():
            for part in inside if isinstance(inside, tuple) else (inside,):
                if isinstance(part, Schedule):
                    found |= part.functions
        return found

    def __rshift__(self, other: "Schedule") -> "Schedule":
        if not isinstance(other, Schedule):
            return NotImplemented
        from stepsize.schedule._combine import then

        return then(self, other)

    def __mul__(self, other: Union["Schedule", float]) -> "Schedule":
        if isinstance(other, bool) or not isinstance(other, Schedule | int | float | np.number):
            return NotImplemented
        from stepsize.schedule._combine import times

        return times(self, other)

    def __rmul__(self, other: float) -> "Schedule":
        return self * other

    def __str__(self) -> str:
        return self._text(OUTER)

    __repr__ = __str__

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """In a notebook: the text and, with matplotlib and once it can be called, a picture."""
        bundle: dict[str, Any] = {"text/plain": str(self)}
        image = None if Schedule.picture is None or self.missing else Schedule.picture(self)
        return bundle if image is None else bundle | {"image/png": image}

    picture: ClassVar[Callable[["Schedule"], bytes | None] | None] = None  # set by the front door, which draws

    @property
    def pieces(self) -> tuple["Schedule", ...]:
        """The schedules that follow one another: those of a sequence, or this one alone."""
        return (self,)

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
        """The missing information before a call, or None when it can be called."""

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
