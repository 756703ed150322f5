"""Runs beside each other: in what they differ, their courses on one axis, their final figures; as plain data."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stepsize import _check
from stepsize.record._course import Array, Course
from stepsize.record._entry import BY, Entry, entry_of
from stepsize.record._run import Run

FIGURES = {"loss": "training loss", "validation_loss": "validation loss"}  # of courses, by other names
FIRST = ("loss", "validation_loss", "rate", "accuracy")  # in this order, and then the others


@dataclass(frozen=True)
class Comparison:
    """Common and differing settings of several runs.

    Attributes:
        entries: what is compared, in order.
        by: ``"step"``, ``"time"`` in seconds, or ``"share"`` of the run.
        differing: the settings that are not the same in all, each with a value for every entry; None where it has none.
        common: the settings that are.
        figures: the final figures, each with a value for every entry; None where it has none, NaN where it became not
            finite and stayed so.
        notes: what has to be said beside.
    """

    entries: tuple[Entry, ...]
    by: str
    differing: Mapping[str, tuple[Any, ...]]
    common: Mapping[str, Any]
    figures: Mapping[str, tuple[float | str | None, ...]]
    notes: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Display names of the entries."""
        return tuple(entry.name for entry in self.entries)

    @property
    def measures(self) -> tuple[str, ...]:
        """The measures that any of them has, the losses and the rate first."""
        known = dict.fromkeys(name for entry in self.entries for name in entry.courses)
        return (*(name for name in FIRST if name in known), *(name for name in known if name not in FIRST))

    def courses(self, measure: str) -> dict[str, tuple[Array, Array]]:
        """Of each entry that has it, a measure along the axis: places [n] and values [n].

        Args:
            measure: one of ``measures``.

        Raises:
            ValueError: there is none of that name.
        """
        if measure not in self.measures:
            raise ValueError(f"there is no measure {measure!r}; {_check.closest(str(measure), self.measures)}")
        found = {entry.name: (entry, entry.courses[measure]) for entry in self.entries if measure in entry.courses}
        placed = {name: (_places(entry, course, self.by), course.values) for name, (entry, course) in found.items()}
        return {name: (places, values) for name, (places, values) in placed.items() if places is not None}

    def broken(self, measure: str) -> dict[str, float]:
        """Of each entry in which a measure became not finite and stayed so, the place on the axis where it did.

        By time that is where the last finite value was.

        Args:
            measure: one of ``measures``, or any other.
        """
        places = {entry.name: _broken(entry, measure, self.by) for entry in self.entries if measure in entry.broken}
        return {name: place for name, place in places.items() if place is not None}

    def plain(self) -> dict[str, Any]:
        """All of it as mappings, lists, texts and numbers for JSON."""
        courses = {
            measure: {name: {"at": at.tolist(), "values": values.tolist()} for name, (at, values) in found.items()}
            for measure in self.measures
            if (found := self.courses(measure))
        }
        return {
            "runs": list(self.names),
            "by": self.by,
            "differing": {name: list(values) for name, values in self.differing.items()},
            "common": dict(self.common),
            "figures": {name: [_plain(value) for value in values] for name, values in self.figures.items()},
            "courses": courses,
            "scores": {
                entry.name: {"rates": entry.scores[0].tolist(), "values": entry.scores[1].tolist()}
                for entry in self.entries
                if entry.scores is not None
            },
            "not_finite_from": {entry.name: dict(entry.broken) for entry in self.entries if entry.broken},
            "notes": list(self.notes),
        }


def compare(*runs: Run | Entry | Path | str, by: str = "step") -> Comparison:
    """Put runs beside each other: folders, logs of others, runs that were read, variants of sweeps.

    The training loss at the end is the mean over the last twentieth of the run; the gap is the last validation loss
    less the mean training loss of the twentieth before it.

    Args:
        runs: two or more; a path is opened with ``Run.open``.
        by: what the courses run along: ``"step"``; ``"time"``, seconds since the beginning; ``"share"`` of the run.

    Raises:
        TypeError, ValueError: an argument is invalid, or a path holds no run.

    Example:
        >>> from stepsize import JsonLines, Record, RunFolder, compare
        >>> for name, rate in (("runs/a", 0.1), ("runs/b", 0.2)):
        ...     RunFolder(name).write(task="digits", rate=rate, steps=2)
        ...     JsonLines(f"{name}/metrics.jsonl").on(Record(0, 0, values={"loss": 10 * rate}))
        >>> compared = compare("runs/a", "runs/b")
        >>> compared.differing, compared.common
        ({'rate': (0.1, 0.2)}, {'task': 'digits', 'steps': 2})
        >>> compared.figures["training loss"]
        (1.0, 2.0)
    """
    if by not in BY:
        raise ValueError(_check.message("by", by, "'step', 'time' or 'share'"))
    if len(runs) < 2:
        raise ValueError(_check.message("runs", list(map(str, runs)), "two or more"))
    entries = _distinct([_entry(run) for run in runs])
    settings = dict.fromkeys(name for entry in entries for name in entry.settings)
    values = {name: tuple(entry.settings.get(name) for entry in entries) for name in settings}
    differing = {name: row for name, row in values.items() if any(other != row[0] for other in row[1:])}
    common = {name: row[0] for name, row in values.items() if name not in differing}
    known = dict.fromkeys(name for entry in entries for name in entry.figures)
    figures = {name: tuple(entry.figures.get(name) for entry in entries) for name in known}
    return Comparison(tuple(entries), by, differing, common, figures, tuple(_notes(entries, by)))


def _entry(run: Any) -> Entry:
    if isinstance(run, Entry):
        return run
    if isinstance(run, Run):
        return entry_of(run, str(run.folder))
    if not isinstance(run, Path | str):
        raise TypeError(_check.message("runs", run, "folders, logs, or runs that were read"))
    return entry_of(Run.open(run), str(run))


def _distinct(entries: Sequence[Entry]) -> list[Entry]:
    names = [entry.name for entry in entries]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"runs has {twice} twice; name each once")
    return list(entries)


def _notes(entries: Sequence[Entry], by: str) -> list[str]:
    broken = [f"{entry.name}: {_words(entry)}" for entry in entries if _words(entry)]
    if by != "time":
        return broken
    silent = [entry.name for entry in entries if entry.courses and not _has_time(entry)]
    return [
        *broken,
        *(note for entry in entries for note in entry.notes),
        *(f"{name} does not say how long its steps took, and is left out" for name in silent),
    ]


def _words(entry: Entry) -> str:
    """Which of its figures are not finite any more, and from where on."""
    named = {FIGURES.get(name, name): step for name, step in entry.broken.items()}
    ends = [(name, step) for name, step in named.items() if name in entry.figures]
    return ", ".join(f"the {name.replace('_', ' ')} is not finite from step {step:g} on" for name, step in ends)


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _has_time(entry: Entry) -> bool:
    return any(course.seconds is not None for course in entry.courses.values())


def _places(entry: Entry, course: Course, by: str) -> Array | None:
    if by == "time":
        return course.seconds
    return course.steps / _whole(entry, float(np.max(course.steps))) if by == "share" else course.steps


def _whole(entry: Entry, reached: float) -> float:
    return max(entry.total or 1.0, 1.0, reached)


def _broken(entry: Entry, measure: str, by: str) -> float | None:
    step, course = entry.broken[measure], entry.courses.get(measure)
    if by == "time":
        return None if course is None or course.seconds is None else float(course.seconds[-1])
    return step / _whole(entry, step) if by == "share" else step
