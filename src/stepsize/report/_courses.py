"""The courses' pictures: paths on a quadratic bowl with the rates that converge, and Q-learning's learning curves."""

import math
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np

from stepsize import _check
from stepsize.report._bowl import COLOURS, path, rates
from stepsize.schedule import Schedule
from stepsize.task.built_in._frozenlake_curves import LearningCurves
from stepsize.task.built_in._quadratic import Trajectory
from stepsize.views import figure, plain

NEAR = 0.02  # two points of success


def trajectories(paths: Sequence[Trajectory], sweep: Sequence[Trajectory] = ()) -> Any:
    """Paths of gradient descent on a bowl, beside the loss after the last step against the rate, theory drawn in.

    The left side shows a path for each rate, on f's contours (in one dimension on f itself). The right side shows, for
    the descents of the sweep, the measured ratio of the last loss to the first, the ratio by theory as a line, and the
    rate from which on theory says divergence, 2 (1 + momentum) / largest eigenvalue, beside where it was measured.

    Args:
        paths: on one bowl from one start, one or more.
        sweep: descents of the same bowl, equally long, at many rates; the right side is left out without them.

    Returns:
        A matplotlib figure; ``.savefig("trajectories.png")`` writes it.

    Raises:
        ValueError: there is no path, or the descents are not of one bowl, start and momentum.
        ImportError: matplotlib is not installed.

    Example:
        >>> from stepsize.report._courses import trajectories
        >>> from stepsize.task.built_in._bowl_sweep import rate_sweep
        >>> len(trajectories(*rate_sweep(rates=15, steps=20)).axes)
        5
    """
    if not paths:
        raise ValueError(_check.message("paths", paths, "one trajectory or more"))
    if len({(each.eigenvalues, each.rotation, each.momentum, *each.points[0]) for each in (*paths, *sweep)}) > 1:
        raise ValueError("paths and sweep must be descents of one bowl, from one start and with one momentum")
    columns = math.ceil(math.sqrt(len(paths)))
    rows = math.ceil(len(paths) / columns)
    sheet = figure(2.9 * columns + (5.4 if sweep else 0.6), max(4.6, 2.9 * rows))
    sheet.suptitle(_headline(paths[0]), fontsize=11)
    widths = [1.0] * columns + [1.8 * columns] * bool(sweep)
    grid = sheet.add_gridspec(rows, len(widths), width_ratios=widths)
    for number, (colour, each) in enumerate(zip(COLOURS * len(paths), paths, strict=False)):
        ax = sheet.add_subplot(grid[divmod(number, columns)])
        path(ax, each.points, each.eigenvalues, each.rotation, colour)
        ends = "" if each.losses[-1] <= each.losses[0] else ", diverges"
        ax.set_title(f"rate {each.rate:.3g}{ends}", fontsize=10, color=colour)
    if sweep:
        ax = sheet.add_subplot(grid[:, -1])
        rates(ax, sweep, paths)
        ax.set_title(f"Loss after {len(sweep[0].points) - 1} steps against the rate", fontsize=10)
    for ax in sheet.axes:
        ax.spines[["top", "right"]].set_visible(False)
    return sheet


def _headline(path: Trajectory) -> str:
    values = " and ".join(f"{value:g}" for value in path.eigenvalues)
    condition = max(path.eigenvalues) / min(path.eigenvalues)
    with_condition = f", condition number {condition:.4g}" if len(path.eigenvalues) == 2 else ""
    with_momentum = f", momentum {path.momentum:g}" if path.momentum else ""
    steps = len(path.points) - 1
    return f"Gradient descent on a bowl with curvature {values}{with_condition}{with_momentum}: {steps} steps"


def learning(curves: LearningCurves) -> Any:
    """Q-learning's success against the episodes, mean and middle half of the seeds, one colour for each alpha.

    Beside it stand alpha itself and each seed's distance from the optimum at the end, the zone of two points shaded.

    Args:
        curves: of one alpha or more.

    Returns:
        A matplotlib figure; ``.savefig("frozenlake.png")`` writes it.

    Raises:
        ImportError: matplotlib is not installed.

    Example:
        >>> from stepsize.report._courses import learning
        >>> from stepsize.task.built_in._frozenlake_curves import learning_curves
        >>> alphas = {"constant": "constant(value=0.5)", "decayed": "linear(start=0.5, end=0.001)"}
        >>> len(learning(learning_curves(alphas, seeds=range(3), episodes=200)).axes)
        3
    """
    sheet = figure(11, 5)
    grid = sheet.add_gridspec(2, 2, width_ratios=(2, 1))
    success, alpha, gaps = (sheet.add_subplot(grid[at]) for at in (np.s_[:, 0], np.s_[0, 1], np.s_[1, 1]))
    sheet.suptitle(
        f"Q-learning on the slippery lake: {curves.episodes:,} episodes, {len(curves.seeds)} seeds", fontsize=11
    )
    for place, (colour, name) in enumerate(zip(COLOURS * len(curves.alphas), curves.alphas, strict=False)):
        values = curves.success[name]
        success.plot(
            curves.at, values.mean(1), color=colour, linewidth=2, label=plain(f"{name}: {values[-1].mean():.3f}")
        )
        low, high = np.quantile(values, (0.25, 0.75), axis=1)
        success.fill_between(curves.at, low, high, color=colour, alpha=0.18, linewidth=0)
        schedule = Schedule.parse(curves.alphas[name]).over(curves.episodes)
        alpha.plot(np.arange(curves.episodes), schedule(np.arange(curves.episodes)), color=colour, linewidth=2)
        spread = place + np.linspace(-0.3, 0.3, len(curves.seeds))
        gaps.plot(spread, np.sort(curves.gaps(name)), "o", color=colour, markersize=4)
    success.axhline(curves.optimum, color="black", linewidth=1, linestyle="--", label=f"optimum {curves.optimum:.3f}")
    success.set(
        xlabel="episode", ylabel="success of the greedy policy, exact", ylim=(0, 0.8), xlim=(0, curves.episodes)
    )
    success.set_title("Mean over the seeds, and their middle half", fontsize=10)
    success.legend(fontsize=9, loc="lower right")
    alpha.set(xlabel="episode", ylabel="alpha", yscale="log", xlim=(0, curves.episodes))
    gaps.axhspan(-NEAR, NEAR, color="black", alpha=0.08, linewidth=0)
    width = max(12, 42 // len(curves.alphas))
    names = {name: textwrap.fill(name, width) for name in curves.alphas}
    near = [f"{names[name]}\n{np.sum(curves.gaps(name) <= NEAR)} of {len(curves.seeds)}" for name in names]
    gaps.set_xticks(range(len(near)), near, fontsize=8)
    gaps.set(ylabel="optimum - success", xlim=(-0.5, len(near) - 0.5))
    gaps.set_title("Each seed at the end; within 0.02 (shaded)", fontsize=10)
    for ax in sheet.axes:
        ax.grid(alpha=0.25)
        ax.spines[["top", "right"]].set_visible(False)
    return sheet
