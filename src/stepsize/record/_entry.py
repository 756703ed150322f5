"""One of several things that are compared: its settings, its curves, its final figures, its scores by rate."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from stepsize.record._course import Array, Course, course_of, is_number
from stepsize.record._run import Run

LATE = 0.05  # of a run's steps, over which its last training losses are averaged
BOOKKEEPING = ("step", "position", "seconds", "epoch")
OWN = ("task", "seed", "threads", "plan", "rate", "steps")
NO_SETTING = ("task", "seed", "steps", "threads", "shard", "verify")  # said elsewhere, or without effect
BY = ("step", "time", "share")


@dataclass(frozen=True)
class Entry:
    """One side of a comparison: a run, or one variant of a sweep.

    Attributes:
        name: display name.
        settings: plain, by name.
        courses: by name: ``loss``, ``rate``, ``gradient_norm``, ``validation_loss`` and other validation figures.
        figures: final ones by name: numbers, NaN where a course became not finite and stayed so; or texts such as a
            status.
        total: the length of the whole run in steps; None where there is none.
        scores: rates and the losses of short or whole runs at them, as two arrays; None where there are none.
        notes: what has to be said of it.
        broken: the step from which on a value was not finite any more, by the name of its course.
    """

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    courses: Mapping[str, Course] = field(default_factory=dict)
    figures: Mapping[str, float | str] = field(default_factory=dict)
    total: float | None = None
    scores: tuple[Array, Array] | None = None
    notes: Sequence[str] = ()
    broken: Mapping[str, float] = field(default_factory=dict)


def entry_of(run: Run, name: str) -> Entry:
    """A run as it is compared.

    Args:
        run: of stepsize, or a log of others.
        name: display name.

    Example:
        >>> from stepsize import JsonLines, Record, Run
        >>> from stepsize.record import entry_of
        >>> for step in range(3):
        ...     JsonLines("metrics.jsonl").on(Record(step, step, values={"loss": 4.0 / 2**step, "rate": 0.1}))
        >>> entry = entry_of(Run.open("metrics.jsonl"), "mine")
        >>> entry.courses["loss"].values, entry.figures["training loss"]
        (array([4., 2., 1.]), 1.0)
    """
    facts = run.facts
    trained = {key: course for key in _names(run.steps, loose=True) if (course := _course(run.steps, key, facts))}
    seen = {}
    if run.observed is not run.steps:
        seen = {key: course for key in _names(run.observed) if (course := _course(run.observed, key, facts))}
    everything = {**trained, **seen}
    courses = {key: course for key, course in everything.items() if len(course.values)}
    broken = {key: course.broken for key, course in everything.items() if course.broken is not None}
    last = max((float(line["step"]) for lines in (run.steps, run.observed) for line in lines[-1:]), default=None)
    total = facts.get("steps", None if last is None else last + 1)
    figures = {**_ends(everything, last), **_figures(facts, run.finding)}
    timed = any(course.seconds is not None for course in courses.values())
    evenly = timed and not any("seconds" in line for line in run.steps)
    note = f"{name} has the time of the whole run only: its steps are taken to have lasted equally long"
    notes = (note,) if evenly else ()
    return Entry(name, _settings(run), courses, figures, total, _scores(run.finding), notes, broken)


def _names(lines: Sequence[Mapping[str, Any]], *, loose: bool = False) -> list[str]:
    """The values that are compared; of training those that every run has, of layers none."""
    names = dict.fromkeys(name for line in lines for name in line)
    kept = [name for name in names if name not in BOOKKEEPING and "/" not in name]
    return [
        name for name in kept if not loose or name in ("loss", "rate", "gradient_norm", "validation_loss", "accuracy")
    ]


def _course(lines: Sequence[Mapping[str, Any]], name: str, facts: Mapping[str, Any]) -> Course | None:
    course = course_of(lines, name)
    if course is None or not len(course.values):
        return course
    clock = [line.get("seconds") for line in lines if is_number(line.get(name))]
    seconds = None
    if None not in clock:
        seconds = np.array(clock, float)
    elif facts.get("seconds") and facts.get("done"):
        seconds = course.steps / facts["done"] * facts["seconds"]
    return replace(course, seconds=seconds)


def _ends(courses: Mapping[str, Course], last: float | None) -> dict[str, float | str]:
    """Where the courses end: the training loss, the validation loss and the gap between them, the best validation."""
    figures: dict[str, float | str] = {}
    loss, seen = courses.get("loss"), courses.get("validation_loss")
    if loss is not None:
        figures["training loss"] = _late(loss, LATE * (last or 0))
    if seen is not None:
        figures["validation loss"] = seen.last
        if len(seen.values):
            best = int(np.argmin(seen.values))
            figures["best validation loss"] = float(seen.values[best])
            figures["at step"] = float(seen.steps[best])
            if loss is not None and (loss.steps <= seen.steps[-1]).any():
                before = _before(loss, seen.steps[-1], LATE * (last or 0))
                figures["gap"] = math.nan if math.isnan(loss.last) else seen.last - before
    others = [name for name in courses if name not in ("loss", "rate", "gradient_norm", "validation_loss")]
    return figures | {name: courses[name].last for name in others}


def _late(course: Course, width: float) -> float:
    """The mean over a stretch of steps at the end; NaN where the course did not end at a number."""
    return math.nan if math.isnan(course.last) else _before(course, course.steps[-1] + 1, width)


def _before(course: Course, done: float, width: float) -> float:
    """The mean over a stretch of steps, after which so many are done; of the last value if there is none."""
    until = np.flatnonzero(course.steps <= done)
    late = until[course.steps[until] > done - 1 - width]
    return float(course.values[late if len(late) else until[-1:]].mean())


def _figures(facts: Mapping[str, Any], finding: Mapping[str, Any] | None) -> dict[str, float | str]:
    """A run's own figures, and how its rate was found."""
    figures: dict[str, float | str] = {name: facts[name] for name in ("status", "done", "seconds") if name in facts}
    if finding is not None and finding["rate"] is not None:
        figures |= {"rate found": finding["rate"], "found between": f"{finding['low']:.3g} and {finding['high']:.3g}"}
    return figures


def _scores(finding: Mapping[str, Any] | None) -> tuple[Array, Array] | None:
    """Of each rate that was tried while one was looked for, the score of its longest run."""
    trials = [] if finding is None else [trial for trial in finding["trials"] if trial["score"] is not None]
    longest: dict[float, tuple[int, float]] = {}
    for trial in trials:
        if trial["steps"] >= longest.get(trial["rate"], (0, 0.0))[0]:
            longest[trial["rate"]] = trial["steps"], trial["score"]
    if not longest:
        return None
    rates = sorted(longest)
    return np.array(rates, float), np.array([longest[rate][1] for rate in rates], float)


def _settings(run: Run) -> dict[str, Any]:
    """The settings that a run began with, flat."""
    facts = run.facts
    settings = {name: facts[name] for name in OWN if facts.get(name) is not None}
    chosen = {**facts.get("said", {}), **facts.get("settings", {})}
    settings |= {name: value for name, value in _flat(chosen).items() if name not in (*NO_SETTING, *settings)}
    versions = facts.get("versions", {})
    settings |= {name: versions[name] for name in ("stepsize", "torch") if name in versions}
    return settings | ({"log": facts["log"]} if "log" in facts else {})


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings by their own names."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value) if isinstance(value, Mapping) else {name: value}
    return flat
