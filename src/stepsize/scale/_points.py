"""From a table of runs to points: the runs that differ in their rate alone, and where those end in the loss."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]

FAR = 15.0  # times the typical rise at a factor of e: a run that ended higher broke, and its loss says no more
NEAR = 0.3  # the least distance of log-rates at which a rise is worth comparing
TYPICAL = math.log(4)  # the distance of log-rates at which rises are compared


@dataclass(frozen=True)
class Point:
    """The runs that differ in their rate alone.

    Attributes:
        place: by axis, logarithms where an axis is logarithmic, [axes].
        logs: logarithms of the rates of runs that ended, rising, [count].
        rises: how far above the lowest one they ended, [count].
        broken: the logarithm of the lowest rate above the best one that broke; infinite where none did.
    """

    place: tuple[float, ...]
    logs: Array
    rises: Array
    broken: float

    @property
    def best(self) -> float:
        """The logarithm of the best rate that was tried."""
        return float(self.logs[int(np.argmin(self.rises))])

    @property
    def at_border(self) -> bool:
        """Whether a better rate may lie beyond those that were tried."""
        index = int(np.argmin(self.rises))
        return index == 0 or (index == len(self.logs) - 1 and math.isinf(self.broken))


def points_of(places: Array, logs: Array, losses: Array, repeats: str) -> list[Point]:
    """The points of a table; those at which every run broke are left out.

    Args:
        places: by run and axis, [runs, axes].
        logs: logarithms of the rates, [runs].
        losses: NaN or infinite where a run broke, [runs].
        repeats: ``"mean"`` or ``"best"`` of the runs with the same rate at the same point.
    """
    heights = heights_of(losses)
    runs: dict[tuple[float, ...], dict[float, list[float]]] = {}
    for place, log, height in zip(places.tolist(), logs.tolist(), heights.tolist(), strict=True):
        runs.setdefault(tuple(place), {}).setdefault(log, []).append(height if math.isfinite(height) else math.inf)
    join = np.mean if repeats == "mean" else np.min
    found = [
        _point(place, {log: float(join(each)) for log, each in by_rate.items()}) for place, by_rate in runs.items()
    ]
    whole = [point for point in found if point is not None]
    cut = FAR * _typical_curvature(whole)
    return [_without_broken(point, cut) for point in whole]


def heights_of(losses: Array) -> Array:
    """Logarithms of losses that are all above 0; otherwise the losses. What is not finite stays so.

    Args:
        losses: NaN or infinite where a run broke, [runs].
    """
    if not (losses[np.isfinite(losses)] > 0).all():
        return losses
    return np.asarray(np.log(losses, where=losses > 0, out=np.full(len(losses), np.nan)))


def joined(places: Array, logs: Array, heights: Array, repeats: str) -> tuple[Array, Array, Array]:
    """The same runs with those of equal rate and place as one, infinite where it broke.

    Args:
        places: by run and axis, [runs, axes].
        logs: logarithms of the rates, [runs].
        heights: of the losses, [runs].
        repeats: ``"mean"`` or ``"best"`` of the same.
    """
    rows, which = np.unique(np.column_stack([places, logs]), axis=0, return_inverse=True)
    heights = np.where(np.isfinite(heights), heights, np.inf)
    join = np.mean if repeats == "mean" else np.min
    found = np.asarray([join(heights[which.reshape(-1) == row]) for row in range(len(rows))])
    return rows[:, :-1], rows[:, -1], found


def _point(place: tuple[float, ...], by_rate: Mapping[float, float]) -> Point | None:
    ended = sorted(log for log, height in by_rate.items() if math.isfinite(height))
    if not ended:
        return None
    heights = np.asarray([by_rate[log] for log in ended])
    best = ended[int(np.argmin(heights))]
    broken = min((log for log, height in by_rate.items() if log > best and not math.isfinite(height)), default=math.inf)
    return Point(place, np.asarray(ended), heights - heights.min(), broken)


def _typical_curvature(points: Sequence[Point]) -> float:
    """Twice the rise at a distance of 1 from the best rate, on the flatter side; the median of the points."""
    found = []
    for point in points:
        sides = [point.logs < point.best, point.logs > point.best]
        rises = [_curvature(point, side) for side in sides if side.any()]
        found += [min(rises)] if rises else []
    positive = [value for value in found if value > 0]
    return float(np.median(positive)) if positive else math.inf


def _curvature(point: Point, side: Any) -> float:
    distances = np.abs(point.logs[side] - point.best)
    index = int(np.argmin(np.abs(distances - TYPICAL)))
    return float(2 * point.rises[side][index] / max(distances[index], NEAR) ** 2)


def _without_broken(point: Point, cut: float) -> Point:
    high = point.rises > cut
    above = point.logs[high & (point.logs > point.best)].tolist()
    return replace(point, logs=point.logs[~high], rises=point.rises[~high], broken=min([point.broken, *above]))


def typical_rise(points: Sequence[Point]) -> float:
    """The median of how far above the lowest ones the others ended; 1 where all ended alike.

    Args:
        points: the runs by point.
    """
    rises = np.concatenate([point.rises[point.rises > 0] for point in points])
    return float(np.median(rises)) if len(rises) else 1.0
