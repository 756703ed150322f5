"""The commands that draw: schedules, and the folders of sweeps and runs."""

import csv
import io
import math
import tempfile
import textwrap
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.table import Table

from stepsize import _check
from stepsize.cli._interrupts import load_torch
from stepsize.cli._options import OUTPUT, AsJson
from stepsize.cli._picture import drawn
from stepsize.cli._screen import Screen
from stepsize.pages import GALLERY, explanation, gallery_picture, signature, summary
from stepsize.schedule import Schedule, part
from stepsize.state import write_atomic
from stepsize.views import draw, plain, save

ROWS = 1_000_000  # of a table
FORMATS = (".png", ".svg", ".pdf", ".csv")


def plot(
    schedules: Annotated[
        list[str],
        typer.Argument(
            metavar="WHAT...",
            help="Schedules, as 'warmup(5%) >> cosine()'; or the folder of a sweep, or of one or more runs.",
        ),
    ],
    total: Annotated[float | None, typer.Option(help="Length of the run in steps, for schedules.")] = None,
    per_epoch: Annotated[float | None, typer.Option(help="Steps in an epoch, for lengths such as 3ep.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            rich_help_panel=OUTPUT,
            help="The picture (.png, .svg, .pdf) or table (.csv); schedule.png if left out, runs.png of several runs.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Draw schedules side by side, or write their values at every step; draw a sweep or runs again."""
    folders = [Path(each) for each in schedules]
    if all(folder.is_dir() for folder in folders):
        load_torch()
        from stepsize.cli._drawing_again import plot_folder, plot_runs

        return plot_folder(folders[0], out, as_json) if len(folders) == 1 else plot_runs(folders, out, as_json)
    if total is None:
        raise ValueError("plot needs --total, the length of the run in steps (or folders of a sweep or of runs)")
    out = Path("schedule.png") if out is None else out
    if out.suffix.lower() not in FORMATS:
        raise ValueError(_check.message("out", str(out), f"a file ending in {', '.join(FORMATS)}"))
    laid = {text: Schedule.parse(text).over(total, per_epoch) for text in schedules}
    if out.suffix.lower() == ".csv":
        _write_table(out, laid, total)
    else:
        ax = draw({text: part(schedule, length=total) for text, schedule in laid.items()})
        ax.set_title(plain(textwrap.fill(" and ".join(map(str, laid.values())), 90)), fontsize=9)
        save(ax.figure, out, dpi=150)
    screen, answers = Screen(as_json), []
    for schedule in laid.values():
        first, half, end = schedule(0), schedule(total / 2), schedule(total)
        screen.say(f"{schedule}\nfirst {first:.4g}   half-way {half:.4g}   end {end:.4g}   written to {out}")
        answers.append({"schedule": str(schedule), "first": first, "half_way": half, "end": end})
    screen.answer(**answers[0], total=total, picture=str(out), schedules=answers)
    return 0


def _write_table(out: Path, laid: dict[str, Schedule], total: float) -> None:
    if total > ROWS:
        raise ValueError(_check.message("total", total, f"at most {ROWS:,} for a table", "draw a picture instead"))
    steps = np.arange(math.ceil(total))
    columns = [schedule(steps) for schedule in laid.values()]
    file = io.StringIO(newline="")
    table = csv.writer(file)
    table.writerow(["step", *laid])
    table.writerows(zip(steps.tolist(), *(column.tolist() for column in columns), strict=True))
    write_atomic(out, file.getvalue().encode())


def schedules(
    name: Annotated[str | None, typer.Argument(help="A piece, to see its formula, parameters and source.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", rich_help_panel=OUTPUT, help="Where its picture goes; a temporary file if left out."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List all pieces a schedule can be made of, or explain one."""
    screen = Screen(as_json)
    if name is None:
        table = Table("piece", "what it is", box=None)
        for piece in GALLERY:
            table.add_row(signature(piece), summary(piece))
        screen.say(table)
        screen.answer(
            schedules=[{"name": piece, "text": signature(piece), "about": summary(piece)} for piece in GALLERY]
        )
        return
    if name not in GALLERY:
        raise ValueError(f"there is no piece {name!r}; {_check.closest(name, GALLERY)}")
    image = Path(tempfile.gettempdir(), f"stepsize-{name}.png") if out is None else out
    screen.say(f"{signature(name)}\n\n{explanation(name)}\n")
    words = f"stepsize schedules {name}"
    shown = drawn(screen, lambda: gallery_picture(name, image), image, words)
    answer = {"name": name, "text": signature(name), "about": explanation(name)}
    screen.answer(**answer, picture=None if shown is None else str(shown))
