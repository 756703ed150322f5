"""One picture of a law of the best rate: an axis a panel, with runs, law, target and the pure rules; and the valley."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from stepsize import _check
from stepsize.scale import RateLaw, axis_role
from stepsize.views import figure, plain, save

BLUE, ORANGE, GREY = "#1f5fa8", "#e0812a", "#8a8f98"
RULES = {"linear": (1.0, "--"), "square root": (0.5, ":"), "keep": (0.0, "-.")}
POINTS, PANELS, TICKS, MARGIN = 60, 5, 6, 1.5


def scale_picture(law: RateLaw, at: Mapping[str, float], path: Path | str) -> Path:
    """Draw a law and what it predicts at a target.

    A panel for each axis: the best rates of the runs with their intervals, the fainter the farther their other axes are
    from the target's; the law with its 95 % band, the other axes being the target's; and what the pure rules make of
    the nearest runs' rate. The last panel has all runs in one valley.

    Args:
        law: from ``fit_law``.
        at: the target: a number for every axis.
        path: the picture's file.

    Returns:
        The picture's path.

    Raises:
        TypeError, ValueError: the law is none, or the target does not fit it.
        ImportError: matplotlib is not installed.

    Example:
        >>> from stepsize import fit_law
        >>> from stepsize.pages import scale_picture
        >>> runs = [(n, lr, (lr * n - 8) ** 2 / 64) for n in (64, 128, 256) for lr in (1/32, 1/16, 1/8, 1/4)]
        >>> law = fit_law(dict(zip(("width", "lr", "loss"), zip(*runs))), ["width"])
        >>> scale_picture(law, {"width": 512}, "scale.png").name
        'scale.png'
    """
    if not isinstance(law, RateLaw):
        raise TypeError(_check.message("law", law, "a law from fit_law"))
    found = law.predict(at)
    axes = law.axes[:PANELS]
    rows = math.ceil((len(axes) + 1) / 2)
    sheet = figure(12.8, 4.2 * rows + 0.5)
    title = ", ".join(f"{axis} {found.at[axis]:g}" for axis in law.axes)
    sheet.suptitle(plain(f"rate {found.lr:.3g} ({found.low:.3g} to {found.high:.3g}) at {title}"), fontsize=12)
    grid = sheet.add_gridspec(rows, 2)
    for number, axis in enumerate(axes):
        _along(sheet.add_subplot(grid[number // 2, number % 2]), law, found.at, axis)
    alone = len(axes) % 2 == 0
    _valley(sheet.add_subplot(grid[len(axes) // 2, slice(None) if alone else 1]), law)
    for ax in sheet.axes:
        ax.grid(alpha=0.25)
        ax.spines[["top", "right"]].set_visible(False)
    target = Path(path)
    save(sheet, target)
    return target


def _along(ax: Any, law: RateLaw, at: Mapping[str, float], axis: str) -> None:
    places = law.bests()
    values = [place[axis] for place, *_ in places]
    low, high = min(*values, at[axis]), max(*values, at[axis])
    linear = axis in law.linear
    _points(ax, law, at, axis)
    if low == high:
        low, high = (low - 1, high + 1) if linear else (low / 2, high * 2)
    line = np.linspace(low, high, POINTS) if linear else np.geomspace(low / MARGIN, high * MARGIN, POINTS)
    along = [law.predict({**at, axis: float(value)}) for value in line]
    ax.plot(line, [best.lr for best in along], color=BLUE, linewidth=2, label="law, at the target's other axes")
    ax.fill_between(
        line, [best.low for best in along], [best.high for best in along], color=BLUE, alpha=0.12, linewidth=0
    )
    _rules(ax, law, at, axis, line)
    found = law.predict(at)
    off = [[found.lr - found.low], [found.high - found.lr]]
    style = {"markersize": 15, "markeredgecolor": "black", "capsize": 4, "zorder": 5}
    ax.errorbar([at[axis]], [found.lr], yerr=off, fmt="*", color=ORANGE, label="target", **style)
    ax.set(xscale="linear" if linear else "log", yscale="log", xlabel=plain(axis), ylabel="best rate")
    _ticks(ax, [*values, at[axis]], linear)
    ax.legend(fontsize=7, framealpha=0.6)


def _ticks(ax: Any, values: list[float], linear: bool) -> None:
    """Ticks at values that there are, as many as have room."""
    known = sorted(set(values))
    apart = _apart(known[-1], known[0], linear) / TICKS
    shown: list[float] = []
    for value in known:
        if not shown or _apart(value, shown[-1], linear) >= apart:
            shown.append(value)
    ax.set_xticks(shown, [f"{value:.3g}" for value in shown])
    ax.set_xticks([], minor=True)


def _points(ax: Any, law: RateLaw, at: Mapping[str, float], axis: str) -> None:
    """The runs' best rates; fainter where their other axes are farther from the target's."""
    for place, rate, low, high in law.bests():
        far = math.sqrt(
            sum(_apart(place[name], at[name], name in law.linear) ** 2 for name in law.axes if name != axis)
        )
        strength = max(0.1, math.exp(-0.7 * far))
        off = [[rate - low], [high - rate]]
        ax.errorbar([place[axis]], [rate], yerr=off, fmt="o", color=GREY, alpha=strength, markersize=4, linewidth=1)
    ax.plot([], [], "o", color=GREY, label="runs' best, fainter the farther")


def _apart(value: float, target: float, linear: bool) -> float:
    return value - target if linear else math.log(value / target)


def _rules(ax: Any, law: RateLaw, at: Mapping[str, float], axis: str, line: Any) -> None:
    """The pure rules' rates, from the runs nearest to the target."""
    place, rate, *_ = min(
        law.bests(), key=lambda best: sum(_apart(best[0][name], at[name], name in law.linear) ** 2 for name in law.axes)
    )
    for name, (power, style) in RULES.items():
        if power == 0:
            ax.plot(line, np.full(len(line), rate), style, color="0.35", linewidth=1, label=f"rule: {name}")
        elif axis_role(axis) == "batch" and axis not in law.linear:
            ax.plot(line, rate * (line / place[axis]) ** power, style, color="0.35", linewidth=1, label=f"rule: {name}")


def _valley(ax: Any, law: RateLaw) -> None:
    """All runs over their distance from the law's best rate at their point, and the valley they share."""
    highest = 0.0
    for point, (_, rate, *_) in zip(law.points, law.bests(), strict=True):
        away = point.logs - math.log(rate)
        fitted = law.rise(away)
        weights = 1 / (np.abs(point.rises) + 1e-3 * fitted.max() + 1e-12)
        height = 0.0 if law.scattered else np.average(point.rises - fitted, weights=weights)
        ax.plot(np.exp(away), point.rises - height, ".", color=GREY, alpha=0.4, markersize=4)
        highest = max(highest, float(law.rise(np.asarray([1.5]))[0]))
    line = np.linspace(-2.5, 2.0, POINTS)
    ax.plot(np.exp(line), law.rise(line), color=BLUE, linewidth=2, label="the valley that the runs share")
    ax.set(xscale="log", xlim=(math.exp(-2.6), math.exp(2.1)), ylim=(-0.15 * highest, 1.3 * highest))
    ax.set(
        xlabel="rate over the best one",
        ylabel="log of the loss above the lowest" if law.relative else "loss above the lowest",
    )
    ax.legend(fontsize=7, framealpha=0.6)
