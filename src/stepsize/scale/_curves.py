"""What the runs at one point say of its best rate: a likelihood over rates, from a valley of a common shape."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stepsize.scale._points import Array, Point

MISFIT = 0.3  # of its rise, by which a loss may leave the valley's shape: what is far from the best says little
STEEPER = np.linspace(-1.2, 1.2, 7)  # logarithms of factors by which a point's valley may be steeper than the others
SPREAD = 0.5  # standard deviation of those
EDGE = 0.2  # how sharply a broken run rules out the rates above it, as a logarithm
FREE, FALL = 0.35, 0.5  # beyond the rates that were tried a best one is as likely for so far, then falls at this length


@dataclass(frozen=True)
class Shape:
    """The valley's form: ``exp(steep) · (exp(bend · d) - bend · d - 1) / bend²`` at a distance ``d`` of log-rates.

    Attributes:
        steep: logarithm of the second derivative at the bottom.
        bend: how much steeper the right side is; at 0 it is a parabola.
        noise: standard deviation of a run's loss.
    """

    steep: float
    bend: float
    noise: float


def valley(distance: Array, bend: float) -> Array:
    """The valley whose second derivative at the bottom is 1.

    Args:
        distance: of log-rates from the best one.
        bend: of its shape.
    """
    if bend < 1e-3:
        return np.asarray(distance**2 / 2)
    scaled = np.clip(bend * distance, -60, 60)
    return np.asarray((np.exp(scaled) - scaled - 1) / bend**2)


def likelihoods(points: Sequence[Point], places: Array, shape: Shape) -> Array:
    """Log-likelihood of the best rate's being at each place, [points, places]; height and steepness are summed out.

    Args:
        points: the runs by point.
        places: logarithms of rates, [places].
        shape: what the valleys share.
    """
    return np.stack([_likelihood(point, places, shape) for point in points])


def _likelihood(point: Point, places: Array, shape: Shape) -> Array:
    prior = -0.5 * (STEEPER / SPREAD) ** 2
    rises = np.exp(shape.steep + STEEPER)[:, None, None] * valley(point.logs - places[:, None], shape.bend)
    weights = 1 / (shape.noise**2 + (MISFIT * point.rises) ** 2)
    off = point.rises - rises  # [steepness, places, runs]
    height = (off * weights).sum(-1, keepdims=True) / weights.sum()
    fits = prior[:, None] - 0.5 * (weights * (off - height) ** 2).sum(-1)
    top = fits.max(0)
    found = top + np.log(np.exp(fits - top).sum(0) / np.exp(prior).sum())
    found += 0.5 * (np.log(weights).sum() - math.log(weights.sum()))
    outside = np.maximum(point.logs[0] - FREE - places, 0) + np.maximum(places - point.logs[-1] - FREE, 0)
    found -= outside / FALL
    if math.isfinite(point.broken):
        found -= np.logaddexp(0, (places - point.broken) / EDGE)
    return np.asarray(found)
