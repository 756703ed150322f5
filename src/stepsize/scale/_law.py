"""A law of the best rate, fitted on runs of one's own, and what it predicts elsewhere."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stepsize import _check
from stepsize.scale._curves import valley
from stepsize.scale._doubts import doubts_of
from stepsize.scale._model import Model
from stepsize.scale._points import Array, Point
from stepsize.scale._scattered import Scattered

SURE = 1.959964  # standard deviations of 95 %
MOST = 50.0  # of the logarithms between the answer and an end of its interval: where all is noise, nothing is known


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
        scattered: whether the runs share too little to be compared at points, as those of a random search.
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
        model: Model | Scattered,
        losses: Array,
    ) -> None:
        self.axes, self.linear, self.points = tuple(axes), dict(linear), tuple(points)
        self.runs = len(losses)
        self.broken = int((~np.isfinite(losses)).sum())
        self.relative = bool((losses[np.isfinite(losses)] > 0).all())
        self.scattered = isinstance(model, Scattered)
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
        far = min(SURE * seen, MOST)
        low, high = min(lr, math.exp(mean - far)), math.exp(mean + far)
        target = {name: float(at[name]) for name in self.axes}
        places = [self.place_of(point) for point in self.points]
        shared = None if self.scattered else self.points
        doubts = doubts_of(shared, places, target, self.linear, self.bent(), high / low)
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
        far = np.minimum(SURE * deviations, MOST)
        ends = (np.exp(means), np.exp(means - far), np.exp(means + far))
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


def _coordinate(name: str, value: Any, unit: float | None) -> float:
    number = _check.number(name, value, above=0 if unit is None else None)
    return math.log(number) if unit is None else number / unit
