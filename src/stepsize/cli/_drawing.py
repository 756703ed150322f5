"""The commands that draw: schedules, and the folders of sweeps and runs."""

import csv
import io
import math
import textwrap
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.table import Table

from stepsize import _check
from stepsize.cli._compare import Along, By, Columns, columns_of
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
            help="Schedules, as 'warmup(5%) >> cosine()'; or folders of runs or sweeps, or logs of other tools.",
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
    by: Along = By.step,
    column: Columns = None,
    as_json: AsJson = False,
) -> int:
    """Draw schedules side by side, or write their values at every step; draw a sweep or runs again."""
    if all(Path(written).exists() for written in schedules):
        load_torch()
        from stepsize.cli._drawing_again import plot_one, plot_runs

        columns = columns_of(column)
        if len(schedules) == 1:
            return plot_one(Path(schedules[0]), out, columns, as_json)
        return plot_runs(schedules, out, by.value, columns, as_json)
    if column or by is not By.step:
        raise ValueError("--by and --column are for runs, and one of these is not a run; leave them out")
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
        typer.Option("--out", "-o", rich_help_panel=OUTPUT, help="Draw its picture into this file."),
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
    screen.say(f"{signature(name)}\n\n{explanation(name)}\n")
    shown = None
    if out is not None:
        shown = drawn(screen, lambda: gallery_picture(name, out), out, f"stepsize schedules {name} --out {out}")
    answer = {"name": name, "text": signature(name), "about": explanation(name)}
    screen.answer(**answer, picture=None if shown is None else str(shown))
