"""What is whole in a run's folder, for its picture; what is left out is said."""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stepsize import _check, _schema
from stepsize.watch import Lines, RecordWarning, read_lines, read_object

LARGEST = 1e100  # of a number that is drawn; what is nearer to 0 than its inverse is drawn as 0
_RATE = _schema.finite(above=1 / LARGEST)
_BOWL = _schema.record(
    {
        "eigenvalues": _schema.every(_schema.finite(above=1 / LARGEST)),
        "rotation": _schema.finite(),
        "momentum": _schema.finite(least=0),
    }
)
_FINDING = _schema.record(
    {
        "rate": _schema.maybe(_RATE),
        "initial": _schema.maybe(_schema.real),
        "trials": _schema.every(
            _schema.record({"rate": _RATE, "steps": _schema.whole(1), "score": _schema.maybe(_schema.real)})
        ),
    },
    {"scored": _schema.text},
)


def check_finding(name: str, value: Any) -> None:
    """Raise ValueError unless it is what find has written; a rate has an interval."""
    _FINDING(name, value)
    end = _schema.maybe(_RATE) if value["rate"] is None else _RATE
    _schema.record({"low": end, "high": end})(name, value)


def _about(name: str, value: Any) -> None:
    _schema.table(_schema.anything)(name, value)
    if "eigenvalues" in value:
        _BOWL(name, value)
        if not 1 <= len(value["eigenvalues"]) <= 2:
            raise ValueError(_check.message(f"eigenvalues of {name}", value["eigenvalues"], "one or two numbers"))


FACTS = {
    "task": _schema.text,
    "rate": _schema.maybe(_RATE),
    "plan": _schema.text,
    "status": _schema.text,
    "seed": _schema.whole(),
    "said": _schema.table(_schema.anything),
    "metrics": _schema.table(_schema.maybe(_schema.real)),
    "about_task": _about,
}


@dataclass(frozen=True)
class Record:
    """What a run has written, as far as it is whole.

    Attributes:
        facts: of run.json.
        steps: lines of training steps.
        seen: lines of validations; the steps' own where they stand among them.
        cuts: steps at which feedback changed the rate.
        finding: of finding.json; None if there is none.
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


def read_facts(folder: Path) -> dict[str, Any]:
    """What run.json says, as far as it is whole; a ``RecordWarning`` says what is left out.

    Args:
        folder: of a run.

    Raises:
        ValueError: it holds no run, or run.json is no file.
    """
    if not (folder / "run.json").exists():
        raise ValueError(_check.message("folder", str(folder), "a run folder", "one with a run.json"))
    return _facts(folder / "run.json")


def read_record(folder: Path, facts: dict[str, Any] | None = None) -> Record:
    """The record in a run's folder; a ``RecordWarning`` says what is left out.

    Args:
        folder: with run.json.
        facts: of run.json; read when left out.

    Raises:
        ValueError: it holds no run, or one of its files is no file.
    """
    facts = read_facts(folder) if facts is None else facts
    steps, validation = _figures(folder / "metrics.jsonl"), _figures(folder / "validation.jsonl")
    events = _lines(folder / "events.jsonl").entries
    finding = _finding(folder / "finding.json")
    cuts = [entry["step"] for entry in events if entry.get("what") == "feedback"]
    return Record(facts, steps, validation or steps, cuts, finding)


def _say(problem: str) -> None:
    warnings.warn(problem, RecordWarning, stacklevel=2)


def _facts(path: Path) -> dict[str, Any]:
    said = read_object(path)
    if said is None:
        _say(f"{path} is damaged and left out")
        return {}
    facts = {}
    for name, check in FACTS.items():
        try:
            if name in said:
                check(f"{name} of {path}", said[name])
                facts[name] = said[name]
        except ValueError as error:
            _say(f"{error}; it is left out")
    return facts


def _finding(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    found = read_object(path)
    if found is None:
        _say(f"{path} is damaged and left out")
        return None
    try:
        check_finding(str(path), found)
    except ValueError as error:
        _say(f"{error}; it is left out")
        return None
    trials = [{**trial, "score": _drawable(trial["score"])} for trial in found["trials"]]
    return {**found, "initial": _drawable(found["initial"]), "trials": trials}


def _lines(path: Path) -> Lines:
    lines = read_lines(path)
    if lines.damaged:
        _say(lines.complaint())
    return lines


def _figures(path: Path) -> list[dict[str, Any]]:
    """The lines that are no events, with numbers that can be drawn."""
    entries = [entry for entry in _lines(path).entries if "what" not in entry]
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
