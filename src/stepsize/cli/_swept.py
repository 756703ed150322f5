"""A sweep on the command line: a table, the picture, one JSON object if asked for."""

import math
import textwrap
from pathlib import Path

from rich.table import Table

from stepsize.cli._picture import drawn
from stepsize.cli._screen import Screen
from stepsize.pages import report, sweep_picture
from stepsize.record import REPORT
from stepsize.sweeps import Best, Sweep

WIDEST = 22  # characters of a setting that are kept on a line


def report_sweep(
    screen: Screen,
    swept: Sweep,
    export: Path | None = None,
    picture: Path | None = None,
    *,
    folder: Path | None = None,
    to_draw: bool = False,
    reports: bool = False,
) -> int:
    """Show a sweep: a table of the best rates, the picture, one JSON object if asked for.

    Args:
        screen: where.
        swept: the sweep.
        export: a file for a table of all trials.
        picture: its file; in the sweep's folder when left out.
        folder: the sweep's, as it was typed.
        to_draw: whether a picture is what was asked for; otherwise there may be none.
        reports: whether a page is written too.
    """
    folder = swept.folder if folder is None else folder
    if not swept.outcomes:
        why = f": {swept.left_out[0]}" if swept.left_out else ""
        raise ValueError(f"{folder} holds no {'whole ' * bool(why)}trial{why}")
    if swept.left_out:
        count = f"{len(swept.left_out)} damaged row{'s' * (len(swept.left_out) > 1)}"
        screen.errors.print(f"left out {count}; {swept.left_out[0]}", soft_wrap=True)
    if export is not None:
        (swept.to_csv if export.suffix.lower() == ".csv" else swept.to_parquet)(export)
    screen.say(best_table(swept))
    screen.say(f"sweep    {folder}")
    shown = folder / "sweep.png" if picture is None else picture
    if to_draw:
        image: Path | None = sweep_picture(swept, picture)
        screen.say(f"picture  {shown}")
    else:
        image = drawn(screen, lambda: sweep_picture(swept, picture), shown, f"stepsize plot {folder}")
    page = _reported(screen, swept, folder) if reports else None
    bests = swept.best()
    known = math.isfinite(swept.initial)
    breaks = swept.thresholds() if known else [None] * len(bests)
    lost = swept.sensitivities() if known else [None] * len(bests)
    found = [
        {"settings": dict(variant), **vars(best), "breaks_between": between, "sensitivity": sensitivity}
        for variant, best, between, sensitivity in zip(swept.variants, bests, breaks, lost, strict=True)
    ]
    screen.answer(
        task=swept.facts["task"],
        trials=swept.rows(),
        best=found,
        folder=str(folder),
        picture=None if image is None else str(image),
        report=None if page is None else str(page),
        left_out=list(swept.left_out),
    )
    return 0 if any(best.rate is not None for best in bests) else 1


def _reported(screen: Screen, swept: Sweep, folder: Path) -> Path | None:
    """Write the sweep's page into its folder, in which people know it by another path than the program may."""
    place = swept.folder / REPORT
    return drawn(screen, lambda: report(swept, place), folder / REPORT, f"stepsize report {folder}", "report")


def best_table(swept: Sweep) -> Table:
    """The best rates, one row for each variant."""
    table = Table(box=None)
    bests, curves = swept.best(), swept.curves()
    table.add_column("settings", no_wrap=True)
    for column in ("best rate", "between", "loss", "validation", "breaks above"):
        table.add_column(column, overflow="fold")
    validated = "validation_loss" if "validation_loss" in swept.measures else None
    others = swept.best(validated) if validated else [None] * len(bests)
    thresholds = swept.thresholds() if math.isfinite(swept.initial) else [(math.nan, math.inf)] * len(bests)
    for curve, best, other, threshold in zip(curves, bests, others, thresholds, strict=True):
        if best.rate is None:
            table.add_row(_settings(curve.name), "every rate diverged")
            continue
        between = "" if best.low is None else f"{best.low:.2g} to {best.high:.2g}"
        breaks = "" if math.isinf(threshold[1]) else f"{threshold[0]:.3g}"
        border = ", border" if best.at_border else ""
        measured = "" if other is None else _validation(other, best.rate)
        table.add_row(
            *(_settings(curve.name), f"{best.rate:.3g}{border}", between),
            *(f"{best.value:.4g}", measured, breaks),
        )
    return table


def _validation(best: Best, rate: float) -> str:
    """The lowest validation loss, and where it is if that is at another rate."""
    if best.rate is None:
        return ""
    return f"{best.value:.4g}" + ("" if best.rate == rate else f" at {best.rate:.3g}")


def _settings(name: str) -> str:
    """A variant's settings in lines that leave room for the figures in 80 columns."""
    return textwrap.fill(name or "all", WIDEST)
