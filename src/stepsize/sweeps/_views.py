"""Views of a sweep: loss against rate, validation beside it, convergence, a map where there is a second axis."""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from numbers import Real
from typing import Any

import numpy as np

from stepsize import _check
from stepsize.sweeps._answers import Array, Best, best_rate
from stepsize.sweeps._outcome import Curve
from stepsize.sweeps._read import Sweep
from stepsize.views import Band, Cells, Mark, Scale, Series, Sheet, View, colour_of, ramp, series, views_of
from stepsize.views import view as registered

LINES = 12  # curves of one view, at most
ROOM = 0.6  # above the loss before training, as a share of what was gained
FARTHEST = 1e100  # what can still stand on an axis
RATE = "learning rate"
Variant = tuple[tuple[str, Any], ...]


def sweep_sheet(sweep: Sweep) -> Sheet:
    """The views of a sweep: those registered for ``Sweep``.

    Bands reach from the lowest to the highest seed. Triangles at the upper edge are rates at which a seed diverged or
    ended beyond that edge. The best rates are marked, with their intervals below the curves.

    Args:
        sweep: as it was opened.

    Raises:
        TypeError: it is no sweep.
        ValueError: nothing of it was trained yet.

    Example:
        >>> import tempfile
        >>> from stepsize import sweep
        >>> from stepsize.engine import serial
        >>> from stepsize.sweeps import sweep_sheet
        >>> from stepsize.task import task_named
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     swept = sweep(task_named("quadratic"), [0.01, 0.1], 1, steps=20, folder=folder, engine=serial)
        ...     [view.name for view in sweep_sheet(swept).views]
        ['loss', 'convergence']
    """
    if not isinstance(sweep, Sweep):
        raise TypeError(_check.message("sweep", sweep, "a sweep, as Sweep.open gives"))
    curves = _curves(sweep)
    if not curves:
        raise ValueError(_check.message("sweep", str(sweep.folder), "one of which something was trained"))
    seeds = len(curves[0].seeds)
    title = f"{sweep.facts['task']}  ·  {len(sweep.outcomes)} trials of {sweep.facts['steps']:,} steps"
    views = views_of(sweep)
    places = [(*divmod(number, 2), 1, 1) for number in range(len(views))]
    if len(views) % 2:
        places[-1] = (places[-1][0], 0, 1, 2)  # alone in its row
    title += f"  ·  {seeds} seed{'s' * (seeds > 1)}"
    return Sheet(title, views, (6.4, 4.2), 2, tuple(places))


@registered(Sweep, place=10)
def against_rate(sweep: Sweep) -> View | None:
    """Loss against rate, a curve for each variant, its best rate marked."""
    curves, initial = _curves(sweep), _initial(sweep)
    if not curves:
        return None
    top = top_of(curves, initial)
    drawn, bands = [], []
    for place, curve in enumerate(curves[:LINES]):
        best, colour = best_rate(curve.rates, curve.values), colour_of(place)
        name = textwrap.shorten(curve.name or "loss", 44, placeholder=" …")
        drawn += _seeds(curve, top, colour, f"{name}: best {best}" if len(curves) <= 8 else name)
        drawn += _star(best, colour)
        if best.low is not None and best.high is not None and best.low != best.high:  # at the foot, one above the other
            bands.append(Band("x", best.low, best.high, "", colour, 1.0, (0.018 * place, 0.018 * place + 0.014)))
    marks = (Mark("y", initial, "before training", width=0.9),) if math.isfinite(initial) else ()
    drawn = _with_keys(drawn)
    title = "Loss against rate" + _cut(len(curves)) + _shade(curves)
    across, upwards = Scale(RATE, log=True), _upwards("training loss at the end", drawn, top)
    about = "The training loss at the end against the learning rate; stars mark the best, bars below its interval."
    return View("loss", title, across, upwards, tuple(drawn), tuple(bands), marks, about=about)


