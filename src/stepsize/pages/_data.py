"""The numbers behind a chart: as the rows of a table, and as CSV in a link."""

import csv
import io
import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from stepsize import _check
from stepsize.pages._chart import Chart
from stepsize.pages._numbers import exact, short
from stepsize.views import Series, View

WIDEST = 3  # times as many rows as the longest series has: then each series has rows of its own
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what spreadsheets would compute
BARE = " ,.:;+-_()/=*"  # of CSV, what a link may hold as it is


@dataclass(frozen=True)
class Data:
    """A table of numbers, and its link.

    Attributes:
        columns: their names.
        roles: of each column what it holds, for the page's script: ``x``, the number of a series, ``3:low``, or
            ``name`` and ``y`` where each row says its series.
        rows: texts.
        link: a ``data:`` address of the same as CSV, with all digits.
        tall: whether each row says its series.
    """

    columns: tuple[str, ...]
    roles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    link: str
    tall: bool = False


def data_of(chart: Chart, series: Sequence[Series]) -> Data:
    """The numbers of a chart.

    Args:
        chart: as it is drawn.
        series: of it, as they are drawn.
    """
    view = chart.view
    if view.cells is not None:
        return _cells(view)
    label = view.x.label or "x"
    columns, roles = [label], ["x"]
    parts: list[tuple[Sequence[float], Sequence[float]]] = []
    for number, line in enumerate(series):
        name = line.name or view.y.label or f"series {number + 1}"
        for role, values in (("", line.y), ("low", line.low), ("high", line.high)):
            if len(values):
                columns.append(f"{name} {role}".strip())
                roles.append(f"{number}:{role}" if role else str(number))
                parts.append((line.x, values))
    rows = _joined(parts)
    longest = max((len(x) for x, _ in parts), default=0)
    if rows is None or len(rows) > WIDEST * longest:
        return _tall(view, series)
    return Data(tuple(columns), tuple(roles), _texts(rows, short), csv_link(columns, _texts(rows, exact)))


def _joined(parts: Sequence[tuple[Sequence[float], Sequence[float]]]) -> list[list[float]] | None:
    """A row for each place; None where a series has one twice, or goes back."""
    table: dict[float, list[float]] = {}
    for column, (x, values) in enumerate(parts):
        if any(not a < b for a, b in itertools.pairwise(x)):
            return None
        for place, value in zip(x, values, strict=True):
            table.setdefault(place, [math.nan] * len(parts))[column] = value
    return [[place, *table[place]] for place in sorted(table)]


def _tall(view: View, series: Sequence[Series]) -> Data:
    columns = ("series", view.x.label or "x", view.y.label or "y")
    names = [line.name or f"series {number + 1}" for number, line in enumerate(series)]
    rows = [(number, x, y) for number, line in enumerate(series) for x, y in zip(line.x, line.y, strict=True)]
    shown = tuple((names[number], short(x), short(y)) for number, x, y in rows)
    kept = [(names[number], exact(x), exact(y)) for number, x, y in rows]
    return Data(columns, ("name", "x", "y"), shown, csv_link(columns, kept), tall=True)


def _cells(view: View) -> Data:
    if view.cells is None:
        raise ValueError("view has no cells")
    across, up = ({int(at): word for at, word in scale.ticks} for scale in (view.x, view.y))
    values = view.cells.values
    wide = len(values[0]) if values else 0
    columns = (f"{view.y.label} \\ {view.x.label}", *(str(across.get(place, place)) for place in range(wide)))
    rows = tuple((str(up.get(place, place)), *map(short, row)) for place, row in enumerate(values))
    kept = [(str(up.get(place, place)), *map(exact, row)) for place, row in enumerate(values)]
    return Data(columns, ("row", *[""] * wide), rows, csv_link(columns, kept))


def _texts(rows: Iterable[Sequence[float]], text: Any) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(text(value) for value in row) for row in rows)


def csv_link(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A ``data:`` address with a table as CSV; no text of it is a formula to a spreadsheet.

    Args:
        columns: their names.
        rows: texts.
    """
    file = io.StringIO(newline="")
    table = csv.writer(file, lineterminator="\n")
    table.writerow([_inert(name) for name in columns])
    table.writerows([[_inert(value) for value in row] for row in rows])
    return "data:text/csv;charset=utf-8," + quote(clean(file.getvalue()), safe=BARE)


def _inert(value: Any) -> str:
    text = str(value)
    if not text.startswith(FORMULA):
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text


def clean(text: str) -> str:
    """A text that every file may hold: characters without a meaning are replaced."""
    return _check.printable(text, "\N{REPLACEMENT CHARACTER}", KEPT)


KEPT = {"\n", "\t"} | {chr(code) for code in (0x200D, 0xFE0F, 0x00A0, 0x2009, 0x202F)}  # joiners of emoji, blanks
