"""The courses' pictures: paths on a quadratic bowl with the rates that converge, and Q-learning's learning curves."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from stepsize import _check
from stepsize.draw import figure
from stepsize.schedule import Schedule
from stepsize.task.built_in._frozenlake_curves import LearningCurves
from stepsize.task.built_in._quadratic import Trajectory, bowl_matrix, stable_below

LOWEST, HIGHEST = 1e-9, 1e4  # of the loss's ratio to the first, in a picture
GREY, RED = "#8a8f98", "#b8232f"
COLOURS = ("#1f5fa8", "#e0812a", "#3b8f5a", "#8250a0", "#b8232f", "#5a6472")
NEAR = 0.02  # two points of success


def trajectories(paths: Sequence[Trajectory], sweep: Sequence[Trajectory] = ()) -> Any:
    """Paths of gradient descent on a bowl, beside the loss after the last step against the rate, theory drawn in.

    The left side shows f's contours (in one dimension f itself) and a path for each rate. The right side shows, for
    the descents of the sweep, the measured ratio of the last loss to the first, the ratio by theory as a line, and the
    rate from which on theory says divergence, 2 (1 + momentum) / largest eigenvalue.

    Args:
        paths: on one bowl from one start, one or more.
        sweep: descents of the same bowl, equally long, at many rates; the right side is left out without them.

    Returns:
        A matplotlib figure; ``.savefig("trajectories.png")`` writes it.

    Raises:
        ValueError: there is no path, or the descents are not of one bowl, start and momentum.
        ImportError: matplotlib is not installed.

    Example:
        >>> import numpy as np
        >>> from stepsize.report._courses import trajectories
        >>> from stepsize.task.built_in._quadratic import trajectory
        >>> sweep = [trajectory(rate, steps=20) for rate in np.geomspace(0.01, 0.3, 15)]
        >>> len(trajectories([trajectory(0.05), trajectory(0.19)], sweep).axes)
        2
    """
    if not paths:
        raise ValueError(_check.message("paths", paths, "one trajectory or more"))
    if len({(each.eigenvalues, each.rotation, each.momentum, *each.points[0]) for each in (*paths, *sweep)}) > 1:
        raise ValueError("paths and sweep must be descents of one bowl, from one start and with one momentum")
    sheet = figure(10.5 if sweep else 5.2, 4.6)
    sheet.suptitle(_headline(paths[0]), fontsize=11)
    ax = sheet.add_subplot(1, 2 if sweep else 1, 1)
    (_on_contours if len(paths[0].eigenvalues) == 2 else _on_curve)(ax, paths)
    ax.set_title(f"Paths, {len(paths[0].points) - 1} steps", fontsize=10)
    if sweep:
        ax = sheet.add_subplot(1, 2, 2)
        _rates(ax, sweep)
        ax.set_title(f"Loss after {len(sweep[0].points) - 1} steps against the rate", fontsize=10)
    for ax in sheet.axes:
        ax.spines[["top", "right"]].set_visible(False)
    return sheet


def measured_threshold(sweep: Sequence[Trajectory]) -> tuple[float, float]:
    """Between which two rates of a sweep descent begins to diverge: the last loss above the first.

    Args:
        sweep: descents of one bowl at two or more rates.

    Returns:
        The largest rate below which all converge, and the next one; infinite where none diverges, 0 where all do.

    Example:
        >>> from stepsize.report._courses import measured_threshold
        >>> from stepsize.task.built_in._quadratic import trajectory
        >>> measured_threshold([trajectory(rate, [10.0]) for rate in (0.1, 0.19, 0.21, 0.3)])
        (0.19, 0.21)
    """
    in_order = sorted(sweep, key=lambda each: each.rate)
    rates = [0.0, *(each.rate for each in in_order), np.inf]
    diverges = [not each.losses[-1] <= each.losses[0] for each in in_order]
    first = diverges.index(True) if True in diverges else len(diverges)
    return rates[first], rates[first + 1]


def _headline(path: Trajectory) -> str:
    values = " and ".join(f"{value:g}" for value in path.eigenvalues)
    with_momentum = f", momentum {path.momentum:g}" if path.momentum else ""
    return f"Gradient descent on a bowl with curvature {values}{with_momentum}"


def _on_contours(ax: Any, paths: Sequence[Trajectory]) -> None:
    span = 1.6 * float(np.abs(paths[0].points[0]).max()) or 1.0
    line = np.linspace(-span, span, 201)
    x, y = np.meshgrid(line, line)
    matrix = bowl_matrix(paths[0].eigenvalues, paths[0].rotation)
    height = (matrix[0, 0] * x**2 + 2 * matrix[0, 1] * x * y + matrix[1, 1] * y**2) / 2
    ax.contour(x, y, height, levels=np.geomspace(height.max() * 1e-3, height.max(), 12), colors=GREY, linewidths=0.6)
    for colour, path in zip(COLOURS * len(paths), paths, strict=False):
        points = np.clip(path.points, -1e6, 1e6)
        ax.plot(*points.T, "o-", color=colour, markersize=2.5, linewidth=1, zorder=_layer(path), label=_name(path))
    ax.plot(*paths[0].points[0], "o", color="black", markersize=6, zorder=4)
    ax.plot(0, 0, "*", color="black", markersize=11, zorder=4)
    ax.set(xlim=(-span, span), ylim=(-span, span), xlabel="$x_1$", ylabel="$x_2$", aspect="equal")
    ax.legend(fontsize=8, loc="lower left")


def _on_curve(ax: Any, paths: Sequence[Trajectory]) -> None:
    span = 1.6 * float(np.abs(paths[0].points[0]).max()) or 1.0
    line = np.linspace(-span, span, 201)
    curvature = paths[0].eigenvalues[0]
    ax.plot(line, curvature * line**2 / 2, color=GREY, linewidth=1)
    for colour, path in zip(COLOURS * len(paths), paths, strict=False):
        points, losses = np.clip(path.points[:, 0], -1e6, 1e6), np.clip(path.losses, 0, 1e12)
        ax.plot(points, losses, "o-", color=colour, markersize=3.5, linewidth=1, zorder=_layer(path), label=_name(path))
    ax.plot(paths[0].points[0, 0], paths[0].losses[0], "o", color="black", markersize=6, zorder=4)
    ax.set(xlim=(-span, span), ylim=(-0.16 * curvature * span**2, curvature * span**2 / 2), xlabel="x", ylabel="f(x)")
    ax.legend(fontsize=8, loc="lower left")


def _layer(path: Trajectory) -> int:
    return 3 if path.losses[-1] <= path.losses[0] else 2  # what diverges lies below what converges


def _name(path: Trajectory) -> str:
    return f"rate {path.rate:.3g}" + ("" if path.losses[-1] <= path.losses[0] else ", diverges")


def _rates(ax: Any, sweep: Sequence[Trajectory]) -> None:
    in_order = sorted(sweep, key=lambda each: each.rate)
    rates = np.array([each.rate for each in in_order])
    matrix = bowl_matrix(in_order[0].eigenvalues, in_order[0].rotation)
    last = np.array([each.expected()[-1] for each in in_order])
    first = in_order[0].losses[0]
    ax.plot(rates, ((last @ matrix) * last).sum(1) / 2 / first, color=GREY, linewidth=1.5, label="theory")
    measured = np.array([each.losses[-1] for each in in_order]) / first
    above = ~(measured <= HIGHEST)  # what overflowed is NaN
    ax.plot(rates[~above], measured[~above], "o", color=COLOURS[0], markersize=4, label="measured")
    ax.plot(rates[above], np.full(above.sum(), HIGHEST), "^", color=RED, markersize=5)
    bound = stable_below(in_order[0].eigenvalues, in_order[0].momentum)
    formula = "2 (1 + m) / λ" if in_order[0].momentum else "2 / λ"
    ax.axvline(bound, color=RED, linewidth=1.5, label=f"{formula} = {bound:.4g}: theory's last rate")
    low, high = measured_threshold(sweep)
    if low > 0 and high < np.inf:
        ax.axvspan(low, high, color=RED, alpha=0.15, linewidth=0, label=f"measured: {low:.4g} to {high:.4g}")
    ax.axhline(1, color="black", linewidth=0.7, linestyle=":")
    ax.set(xscale="log", yscale="log", xlabel="learning rate", ylabel="last loss / first loss")
    ax.set_ylim(max(LOWEST, 0.3 * np.nanmin(measured)), 3 * min(HIGHEST, max(1.0, np.nanmax(measured))))
    ax.legend(fontsize=8, loc="upper left")
    ax.grid(alpha=0.25)


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
        success.plot(curves.at, values.mean(1), color=colour, linewidth=2, label=f"{name}: {values[-1].mean():.3f}")
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
    near = [f"{name}\n{np.sum(curves.gaps(name) <= NEAR)} of {len(curves.seeds)}" for name in curves.alphas]
    gaps.set_xticks(range(len(near)), near, fontsize=8)
    gaps.set(ylabel="optimum - success", xlim=(-0.5, len(near) - 0.5))
    gaps.set_title("Each seed at the end; within 0.02 (shaded)", fontsize=10)
    for ax in sheet.axes:
        ax.grid(alpha=0.25)
        ax.spines[["top", "right"]].set_visible(False)
    return sheet
