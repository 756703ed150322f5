"""Pieces that bend: cosine, and the waves of restarts and cyclical rates."""

import math
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, ClassVar

from stepsize import _check
from stepsize.schedule._length import Length
from stepsize.schedule._piece import Piece

# ruff: noqa: N801 - pieces are written like functions


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
class cosine_wave(Piece):
    """The cosine that goes on: down in ``every`` positions, up in the next.

    Formula:
        f(t) = low + (start - low) (1 + cos(pi t / every)) / 2

    Args:
        length: positions, a share of the run (``"20%"``), epochs (``"3ep"``); without one it takes the rest, or has no
            end.
        start: factor at the crests, >= 0.
        low: factor in the troughs, >= 0.
        every: from a crest to the next trough: positions, a share of the run or epochs, > 0.

    Raises:
        TypeError, ValueError: an argument is not a length, not a finite number >= 0, or ``every`` is missing or 0.

    Example:
        >>> from stepsize.schedule import cosine_wave
        >>> wave = cosine_wave(every=100)
        >>> wave(0), wave(100), wave(200), wave(300)
        (1.0, 0.0, 1.0, 0.0)

    Source: ``torch.optim.lr_scheduler.CosineAnnealingLR`` past its ``T_max``.
    """

    start: float = 1.0
    low: float = 0.0
    every: Length = field(kw_only=True)
    _lengths: ClassVar[tuple[str, ...]] = ("length", "every")

    def _check(self) -> None:
        self._check_number("start", least=0)
        self._check_number("low", least=0)
        self._check_width("every")

    @property
    def _is_endless(self) -> bool:
        return True

    def _formula(self, position: Any, length: float, xp: ModuleType) -> Any:
        share = (1 + xp.cos(math.pi * (position / self.every))) / 2
        return self.start * share + self.low * (1 - share)


@dataclass(frozen=True, repr=False)
class cosine_restarts(Piece):
    """Cosine decay with warm restarts; cycles may grow and peaks may fall.

    Formula:
        cycle k has length every growth^k, and within it, at position u of its length:
        f = low + (start decay^k - low) (1 + cos(pi u / length of the cycle)) / 2

    Args:
        length: positions, a share of the run (``"20%"``), epochs (``"3ep"``); without one it takes the rest, or has no
            end.
        start: factor at the first peak, >= 0.
        low: factor reached at the end of each cycle, >= 0.
        every: length of the first cycle: positions, a share of the run or epochs, > 0.
        growth: ratio of a cycle's length to the one before, >= 1 (T_mult).
        decay: ratio of a cycle's peak to the one before, > 0.

    Raises:
        TypeError, ValueError: an argument is not a length, or not a finite number in its domain.

    Example:
        >>> from stepsize.schedule import cosine_restarts
        >>> sgdr = cosine_restarts(every=10, growth=2)
        >>> sgdr(0), round(sgdr(5), 12), sgdr(10), round(sgdr(20), 12), sgdr(30)
        (1.0, 0.5, 1.0, 0.5, 1.0)

    Source: Loshchilov and Hutter 2017, "SGDR" (arXiv 1608.03983), equation 5.
    """

    start: float = 1.0
    low: float = 0.0
    every: Length = field(kw_only=True)
    growth: float = field(default=1.0, kw_only=True)
    decay: float = field(default=1.0, kw_only=True)
    _lengths: ClassVar[tuple[str, ...]] = ("length", "every")
    _jumps: ClassVar[bool] = True

    def _check(self) -> None:
        self._check_number("start", least=0)
        self._check_number("low", least=0)
        self._check_number("growth", least=1)
        self._check_number("decay", above=0)
        self._check_width("every")

    @property
    def _is_endless(self) -> bool:
        return True

    def _begin(self, cycle: Any) -> Any:
        """Where a cycle begins."""
        growth, every = self.growth, self.every
        return every * cycle if growth == 1 else every * (growth**cycle - 1) / (growth - 1)

    def _formula(self, position: Any, length: float, xp: ModuleType) -> Any:
        cycles = position / self.every
        if self.growth != 1:
            cycles = xp.log1p(cycles * (self.growth - 1)) / math.log(self.growth)
        cycle = xp.floor(cycles) * 1.0
        # rounding may have put a position at a border into the wrong cycle
        cycle = cycle + (self._begin(cycle + 1) <= position) * 1.0 - (self._begin(cycle) > position) * 1.0
        inside = (position - self._begin(cycle)) / (self._begin(cycle + 1) - self._begin(cycle))
        share = (1 + xp.cos(math.pi * inside)) / 2
        return self.start * self.decay**cycle * share + self.low * (1 - share)


