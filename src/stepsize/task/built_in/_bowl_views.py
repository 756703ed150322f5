"""Views of gradient descent on a bowl: contours, a path, what theory says beside what was measured."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from stepsize import _check, _schema
from stepsize.record import Run as RunRecord
from stepsize.task._axes import AXES
from stepsize.task.built_in._bowl_theory import Array, along, amplitudes, bowl_matrix, stable_below
from stepsize.views import Mark, Scale, Series, Sheet, View, colour_of, lines_of, series

FAR = 1e6  # beyond it a point is as good as at the edge
LEVELS = 14  # contours
SMALLEST = 1e-16  # of what is left along a direction
MOST = 1_000_000  # steps of which theory is shown
AROUND = np.linspace(0, 2 * np.pi, 97)
_ABOUT = _schema.record(
    {
        "eigenvalues": _schema.every(_schema.finite(above=1e-100)),
        "rotation": _schema.finite(),
        "momentum": _schema.finite(least=0),
    }
)


def bowl_views(run: RunRecord, sheet: Sheet) -> Sheet:
    """The path and each direction beside theory's, and theory's bound on the rates; for plain SGD alone.

    Args:
        run: of a bowl.
        sheet: what any run has.

    Raises:
        ValueError: the run's facts are of no bowl.
    """
    own = (f"figure/{name}" for name in ("distance", "x1", "x2"))
    sheet = sheet.without(*own)
    about, settings = run.facts.get("about_task") or {}, run.facts.get("said") or {}
    if "eigenvalues" not in about or any(
        settings.get(name) is not None for name in AXES if AXES[name].applies != "rate"
    ):
        return sheet
    _ABOUT(f"about_task of {run.folder}", about)
    if not 1 <= len(about["eigenvalues"]) <= 2:
        rule = "one or two numbers"
        raise ValueError(_check.message(f"eigenvalues of about_task of {run.folder}", about["eigenvalues"], rule))
    values, momentum = about["eigenvalues"], float(about["momentum"])
    mark = bound_mark(values, momentum)
    marked = [replace(view, marks=(*view.marks, _on(mark, view)), legend="best")
              for view in sheet.views if view.name in ("finding", "rate")]  # fmt: skip
    shown = [replace(view, y=replace(view.y, high=_room(view, mark.at))) if view.name == "rate" else view
             for view in marked]  # fmt: skip
    return replace(sheet.replaced(*shown), views=(*_paths(run, about), *sheet.replaced(*shown).views))


def _on(mark: Mark, view: View) -> Mark:
    return replace(mark, axis="y") if view.name == "rate" else mark


def _room(view: View, bound: float) -> float:
    highest = max((y for line in view.series for y in line.y if math.isfinite(y)), default=bound)
    return 1.05 * max(highest, 1.2 * bound)


def bound_mark(eigenvalues: Sequence[float], momentum: float) -> Mark:
    """Theory's bound on an axis of rates."""
    name = f"theory: converges below {bound_named(eigenvalues, momentum)}"
    return Mark("x", stable_below(eigenvalues, momentum), name, "red", "solid", 1.5)


def bound_named(eigenvalues: Sequence[float], momentum: float = 0.0) -> str:
    """Theory's bound with its formula, such as ``2 / λ = 0.2``."""
    formula = "2 (1 + m) / λ" if momentum else "2 / λ"
    return f"{formula} = {stable_below(eigenvalues, momentum):.4g}"


def _paths(run: RunRecord, about: Mapping[str, Any]) -> list[View]:
    lines = lines_of(run)
    names = [f"x{number}" for number in range(1, len(about["eigenvalues"]) + 1)]
    seen = [line for line in lines if all(line.get(name) is not None for name in names)]
    if len(seen) < 2:
        return []
    at = np.array([line["step"] for line in seen])
    points = np.array([[line[name] for name in names] for line in seen], dtype=float)
    rates = {line["step"]: line["rate"] for line in lines if line.get("rate") is not None}
    constant = next(iter(rates.values())) if len(set(rates.values())) == 1 else None
    every = [rates.get(step, constant) for step in range(min(int(at[-1]), MOST))]
    known = None not in every and at[-1] <= MOST
    theory = amplitudes(np.array(every, float), about["eigenvalues"], float(about["momentum"])) if known else None
    path = path_view(points, about["eigenvalues"], float(about["rotation"]))
    path = replace(path, title=f"The path, {at[-1]:,} steps, on the bowl's contours")
    return [path, _directions(at, points, about, theory)]