@registered(Sweep, place=20)
def train_and_validation(sweep: Sweep) -> View | None:
    """Both losses of every variant, and where each is lowest."""
    if "validation_loss" not in sweep.measures:
        return None
    both = zip(_all(sweep), _all(sweep, "validation_loss"), strict=True)
    pairs = [pair for pair in both if not np.isnan(pair[0].values).all()][: LINES // 2]
    if not pairs:
        return None
    top = top_of([curve for pair in pairs for curve in pair], _initial(sweep))
    drawn: list[Series] = []
    for place, (train, validation) in enumerate(pairs):
        colour = colour_of(place)
        name = f"{textwrap.shorten(train.name, 30, placeholder=' …')}: " if train.name else ""
        drawn += _seeds(train, top, colour, f"{name}training")
        drawn += _seeds(validation, top, colour, f"{name}validation", "s")
        for curve in (train, validation):
            drawn += _star(best_rate(curve.rates, curve.values), colour)
    drawn = _with_keys(drawn)
    title = "Training and validation" + _cut(len(sweep.variants), LINES // 2) + _shade([train for train, _ in pairs])
    upwards = _upwards("loss at the end", drawn, top)
    about = "Training and validation loss at the end against the learning rate."
    return View("validation", title, Scale(RATE, log=True), upwards, tuple(drawn), about=about)


@registered(Sweep, place=30)
def convergence(sweep: Sweep) -> View | None:
    """Training loss against step for the rates of the best variant, coloured by rate."""
    bests = sweep.best()
    order = [index for index, best in enumerate(bests) if best.rate is not None]
    variant = sweep.variants[min(order, key=lambda index: bests[index].value) if order else 0]
    curves = {rate: curve for rate, curve in sweep.training_curves(variant).items() if abs(curve[1][0]) < FARTHEST}
    if not curves:
        return None
    low, high = math.log(min(curves)), math.log(max(curves))
    first = max(losses[0] for _, losses in curves.values())
    lowest = min(losses[np.abs(losses) < FARTHEST].min() for _, losses in curves.values())
    # what rises far above where it began is cut off
    cut = min(first + max(first - lowest, 0.1 * abs(first), 1e-12), FARTHEST)
    drawn = []
    for rate, (steps, losses) in curves.items():
        place = (math.log(rate) - low) / (high - low) if high > low else 0.5
        shown = _smooth(np.maximum(np.fmin(losses, cut), -FARTHEST))
        drawn.append(series(steps, shown, f"{rate:.3g}", ramp(0.95 * place), width=1.3))
    positive = all(np.nanmin(line.y, initial=1.0) > 0 for line in drawn)
    name = next(curve.name for curve in sweep.curves() if curve.variant == variant)
    title = textwrap.shorten(f"Convergence by rate{': ' if name else ''}{name}", 60, placeholder=" …")
    about = "The training loss at each step, for every learning rate of the best variant."
    return View("convergence", title, Scale("step"), Scale("training loss", log=positive), tuple(drawn),
                legend_title="rate", about=about)  # fmt: skip


@registered(Sweep, place=40)
def rate_and_second_axis(sweep: Sweep) -> View | None:
    """Loss over rate and the second axis, with the best rate of each row; what ended above the top is left blank."""
    axis, curves = second_axis(sweep.variants), _curves(sweep)
    if axis is None or not curves:
        return None
    top = top_of(curves, _initial(sweep))
    rates = np.unique(np.concatenate([curve.rates for curve in curves]))
    ordered = sorted(curves, key=lambda curve: curve.variant[0][1])
    table = np.full((len(ordered), len(rates)), np.nan)
    for row, curve in enumerate(ordered):
        with np.errstate(invalid="ignore"):
            means = curve.values.mean(1)
        table[row, np.searchsorted(rates, curve.rates)] = np.where(means <= top, means, np.nan)
    if np.isnan(table).all():
        return None
    is_log = bool(np.nanmin(table) > 0)
    cells = Cells(tuple(tuple(row) for row in (np.log10(table) if is_log else table).tolist()),
                  "log10 of the training loss" if is_log else "training loss")  # fmt: skip
    bests = [best_rate(curve.rates, curve.values) for curve in ordered]
    ridge = [(np.searchsorted(rates, best.rate) + 0.5, row + 0.5) for row, best in enumerate(bests) if best.rate]
    across, up = zip(*ridge, strict=True)
    line = series(across, up, "best rate", "white", marker="*", size=12)
    words = axis.replace("_", " ")
    every = tuple((place + 0.5, f"{rate:.2g}") for place, rate in enumerate(rates.tolist()))
    rows = tuple((place + 0.5, f"{curve.variant[0][1]:g}") for place, curve in enumerate(ordered))
    scales = (
        Scale(RATE, low=0, high=len(rates), ticks=every),
        Scale(words, low=0, high=len(ordered), ticks=rows),
    )
    title = f"Rate and {words}: the best ridge (blank: diverged)"
    about = f"The training loss at the end for each learning rate and {words}; stars mark the best of each row."
    return View("map", title, *scales, (line,), cells=cells, legend="lower right", about=about)


def _all(sweep: Sweep, measure: str = "loss") -> list[Curve]:
    """The curves with the values that can be drawn; what is larger counts as diverged."""
    return [
        replace(curve, values=np.where(curve.values > FARTHEST, np.inf, np.maximum(curve.values, -FARTHEST)))
        for curve in sweep.curves(measure)
    ]


def _curves(sweep: Sweep) -> list[Curve]:
    return [curve for curve in _all(sweep) if not np.isnan(curve.values).all()]


def _initial(sweep: Sweep) -> float:
    return sweep.initial if abs(sweep.initial) < FARTHEST else math.nan


def top_of(curves: Sequence[Curve], initial: float) -> float:
    """Where what diverged is drawn: above the start, or above all that ended; losses may be negative."""
    values = np.concatenate([curve.values[np.isfinite(curve.values)] for curve in curves])
    if not len(values):
        return initial + 1.0 if math.isfinite(initial) else 1.0
    lowest, highest = float(values.min()), float(values.max())
    if math.isfinite(initial) and initial > lowest:
        return initial + ROOM * (initial - lowest)
    return highest + ROOM * (highest - lowest) if highest > lowest else highest + (abs(highest) or 1.0)


def _seeds(curve: Curve, top: float, colour: str, name: str, marker: str = "o") -> list[Series]:
    """The mean over the seeds, a band from the lowest to the highest, triangles where one is at the top."""
    there = ~np.isnan(curve.values).all(1)
    rates, values = curve.rates[there], np.clip(curve.values[there], None, top)
    if not len(rates):
        return []
    low, high = np.nanmin(values, 1), np.nanmax(values, 1)
    ends = {"low": low, "high": high} if values.shape[1] > 1 else {}
    mean, dashed = np.nanmean(values, 1), marker == "s"
    drawn = [series(rates, mean, name, colour, width=1.6, marker=marker, dashed=dashed, **ends)]
    broken = high >= top
    if broken.any():
        drawn.append(series(rates[broken], np.full(broken.sum(), top), "", colour, width=0, marker="^", size=7))
    return drawn


def _star(best: Best, colour: str) -> list[Series]:
    if best.rate is None:
        return []
    return [series([best.rate], [best.value], "", colour, width=0, marker="*", size=13)]


def _with_keys(drawn: Sequence[Series]) -> list[Series]:
    """The same, the first star and the first triangle named in the legend."""
    names = {"*": "best rate", "^": "a seed diverged, or ended higher"}
    named = []
    for line in drawn:
        name = "" if line.width else names.pop(line.marker, "")
        named.append(replace(line, name=name) if name else line)
    return named


def _shade(curves: Sequence[Curve]) -> str:
    return " (shaded: lowest to highest seed)" if any(curve.values.shape[1] > 1 for curve in curves) else ""


def _upwards(label: str, drawn: Sequence[Series], top: float) -> Scale:
    values = np.array([y for line in drawn for y in line.y])
    low = float(np.nanmin(values)) if len(values) else 0.0
    is_log = low > 0
    edge = 1.15 * top if is_log else top + 0.02 * (top - low)
    return Scale(label, log=is_log, high=edge if top > low else None)


def _smooth(losses: Array) -> Array:
    """Means over the steps before, a twentieth of the curve, so that thirteen of them can be told apart."""
    width = max(1, len(losses) // 20)
    padded = np.concatenate([losses[:1].repeat(width - 1), losses])
    return np.convolve(padded, np.full(width, 1 / width), mode="valid")


def second_axis(variants: Sequence[Variant]) -> str | None:
    """The one numerical axis beside the rate, if that is all that differs and there are three values or more."""
    axes = {axis for variant in variants for axis, _ in variant}
    if len(axes) != 1 or len(variants) < 3:
        return None
    axis = axes.pop()
    return axis if all(len(variant) == 1 and isinstance(variant[0][1], Real) for variant in variants) else None


def _cut(there: int, most: int = LINES) -> str:
    return f" (first {most} of {there})" if there > most else ""
