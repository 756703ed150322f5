"""The command that writes a page about a run, a sweep, or several of them."""

from pathlib import Path
from typing import Annotated

import typer

from stepsize import _check
from stepsize.cli._interrupts import load_torch
from stepsize.cli._options import OUTPUT, AsJson
from stepsize.cli._screen import Screen
from stepsize.cli._start import from_start

ENDINGS = (".html", ".htm")


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Folder of a run or a sweep, or a log of another tool; or several."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            rich_help_panel=OUTPUT,
            help="The page, .html; report.html in the folder when left out, and here of several.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Write a page to share: the verdict first, charts with their numbers, the command that repeats it."""
    if out is not None and out.suffix.lower() not in ENDINGS:
        raise ValueError(_check.message("out", str(out), "a file ending in .html"))
    load_torch()
    from stepsize.cli._damaged import damage_shown, typed_as
    from stepsize.pages import report as write

    screen, places = Screen(as_json), [from_start(run) for run in runs]
    with damage_shown(screen), typed_as("RUN", "what", "path"):
        page = write(places if len(places) > 1 else places[0], None if out is None else from_start(out))
    screen.say(f"report   {page}")
    screen.answer(report=str(page))
    return 0
