"""The courses' sheets: paths on a quadratic bowl with the rates that converge, and Q-learning's learning curves."""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from stepsize import _check
from stepsize.schedule import Schedule
from stepsize.task.built_in._bowl_sweep import expected_ratios, measured_threshold
from stepsize.task.built_in._bowl_views import bound_mark, path_view
from stepsize.task.built_in._frozenlake_curves import LearningCurves
from stepsize.task.built_in._quadratic import Trajectory
from stepsize.views import Band, Mark, Scale, Series, Sheet, View, colour_of, series

NEAR = 0.02  # two points of success
LOWEST, HIGHEST = 1e-16, 1e4  # of the loss's ratio to the first, in a picture


def trajectories(paths: Sequence[Trajectory], sweep: Sequence[Trajectory] = ()) -> Sheet:
    """Paths of gradient descent on a bowl, beside the loss after the last step against the rate, theory drawn in.

    The left side shows a path for each rate, on f's contours (in one dimension on f itself). The right side shows, for
    the descents of the sweep, the measured ratio of the last loss to the first, the ratio by theory as a line, and the
    rate from which on theory says divergence, 2 (1 + momentum) / largest eigenvalue, beside where it was measured.

    Args:
        paths: on one bowl from one start, one or more.
        sweep: descents of the same bowl, equally long, at many rates; the right side is left out without them.

    Returns:
        The sheet, which ``stepsize.views.sheet_figure`` draws.

    Raises:
        ValueError: there is no path, or the descents are not of one bowl, start and momentum.

    Example:
        >>> from stepsize.task.built_in._course_sheets import trajectories
        >>> from stepsize.task.built_in._bowl_sweep import rate_sweep
        >>> len(trajectories(*rate_sweep(rates=15, steps=20)).views)
        5
    """
    if not paths:
        raise ValueError(_check.message("paths", paths, "one trajectory or more"))
    if len({(path.eigenvalues, path.rotation, path.momentum, *path.points[0]) for path in (*paths, *sweep)}) > 1:
        raise ValueError("paths and sweep must be descents of one bowl, from one start and with one momentum")
    columns = math.ceil(math.sqrt(len(paths)))
    rows = math.ceil(len(paths) / columns)
    views = []
    for number, descent in enumerate(paths):
        ends = "" if descent.losses[-1] <= descent.losses[0] else ", diverges"
        view = path_view(descent.points, descent.eigenvalues, descent.rotation, colour_of(number))
        views.append(replace(view, name=f"path/{number}", title=f"rate {descent.rate:.3g}{ends}"))
    places = [(*divmod(number, columns), 1, 1) for number in range(len(paths))]
    widths = [1.0] * columns
    if sweep:
        views.append(_rates(sweep, paths))
        places.append((0, columns, rows, 1))
        widths.append(1.8 * columns)
    width = (2.9 * columns + (5.4 if sweep else 0.6)) / len(widths)
    return Sheet(_headline(paths[0]), tuple(views), (width, max(4.2 / rows, 2.7)), 0, tuple(places), tuple(widths))


def _headline(path: Trajectory) -> str:
    values = " and ".join(f"{value:g}" for value in path.eigenvalues)
    condition = max(path.eigenvalues) / min(path.eigenvalues)
    with_condition = f", condition number {condition:.4g}" if len(path.eigenvalues) == 2 else ""
    with_momentum = f", momentum {path.momentum:g}" if path.momentum else ""
    steps = len(path.points) - 1
    return f"Gradient descent on a bowl with curvature {values}{with_condition}{with_momentum}: {steps} steps"


def _rates(sweep: Sequence[Trajectory], shown: Sequence[Trajectory]) -> View:
    """The measured ratio of the last loss to the first against the rate, theory as a line, and both thresholds."""
    in_order = sorted(sweep, key=lambda descent: descent.rate)
    like = in_order[0]
    grid = np.union1d(np.geomspace(like.rate, in_order[-1].rate, 400), [descent.rate for descent in in_order])
    drawn = [series(grid, expected_ratios(grid, like), "theory", "grey")]
    drawn += _measured(in_order, "blue", 3.5, "measured")
    for number, path in enumerate(shown):
        drawn += _measured([path], colour_of(number), 8, f"rate {path.rate:.3g}")
    low, high = measured_threshold(sweep)
    bands: tuple[Band, ...] = ()
    if low > 0 and high < np.inf:
        name = f"measured: converges up to {low:.4g}, diverges at {high:.4g}"
        bands = (Band("x", low, high, name, "ink", 0.5),)
    ratios = np.array([descent.losses[-1] / descent.losses[0] for descent in in_order])
    lowest = max(LOWEST, float(np.nanmin(np.where(ratios > 0, ratios, np.nan))))
    upwards = Scale("last loss / first loss", log=True, low=0.3 * lowest, high=3 * HIGHEST)
    marks = (bound_mark(like.eigenvalues, like.momentum), Mark("y", 1, "", "ink", "dotted", 0.7))
    title = f"Loss after {len(sweep[0].points) - 1} steps against the rate"
    across = Scale("learning rate", log=True)
    about = "What is left of the loss at each rate, measured and by theory."
    return View("rates", title, across, upwards, tuple(drawn), bands, marks, legend="upper left", about=about)