def path_view(points: Array, eigenvalues: Sequence[float], rotation: float = 0.0, colour: str = "blue") -> View:
    """A path on the bowl's contours, or on its curve in one dimension, from the black point to the star.

    Args:
        points: shape (count, dimensions).
        eigenvalues: of the bowl's matrix, one or two.
        rotation: of its eigenvectors against the axes, in radians.
        colour: of the path.
    """
    matrix = bowl_matrix(eigenvalues, rotation)
    span = 1.6 * float(np.abs(points[0]).max()) or 1.0
    clipped = np.clip(np.nan_to_num(points, nan=FAR), -FAR, FAR)
    if len(eigenvalues) == 1:
        line = np.linspace(-span, span, 201)
        behind = [series(line, matrix[0, 0] * line**2 / 2, colour="grey", width=1)]
        across, up = clipped[:, 0], matrix[0, 0] * clipped[:, 0] ** 2 / 2
        top = matrix[0, 0] * span**2 / 2
        scales = Scale("x", low=-span, high=span), Scale("f(x)", low=-0.08 * top, high=top)
    else:
        behind = _contours(eigenvalues, rotation, span)
        across, up = clipped.T
        scales = Scale("x₁", low=-span, high=span), Scale("x₂", low=-span, high=span)
    drawn = (
        *behind,
        series(across, up, "path", colour, width=1, marker="o", size=2.5),
        series(across[:1], up[:1], "start", "ink", width=0, marker="o", size=6),
        series([0], [0], "minimum", "ink", width=0, marker="*", size=11),
    )
    about = "The points that gradient descent went through, from the start to the last, on the bowl's contours."
    return View("path", "", *scales, drawn, legend="none", square=len(eigenvalues) == 2, about=about)


def _contours(eigenvalues: Sequence[float], rotation: float, span: float) -> list[Series]:
    """Ellipses, in closed form: f is constant on them."""
    values = np.array(eigenvalues, float)
    turn = np.array([[np.cos(rotation), -np.sin(rotation)], [np.sin(rotation), np.cos(rotation)]])
    highest = float(values.sum() * span**2) / 2 * (1 + abs(np.sin(2 * rotation)))
    circle = np.stack([np.cos(AROUND), np.sin(AROUND)])
    shown = []
    for level in np.geomspace(0.01 * min(eigenvalues) * span**2, highest, LEVELS):
        x, y = turn @ (np.sqrt(2 * level / values)[:, None] * circle)
        shown.append(series(x, y, colour="grey", width=0.6))
    return shown


def _directions(at: Array, points: Array, about: Mapping[str, Any], theory: Array | None) -> View:
    values = about["eigenvalues"]
    measured = np.abs(along(points, values, float(about["rotation"])))
    drawn = []
    for number, value in enumerate(values):
        if theory is not None:
            left = measured[0, number] * np.abs(theory[:, number])
            name = f"theory, curvature {value:g}"
            drawn.append(series(np.arange(len(left)), _visible(left), name, colour_of(number), width=1, opacity=0.6))
        shown = _visible(measured[:, number])
        name = f"along curvature {value:g}"
        drawn.append(series(at, shown, name, colour_of(number), width=0, marker="o", size=3))
    title = "Each direction by itself; " + (
        "dots: measured" if theory is not None else "theory needs every step's rate"
    )
    label, reason = "distance from the bottom", "How far each direction is from the bottom, measured and by theory."
    return View("directions", title, Scale("step"), Scale(label, log=True), tuple(drawn), about=reason)


def _visible(values: Array) -> Array:
    return np.where(values >= SMALLEST, values, np.nan)
