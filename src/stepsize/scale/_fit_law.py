"""``fit_law``: from columns of runs to a law of the best rate."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stepsize import _check
from stepsize.scale._columns import column
from stepsize.scale._exponents import prior_of, saturating
from stepsize.scale._law import RateLaw
from stepsize.scale._model import Model
from stepsize.scale._points import Array, Point, heights_of, joined, points_of
from stepsize.scale._scattered import Scattered, least

REPEATS = ("mean", "best")


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
    ``steps``, ``batch_size`` ...), ``C`` at zero; the runs move both. The rate saturates with the batch as far as the
    runs say so, the later the longer they are. All runs at the same point share one valley. Where most stand beside
    fewer than two others at their point, as in a random search, their lowest losses are fitted along: a polynomial.

    Args:
        runs: columns by name, as from ``read_runs``: equally long.
        over: names of the columns that the rate depends on.
        rate: name of the rate's column; that of the batch where the best batch is asked for.
        loss: name of the loss' column, lower is better; NaN, infinite or None where a run broke.
        linear: those of ``over`` that are not taken by their logarithm.
        repeats: ``"mean"`` or ``"best"`` of the losses with equal rate and axes: the mean of seeds, the best where runs
            differ in a column that is left out, such as the batch.

    Raises:
        TypeError, ValueError: a column is missing or holds something else, every run broke, all losses are equal, or no
            two runs differ in their rate alone and there are few.

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
    mean, deviation = (np.asarray(moment) for moment in prior_of(rate, over))
    batch = np.asarray(saturating(rate, ["" if name in units else name for name in over]))
    points = points_of(places, logs, losses, repeats)
    apart = joined(places, logs, heights_of(losses), repeats)
    ended = np.isfinite(apart[2])
    if ended.all() and len(ended) > 1 and np.ptp(apart[2]) == 0:
        raise ValueError(
            f"all {len(losses)} runs have the same {loss}, which says nothing of {rate}; is it the column?"
        )
    few = ended.sum() < least(places) or np.ptp(apart[1]) == 0
    if _together(points, 2) and (few or _together(points, 3) >= 0.5):
        return RateLaw(over, units, points, Model(points, mean, deviation, batch), losses)
    if few:
        raise ValueError(
            f"there are {len(logs)} runs, no two of which differ in {rate} alone; give two or more with other {rate}"
            f" at the same {', '.join(over)}, or {least(places)} or more that ended, with different {rate}, in all"
        )
    model = Scattered(*apart, mean, deviation, batch)
    return RateLaw(over, units, model.points, model, losses)


def _together(points: Sequence[Point], least: int) -> float:
    """The share of runs that stand among so many or more which differ in their rate alone."""
    counts = [len(point.logs) + math.isfinite(point.broken) for point in points]
    return sum(count for count in counts if count >= least) / sum(counts)


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
