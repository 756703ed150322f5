"""Tables: Lightning's ``metrics.csv``, what W&B exports, and any other with a line of names above."""

import csv
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stepsize.record.foreign._log import Log, Reader, Row, by_number, number, say
from stepsize.state import read_regular

NAME = "metrics.csv"
OF_A_RUN = re.compile(r"(?P<run>.+) - (?P<name>.+?)(?P<bound>__MIN|__MAX)?", re.DOTALL)
PLAIN = re.compile(r"([A-Za-z_]\w*):[ ]+([^\s\[{&*!|>].*)")


def _within(folder: Path) -> list[Path]:
    for pattern in (NAME, f"version_*/{NAME}", f"lightning_logs/version_*/{NAME}", "*.csv"):
        found = list(folder.glob(pattern))
        if found:
            return found if pattern == "*.csv" else [run / NAME for run in by_number([e.parent for e in found])]
    return []


def _read(path: Path) -> Log:
    try:
        text = read_regular(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no table: it is not UTF-8 (byte {error.start})") from None
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[Row] = []
    names: list[str] = []
    damaged = 0
    try:
        names = _names(path, next(lines, []))
        for cells in lines:
            if len(cells) == len(names):
                pairs = zip(names, cells, strict=True)
                rows.append({name: value for name, cell in pairs if name for value in _cell(cell)})
            elif cells:
                damaged += 1
    except csv.Error as error:
        if not rows:
            raise ValueError(f"{path} is no table (line {lines.line_num}: {error})") from None
        damaged += 1
    if damaged:
        are = "row has" if damaged == 1 else "rows have"
        say(f"{damaged} {are} other columns than the first line of {path} names, or no end: left out")
    found = {name: match for name in names if (match := OF_A_RUN.fullmatch(name))}
    runs = list(dict.fromkeys(match["run"] for match in found.values()))
    rows = _of_a_run(found, len(runs) == 1, rows)
    return Log(path, rows, _settings(path.with_name("hparams.yaml")), runs=runs)


def _names(path: Path, names: list[str]) -> list[str]:
    names = [name.strip() for name in names]
    if len({*names}) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{path} has two columns {twice!r}; rename one")
    return names


def _cell(text: str) -> "list[float | int | None]":
    """A number, in a list; none for an empty cell or a word."""
    text = text.strip()
    try:
        return [number(int(text) if text.lstrip("+-").isdecimal() and len(text) < 20 else float(text))]
    except ValueError:
        return []


def _of_a_run(found: Mapping[str, re.Match[str]], is_one: bool, rows: list[Row]) -> list[Row]:
    """W&B's pages export columns called ``RUN - NAME``, with ``__MIN`` and ``__MAX`` beside: of one run, the names."""
    bounds = {name for name, match in found.items() if match["bound"]}
    bare = {name: match["name"] for name, match in found.items() if is_one and name not in bounds}
    return [{bare.get(name, name): value for name, value in row.items() if name not in bounds} for row in rows]


def _settings(path: Path) -> Mapping[str, Any]:
    """Those lines of Lightning's ``hparams.yaml`` that are a name and a plain value."""
    try:
        text = read_regular(path).decode("utf-8")
    except (OSError, ValueError):
        return {}
    found = (PLAIN.fullmatch(line.rstrip()) for line in text.splitlines())
    settings = {match[1]: next(iter(_cell(match[2])), match[2].strip("'\"")) for match in found if match}
    return {"settings": settings} if settings else {}


CSV = Reader(
    "CSV", "a table (.csv) of Lightning, W&B or others", lambda path: path.suffix.lower() == ".csv", _within, _read
)
