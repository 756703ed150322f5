"""The part of a run's record that can be drawn; a warning says what is left out."""

import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from stepsize import _check, _schema
from stepsize.record import METRICS, VALIDATION, RecordWarning, Run

LARGEST = 1e100  # of a number that is drawn; what is nearer to 0 than its inverse is drawn as 0
_RATE = _schema.maybe(_schema.finite(above=1 / LARGEST))


def _trials(name: str, value: Any) -> None:
    for part in (value, *value["trials"]):
        for key in ("rate", "low", "high"):
            _RATE(f"{key} of {name}", part.get(key))


def lines_of(run: Run) -> list[dict[str, Any]]:
    """All lines of a run with figures.

    Args:
        run: whose.

    Example:
        >>> from stepsize import RunFolder
        >>> from stepsize.record import Run
        >>> from stepsize.views import lines_of
        >>> RunFolder("runs/a").write(task="digits", rate=0.1)
        >>> lines_of(Run.open("runs/a"))
        []
    """
    return [*run.steps] if run.observed is run.steps else [*run.steps, *run.observed]


def drawable(run: Run) -> Run:
    """The part of a run that can be drawn; a ``RecordWarning`` says what is left out.

    Args:
        run: as it was read.

    Raises:
        TypeError: it is no run.

    Example:
        >>> from stepsize import Run, RunFolder
        >>> from stepsize.views import drawable
        >>> RunFolder("runs/a").write(task="digits", rate=0.1)
        >>> drawable(Run.open("runs/a")).facts["rate"]
        0.1
    """
    if not isinstance(run, Run):
        raise TypeError(_check.message("run", run, "a Run, as Run.open gives"))
    folder = run.folder
    facts = dict(run.facts)
    if "rate" in facts and not _keeps(_RATE, f"rate of {folder}", facts["rate"]):
        del facts["rate"]
    steps = _figures(run.steps, folder / METRICS)
    seen = steps if run.observed is run.steps else _figures(run.observed, folder / VALIDATION)
    finding = run.finding
    if finding is not None and _keeps(_trials, f"the finding of {folder}", finding):
        trials = [{**trial, "score": _drawable(trial["score"])} for trial in finding["trials"]]
        kept = {**finding, "initial": _drawable(finding["initial"]), "trials": trials}
        return Run(folder, facts, steps, seen, run.events, kept, run.plans)
    return Run(folder, facts, steps, seen, run.events, None, run.plans)


def _keeps(check: Callable[[str, Any], None], name: str, value: Any) -> bool:
    try:
        check(name, value)
    except ValueError as error:
        _say(f"{error}; it is left out")
        return False
    return True


def _say(problem: str) -> None:
    warnings.warn(problem, RecordWarning, stacklevel=2)


def _figures(entries: Iterable[Mapping[str, Any]], path: Path) -> list[dict[str, Any]]:
    """Lines with numbers that can be drawn."""
    drawn = [
        {name: _drawable(value) for name, value in entry.items() if not _is_beyond(value)}  # it is not None, not finite
        for entry in entries
    ]
    beyond = sum(_is_beyond(value) for entry in entries for value in entry.values())
    if beyond:
        are = "value is" if beyond == 1 else "values are"
        _say(f"{path}: {beyond} {are} beyond {LARGEST:g} and left out")
    for entry, own in zip(drawn, entries, strict=True):
        entry["step"] = own["step"]
    return drawn


def _is_beyond(value: float | None) -> bool:
    """Whether a number is finite, and too large for every picture."""
    return value is not None and LARGEST < abs(value) < math.inf


def _drawable(value: float | None) -> float | None:
    """A number as it is drawn; None for one beyond all pictures."""
    if value is None or not abs(value) <= LARGEST:
        return None
    return 0.0 if abs(value) < 1 / LARGEST else value
