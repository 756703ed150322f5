"""Pieces that go from one value to another: constant, linear, warmup, polynomial, one_minus_sqrt."""

from dataclasses import dataclass
from types import ModuleType
from typing import Any

from stepsize.schedule._piece import Piece

# Pieces are classes used like functions, and written like them: cosine(100), as range(100).
# ruff: noqa: N801


@dataclass(frozen=True, repr=False)
class constant(Piece):
    """One value all along.

    Formula:
        f(t) = value

    Args:
        length: positions, a share of the run (``"20%"``), epochs (``"3ep"``); without one it takes the rest, or has
            no end.
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
    the warm-up is the first at the full rate. A length is never rounded: where it is not whole, the top lies between
    two steps, and a whole number of steps puts it on one.

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
class polynomial(Piece):
    """A power of what is left of the run.

    Formula:
        f(t) = end + (start - end) (1 - t / length) ^ power

    Args:
        length: positions, a share of the run (``"20%"``), epochs (``"3ep"``); without one it takes the rest.
        power: exponent, > 0; 1 is ``linear``.
        start: factor at the first position, >= 0.
        end: factor reached at the length and held, >= 0.

    Raises:
        TypeError, ValueError: an argument is not a length, or not a finite number in its domain.

    Example:
        >>> from stepsize.schedule import polynomial
        >>> decay = polynomial(100, power=2)
        >>> decay(0), decay(50), decay(100), decay(500)
        (1.0, 0.25, 0.0, 0.0)

    Source: ``torch.optim.lr_scheduler.PolynomialLR`` is ``polynomial(total_iters, power=power)``.
    """

    power: float = 1.0
    start: float = 1.0
    end: float = 0.0

    def _check(self) -> None:
        self._check_number("power", above=0)
        self._check_number("start", least=0)
        self._check_number("end", least=0)

    def _formula(self, position: Any, length: float, xp: ModuleType) -> Any:
        left = (1 - position / length) ** self.power
        return self.start * left + self.end * (1 - left)


@dataclass(frozen=True, repr=False)
class one_minus_sqrt(Piece):
    """The cool-down that falls steeply first: ``warmup("5%") >> constant() >> one_minus_sqrt("20%")``.

    Formula:
        f(t) = end + (start - end) (1 - sqrt(t / length))

    Args:
        length: positions, a share of the run (``"20%"``), epochs (``"3ep"``); without one it takes the rest.
        start: factor at the first position, >= 0.
        end: factor reached at the length and held, >= 0.

    Raises:
        TypeError, ValueError: an argument is not a length, or not a finite number >= 0.

    Example:
        >>> from stepsize.schedule import one_minus_sqrt
        >>> cool = one_minus_sqrt(100)
        >>> cool(0), cool(25), cool(100), cool(500)
        (1.0, 0.5, 0.0, 0.0)

    Source: Hägele et al. 2024, "Scaling laws and compute-optimal training beyond fixed training durations"
    (arXiv 2405.18392), section 3.
    """

    start: float = 1.0
    end: float = 0.0

    def _check(self) -> None:
        self._check_number("start", least=0)
        self._check_number("end", least=0)

    def _formula(self, position: Any, length: float, xp: ModuleType) -> Any:
        share = xp.sqrt(position / length)
        return self.start * (1 - share) + self.end * share
