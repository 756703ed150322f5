"""Views of a comparison: courses over each other, a colour for each run, the gap to validation, scores by rate."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from stepsize import _check
from stepsize.record import Comparison
from stepsize.views._registry import view, views_of
from stepsize.views._run import few
from stepsize.views._thin import is_noisy, moving_mean
from stepsize.views._view import Mark, Scale, Series, Sheet, View, colour_of, series

MOST = 12  # runs on a sheet
SMOOTHED = 20  # parts of a noisy curve whose means are drawn
SHADED = 3  # runs whose gaps are shaded; of more the gaps themselves are drawn
LARGEST = 1e100  # what can still stand on an axis
VERSIONS = ("stepsize", "torch")
WIDEST = 52  # characters in a legend
ACROSS = {"step": "step", "time": "seconds since the beginning", "share": "share of the run"}
TITLES = {
    "loss": "Training loss",
    "validation_loss": "Validation loss",
    "rate": "The rate as applied",
    "accuracy": "Validation accuracy",
}


def compared(comparison: Comparison) -> Sheet:
    """Runs beside each other: losses, rates and other courses along one axis, the gap, scores by rate.

    Noisy training losses are shown as their moving mean over a twentieth of the run.

    Args:
        comparison: of two to twelve, as ``compare`` gives it.

    Raises:
        TypeError: it is no comparison.
        ValueError: they are too many, or nothing of them can be drawn.

    Example:
        >>> from stepsize import JsonLines, Record, RunFolder, compare
        >>> from stepsize.views import compared
        >>> for name in ("runs/a", "runs/b"):
        ...     RunFolder(name).write(task="digits", rate=0.1)
        ...     JsonLines(f"{name}/metrics.jsonl").on(Record(0, 0, values={"loss": 1.0}))
        >>> [view.title for view in compared(compare("runs/a", "runs/b")).views]
        ['Training loss']
    """
    if not isinstance(comparison, Comparison):
        raise TypeError(_check.message("comparison", comparison, "what compare(...) gives"))
    if len(comparison.entries) > MOST:
        raise ValueError(_check.message("comparison", list(comparison.names), f"one of at most {MOST} runs"))
    views = views_of(comparison)
    if not views:
        raise ValueError(_check.message("comparison", list(comparison.names), "one of runs with something to draw"))
    return Sheet("", views, (6.4, 4.0), min(2, len(views)))


@view(Comparison, place=10)
def courses(comparison: Comparison) -> list[View]:
    """Each measure that several of the runs may have, a line for each run."""
    found = [_course(comparison, measure) for measure in comparison.measures]
    return [course for course in found if course is not None]


@view(Comparison, place=20)
def gap(comparison: Comparison) -> View | None:
    """The gap between validation and training: of few runs both, the gap shaded, of many the gap itself."""
    across = Scale(ACROSS[comparison.by])
    both = [(name, *pair) for name in comparison.names if (pair := _pair(comparison, name)) is not None]
    if not both:
        return None
    labels, title = labels_of(comparison), "Gap between training and validation"
    if len(both) > SHADED:
        lines = []
        for name, at, training, validation in both:
            number = comparison.names.index(name)
            lines.append(_line(number, at, validation - training, _with_gap(comparison, number, labels[name])))
        about = "The validation loss less the mean training loss at each validation, for each run."
        upwards = Scale("validation loss - training loss")
        return View("gap", title, across, upwards, tuple(lines), (), (Mark("y", 0.0),), about=about)
    drawn: list[Series] = []
    for name, at, training, validation in both:
        number = comparison.names.index(name)
        ends = {"low": np.minimum(training, validation), "high": np.maximum(training, validation)}
        label, colour = _with_gap(comparison, number, labels[name]), colour_of(number)
        drawn.append(series(at, training, "", colour, width=1.0, opacity=0.7))
        drawn.append(series(at, validation, label, colour, dashed=True, marker="o", size=3, **ends))
    positive = all(y > 0 for line in drawn for y in line.y)
    about = "The mean training loss and, dashed, the validation loss of each run; what is between them is shaded."
    title += " (dashed: validation)"
    return View("gap", title, across, Scale("loss", log=positive), tuple(drawn), about=about)


@view(Comparison, place=30)
def scores(comparison: Comparison) -> View | None:
    """The scores of the rates that were tried, for what a rate was sought or swept for."""
    drawn, labels = [], labels_of(comparison)
    for number, entry in enumerate(comparison.entries):
        if entry.scores is not None:
            rates, values = entry.scores
            kept = np.abs(values) <= LARGEST
            label, colour = labels[entry.name], colour_of(number)
            drawn.append(series(rates[kept], values[kept], label, colour, width=0, marker="o", size=6))
    if not any(line.x for line in drawn):
        return None
    positive = all(y > 0 for line in drawn for y in line.y)
    across, upwards = Scale("learning rate", log=True), Scale("loss of its longest run", log=positive)
    about = "The loss of the longest run at each learning rate that was tried."
    return View("scores", "Loss against rate", across, upwards, tuple(drawn), about=about)


def labels_of(comparison: Comparison) -> dict[str, str]:
    """Each run's name in a legend: its folder without the shared part, and its differing settings."""
    short = {name: Path(name).name or name for name in comparison.names}
    if len(set(short.values())) < len(short):
        short = {name: name for name in comparison.names}
    labels = {}
    for number, name in enumerate(comparison.names):
        differing = {
            setting: values[number] for setting, values in comparison.differing.items() if setting not in VERSIONS
        }
        differing = {**{key: differing[key] for key in ("rate",) if key in differing}, **differing}
        words = [
            f"{setting} {_value(value).removeprefix('lr: ')}"
            for setting, value in differing.items()
            if value is not None
        ]
        label = f"{short[name]}: {', '.join(words)}" if words else short[name]
        labels[name] = label if len(label) <= WIDEST else label[: WIDEST - 1] + "…"
    return labels


