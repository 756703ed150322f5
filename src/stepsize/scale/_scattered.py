"""A law from scattered runs, no two of which differ in their rate alone, as of a random search.

Formula:
    loss of a run = polynomial(axes) + s · valley(log lr - best(axes)) + noise

What these runs would lose at their best rate is seen at none of them, so it is fitted along, as a smooth function. The
most likely values come by Levenberg and Marquardt's steps; the interval is Laplace's, and the noise has the largest
evidence.
"""

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from stepsize.scale._curves import EDGE, MISFIT, Shape, valley
from stepsize.scale._points import FAR, Array, Point

USUAL = (4.0, 4.0, 1.0, 0.4)  # standard deviations of the polynomial's terms by degree, in those of the heights
LEVEL, STEEP = 4.0, 2.0  # of the law's height and of the valley's steepness: nothing is known of them
BENT, SCATTER, RIPPLE = 0.03, 0.12, 0.2  # of the law's products of two axes, and of what leaves it
BEND, BEND_SPREAD, LEAST_BEND, MOST_BEND, STEEPEST = 1.2, 0.6, 0.05, 3.0, 7.0  # of the valley
SATURATION, SATURATION_SPREAD = 0.125, 0.125  # of the rate with the batch
NOISES = 0.5 * np.geomspace(1, 1e-3, 10)  # of runs, as shares of the heights' spread
STARTS, STEPS, ENOUGH, ROUNDS = (0.1, 0.3, 0.5, 0.7, 0.9), 40, 1e-6, 4
HIGH, NARROW = 6.0, 1e-9  # a run broke so many lower spreads above the middle; an axis that does not vary
EACH = 4  # runs at least, for each axis that varies and one more


@dataclass(frozen=True)
class _Prior:
    """Means and standard deviations of all values: the law's, the polynomial's, the valley's steepness and bend."""

    mean: Array
    spread: Array
    law: int  # how many are the law's


@dataclass(frozen=True)
class _Fit:
    values: Array
    covariance: Array
    evidence: float
    noise: float


