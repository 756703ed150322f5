"""Answers from rates and losses: the best rate and its uncertainty, where training breaks, how much it matters."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from stepsize import _check
from stepsize.search import is_broken

SAMPLES, SURE = 2_000, 0.95
Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Best:
    """The best of the rates that were tried.

    Attributes:
        rate: the one with the lowest mean over the seeds; None where every rate diverged.
        low: the interval's lower end and
        high: its upper end; None with fewer than two seeds. It holds the rates that were best in the middle 95 % of
            2,000 bootstraps over the seeds, and reaches half-way to their neighbours, since nothing between was tried.
        value: its mean over the seeds.
        seeds: how many there were of every rate.
        at_border: whether a better one may lie beyond the rates that were tried.
    """

    rate: float | None
    low: float | None
    high: float | None
    value: float
    seeds: int
    at_border: bool

    def __str__(self) -> str:
        if self.rate is None:
            return "every rate diverged"
        between = "" if self.low is None else f" ({self.low:.3g} to {self.high:.3g})"
        return f"{self.rate:.3g}{between}" + (", at the border of what was tried" if self.at_border else "")


def best_rate(rates: Any, values: Any) -> Best:
    """The rate with the lowest mean over seeds, with an interval by bootstrap.

    Formula:
        rate = argmin over rates of mean over seeds of values[rate, seed]

    Args:
        rates: rising, [count].
        values: [count, seeds], lower is better; infinite where a trial diverged, NaN where there is none.

    Raises:
        ValueError: the shapes do not fit, the rates do not rise, or a value is negative infinity.

    Example:
        >>> from stepsize.sweeps import best_rate
        >>> best = best_rate([0.01, 0.1, 1.0], [[3, 3.1, 2.9], [1, 1.2, 1.1], [2, 1.9, 2.2]])
        >>> best.rate, round(best.low, 3), round(best.high, 3), best.at_border
        (0.1, 0.032, 0.316, False)

    Source: Efron and Tibshirani 1993, "An introduction to the bootstrap", chapter 13, the percentile interval.
    """
    grid, table = _checked(rates, values)
    means = _means(table)
    tried = np.flatnonzero(~np.isnan(table).all(1))  # others were stopped, or are not done
    whole = table[tried][:, ~np.isnan(table[tried]).any(0)]
    seeds = whole.shape[1]
    if not np.isfinite(means).any():
        return Best(None, None, None, math.inf, seeds, at_border=False)
    index = int(np.argmin(means))
    low = high = None
    if seeds > 1:
        drawn = np.random.default_rng(0).integers(seeds, size=(SAMPLES, seeds))
        with np.errstate(over="ignore"):
            winners = tried[np.sort(np.argmin(whole[:, drawn].mean(2), axis=0))]
        outside = (1 - SURE) / 2
        first, last = winners[int(outside * SAMPLES)], winners[math.ceil((1 - outside) * SAMPLES) - 1]
        edges = _edges(grid)
        low, high = float(edges[min(first, index)]), float(edges[max(last, index) + 1])
    return Best(float(grid[index]), low, high, float(means[index]), seeds, index in (0, len(grid) - 1))


def divergence_threshold(rates: Any, values: Any, initial: float) -> tuple[float, float]:
    """Between which two rates, above the best one, training breaks for at least one seed: by the rule of ``find``.

    Formula:
        broken = values[rate, seed] > initial - (initial - best) / 2,  best = min over rates of mean over seeds

    Where no rate ends below ``initial``, those above the best one that end above ``initial`` are broken. Rates without
    any value are left out.

    Args:
        rates: rising, [count].
        values: [count, seeds], lower is better; infinite where a trial diverged, NaN where there is none.
        initial: the value before any training, finite.

    Returns:
        The largest rate that trains (0 where none does) and the next one; infinite where every rate above the best one
        trains.

    Raises:
        TypeError, ValueError: the shapes do not fit, the rates do not rise, or a value is negative infinity.

    Example:
        >>> from stepsize.sweeps import divergence_threshold
        >>> divergence_threshold([0.1, 1.0, 10.0], [[1.5], [1.0], [float("inf")]], initial=2.0)
        (1.0, 10.0)
    """
    grid, table = _tried(*_checked(rates, values))
    initial = _check.number("initial", initial)
    means = _means(table)
    best = int(np.argmin(means)) if np.isfinite(means).any() else -1
    reached = min(float(means[best]), initial) if best >= 0 else initial
    worst = np.nanmax(table, axis=1, initial=-math.inf)
    broken = [i for i in range(best + 1, len(grid)) if is_broken(float(worst[i]), reached, initial)]
    if not broken:
        return float(grid[-1]), math.inf
    return (float(grid[broken[0] - 1]) if broken[0] else 0.0), float(grid[broken[0]])


def rate_sensitivity(rates: Any, values: Any, initial: float) -> float:
    """The loss, on average over the rates that were tried, of not knowing the best one.

    Formula:
        mean over rates of (min(mean over seeds of values[rate], initial) - best)

    Rates count by the logarithm; those without any value are left out. It depends on the range: compare methods over
    the same one.

    Args:
        rates: rising, [count].
        values: [count, seeds], lower is better; infinite where a trial diverged, NaN where there is none.
        initial: the value before any training; nothing counts for worse.

    Raises:
        ValueError: the shapes do not fit, the rates do not rise, or a value is negative infinity.

    Example:
        >>> from stepsize.sweeps import rate_sensitivity
        >>> rate_sensitivity([0.1, 1.0, 10.0], [[1.5], [1.0], [float("inf")]], initial=2.0)
        0.5

    Source: Wortsman et al. 2023, "Small-scale proxies for large-scale transformer training instabilities"
    (arXiv 2309.14322), section 2.2, "LR sensitivity".
    """
    grid, table = _tried(*_checked(rates, values))
    lost = np.minimum(_means(table), initial)
    if not np.isfinite(lost).all():
        raise ValueError(_check.message("initial", initial, "a finite number where a trial diverged"))
    widths = np.diff(np.log(_edges(grid))) if len(grid) > 1 else np.ones(1)
    return float(np.average(lost, weights=widths) - lost.min())


def _checked(rates: Any, values: Any) -> tuple[Array, Array]:
    grid, table = np.asarray(rates, dtype=np.float64), np.asarray(values, dtype=np.float64)
    rising = grid.ndim == 1 and len(grid) > 0 and (grid > 0).all() and (np.diff(grid) > 0).all()
    if not rising or not np.isfinite(grid).all():
        raise ValueError(_check.message("rates", rates, "rising numbers > 0"))
    if table.ndim != 2 or table.shape[0] != len(grid) or table.shape[1] == 0:
        raise ValueError(_check.message("shape of values", table.shape, f"({len(grid)}, seeds)"))
    if np.isneginf(table).any():
        raise ValueError(_check.message("values", -math.inf, "finite, inf where a trial diverged, or NaN"))
    return grid, table


def _tried(grid: Array, table: Array) -> tuple[Array, Array]:
    """The rates that have a value, unless none has."""
    there = ~np.isnan(table).all(1)
    return (grid[there], table[there]) if there.any() else (grid, table)


def _means(table: Array) -> Array:
    """Mean over the seeds there are; infinite where there is none."""
    there = ~np.isnan(table)
    with np.errstate(over="ignore"):  # a mean beyond all floats is as good as diverged
        sums = np.where(there, table, 0).sum(1)
    return np.asarray(np.where(there.any(1), sums / np.maximum(there.sum(1), 1), np.inf), dtype=np.float64)


def _edges(grid: Array) -> Array:
    """Half-way, by the logarithm, between neighbours; beyond the ends as far again; [count + 1]."""
    if len(grid) == 1:
        return np.asarray([grid[0], grid[0]])
    logs = np.log(grid)
    middles = (logs[1:] + logs[:-1]) / 2
    edges = np.exp([logs[0] - (middles[0] - logs[0]), *middles, logs[-1] + (logs[-1] - middles[-1])])
    return np.asarray(edges, dtype=np.float64)
