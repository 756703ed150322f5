"""Parts of a page, as plain data: sections of texts, facts, commands, tables and charts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stepsize.pages._chart import Chart, charted
from stepsize.pages._data import Data, csv_link, data_of
from stepsize.pages._numbers import exact, text_of
from stepsize.views import View

MANY = 40  # rows from which on a table can be filtered


@dataclass(frozen=True)
class Words:
    """A paragraph; a remark is set apart."""

    text: str
    kind: str = "words"
    remark: bool = False


@dataclass(frozen=True)
class Command:
    """Something to copy: a command of a shell, or a few lines of Python."""

    text: str
    about: str = ""
    kind: str = "command"


@dataclass(frozen=True)
class Facts:
    """Names and values side by side."""

    pairs: tuple[tuple[str, str], ...]
    large: bool = False
    kind: str = "facts"


@dataclass(frozen=True)
class Cell:
    """A value in a table: what is shown, and what it is sorted by."""

    text: str
    value: str
    number: bool


@dataclass(frozen=True)
class Table:
    """Rows that can be sorted, and filtered where they are many."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    link: str
    file: str
    folded: bool = False
    kind: str = "table"

    @property
    def numbers(self) -> set[int]:
        """The columns that hold numbers, and nothing else."""
        columns = range(len(self.columns))
        return {place for place in columns if all(row[place].number or not row[place].value for row in self.rows)}

    @property
    def many(self) -> bool:
        """Whether there are so many rows that a filter helps."""
        return len(self.rows) >= MANY


@dataclass(frozen=True)
class Picture:
    """A chart with the numbers behind it."""

    chart: Chart
    data: Data
    id: str
    kind: str = "picture"


@dataclass(frozen=True)
class Section:
    """A part of a page under a heading."""

    title: str
    parts: tuple[Any, ...]


@dataclass(frozen=True)
class Page:
    """A page: its verdict first.

    Attributes:
        name: in the browser's tab.
        kind: such as ``Training run``.
        verdict: one sentence.
        state: ``good``, ``doubt``, ``bad`` or ``open``.
        lead: what stands right below.
        sections: in order; those without parts are left out.
    """

    name: str
    kind: str
    verdict: str
    state: str
    lead: tuple[Any, ...]
    sections: tuple[Section, ...] = field(default=())


def picture(view: View, number: int, heading: str = "") -> Picture:
    """A view on a page, with its numbers.

    Args:
        view: plain data.
        number: of the chart on its page.
        heading: over it where the view has none.
    """
    chart = charted(view, heading)
    return Picture(chart, data_of(chart, chart.shown), f"chart-{number}")


def table(
    caption: str,
    rows: Iterable[Mapping[str, Any]] | Sequence[Mapping[str, Any]],
    columns: Sequence[str] | None = None,
    folded: bool = False,
) -> Table | None:
    """A table of rows by name; None without rows.

    Args:
        caption: what it lists.
        rows: values by column; a pair is what is shown and the value.
        columns: in order; all that there are when left out.
        folded: whether it is opened only on request.
    """
    rows = [*rows]
    if not rows:
        return None
    names = [*dict.fromkeys(name for row in rows for name in row)] if columns is None else [*columns]
    cells = tuple(tuple(_cell(row.get(name)) for name in names) for row in rows)
    link = csv_link(names, [[cell.value for cell in row] for row in cells])
    return Table(caption, tuple(names), cells, link, f"{slug(caption)}.csv", folded)


def _cell(value: Any) -> Cell:
    shown, value = value if isinstance(value, tuple) else (None, value)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if shown is None:
        shown = text_of(value)
    plain = exact(value) if number else "" if value is None else str(value)
    if number and not plain:
        plain = repr(value)  # not finite
    return Cell(shown, plain, number)


def slug(text: str) -> str:
    """A text as the name of a file or a place on a page."""
    kept = "".join(character if character.isascii() and character.isalnum() else "-" for character in text.lower())
    return "-".join(filter(None, kept.split("-")))[:40] or "data"


def section(title: str, *parts: Any) -> Section | None:
    """A section of the parts that there are; None without any.

    Args:
        title: its heading.
        parts: of a page, or None.
    """
    there = tuple(part for part in parts if part is not None)
    return Section(title, there) if there else None
