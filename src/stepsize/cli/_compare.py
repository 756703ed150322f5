"""The command that puts runs beside each other, and what ``plot`` draws of several."""

import math
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from stepsize import _check
from stepsize.cli._interrupts import load_torch
from stepsize.cli._options import OUTPUT, AsJson
from stepsize.cli._screen import Screen

PICTURES = (".png", ".svg", ".pdf")
WIDE = 24  # characters of a name or value in the table


class By(StrEnum):
    """The axis that courses run along."""

    step = "step"
    time = "time"
    share = "share"


Along = Annotated[
    By, typer.Option(rich_help_panel=OUTPUT, help="What curves run along: steps, seconds, or share of the run.")
]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        metavar="OURS=THEIRS",
        help="What a value is called in the logs of others, such as loss=my/loss; again for more.",
    ),
]


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN RUN...", help="Folders of runs or sweeps, or logs of other tools, two or more."),
    ],
    by: Along = By.step,
    column: Columns = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", rich_help_panel=OUTPUT, help="Draw them into this file (.png, .svg, .pdf), too."),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Compare runs: in what they differ, where they ended, how far validation is from training."""
    load_torch()
    from stepsize.cli._compared import compared

    screen = Screen(as_json)
    found = compared(screen, runs, by.value, columns_of(column))
    for table in tables(found):
        screen.say(table)
    for note in found.notes:
        screen.note(note)
    if out is not None:
        from stepsize.pages import comparison

        comparison(found, picture_at(out))
        screen.say(f"picture  {out}")
    screen.answer(**found.plain(), picture=None if out is None else str(out))
    return 0


def columns_of(pairs: list[str] | None) -> dict[str, str] | None:
    """The words of ``--column`` as a mapping.

    Args:
        pairs: each ``OURS=THEIRS``.

    Raises:
        ValueError: one of them has another form.
    """
    for word in pairs or ():
        if not all(word.partition("=")[::2]):
            raise ValueError(_check.message("column", word, "OURS=THEIRS, such as loss=my/loss"))
    return {word.partition("=")[0]: word.partition("=")[2] for word in pairs} if pairs else None


def picture_at(out: Path) -> Path:
    """The file of a picture, refused where it cannot be one.

    Args:
        out: as it was typed.

    Raises:
        ValueError: its ending is that of no picture.
    """
    if out.suffix.lower() not in PICTURES:
        raise ValueError(_check.message("out", str(out), f"a file ending in {', '.join(PICTURES)}"))
    return out


def tables(found: Any) -> list[Table]:
    """Differing settings and final figures: a column for each run.

    Args:
        found: a comparison.
    """
    names = short(found.names)
    rows = {"settings": found.differing, "figures": found.figures}
    return [_table(title, names, row) for title, row in rows.items() if row]


def _table(title: str, names: list[str], rows: Any) -> Table:
    table = Table(title, *names, box=None, pad_edge=False)
    for name, values in rows.items():
        table.add_row(name, *(_shown(value) for value in values))
    return table


def short(names: tuple[str, ...]) -> list[str]:
    """Names without the folders that all have, and no longer than a column."""
    parts = [Path(name).parts for name in names]
    shared = 0
    while all(len(part) > shared + 1 and part[shared] == parts[0][shared] for part in parts):
        shared += 1
    bare = ["/".join(part[shared:]) for part in parts]
    return [name if len(name) <= WIDE else "…" + name[-WIDE + 1 :] for name in bare]


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}" if math.isfinite(value) else "not finite"
    text = _check.printable(" ".join(str(value).split()))
    return text if len(text) <= 3 * WIDE else text[: 3 * WIDE - 1] + "…"
