"""Seeded noise, a pure function of the position."""

import math
from dataclasses import dataclass, field
from statistics import NormalDist
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from stepsize import _check
from stepsize.schedule._length import Length
from stepsize.schedule._piece import Piece

# ruff: noqa: N801 - pieces are written like functions
Words = NDArray[np.uint64]


@dataclass(frozen=True, repr=False)
class noise(Piece):
    """Seeded noise around 1, to multiply with: ``noise() * cosine()``. The same position always gives the same value.

    Formula:
        f(t) = 1 + n,   n normal with mean 0 and deviation ``std``, drawn anew until |n| < limit (that is: from the
        truncated distribution), by a hash of the seed and floor(t / every)

    Args:
        length: positions, a share of the run (``"20%"``), epochs (``"3ep"``); without one it takes the rest, or has no
            end.
        limit: bound of the deviation from 1, > 0 and <= 1.
        std: deviation of the normal distribution before truncation, > 0.
        every: positions, share of the run or epochs for which one draw holds, > 0.
        seed: of the draws, a whole number >= 0.

    Raises:
        TypeError, ValueError: an argument is not a length, or not a number in its domain.

    Example:
        >>> from stepsize.schedule import noise
        >>> shaken = noise(limit=0.5)
        >>> shaken(3) == shaken(3.9) != shaken(4)
        True
        >>> bool((abs(shaken(range(1_000)) - 1) < 0.5).all())
        True

    Source: timm, ``timm/scheduler/scheduler.py`` (noise_range, noise_pct, noise_std), whose draws come from a torch
    generator seeded by ``seed + t`` instead of a hash.
    """

    limit: float = 0.67
    std: float = 1.0
    every: Length = field(default=1.0, kw_only=True)
    seed: int = field(default=42, kw_only=True)
    _lengths: ClassVar[tuple[str, ...]] = ("length", "every")
    _jumps: ClassVar[bool] = True

    def _check(self) -> None:
        self._check_number("limit", above=0)
        if self.limit > 1:
            raise ValueError(_check.message(self._name("limit"), self.limit, "at most 1, so that no value is negative"))
        self._check_number("std", above=0)
        self._check_width("every")
        self._set("seed", _check.whole(self._name("seed"), self.seed, least=0))
        if self.seed >= 2**63:
            raise ValueError(_check.message(self._name("seed"), self.seed, "below 2**63"))

    @property
    def _is_endless(self) -> bool:
        return True

    def _formula(self, position: Any, length: float, xp: ModuleType) -> Any:
        cells = np.floor(np.asarray(position, dtype=np.float64) / float(self.every or 1)).astype(np.uint64)
        distinct, back = np.unique(cells.ravel(), return_inverse=True)
        uniform = _mix(distinct + _mix(np.array([self.seed], dtype=np.uint64))).astype(np.float64) / 2.0**64
        normal = NormalDist(0.0, self.std)
        low = normal.cdf(-self.limit)
        draws = [normal.inv_cdf(min(max(low + (1 - 2 * low) * share, 1e-300), 1 - 1e-16)) for share in uniform]
        values = 1 + np.clip(np.array(draws), -self.limit, self.limit)[back].reshape(cells.shape)
        return float(values) if xp is math else values


def _mix(words: Words) -> Words:
    """SplitMix64's finalizer (Steele et al. 2014): a bijection that leaves no pattern of a counter visible."""
    with np.errstate(over="ignore"):
        words = words + np.uint64(0x9E3779B97F4A7C15)
        words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return words ^ (words >> np.uint64(31))