class Scattered:
    """A law fitted on runs that need not share anything. Its ``points`` are runs that ended, each above the lowest one.

    Args:
        places: by run and axis, [runs, axes].
        logs: of the rates, [runs].
        heights: losses or their logarithms; infinite where a run broke, [runs].
        mean: of the exponents before the runs, [axes].
        deviation: of them, [axes].
        saturating: the direction in which the rate saturates with the batch, [axes].
    """

    def __init__(
        self, places: Array, logs: Array, heights: Array, mean: Array, deviation: Array, saturating: Array
    ) -> None:
        self.saturating = saturating
        self.centre, unit = places.mean(0), places.std(0)
        away = places - self.centre
        scaled = away / np.where(unit > NARROW, unit, 1.0)
        ended, broken = _ended(_terms(scaled, 1), heights), None
        for _ in range(ROUNDS):
            level, spread = float(np.median(heights[ended])), max(float(heights[ended].std()), NARROW)
            above = ~ended if broken is None else broken
            self._runs = _Runs(
                self._rows(away[ended]), _terms(scaled[ended], 3), logs[ended], heights[ended] - level,
                self._rows(away[above]), logs[above],
            )  # fmt: skip
            self._prior = _prior(mean, deviation, spread)
            self._fit = self._best(NOISES * spread)
            law, lowest = self._fit.values[: self._prior.law], self._fit.values[self._prior.law : -2]
            rises = np.where(ended, heights - level - _terms(scaled, 3) @ lowest, np.inf)
            kept = rises <= FAR * math.exp(self._fit.values[-2])
            if (kept == ended).all() or kept.sum() < least(places):
                break
            ended, broken = kept, ~kept & (logs > self._rows(away) @ law)
        self.places = places[ended]
        self.points = [
            Point(tuple(place), np.asarray([log]), np.asarray([rise]), math.inf)
            for place, log, rise in zip(self.places.tolist(), logs[ended], rises[ended], strict=True)
        ]
        steep, bend = (float(value) for value in self._fit.values[-2:])
        self.shape = Shape(steep, bend, self._fit.noise)

    def _best(self, noises: Array) -> _Fit:
        """The fit with the largest evidence; under the next noise it begins where it ended under the last."""
        levels = np.quantile(self._runs.logs, STARTS)
        starts = [np.concatenate([[level], self._prior.mean[1:]]) for level in levels]
        found: list[_Fit] = []
        for noise in noises:
            fits = [self._runs.fitted(start, self._prior, float(noise)) for start in starts]
            found.append(max(fits, key=lambda fit: fit.evidence))
            starts = [found[-1].values]
        return max(found, key=lambda fit: fit.evidence)

    def at(self, place: Array) -> tuple[float, float]:
        """Mean and standard deviation of the log of the best rate.

        Args:
            place: by axis, [axes].
        """
        row, count = self._rows((place - self.centre)[None])[0], self._prior.law
        variance = float(row @ self._fit.covariance[:count, :count] @ row) + SCATTER**2 + RIPPLE**2
        return float(row @ self._fit.values[:count]), math.sqrt(variance)

    def exponents(self) -> tuple[Array, Array]:
        """Means and standard deviations of the slopes at the middle of the runs, [axes] each."""
        axes = slice(1, 1 + len(self.centre))
        return self._fit.values[axes], np.sqrt(np.diag(self._fit.covariance)[axes])

    def bests(self) -> tuple[Array, Array]:
        """Means and standard deviations of the log of the best rate at every place, [runs]."""
        found = np.asarray([self.at(place) for place in self.places])
        return found[:, 0], found[:, 1]

    def bent(self) -> float:
        """How likely it is that the law is no straight line; nothing is known of that here, so as likely as not."""
        return 0.5

    def _rows(self, away: Array) -> Array:
        """The law's terms: level, axes, products of two, saturation; [places, terms]."""
        along = np.abs(away @ self.saturating)
        saturated = 4 * (np.logaddexp(along / 2, -along / 2) - math.log(2))
        return np.column_stack([_terms(away, 2), -saturated])


