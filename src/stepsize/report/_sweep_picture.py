"""One picture of a sweep: loss against rate, validation beside it, convergence, a map where there is a second axis."""

import io
import math
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from stepsize import _check, _extras
from stepsize.state import write_atomic
from stepsize.sweeps import Best, Curve, Sweep, best_rate
from stepsize.views import figure, plain, save

COLOURS = ("#1f5fa8", "#e0812a", "#3b8f5a", "#8250a0", "#b8232f", "#5a6472", "#2a9d9d", "#a0522d")
GREY = "#8a8f98"
LINES = 12  # curves of one panel, at most
ROOM = 0.6  # above the loss before training, as a share of what was gained
FARTHEST = 1e100  # what matplotlib can still put on an axis
Variant = tuple[tuple[str, Any], ...]


def sweep_picture(sweep: Sweep | Path | str, path: Path | str | None = None) -> Path:
    """Draw a sweep: loss against rate for every variant, train against validation, convergence, best ridge.

    Bands reach from the lowest to the highest seed. Triangles at the upper edge are rates at which a seed diverged or
    ended beyond that edge. The best rates are marked, with their intervals below the curves.

    Args:
        sweep: a sweep, or its folder.
        path: the picture's file; ``sweep.png`` in the sweep's folder when left out.

    Returns:
        The picture's path.

    Raises:
        ValueError: there is no sweep, or nothing of it was trained yet.
        ImportError: matplotlib is not installed.

    Example:
        >>> import tempfile
        >>> from stepsize import sweep
        >>> from stepsize.engine import serial
        >>> from stepsize.report import sweep_picture
        >>> from stepsize.task import task_named
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     swept = sweep(task_named("quadratic"), [0.01, 0.1], 1, steps=20, folder=folder, engine=serial)
        ...     sweep_picture(swept).name
        'sweep.png'
    """
    if not isinstance(sweep, Sweep | Path | str):
        raise TypeError(_check.message("sweep", sweep, "a sweep or its folder"))
    swept = sweep if isinstance(sweep, Sweep) else Sweep.open(sweep)
    curves = [curve for curve in _curves(swept) if not np.isnan(curve.values).all()]
    if not curves:
        raise ValueError(_check.message("sweep", str(swept.folder), "one of which something was trained"))
    initial = swept.initial if abs(swept.initial) < FARTHEST else math.nan
    panels: list[Any] = [lambda ax: _against_rate(ax, curves, initial)]
    if "validation_loss" in swept.measures:
        panels.append(lambda ax: _train_and_validation(ax, swept, initial))
    panels.append(lambda ax: _convergence(ax, swept))
    second = _second_axis(swept.variants)
    if second is not None:
        panels.append(lambda ax: _map(ax, curves, second, _top(curves, initial)))
    rows = math.ceil(len(panels) / 2)
    height = 4.2 * rows + 0.5
    sheet = figure(12.8, height)
    sheet.set_layout_engine("none")  # margins that are said need not be searched for, which takes most of the time
    edges = {"left": 0.07, "right": 0.985, "bottom": 0.7 / height, "top": 1 - 0.75 / height}
    grid = sheet.add_gridspec(rows, 2, hspace=0.27, wspace=0.19, **edges)
    seeds = len(curves[0].seeds)
    title = f"{swept.facts['task']}  ·  {len(swept.outcomes)} trials of {swept.facts['steps']:,} steps"
    sheet.suptitle(plain(title) + f"  ·  {seeds} seed{'s' * (seeds > 1)}", fontsize=12)
    for number, panel in enumerate(panels):
        alone = number == len(panels) - 1 and number % 2 == 0
        ax = sheet.add_subplot(grid[number // 2, slice(None) if alone else number % 2])
        panel(ax)
        ax.spines[["top", "right"]].set_visible(False)
    target = swept.folder / "sweep.png" if path is None else Path(path)
    if target.suffix.lower() == ".png":
        sheet.set_dpi(130)
        # drawn once: savefig draws all twice, the first time to lay it out
        canvas, buffer = _extras.load("matplotlib.backends.backend_agg", "plot", "a picture"), io.BytesIO()
        canvas.FigureCanvasAgg(sheet).print_png(buffer)
        write_atomic(target, buffer.getvalue())
    else:
        save(sheet, target)
    return target


def _curves(swept: Sweep, measure: str = "loss") -> list[Curve]:
    """The curves with the values that can be drawn; what is larger counts as diverged."""
    return [
        replace(curve, values=np.where(curve.values > FARTHEST, np.inf, np.maximum(curve.values, -FARTHEST)))
        for curve in swept.curves(measure)
    ]


def _against_rate(ax: Any, curves: Sequence[Curve], initial: float) -> None:
    top = _top(curves, initial)
    for place, (colour, curve) in enumerate(zip(COLOURS * len(curves), curves[:LINES], strict=False)):
        best = best_rate(curve.rates, curve.values)
        _interval(ax, best, colour, place)
        label = plain(textwrap.shorten(curve.name or "loss", 44, placeholder=" …"))
        _band(ax, curve, top, colour, f"{label}: best {best}" if len(curves) <= 8 else label)
        _mark(ax, best, colour)
    if math.isfinite(initial):
        ax.axhline(initial, color=GREY, linewidth=0.9, linestyle="--", label="before training")
    ax.set(xscale="log", xlabel="learning rate", ylabel="training loss at the end")
    _scale(ax, top)
    ax.set_title("Loss against rate" + _cut(len(curves)), fontsize=10)
    ax.legend(fontsize=7, framealpha=0.6)
    ax.grid(alpha=0.25)


def _top(curves: Sequence[Curve], initial: float) -> float:
    """Where what diverged is drawn: above the start, or above all that ended; losses may be negative."""
    values = np.concatenate([curve.values[np.isfinite(curve.values)] for curve in curves])
    if not len(values):
        return initial + 1.0 if math.isfinite(initial) else 1.0
    lowest, highest = float(values.min()), float(values.max())
    if math.isfinite(initial) and initial > lowest:
        return initial + ROOM * (initial - lowest)
    return highest + ROOM * (highest - lowest) if highest > lowest else highest + (abs(highest) or 1.0)


def _band(ax: Any, curve: Curve, top: float, colour: str, label: str, style: str = "o-") -> None:
    there = ~np.isnan(curve.values).all(1)
    rates, values = curve.rates[there], np.clip(curve.values[there], None, top)
    low, high = np.nanmin(values, 1), np.nanmax(values, 1)
    ax.plot(rates, np.nanmean(values, 1), style, color=colour, markersize=4, linewidth=1.6, label=label)
    ax.fill_between(rates, low, high, color=colour, alpha=0.15, linewidth=0)
    broken = high >= top
    if broken.any():
        ax.plot(rates[broken], np.full(broken.sum(), top), "^", color=colour, markersize=7)


def _mark(ax: Any, best: Best, colour: str) -> None:
    if best.rate is not None:
        ax.plot(best.rate, best.value, "*", color=colour, markersize=13, markeredgecolor="black", markeredgewidth=0.5)


def _interval(ax: Any, best: Best, colour: str, place: int) -> None:
    """A bar at the foot of the panel, one above the other."""
    if best.low is not None and best.low != best.high:
        ax.axvspan(best.low, best.high, ymin=0.018 * place, ymax=0.018 * place + 0.014, color=colour, linewidth=0)


def _scale(ax: Any, top: float) -> None:
    low, _ = ax.get_ylim()
    if min(np.min(line.get_ydata()) for line in ax.lines if len(line.get_ydata())) > 0:
        ax.set_yscale("log")
    edge = 1.15 * top if ax.get_yscale() == "log" else top + 0.02 * (top - low)
    ax.set_ylim(None, edge if top > low else None)


def _train_and_validation(ax: Any, swept: Sweep, initial: float) -> None:
    """Both losses of every variant, and where each is lowest."""
    both = zip(_curves(swept), _curves(swept, "validation_loss"), strict=True)
    pairs = [pair for pair in both if not np.isnan(pair[0].values).all()][: LINES // 2]
    top = _top([curve for pair in pairs for curve in pair], initial)
    for colour, (train, validation) in zip(COLOURS * len(pairs), pairs, strict=False):
        name = plain(f"{textwrap.shorten(train.name, 30, placeholder=' …')}: " if train.name else "")
        _band(ax, train, top, colour, f"{name}training", "o-")
        _band(ax, validation, top, colour, f"{name}validation", "s--")
        for curve in (train, validation):
            _mark(ax, best_rate(curve.rates, curve.values), colour)
    ax.set(xscale="log", xlabel="learning rate", ylabel="loss at the end")
    _scale(ax, top)
    ax.set_title("Training and validation" + _cut(len(swept.variants), LINES // 2), fontsize=10)
    ax.legend(fontsize=7, framealpha=0.6)
    ax.grid(alpha=0.25)


def _convergence(ax: Any, swept: Sweep) -> None:
    """Training loss against step for the rates of the best variant, coloured by rate."""
    bests = swept.best()
    order = [index for index, best in enumerate(bests) if best.rate is not None]
    variant = swept.variants[min(order, key=lambda index: bests[index].value) if order else 0]
    curves = swept.training_curves(variant)
    curves = {rate: curve for rate, curve in curves.items() if abs(curve[1][0]) < FARTHEST}
    if not curves:
        ax.set_axis_off()
        ax.set_title("No training losses are kept", fontsize=10)
        return
    colours = _extras.load("matplotlib", "plot", "a picture").colormaps["viridis"]
    low, high = math.log(min(curves)), math.log(max(curves))
    first = max(losses[0] for _, losses in curves.values())
    lowest = min(losses[np.abs(losses) < FARTHEST].min() for _, losses in curves.values())
    # what rises far above where it began is cut off
    cut = min(first + max(first - lowest, 0.1 * abs(first), 1e-12), FARTHEST)
    for rate, (steps, losses) in curves.items():
        place = (math.log(rate) - low) / (high - low) if high > low else 0.5
        shown = _smooth(np.maximum(np.fmin(losses, cut), -FARTHEST))
        ax.plot(steps, shown, color=colours(0.95 * place), linewidth=1.3, label=f"{rate:.3g}")
    ax.set(xlabel="step", ylabel="training loss")
    if all(np.nanmin(line.get_ydata(), initial=1.0) > 0 for line in ax.lines):
        ax.set_yscale("log")
    name = next(curve.name for curve in swept.curves() if curve.variant == variant)
    ax.set_title(
        plain(textwrap.shorten(f"Convergence by rate{': ' if name else ''}{name}", 60, placeholder=" …")), fontsize=10
    )
    ax.legend(fontsize=7, ncols=2, title="rate", title_fontsize=7, framealpha=0.6)
    ax.grid(alpha=0.25)


def _smooth(losses: Any) -> Any:
    """Means over the steps before, a twentieth of the curve, so that thirteen of them can be told apart."""
    width = max(1, len(losses) // 20)
    padded = np.concatenate([losses[:1].repeat(width - 1), losses])
    return np.convolve(padded, np.full(width, 1 / width), mode="valid")


def _second_axis(variants: Sequence[Variant]) -> str | None:
    """The one numerical axis beside the rate, if that is all that differs and there are three values or more."""
    axes = {axis for variant in variants for axis, _ in variant}
    if len(axes) != 1 or len(variants) < 3:
        return None
    axis = axes.pop()
    return axis if all(len(each) == 1 and isinstance(each[0][1], Real) for each in variants) else None


def _map(ax: Any, curves: Sequence[Curve], axis: str, top: float) -> None:
    """Loss over rate and the second axis, with the best rate of each row; what ended above the top is left blank."""
    rates = np.unique(np.concatenate([curve.rates for curve in curves]))
    ordered = sorted(curves, key=lambda curve: curve.variant[0][1])
    table = np.full((len(ordered), len(rates)), np.nan)
    for row, curve in enumerate(ordered):
        means = curve.values.mean(1)
        table[row, np.searchsorted(rates, curve.rates)] = np.where(means <= top, means, np.nan)
    if np.isnan(table).all():
        ax.set_axis_off()
        ax.set_title("Nothing ended where it could be shown on a map", fontsize=10)
        return
    logs = np.log10(table) if np.nanmin(table) > 0 else table
    image = ax.pcolormesh(np.arange(len(rates) + 1), np.arange(len(ordered) + 1), logs, cmap="viridis_r")
    ax.figure.colorbar(image, ax=ax, label="log10 of the training loss" if np.nanmin(table) > 0 else "training loss")
    bests = [best_rate(curve.rates, curve.values) for curve in ordered]
    ridge = [(np.searchsorted(rates, best.rate) + 0.5, row + 0.5) for row, best in enumerate(bests) if best.rate]
    ax.plot(*zip(*ridge, strict=True), "*-", color="white", markersize=12, markeredgecolor="black", label="best rate")
    ax.set_xticks(np.arange(len(rates)) + 0.5, [f"{rate:.2g}" for rate in rates], fontsize=7, rotation=45)
    ax.set_yticks(np.arange(len(ordered)) + 0.5, [f"{curve.variant[0][1]:g}" for curve in ordered], fontsize=7)
    ax.set(xlabel="learning rate", ylabel=axis.replace("_", " "))
    ax.set_title(f"Rate and {axis.replace('_', ' ')}: the best ridge (blank: diverged)", fontsize=10)
    ax.legend(fontsize=7, loc="lower right")


def _cut(there: int, most: int = LINES) -> str:
    return f" (first {most} of {there})" if there > most else ""
