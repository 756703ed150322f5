"""What of a run's record can be drawn; what is left out is said."""

import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stepsize import _check, _schema
from stepsize.record import METRICS, VALIDATION, RecordWarning, Run

LARGEST = 1e100  # of a number that is drawn; what is nearer to 0 than its inverse is drawn as 0
_RATE = _schema.maybe(_schema.finite(above=1 / LARGEST))
_BOWL = _schema.record(
    {
        "eigenvalues": _schema.every(_schema.finite(above=1 / LARGEST)),
        "rotation": _schema.finite(),
        "momentum": _schema.finite(least=0),
    }
)


def _about(name: str, value: Any) -> None:
    if "eigenvalues" in value:
        _BOWL(name, value)
        if not 1 <= len(value["eigenvalues"]) <= 2:
            raise ValueError(_check.message(f"eigenvalues of {name}", value["eigenvalues"], "one or two numbers"))


def _trials(name: str, value: Any) -> None:
    for part in (value, *value["trials"]):
        for key in ("rate", "low", "high"):
            _RATE(f"{key} of {name}", part.get(key))


@dataclass(frozen=True)
class Drawn:
    """What of a run can be drawn.

    Attributes:
        facts: of run.json.
        steps: lines of training steps.
        seen: lines of validations; the steps' own where they stand among them.
        cuts: steps at which feedback changed the rate.
        finding: how the rate was found; None if there is nothing of it.
    """

    facts: dict[str, Any]
    steps: list[dict[str, Any]]
    seen: list[dict[str, Any]]
    cuts: list[int]
    finding: dict[str, Any] | None

    @property
    def lines(self) -> list[dict[str, Any]]:
        """All lines with figures."""
        return self.steps if self.seen is self.steps else [*self.steps, *self.seen]


def read_record(folder: Path) -> Drawn:
    """The record in a run's folder; a ``RecordWarning`` says what is left out.

    Args:
        folder: with run.json.

    Raises:
        ValueError: it holds no run, or one of its files is no file.
    """
    run = Run.open(folder)
    facts = dict(run.facts)
    for name, check in {"rate": _RATE, "about_task": _about}.items():
        if name in facts and not _keeps(check, f"{name} of {folder}", facts[name]):
            del facts[name]
    steps = _figures(run.steps, folder / METRICS)
    seen = steps if run.observed is run.steps else _figures(run.observed, folder / VALIDATION)
    cuts = [entry["step"] for entry in run.events if entry.get("what") == "feedback"]
    finding = run.finding
    if finding is not None and _keeps(_trials, f"the finding of {folder}", finding):
        trials = [{**trial, "score": _drawable(trial["score"])} for trial in finding["trials"]]
        return Drawn(facts, steps, seen, cuts, {**finding, "initial": _drawable(finding["initial"]), "trials": trials})
    return Drawn(facts, steps, seen, cuts, None)


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
    drawn = [{name: _drawable(value) for name, value in entry.items()} for entry in entries]
    beyond = sum(_count(entry.values()) for entry in entries) - sum(_count(entry.values()) for entry in drawn)
    if beyond:
        are = "value is" if beyond == 1 else "values are"
        _say(f"{path}: {beyond} {are} beyond {LARGEST:g} and left out")
    for entry, own in zip(drawn, entries, strict=True):
        entry["step"] = own["step"]
    return drawn


def _count(values: Iterable[Any]) -> int:
    return sum(value is not None for value in values)


def _drawable(value: float | None) -> float | None:
    """A number as it is drawn; None for one beyond all pictures."""
    if value is None or not abs(value) <= LARGEST:
        return None
    return 0.0 if abs(value) < 1 / LARGEST else value
