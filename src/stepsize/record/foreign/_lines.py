"""From a foreign log's rows to lines as ours are: one for each step, validations apart."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stepsize.record.foreign._columns import TRAINING, Columns, Name
from stepsize.record.foreign._log import Log, Row, say

Series = dict[int, float | int | None]
SHUFFLED = 3  # steps on the average between two that go back: of fewer no run has been resumed
RETURNS = 3  # of numbers after what is none, from where on that is taken to be a gap


@dataclass(frozen=True)
class Lines:
    """A foreign log in our form.

    Attributes:
        steps: a line for each step.
        observed: a line for each validation.
        columns: which of the log's names was read as what, by ours.
        counts: what the steps count, where that is not steps.
    """

    steps: Sequence[dict[str, Any]] = ()
    observed: Sequence[dict[str, Any]] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    counts: str | None = None


def lines_of(log: Log, columns: Columns) -> Lines:
    """The lines of a log.

    Args:
        log: what was read.
        columns: which are what.

    Raises:
        ValueError: it has no such column.
    """
    known = list(dict.fromkeys(name for row in log.rows for name in row))
    columns.check(known)
    step = _counter(log, columns, known)
    found, lost = _series(_numbered(log, step), leave_out=step)
    if lost:
        say(f"{log.path} goes back in its steps, and {lost} that were written before do not come again: left out")
    series = {name: _measured(points) for name, points in found.items()}
    seconds = columns.seconds(series)
    clock = _clock(series[seconds]) if seconds is not None else {}
    named = columns.named({name: len(points) for name, points in series.items() if not clock or name != seconds})
    apart = _validations(series, named)
    if clock and seconds is not None:
        series[seconds], named["seconds"] = clock, seconds
    names: dict[str, list[str]] = {}
    for short, column in named.items():
        names.setdefault(column, []).append(short)
    when = {name: points for name, points in series.items() if _tells_when(name, names)}
    trained = {name: points for name, points in series.items() if name not in when and name not in apart}
    seen = {name: points for name, points in series.items() if name not in when and name in apart}
    steps, observed = _lines(trained | when, names), _lines(seen | when, names)
    shown = {name: column for name, column in named.items() if name != column}
    return Lines(steps, observed, shown, "rows" if step is None else "epochs" if _is_epoch(step) else None)


def _counter(log: Log, columns: Columns, known: list[str]) -> str | None:
    """The column that counts steps; epochs that are no whole numbers do not."""
    if log.step is not None and "step" not in columns.given:
        return log.step
    step = columns.step(known)
    guessed = step is not None and "step" not in columns.given and _is_epoch(step)
    return None if guessed and any(_whole(row.get(step or "", 0)) is None for row in log.rows) else step


def _is_epoch(name: str) -> bool:
    return {*Name.of(name).words} - TRAINING == {"epoch"}


def _numbered(log: Log, step: str | None) -> list[tuple[int, Row]]:
    """The rows that say at which step they are; all of them, counted, where none could."""
    if step is None:
        say(f"{log.path} has no column that counts steps; its rows are counted from 0")
        return list(enumerate(log.rows))
    rows = [(at, row) for row in log.rows if (at := _whole(row.get(step))) is not None]
    lost = len(log.rows) - len(rows)
    if lost:
        say(f"{lost} of {len(log.rows)} rows of {log.path} have no whole number >= 0 as {step!r}: left out")
    return rows


def _whole(value: float | int | None) -> int | None:
    return int(value) if value is not None and 0 <= value < 2**53 and value == int(value) else None


def _series(rows: Iterable[tuple[int, Row]], leave_out: str | None) -> tuple[dict[str, Series], int]:
    """Each column by step, in order, and how many values of one were left out and never came again."""
    columns: dict[str, list[tuple[int, float | int | None]]] = {}
    for step, row in rows:
        for name, value in row.items():
            if name != leave_out:
                columns.setdefault(name, []).append((step, value))
    series, lost = {}, 0
    for name, points in columns.items():
        series[name] = dict(sorted(points)) if _is_one_run([step for step, _ in points]) else _resumed(points)
        lost = max(lost, len({step for step, _ in points}) - len(series[name]))
    return series, lost


def _is_one_run(steps: Sequence[int]) -> bool:
    """Whether steps that go back are those of one run in another order: no step twice, and no part written anew.

    What is written newest first, by hand, or in parts is such a run. A resumed one goes back into what it has written,
    seldom, and then on for a while.
    """
    if len({*steps}) < len(steps):
        return False
    backs = [place for place, (before, now) in enumerate(itertools.pairwise(steps), 1) if now < before]
    if not backs or len(steps) < SHUFFLED * (len(backs) + 1):
        return True
    edges = [0, *backs, len(steps)]
    parts = sorted((steps[first], steps[end - 1]) for first, end in itertools.pairwise(edges))
    return all(last < first for (_, last), (first, _) in itertools.pairwise(parts))


def _resumed(points: Iterable[tuple[int, float | int | None]]) -> Series:
    """A column in which a step comes twice begins again at the later one, as a resumed run's does."""
    kept: Series = {}
    for step, value in points:
        while kept and next(reversed(kept)) >= step:
            kept.popitem()
        kept[step] = value
    return kept


def _measured(points: Series) -> Series:
    """A column without what fills the steps at which it was not measured: most of it, with numbers again and again."""
    missing = [value is None for value in points.values()]
    returns = sum(before and not now for before, now in itertools.pairwise(missing))
    if returns < RETURNS or 2 * sum(missing) < len(missing):
        return points
    return {step: value for step, value in points.items() if value is not None}


def _clock(points: Series) -> Series:
    """Seconds since the beginning; nothing if the values go back, as a step's own time does."""
    at = sorted(points)
    values = [value for step in at if (value := points[step]) is not None]
    if len(values) < len(at) or values != sorted(values) or (len(values) > 1 and values[0] == values[-1]):
        return {}
    begun = values[0] if values and values[0] > 1e8 else 0  # a date counts from 1970
    return {step: value - begun for step, value in zip(at, values, strict=True)}


def _validations(series: Mapping[str, Series], named: Mapping[str, str]) -> set[str]:
    """The columns of validations: by their names, or because they stand only where those do."""
    raw_names = {raw for name, raw in named.items() if name in ("validation_loss", "accuracy")}
    apart = raw_names | {name for name in series if Name.of(name).is_validation} - {named.get("loss")}
    steps = [series[name].keys() for name in apart]
    trained = series.get(named.get("loss", ""), {})
    taken = {*named.values()}
    for name, points in series.items():
        own = Name.of(name)
        alike = points.keys() in steps and len(points) < len(trained)
        if alike and name not in taken and own.kept and not own.is_training:
            apart.add(name)
    return apart


def _lines(series: Mapping[str, Series], names: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """A line for each step at which something is known but how late it is."""
    silent = {step for name, points in series.items() if not _tells_when(name, names) for step in points}
    lines: dict[int, dict[str, Any]] = {step: {"step": step} for step in sorted(silent)}
    for raw, points in series.items():
        for name in names.get(raw, [raw]):
            for step in points.keys() & silent:
                lines[step][name] = points[step]
    return list(lines.values())


def _tells_when(name: str, names: Mapping[str, Sequence[str]]) -> bool:
    return name == "position" or _is_epoch(name) or "seconds" in names.get(name, ())