@dataclass(frozen=True, repr=False)
class triangular(Piece):
    """Smith's cyclical rate: up and down in straight lines.

    Formula:
        f(t) = start + (peak - start) w(t),   w rises from 0 to 1 in ``up`` positions and falls back in ``down``

    Args:
        length: positions, a share of the run (``"20%"``), epochs (``"3ep"``); without one it takes the rest, or has no
            end.
        start: factor at the beginning of each cycle, >= 0.
        peak: factor at the top, >= 0.
        up: positions, share of the run or epochs from the bottom to the top, > 0.
        down: the same from the top to the bottom; ``up`` when left out.

    Raises:
        TypeError, ValueError: an argument is not a length, or not a finite number >= 0, or ``up`` is missing or 0.

    Example:
        >>> from stepsize.schedule import triangular
        >>> wave = triangular(up=100)
        >>> wave(0), wave(50), wave(100), wave(200), wave(300)
        (0.25, 0.625, 1.0, 0.25, 1.0)

    Source: Smith 2017, "Cyclical learning rates for training neural networks" (arXiv 1506.01186), section 3.
    """

    start: float = 0.25
    peak: float = 1.0
    up: Length = field(kw_only=True)
    down: Length = field(default=None, kw_only=True)
    _lengths: ClassVar[tuple[str, ...]] = ("length", "up", "down")

    def _check(self) -> None:
        self._check_number("start", least=0)
        self._check_number("peak", least=0)
        self._check_width("up")
        if self.down is not None:
            self._check_width("down")

    @property
    def _is_endless(self) -> bool:
        return True

    def _height(self, position: Any, cycle: Any) -> Any:
        """The rest of the height in a cycle or at a position."""
        return 1.0

    def _formula(self, position: Any, length: float, xp: ModuleType) -> Any:
        up, down = self.up, self.up if self.down is None else self.down
        cycle = xp.floor(position / (up + down))  # type: ignore[operator]
        inside = position - cycle * (up + down)  # type: ignore[operator]
        rising = (inside <= up) * 1.0
        wave = rising * (inside / up) + (1 - rising) * ((up + down - inside) / down)  # type: ignore[operator]
        return self.start + (self.peak - self.start) * wave * self._height(position, cycle)


@dataclass(frozen=True, repr=False)
class triangular2(triangular):
    """Smith's cyclical rate with the height halved after each cycle.

    Formula:
        f(t) = start + (peak - start) w(t) / 2^k in cycle k = 0, 1, 2 ...; w as in ``triangular``

    Args:
        length: positions, a share of the run (``"20%"``), epochs (``"3ep"``); without one it takes the rest, or has no
            end.
        start: factor at the beginning of each cycle, >= 0.
        peak: factor at the first top, >= 0.
        up: positions, share of the run or epochs from the bottom to the top, > 0.
        down: the same from the top to the bottom; ``up`` when left out.

    Raises:
        TypeError, ValueError: an argument is not a length, or not a finite number >= 0, or ``up`` is missing or 0.

    Example:
        >>> from stepsize.schedule import triangular2
        >>> wave = triangular2(up=100, start=0)
        >>> wave(0), wave(100), wave(300), wave(500)
        (0.0, 1.0, 0.5, 0.25)

    Source: Smith 2017 (arXiv 1506.01186), section 3.
    """

    def _height(self, position: Any, cycle: Any) -> Any:
        return 0.5**cycle


@dataclass(frozen=True, repr=False)
class exp_range(triangular):
    """Smith's cyclical rate with the height falling by a ratio each step.

    Formula:
        f(t) = start + (peak - start) w(t) gamma^t;   w as in ``triangular``

    Args:
        length: positions, a share of the run (``"20%"``), epochs (``"3ep"``); without one it takes the rest, or has no
            end.
        start: factor at the beginning of each cycle, >= 0.
        peak: factor at the first top but for gamma, >= 0.
        up: positions, share of the run or epochs from the bottom to the top, > 0.
        down: the same from the top to the bottom; ``up`` when left out.
        gamma: ratio of the heights at neighbouring positions, > 0 and <= 1.

    Raises:
        TypeError, ValueError: an argument is not a length, or not a finite number in its domain.

    Example:
        >>> from stepsize.schedule import exp_range
        >>> wave = exp_range(up=10, start=0, gamma=0.5)
        >>> wave(0), wave(1), wave(10) == 0.5**10
        (0.0, 0.05, True)

    Source: Smith 2017 (arXiv 1506.01186), section 3.
    """

    gamma: float = field(default=0.9999, kw_only=True)

    def _check(self) -> None:
        triangular._check(self)
        self._check_number("gamma", above=0)
        if self.gamma > 1:
            raise ValueError(_check.message(self._name("gamma"), self.gamma, "at most 1"))

    def _height(self, position: Any, cycle: Any) -> Any:
        return self.gamma**position
