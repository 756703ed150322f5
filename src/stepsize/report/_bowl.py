"""Drawing gradient descent on a bowl: contours, a path, what theory says beside what was measured."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from stepsize.task.built_in._bowl_sweep import expected_ratios, measured_threshold
from stepsize.task.built_in._quadratic import Array, Trajectory, bowl_matrix, stable_below

LOWEST, HIGHEST = 1e-16, 1e4  # of the loss's ratio to the first, in a picture
FAR = 1e6  # beyond it a point is as good as at the edge
LEVELS = 14  # contours
BLUE, GREY, RED = "#1f5fa8", "#8a8f98", "#b8232f"
COLOURS = (BLUE, "#e0812a", "#3b8f5a", "#8250a0", "#5a6472", "#b0508a")


def path(ax: Any, points: Array, eigenvalues: Sequence[float], rotation: float = 0.0, colour: str = BLUE) -> None:
    """A path on the bowl's contours, or on its curve in one dimension, from the black point to the star.

    Args:
        ax: matplotlib axes.
        points: shape (count, dimensions).
        eigenvalues: of the bowl's matrix, one or two.
        rotation: of its eigenvectors against the axes, in radians.
        colour: of the path.
    """
    matrix = bowl_matrix(eigenvalues, rotation)
    span = 1.6 * float(np.abs(points[0]).max()) or 1.0
    line = np.linspace(-span, span, 201)
    if len(eigenvalues) == 1:
        ax.plot(line, matrix[0, 0] * line**2 / 2, color=GREY, linewidth=1)
        at = np.clip(np.nan_to_num(points[:, 0], nan=FAR), -FAR, FAR)
        across, up, foot = at, matrix[0, 0] * at**2 / 2, 0.0
        top = matrix[0, 0] * span**2 / 2
        ax.set(xlim=(-span, span), ylim=(-0.08 * top, top), xlabel="x", ylabel="f(x)")
    else:
        x, y = np.meshgrid(line, line)
        height = (matrix[0, 0] * x**2 + 2 * matrix[0, 1] * x * y + matrix[1, 1] * y**2) / 2
        levels = np.geomspace(0.01 * min(eigenvalues) * span**2, height.max(), LEVELS)
        ax.contour(x, y, height, levels=levels, colors=GREY, linewidths=0.6)
        across, up = np.clip(np.nan_to_num(points, nan=FAR), -FAR, FAR).T
        foot = 0.0
        ax.set(xlim=(-span, span), ylim=(-span, span), xlabel="$x_1$", ylabel="$x_2$", aspect="equal")
    ax.plot(across, up, "o-", color=colour, markersize=2.5, linewidth=1, zorder=3)
    ax.plot(across[0], up[0], "o", color="black", markersize=6, zorder=4)
    ax.plot(0, foot, "*", color="black", markersize=11, zorder=4)


def bound_named(eigenvalues: Sequence[float], momentum: float = 0.0) -> str:
    """Theory's bound with its formula, such as ``2 / λ = 0.2``."""
    formula = "2 (1 + m) / λ" if momentum else "2 / λ"
    return f"{formula} = {stable_below(eigenvalues, momentum):.4g}"


def rates(ax: Any, sweep: Sequence[Trajectory], shown: Sequence[Trajectory] = ()) -> None:
    """The measured ratio of the last loss to the first against the rate, theory as a line, and both thresholds.

    Args:
        ax: matplotlib axes.
        sweep: descents of one bowl, equally long, at two or more rates.
        shown: descents whose paths are drawn beside, in these colours.
    """
    in_order = sorted(sweep, key=lambda each: each.rate)
    like = in_order[0]
    grid = np.union1d(np.geomspace(like.rate, in_order[-1].rate, 400), [each.rate for each in in_order])
    ax.plot(grid, expected_ratios(grid, like), color=GREY, linewidth=1.5, label="theory")
    _measured(ax, in_order, BLUE, 3.5, "measured")
    for colour, each in zip(COLOURS * len(shown), shown, strict=False):
        _measured(ax, [each], colour, 8)
    bound = stable_below(like.eigenvalues, like.momentum)
    name = bound_named(like.eigenvalues, like.momentum)
    ax.axvline(bound, color=RED, linewidth=1.5, label=f"theory: converges below {name}")
    low, high = measured_threshold(sweep)
    if low > 0 and high < np.inf:
        label = f"measured: converges up to {low:.4g}, diverges at {high:.4g}"
        ax.axvspan(low, high, color="black", alpha=0.5, linewidth=0, label=label)
    ax.axhline(1, color="black", linewidth=0.7, linestyle=":")
    ax.set(xscale="log", yscale="log", xlabel="learning rate", ylabel="last loss / first loss")
    ratios = np.array([each.losses[-1] / each.losses[0] for each in in_order])
    lowest = max(LOWEST, float(np.nanmin(np.where(ratios > 0, ratios, np.nan))))
    ax.set_ylim(0.3 * lowest, 3 * HIGHEST)
    ax.legend(fontsize=8, loc="upper left")
    ax.grid(alpha=0.25)


def _measured(ax: Any, descents: Sequence[Trajectory], colour: str, size: float, label: str | None = None) -> None:
    at = np.array([each.rate for each in descents])
    ratios = np.array([each.losses[-1] / each.losses[0] for each in descents])
    inside = (ratios <= HIGHEST) & (ratios >= LOWEST)  # what overflowed is NaN
    ax.plot(at[inside], ratios[inside], "o", color=colour, markersize=size, label=label, zorder=3)
    above, below = ~(ratios <= HIGHEST), ratios < LOWEST
    ax.plot(at[above], np.full(above.sum(), HIGHEST), "^", color=RED if label else colour, markersize=max(5, size))
    ax.plot(at[below], np.full(below.sum(), LOWEST), "v", color=colour, markersize=max(5, size))
