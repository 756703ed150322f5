"""A law of the best rate, fitted on runs of one's own, and what it predicts elsewhere."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stepsize import _check
from stepsize.scale._columns import column
from stepsize.scale._curves import valley
from stepsize.scale._doubts import doubts_of
from stepsize.scale._exponents import prior_of, saturating
from stepsize.scale._model import Model
from stepsize.scale._points import Array, Point, points_of

SURE = 1.959964  # standard deviations of 95 %
REPEATS = ("mean", "best")


@dataclass(frozen=True)
class Prediction:
    """The rate at a target.

    Attributes:
        lr: the rate with the least expected loss: a little below the best one's median, as too high costs more.
        low: lower end of the interval that holds the best rate with 95 % probability, and
        high: its upper end.
        at: the target, by axis.
        doubts: what speaks against trusting it, in words; empty where nothing does.

    Example:
        >>> from stepsize import fit_law
        >>> columns = {"bs": [8] * 3 + [16] * 3, "lr": [0.1, 0.2, 0.4] * 2, "loss": [2, 1, 3, 3, 2, 1]}
        >>> found = fit_law(columns, ["bs"]).predict({"bs": 16})
        >>> found.low < found.lr < found.high
        True
    """

    lr: float
    low: float
    high: float
    at: dict[str, float]
    doubts: tuple[str, ...]


class RateLaw:
    """What runs say of the best rate, over sizes, lengths, batches or whatever else they differ in; see ``fit_law``.

    Attributes:
        axes: their names.
        linear: those of them that are not taken by their logarithm, and the unit in which each is taken.
        points: the runs that differ in their rate alone, together.
        runs: how many there were.
        broken: how many of them had no finite loss.
        relative: whether losses are taken by their logarithm, as they are where all are above 0.

    Example:
        >>> from stepsize import fit_law
        >>> runs = [(n, lr, (lr * n - 8) ** 2 / 64 + 1) for n in (64, 128, 256) for lr in (1/32, 1/16, 1/8, 1/4)]
        >>> law = fit_law(dict(zip(("width", "lr", "loss"), zip(*runs))), ["width"])
        >>> mean, deviation = law.exponents()["width"]
        >>> abs(mean + 1) < 3 * deviation
        True
    """

    def __init__(
        self,
        axes: Sequence[str],
        linear: Mapping[str, float],
        points: Sequence[Point],
        model: Model,
        losses: Array,
    ) -> None:
        self.axes, self.linear, self.points = tuple(axes), dict(linear), tuple(points)
        self.runs = len(losses)
        self.broken = int((~np.isfinite(losses)).sum())
        self.relative = bool((losses[np.isfinite(losses)] > 0).all())
        self._model = model

    def __repr__(self) -> str:
        text = ", ".join(f"{name} {mean:+.2f} ± {off:.2f}" for name, (mean, off) in self.exponents().items())
        return f"RateLaw({len(self.points)} points; exponents {text})"

    def predict(self, at: Mapping[str, float]) -> Prediction:
        """The rate at a target, with an interval.

        Formula:
            log lr = E[log best] - bend · Var[log best] / 2,  low, high = exp(E ± 1.96 · sd)

        Args:
            at: the target: a number for every axis.

        Raises:
            TypeError, ValueError: an axis is missing or unknown, or its number is none.
        """
        place = self._place(at)
        mean, deviation = self._model.at(place)
        shape = self._model.shape
        seen = math.sqrt(deviation**2 + shape.noise / math.exp(shape.steep))  # where noisy runs would have their best
        lr = math.exp(mean - min(shape.bend * deviation**2, deviation) / 2)
        low, high = min(lr, math.exp(mean - SURE * seen)), math.exp(mean + SURE * seen)
        target = {name: float(at[name]) for name in self.axes}
        places = [self.place_of(point) for point in self.points]
        doubts = doubts_of(self.points, places, target, self.linear, self.bent(), high / low)
        return Prediction(lr, low, high, target, tuple(doubts))

    def exponents(self) -> dict[str, tuple[float, float]]:
        """By axis the exponent of the rate in the middle of the runs, and its standard deviation.

        Of a linear axis it is the change of the rate's logarithm by 1.
        """
        means, deviations = self._model.exponents()
        return {
            name: (float(mean) / self.linear.get(name, 1.0), float(deviation) / self.linear.get(name, 1.0))
            for name, mean, deviation in zip(self.axes, means, deviations, strict=True)
        }

    def bests(self) -> list[tuple[dict[str, float], float, float, float]]:
        """Of every point its place by axis and the best rate there, with the ends of its 95 % interval."""
        means, deviations = self._model.bests()
        ends = (np.exp(means), np.exp(means - SURE * deviations), np.exp(means + SURE * deviations))
        return [
            (self.place_of(point), float(rate), float(low), float(high))
            for point, rate, low, high in zip(self.points, *ends, strict=True)
        ]

    def place_of(self, point: Point) -> dict[str, float]:
        """Where a point is, by axis, in the runs' own units.

        Args:
            point: one of ``points``.
        """
        return {
            name: value * self.linear[name] if name in self.linear else math.exp(value)
            for name, value in zip(self.axes, point.place, strict=True)
        }

    def rise(self, distance: Array) -> Array:
        """How far the loss, or its logarithm, is above the lowest one.

        Args:
            distance: logarithms of the rate over the best one.
        """
        shape = self._model.shape
        return math.exp(shape.steep) * valley(distance, shape.bend)

    def bent(self) -> float:
        """How likely it is that the law is no straight line between logarithms, from 0 to 1."""
        return self._model.bent()

    def _place(self, at: Mapping[str, float]) -> Array:
        if not isinstance(at, Mapping):
            raise TypeError(_check.message("at", at, "a number for each axis, by name"))
        if unknown := [name for name in at if name not in self.axes]:
            raise ValueError(
                _check.message("at", unknown[0], "an axis of the law", _check.closest(str(unknown[0]), self.axes))
            )
        if missing := [name for name in self.axes if name not in at]:
            raise ValueError(
                _check.message("at", dict(at), f"a number for each of {', '.join(self.axes)}", f"add {missing[0]}")
            )
        return np.asarray([_coordinate(f"{name} of at", at[name], self.linear.get(name)) for name in self.axes])


def fit_law(
    runs: Mapping[str, Sequence[Any]],
    over: Sequence[str],
    *,
    rate: str = "lr",
    loss: str = "loss",
    linear: Sequence[str] = (),
    repeats: str = "mean",
) -> RateLaw:
    """Fit how the best rate depends on size, length, batch or other axes, on runs of one's own.

    Formula:
        log best(x) = a + b · (x - x̄) + (x - x̄)ᵀ C (x - x̄) + scatter,  x the logarithms of the axes
        loss(lr) = lowest + s · (e^(k d) - k d - 1) / k²,  d = log(lr / best)

    ``b`` begins at the literature's exponents where an axis' name says what it is (``N``, ``D``, ``bs``, ``width``,
    ``steps``, ``batch_size`` ...), ``C`` at zero; the runs move both. All runs at the same point share one valley.

    Args:
        runs: columns by name, as from ``read_runs``: equally long.
        over: names of the columns that the rate depends on.
        rate: name of the rate's column; that of the batch where the best batch is asked for.
        loss: name of the loss' column, lower is better; NaN, infinite or None where a run broke.
        linear: those of ``over`` that are not taken by their logarithm.
        repeats: ``"mean"`` or ``"best"`` of the losses with equal rate and axes: the mean of seeds, the best where runs
            differ in a column that is left out, such as the batch.

    Raises:
        TypeError, ValueError: a column is missing or holds something else, every run broke, or no two runs differ in
            their rate alone.

    Example:
        >>> from stepsize import fit_law
        >>> runs = [(n, lr, (lr * n - 8) ** 2 / 64) for n in (64, 128, 256) for lr in (1/32, 1/16, 1/8, 1/4)]
        >>> columns = dict(zip(("width", "lr", "loss"), zip(*runs)))
        >>> found = fit_law(columns, ["width"]).predict({"width": 512})
        >>> found.low < 8 / 512 < found.high
        True

    Source: Bjorck et al. 2024 (arXiv 2409.19913) and Li et al. 2025 (arXiv 2503.04715) for log-linear laws; Minka 2001
    for expectation propagation.
    """
    columns = _checked(runs, over, linear)
    if not isinstance(repeats, str) or repeats not in REPEATS:
        raise ValueError(_check.message("repeats", repeats, "'mean' or 'best'"))
    logs = np.log(_numbers(column(columns, rate, "rate"), rate, positive=True))
    losses = _losses(column(columns, loss, "loss"), loss)
    read = {name: _numbers(column(columns, name, "over"), name, positive=name not in linear) for name in over}
    units = {name: float(read[name].std()) or 1.0 for name in linear}
    places = np.stack([each / units[name] if name in units else np.log(each) for name, each in read.items()], axis=1)
    if not np.isfinite(losses).any():
        raise ValueError(f"every run broke: none of the {len(losses)} has a finite {loss}; lower the rates")
    points = points_of(places, logs, losses, repeats)
    if max(len(point.logs) + math.isfinite(point.broken) for point in points) < 2:
        at = ", ".join(over)
        raise ValueError(
            _check.message(
                "runs", f"{len(logs)} runs, no two of which", f"two or more with different {rate} at the same {at}"
            )
        )
    mean, deviation = prior_of(rate, over)
    batch = np.asarray(saturating(rate, ["" if name in units else name for name in over]))
    return RateLaw(over, units, points, Model(points, np.asarray(mean), np.asarray(deviation), batch), losses)


def _checked(runs: Any, over: Any, linear: Any) -> Mapping[str, Sequence[Any]]:
    if not isinstance(runs, Mapping) or not runs:
        raise TypeError(_check.message("runs", runs, "columns by name", "read a file by read_runs(path)"))
    for name, given in (("over", over), ("linear", linear)):
        if isinstance(given, str) or not isinstance(given, Sequence):
            raise TypeError(_check.message(name, given, "names of columns", f'write for example {name}=["N", "D"]'))
    if not over or len(set(over)) < len(over):
        raise ValueError(_check.message("over", list(over), "one or more different columns"))
    if strange := [name for name in linear if name not in over]:
        raise ValueError(
            _check.message("linear", strange[0], "among over", _check.closest(str(strange[0]), map(str, over)))
        )
    lengths = {name: len(values) for name, values in runs.items()}
    if len(set(lengths.values())) > 1 or not min(lengths.values()):
        raise ValueError(_check.message("runs", lengths, "columns of equal length, of one run or more"))
    return runs


def _numbers(values: Sequence[Any], name: str, *, positive: bool) -> Array:
    remedy = "" if positive is False else "take it as it is by linear, or leave the run out"
    return np.asarray(
        [
            _check.number(f"{name} of run {index}", value, above=0 if positive else None, remedy=remedy)
            for index, value in enumerate(values, 1)
        ]
    )


def _losses(values: Sequence[Any], name: str) -> Array:
    for index, value in enumerate(values, 1):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float | np.number)):
            raise TypeError(_check.message(f"{name} of run {index}", value, "a number, or NaN where the run broke"))
    found = np.asarray([math.nan if value is None else float(value) for value in values])
    if np.isneginf(found).any():
        raise ValueError(_check.message(name, -math.inf, "finite, or NaN or inf where a run broke"))
    return found


def _coordinate(name: str, value: Any, unit: float | None) -> float:
    number = _check.number(name, value, above=0 if unit is None else None)
    return math.log(number) if unit is None else number / unit
