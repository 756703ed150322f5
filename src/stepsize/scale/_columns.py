"""Tables of runs as columns: a CSV file, or the trials of a sweep."""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from stepsize import _check

Columns = dict[str, list[Any]]
SWEPT = "sweep.db"
UNDER_WAY = ("open", "stopped")  # states of a sweep's trials that have no final loss


def read_runs(path: Path | str) -> Columns:
    r"""The columns of a table of runs.

    Args:
        path: a CSV file whose first line names its columns, or a sweep's folder or ``sweep.db``, of which trials that
            are under way or were stopped early are left out.

    Returns:
        The values by column: numbers, None for an empty field, and texts for the rest.

    Raises:
        TypeError: the path is none.
        ValueError: the file is no such table, or a line of it has more or fewer fields than names.
        OSError: it cannot be read.

    Example:
        >>> from pathlib import Path
        >>> from stepsize.scale import read_runs
        >>> _ = Path("runs.csv").write_text("bs,lr,smooth loss\n8,0.1,2.5\n16,0.1,nan\n")
        >>> read_runs("runs.csv")
        {'bs': [8.0, 16.0], 'lr': [0.1, 0.1], 'smooth loss': [2.5, nan]}
    """
    if not isinstance(path, Path | str):
        raise TypeError(_check.message("path", path, "a file's path"))
    path = Path(path)
    if path.is_dir() or path.name == SWEPT:
        return _of_sweep(path if path.is_dir() else path.parent)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _of_lines(path, csv.reader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is no CSV file ({error}); give a table with a line of names, or a sweep.db") from None


def _of_sweep(folder: Path) -> Columns:
    from stepsize.sweeps import Sweep  # needs torch, which a table does not

    rows = [row for row in Sweep.open(folder).rows() if row["status"] not in UNDER_WAY]
    if not rows:
        raise ValueError(f"{folder} holds no finished trial; go on with the sweep first")
    columns: Columns = {name: [row[name] for row in rows] for name in rows[0]}
    columns["loss"] = [math.inf if row["status"] == "diverged" else row["loss"] for row in rows]
    return {"lr": columns["rate"], **columns}


def _of_lines(path: Path, lines: Iterable[Sequence[str]]) -> Columns:
    filled = [(number, line) for number, line in enumerate(lines, 1) if line]
    if len(filled) < 2:
        raise ValueError(f"{path} must hold a line of names and a line for each run, got {len(filled)} lines")
    names = [name.strip() for name in filled[0][1]]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"{path} must name its columns differently, got {twice[0]!r} twice")
    for number, line in filled[1:]:
        if len(line) != len(names):
            raise ValueError(f"line {number} of {path} must have {len(names)} fields, as its first, got {len(line)}")
    return {name: [_value(line[index]) for _, line in filled[1:]] for index, name in enumerate(names)}


def _value(text: str) -> Any:
    text = text.strip()
    try:
        return float(text) if text else None
    except ValueError:
        return text


def column(columns: Mapping[str, Sequence[Any]], name: str, what: str) -> Sequence[Any]:
    """A column by its name; blanks and underscores are the same.

    Args:
        columns: by name.
        name: as it was given.
        what: the parameter that names it.

    Raises:
        TypeError, ValueError: there is none.
    """
    if not isinstance(name, str) or not name:
        raise TypeError(_check.message(what, name, "a column's name"))
    if name in columns:
        return columns[name]
    alike = [known for known in columns if known.replace(" ", "_") == name.replace(" ", "_")]
    if len(alike) == 1:
        return columns[alike[0]]
    raise ValueError(_check.message(what, name, "a column of the runs", _check.closest(name, columns)))
