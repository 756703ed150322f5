"""Readers of foreign records, and their result: rows of numbers by the log's own names."""

import math
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple

from stepsize.record._lines import RecordWarning

Row = Mapping[str, float | int | None]


@dataclass(frozen=True)
class Log:
    """A foreign record as it stands.

    Attributes:
        path: what was read.
        rows: numbers by the log's own names; None for one that is not finite.
        facts: what else is known: ``steps``, ``done``, ``status``, ``settings``.
        events: lines that tell an event, in our form.
        runs: the names of those it is of, where it says them.
        step: the name under which the rows count steps; None where that is to be guessed.
    """

    path: Path
    rows: Sequence[Row]
    facts: Mapping[str, Any] = field(default_factory=dict)
    events: Sequence[dict[str, Any]] = ()
    runs: Sequence[str] = ()
    step: str | None = None


class Reader(NamedTuple):
    """How one format is found and read.

    Attributes:
        name: of what writes it.
        about: the format in a few words, for an error.
        fits: whether a file is of this format, by its name.
        within: the logs of this format in a folder.
        read: the log; ValueError where there is none to be read.
    """

    name: str
    about: str
    fits: Callable[[Path], bool]
    within: Callable[[Path], list[Path]]
    read: Callable[[Path], Log]


def number(value: Any) -> float | int | None:
    """A number as it is kept; None for one that is not finite, or beyond all floats."""
    if type(value) is int:
        return value if abs(value) < 2**63 else None
    return float(value) if math.isfinite(value) else None


def row_of(entry: Mapping[str, Any], above: str = "") -> dict[str, float | int | None]:
    """The numbers of an entry; what is nested is named with a slash, and what is no number is left out."""
    row: dict[str, float | int | None] = {}
    for name, value in entry.items():
        if isinstance(value, Mapping):
            row |= row_of(value, f"{above}{name}/")
        elif value is None or (isinstance(value, Real) and not isinstance(value, bool)):
            row[above + name] = None if value is None else number(value)
    return row


def settings_of(entry: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Those of some settings that are there and plain."""
    return {name: entry[name] for name in names if isinstance(entry.get(name), str | int | float)}


def by_number(paths: Sequence[Path]) -> list[Path]:
    """Paths in the order of the number at the end of their names."""
    return sorted(paths, key=lambda path: int((re.findall(r"\d+$", path.name[:40]) or ["-1"])[-1]))


def say(problem: str) -> None:
    """Warn of what is left out."""
    warnings.warn(problem, RecordWarning, stacklevel=3)