def _measured(descents: Sequence[Trajectory], colour: str, size: float, name: str) -> list[Series]:
    at = np.array([descent.rate for descent in descents])
    ratios = np.array([descent.losses[-1] / descent.losses[0] for descent in descents])
    inside = (ratios <= HIGHEST) & (ratios >= LOWEST)  # what overflowed is NaN
    above, below = ~(ratios <= HIGHEST), ratios < LOWEST
    found = [series(at[inside], ratios[inside], name, colour, width=0, marker="o", size=size)]
    large = max(5.0, size)
    if above.any():
        over, red = np.full(above.sum(), HIGHEST), "red" if len(descents) > 1 else colour
        found.append(series(at[above], over, f"{name}: diverges", red, width=0, marker="^", size=large))
    if below.any():
        under = np.full(below.sum(), LOWEST)
        found.append(series(at[below], under, "", colour, width=0, marker="v", size=large))
    return [line for line in found if line.x]


def learning(curves: LearningCurves) -> Sheet:
    """Q-learning's success against the episodes, mean and middle half of the seeds, one colour for each alpha.

    Beside it stand alpha itself and each seed's distance from the optimum at the end, the zone of two points shaded.

    Args:
        curves: of one alpha or more.

    Returns:
        The sheet, which ``stepsize.views.sheet_figure`` draws.

    Example:
        >>> from stepsize.task.built_in._course_sheets import learning
        >>> from stepsize.task.built_in._frozenlake_curves import learning_curves
        >>> alphas = {"constant": "constant(value=0.5)", "decayed": "linear(start=0.5, end=0.001)"}
        >>> len(learning(learning_curves(alphas, seeds=range(3), episodes=200)).views)
        3
    """
    title = f"Q-learning on the slippery lake: {curves.episodes:,} episodes, {len(curves.seeds)} seeds"
    views = (_success(curves), _alphas(curves), _gaps(curves))
    return Sheet(title, views, (5.5, 2.3), 0, ((0, 0, 2, 1), (0, 1, 1, 1), (1, 1, 1, 1)), (2, 1))


def _success(curves: LearningCurves) -> View:
    drawn = []
    for number, name in enumerate(curves.alphas):
        values = curves.success[name]
        low, high = np.quantile(values, (0.25, 0.75), axis=1)
        label = f"{name}: {values[-1].mean():.3f}"
        drawn.append(series(curves.at, values.mean(1), label, colour_of(number), width=2, low=low, high=high))
    across = Scale("episode", low=0, high=curves.episodes)
    upwards = Scale("success of the greedy policy, exact", low=0, high=0.8)
    marks = (Mark("y", curves.optimum, f"optimum {curves.optimum:.3f}", "ink"),)
    title = "Mean over the seeds, and their middle half"
    about = "The mean success of the learners of each schedule at each episode."
    return View("success", title, across, upwards, tuple(drawn), (), marks, legend="lower right", about=about)


def _alphas(curves: LearningCurves) -> View:
    at = np.arange(curves.episodes)
    drawn = tuple(
        series(at, Schedule.parse(text).over(curves.episodes)(at), name, colour_of(number), width=2)
        for number, (name, text) in enumerate(curves.alphas.items())
    )
    across = Scale("episode", low=0, high=curves.episodes)
    about = "The step size alpha of each schedule at each episode."
    return View("alpha", "", across, Scale("alpha", log=True), drawn, legend="none", about=about)


def _gaps(curves: LearningCurves) -> View:
    width = max(12, 42 // len(curves.alphas))
    drawn, ticks = [], []
    for place, name in enumerate(curves.alphas):
        spread = place + np.linspace(-0.3, 0.3, len(curves.seeds))
        gaps = np.sort(curves.gaps(name))
        drawn.append(series(spread, gaps, name, colour_of(place), width=0, marker="o"))
        ticks.append((float(place), f"{textwrap.fill(name, width)}\n{np.sum(gaps <= NEAR)} of {len(curves.seeds)}"))
    across = Scale("", low=-0.5, high=len(ticks) - 0.5, ticks=tuple(ticks))
    bands = (Band("y", -NEAR, NEAR, "", "ink", 0.08),)
    title = "Each seed at the end; within 0.02 (shaded)"
    about = "By how much each learner's policy misses the optimum at the end."
    return View("gaps", title, across, Scale("optimum - success"), tuple(drawn), bands, legend="none", about=about)