def _value(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else " ".join(str(value).split())


def _course(comparison: Comparison, measure: str) -> View | None:
    lines = course_lines(comparison, measure, labels_of(comparison))
    if not lines:
        return None
    words = measure.replace("_", " ")
    title = TITLES.get(measure, words[:1].upper() + words[1:])[:WIDEST]
    is_log = ("loss" in measure or "norm" in measure) and all(min(line.y) > 0 for line in lines)
    about = f"{title} of each run by {ACROSS[comparison.by]}."
    across, upwards = Scale(ACROSS[comparison.by]), Scale(words[:WIDEST], log=is_log)
    return View(measure, title, across, upwards, tuple(lines), (), _broken(comparison, measure), about=about)


def _broken(comparison: Comparison, measure: str) -> tuple[Mark, ...]:
    """Where a measure of a run became not finite and stayed so."""
    labels, names = labels_of(comparison), comparison.names
    return tuple(
        Mark("x", at, f"{labels[name]}: not finite from here on"[:WIDEST], colour_of(names.index(name)), "dotted", 1.4)
        for name, at in comparison.broken(measure).items()
    )


def course_lines(comparison: Comparison, measure: str, labels: Mapping[str, str]) -> list[Series]:
    """A line for each run that has a measure; a noisy training loss is shown as its moving mean.

    Args:
        comparison: of the runs.
        measure: one of ``comparison.measures``.
        labels: of each run, by name.

    Example:
        >>> from stepsize import JsonLines, Record, RunFolder, compare
        >>> from stepsize.views import course_lines
        >>> for name in ("runs/a", "runs/b"):
        ...     RunFolder(name).write(task="digits", rate=0.1)
        ...     JsonLines(f"{name}/metrics.jsonl").on(Record(0, 0, values={"loss": 1.0}))
        >>> [line.y for line in course_lines(compare("runs/a", "runs/b"), "loss", {"runs/a": "a", "runs/b": "b"})]
        [(1.0,), (1.0,)]
    """
    lines = []
    for name, (at, values) in comparison.courses(measure).items():
        kept = np.abs(values) <= LARGEST
        at, values = at[kept], values[kept]
        if len(at):
            smooth = moving_mean(values, _width(values)) if measure == "loss" and is_noisy(values) else values
            lines.append(_line(comparison.names.index(name), at, smooth, labels[name]))
    return lines


def _line(number: int, at: Any, values: Any, label: str) -> Series:
    dashed = number >= 8  # the colours begin again
    return series(at, values, label, colour_of(number), width=1.4, marker=few(at), dashed=dashed)


def _width(values: Any) -> int:
    return max(1, len(values) // SMOOTHED)


def _with_gap(comparison: Comparison, number: int, label: str) -> str:
    last = comparison.figures.get("gap", ())
    there = last[number] if number < len(last) else None
    known = isinstance(there, int | float) and np.isfinite(there)
    return f"{label}: gap {there:.3g} at the end" if known else label


def _pair(comparison: Comparison, name: str) -> tuple[Any, Any, Any] | None:
    """Places of validations, the mean training loss there, and the validation loss."""
    if not {"loss", "validation_loss"} <= set(comparison.measures):
        return None
    (train_at, losses), (at, seen) = (
        comparison.courses(measure).get(name, ((), ())) for measure in ("loss", "validation_loss")
    )
    if not len(train_at) or not len(at) or max(np.abs(losses).max(), np.abs(seen).max()) > LARGEST:
        return None
    return at, np.interp(at, train_at, moving_mean(np.asarray(losses), _width(losses))), seen