@dataclass(frozen=True)
class _Runs:
    """What was measured.

    Attributes:
        law: its terms at runs that ended, [ended, terms].
        polynomial: likewise.
        logs: of their rates.
        heights: of their losses, about 0.
        broken_law: the law's terms at runs that broke.
        broken: the logs of their rates, which are above the best ones.
    """

    law: Array
    polynomial: Array
    logs: Array
    heights: Array
    broken_law: Array
    broken: Array

    def fitted(self, start: Array, prior: _Prior, noise: float) -> _Fit:
        """The most likely values under a noise, from a start on."""
        values, damping = start, 1e-2
        cost, gradient, normal = self._expanded(values, prior, noise)
        for _ in range(STEPS):
            step = np.linalg.solve(normal + damping * np.diag(np.diag(normal)), -gradient)
            tried = values + step
            tried[-2] = np.clip(tried[-2], *(prior.mean[-2] + STEEPEST * np.asarray([-1, 1])))
            tried[-1] = np.clip(tried[-1], LEAST_BEND, MOST_BEND)
            there = self._expanded(tried, prior, noise)
            if not there[0] < cost:
                damping *= 4
                if damping > 1e8:
                    break
                continue
            gained = cost - there[0]
            values, (cost, gradient, normal), damping = tried, there, max(damping / 4, 1e-8)
            if gained < ENOUGH:
                break
        covariance = np.asarray(np.linalg.inv(normal))
        evidence = -cost - float(np.log(prior.spread).sum()) + 0.5 * float(np.linalg.slogdet(covariance)[1])
        return _Fit(values, covariance, evidence, noise)

    def _expanded(self, values: Array, prior: _Prior, noise: float) -> tuple[float, Array, Array]:
        """Minus the logarithm of the probability, its gradient, and Gauss and Newton's second derivatives."""
        best = self.law @ values[: prior.law]
        away, bend = self.logs - best, float(values[-1])
        rises = math.exp(float(values[-2])) * valley(away, bend)
        off = self.heights - self.polynomial @ values[prior.law : -2] - rises
        weights = 1 / (noise**2 + (MISFIT * rises) ** 2)
        grown = np.exp(np.clip(bend * away, -60, 60))
        steep = math.exp(float(values[-2]))
        by_bend = steep * away * (grown - 1) / bend**2 - 2 * rises / bend
        slopes = np.column_stack(
            [-(steep * (grown - 1) / bend)[:, None] * self.law, self.polynomial, rises[:, None], by_bend[:, None]]
        )
        pull = (values - prior.mean) / prior.spread
        cost = 0.5 * float((weights * off**2 - np.log(weights)).sum() + pull @ pull)
        # the weights' own change with the rises
        inner = (1 - weights * off**2) * weights * MISFIT**2 * rises
        gradient = slopes.T @ (-weights * off) + pull / prior.spread
        moving = slopes.copy()
        moving[:, prior.law : -2] = 0
        gradient += moving.T @ inner
        normal = (slopes * weights[:, None]).T @ slopes + np.diag(1 / prior.spread**2)
        if len(self.broken):
            above = (self.broken_law @ values[: prior.law] - self.broken) / EDGE
            share = 1 / (1 + np.exp(-np.clip(above, -60, 60)))
            cost += float(np.logaddexp(0, above).sum())
            gradient[: prior.law] += self.broken_law.T @ share / EDGE
            normal[: prior.law, : prior.law] += (
                self.broken_law * (share * (1 - share) / EDGE**2)[:, None]
            ).T @ self.broken_law
        return cost, gradient, normal


def least(places: Array) -> int:
    """How many runs that ended it takes.

    Args:
        places: by run and axis, [runs, axes].
    """
    return EACH * (1 + int((places.std(0) > NARROW).sum()))


def _prior(mean: Array, deviation: Array, spread: float) -> _Prior:
    axes = len(mean)
    products = [BENT * (1.0 if one == other else math.sqrt(2)) for one, other in _products(axes, 2)]
    degrees = [0, *[1] * axes, *[2] * len(products), *[3] * len(_products(axes, 3))]
    polynomial = [spread * USUAL[degree] for degree in degrees]
    zeros = [0.0] * len(products)
    means = [0.0, *mean, *zeros, SATURATION, *[0.0] * len(polynomial), math.log(spread), BEND]
    spreads = [LEVEL, *deviation, *products, SATURATION_SPREAD, *polynomial, STEEP, BEND_SPREAD]
    return _Prior(np.asarray(means), np.asarray(spreads), 2 + axes + len(products))


def _products(axes: int, degree: int) -> list[tuple[int, ...]]:
    return list(itertools.combinations_with_replacement(range(axes), degree))


def _terms(away: Array, degree: int) -> Array:
    """All products of up to so many axes, [places, terms]."""
    axes = away.shape[1]
    places = [place for power in range(degree + 1) for place in _products(axes, power)]
    return np.stack([np.prod(away[:, list(place)], axis=1) for place in places], axis=1)


def _ended(terms: Array, heights: Array) -> Any:
    """Which runs did not break: those with a finite loss that is not far above the others'."""
    ended = np.isfinite(heights)
    for _ in range(5):
        level = terms @ np.linalg.lstsq(terms[ended], heights[ended], rcond=None)[0]
        off = np.where(np.isfinite(heights), heights, np.inf) - level
        middle, low = np.quantile(off[ended], [0.5, 0.1])
        kept = off <= middle + HIGH * max(float(middle - low), NARROW)
        if (kept == ended).all():
            break
        ended = kept
    return ended
