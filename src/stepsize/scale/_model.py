"""The law itself: the log of the best rate, linear in the axes but for a bend that the runs may ask for."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from stepsize.scale._curves import Shape, likelihoods
from stepsize.scale._points import Array, Point, typical_rise
from stepsize.scale._regression import Sites, posterior, propagate

LEVEL = 4.0  # standard deviation of the law's height: nothing is known of it
SCATTERS = (0.05, 0.12, 0.3)  # by which best rates leave the law, as standard deviations of their logarithm
BENDS = (0.003, 0.03, 0.1)  # standard deviations of the coefficients of products of two axes
RIPPLES, REACH = (0.03, 0.2), 1.5  # standard deviations of what else leaves the law, alike within this distance
USUAL_SCATTER, USUAL_BEND, USUAL_RIPPLE = 0.12, 0.03, 0.1
BEYOND, STEP, COARSE = 2.5, 0.05, 0.1  # how far best rates may lie outside those tried, and the steps in which
SATURATION, SATURATION_SPREAD = 0.125, 0.125  # of the rate with the batch: curvature, and how far that is from known
MOST = 60  # points from which the valley's shape is read
BEND, BEND_SPREAD = 1.2, 0.6  # the valley's usual asymmetry
NOISE, NOISE_SPREAD = 0.05, 1.5  # of runs, as a share of the typical rise, and how far that is from known


@dataclass(frozen=True)
class Candidate:
    """The law under one scatter, bend and ripple.

    Attributes:
        scatter: standard deviation about the law.
        bend: of the coefficients of products.
        ripple: of what else leaves the law, and changes slowly.
        sites: what the runs say.
        covariance: of the points' best rates before the runs.
        inverse: of that with what the runs leave open.
        weight: how likely these three are, of all that were tried.
    """

    scatter: float
    bend: float
    ripple: float
    sites: Sites
    covariance: Array
    inverse: Array
    weight: float


class Model:
    """A law fitted to points.

    Args:
        points: the runs by point.
        mean: of the exponents before the runs, [axes].
        deviation: of them, [axes].
        saturating: the direction in which the rate saturates with the batch, [axes]; zeros where none does.
    """

    def __init__(self, points: Sequence[Point], mean: Array, deviation: Array, saturating: Array) -> None:
        self.points, self.mean, self.deviation, self.saturating = points, mean, deviation, saturating
        places = np.asarray([point.place for point in points])
        self.centre = places.mean(0)
        self.away = places - self.centre
        self.height = float(np.mean([point.best for point in points]))
        self.before = self._before(self.away)
        self.shape = self._shape()
        found = list(self._fitted(likelihoods(points, self._grid(STEP, points), self.shape)))
        logs = np.asarray([candidate.weight for candidate in found])
        weights = np.exp(logs - logs.max())
        weights /= weights.sum()
        self.candidates = [replace(each, weight=float(weight)) for each, weight in zip(found, weights, strict=True)]

    def at(self, place: Array) -> tuple[float, float]:
        """Mean and standard deviation of the log of the best rate.

        Args:
            place: by axis, [axes].
        """
        away = (place - self.centre)[None]
        pairs = np.asarray([self._at(candidate, away) for candidate in self.candidates])
        weights = np.asarray([candidate.weight for candidate in self.candidates])
        mean = float(weights @ pairs[:, 0])
        return mean, math.sqrt(float(weights @ (pairs[:, 1] + (pairs[:, 0] - mean) ** 2)))

    def exponents(self) -> tuple[Array, Array]:
        """Means and standard deviations of the slopes at the middle of the runs, [axes] each."""
        found = [self._slopes(candidate) for candidate in self.candidates]
        weights = np.asarray([candidate.weight for candidate in self.candidates])[:, None]
        means, variances = (np.asarray(column) for column in zip(*found, strict=True))
        mean = (weights * means).sum(0)
        return mean, np.sqrt((weights * (variances + (means - mean) ** 2)).sum(0))

    def bests(self) -> tuple[Array, Array]:
        """Means and standard deviations of the log of every point's best rate, the law taken into account, [points]."""
        likely = max(self.candidates, key=lambda candidate: candidate.weight)
        at, spread = posterior(self.before, likely.covariance, likely.sites.precision, likely.sites.shift)
        return at, np.sqrt(np.diag(spread))

    def bent(self) -> float:
        """How likely it is that the law is no straight line, from 0 to 1, both being as likely before the runs."""
        found = dict.fromkeys(BENDS, 0.0)
        for candidate in self.candidates:
            found[candidate.bend] += candidate.weight * math.exp(0.5 * math.log(candidate.bend / USUAL_BEND) ** 2)
        straight, *others = found.values()
        return 1 - straight / (max(others) + straight) * self._unsaturated()

    def _unsaturated(self) -> float:
        """How likely it is that the rate does not saturate with the batch, where nothing else bends, from 0 to 1."""
        if not self.saturating.any():
            return 1.0
        across, ratio = SATURATION_SPREAD**2 * self._saturated(self.away), 0.0
        straight = [candidate for candidate in self.candidates if candidate.bend == min(BENDS)]
        for line in straight:
            mean = SATURATION - float(across @ self._off(line))
            variance = max(SATURATION_SPREAD**2 - float(across @ line.inverse @ across), 1e-12)
            off = (mean**2 / variance - (SATURATION / SATURATION_SPREAD) ** 2) / 2
            share = line.weight / sum(other.weight for other in straight)
            ratio += share * SATURATION_SPREAD / math.sqrt(variance) * math.exp(-off)
        return min(1.0, 2 * ratio / (1 + ratio))  # density at 0 after the runs, over that before

    def _at(self, candidate: Candidate, away: Array) -> tuple[float, float]:
        across = self._kernel(away, self.away, candidate.bend, candidate.ripple)[0]
        alone = float(self._kernel(away, away, candidate.bend, candidate.ripple)[0, 0]) + candidate.scatter**2
        mean = float(self._before(away)[0]) + float(across @ self._off(candidate))
        return mean, max(alone - float(across @ candidate.inverse @ across), 0.0)

    def _slopes(self, candidate: Candidate) -> tuple[Array, Array]:
        across = (self.away * self.deviation**2).T
        explained = ((across @ candidate.inverse) * across).sum(1)
        return self.mean + across @ self._off(candidate), np.maximum(self.deviation**2 - explained, 0)

    def _off(self, candidate: Candidate) -> Array:
        """What the runs are off the law before them, weighed."""
        sites = candidate.sites
        return np.asarray(candidate.inverse @ (sites.shift / sites.precision - self.before))

    def _before(self, away: Array) -> Array:
        """The law before the runs, [places]."""
        return np.asarray(self.height + away @ self.mean - SATURATION * self._saturated(away))

    def _saturated(self, away: Array) -> Array:
        """The curve by which the rate saturates with the batch: curvature 1 in the middle, slopes of 2 at most."""
        along = np.abs(away @ self.saturating)
        return np.asarray(4 * (np.logaddexp(along / 2, -along / 2) - math.log(2)))

    def _kernel(self, left: Array, right: Array, bend: float, ripple: float) -> Array:
        straight = LEVEL**2 + (left * self.deviation**2) @ right.T
        apart = ((left[:, None] - right) ** 2).sum(-1) / (2 * REACH**2)
        saturated = SATURATION_SPREAD**2 * np.outer(self._saturated(left), self._saturated(right))
        return np.asarray(straight + saturated + bend**2 * (left @ right.T) ** 2 + ripple**2 * np.exp(-apart))

    def _grid(self, step: float, points: Sequence[Point]) -> Array:
        low = min(point.logs[0] for point in points) - BEYOND
        return np.arange(low, max(point.logs[-1] for point in points) + BEYOND, step)

    def _covariance(self, scatter: float, bend: float, ripple: float) -> Array:
        return self._kernel(self.away, self.away, bend, ripple) + scatter**2 * np.eye(len(self.points))

    def _fitted(self, logs: Array) -> Iterator[Candidate]:
        grid = self._grid(STEP, self.points)
        for scatter, bend, ripple in itertools.product(SCATTERS, BENDS, RIPPLES):
            covariance = self._covariance(scatter, bend, ripple)
            sites = propagate(self.before, covariance, grid, logs)
            off = np.log([scatter / USUAL_SCATTER, bend / USUAL_BEND, ripple / USUAL_RIPPLE])
            inverse: Array = np.asarray(np.linalg.inv(covariance + np.diag(1 / sites.precision)), dtype=np.float64)
            yield Candidate(scatter, bend, ripple, sites, covariance, inverse, sites.evidence - 0.5 * float(off @ off))

    def _shape(self) -> Shape:
        """The valley's shape under which the runs are most likely, the law taken into account."""
        rich = np.argsort([-len(point.logs) for point in self.points], kind="stable")
        chosen = np.sort(rich[:: max(1, len(rich) // MOST)])
        points = [self.points[index] for index in chosen]
        covariance = self._covariance(USUAL_SCATTER, USUAL_BEND, USUAL_RIPPLE)[np.ix_(chosen, chosen)]
        grid, scale = self._grid(COARSE, points), typical_rise(points)

        def likely(shape: Shape) -> float:
            sites = propagate(self.before[chosen], covariance, grid, likelihoods(points, grid, shape))
            off = math.log(shape.noise / (NOISE * scale)) / NOISE_SPREAD
            return sites.evidence - 0.5 * ((shape.bend - BEND) / BEND_SPREAD) ** 2 - 0.5 * off**2

        return _climbed(likely, Shape(math.log(scale), BEND, NOISE * scale))


def _climbed(likely: Callable[[Shape], float], shape: Shape) -> Shape:
    """The most likely shape, by steps along one coordinate at a time that become finer."""
    at, steps = [shape.steep, shape.bend, math.log(shape.noise)], [1.0, 0.6, 1.2]
    best = likely(shape)
    while max(steps) >= 0.15:
        for index in range(3):
            for sign in (1, -1):
                tried = [each + sign * steps[index] * (place == index) for place, each in enumerate(at)]
                if tried[1] < 0:
                    continue
                found = likely(Shape(tried[0], tried[1], math.exp(tried[2])))
                if found > best + 1e-6:
                    best, at = found, tried
                    break
            else:
                steps[index] /= 2
    return Shape(at[0], at[1], math.exp(at[2]))
