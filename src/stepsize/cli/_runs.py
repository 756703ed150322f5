"""The command that lists runs."""

import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from stepsize import _check
from stepsize.cli._options import AsJson
from stepsize.cli._screen import Screen
from stepsize.cli._start import from_start
from stepsize.record import RUN, RunFolder

DEFAULT = Path("runs")
FIGURES = 2  # shown of each run; all are in its JSON
KEPT = ("command", "task", "status", "rate", "plan", "seed", "done", "steps", "metrics", "seconds", "started")


def runs(
    folder: Annotated[Path, typer.Argument(metavar="[FOLDER]", help="Where the runs are, or one of them.")] = DEFAULT,
    as_json: AsJson = False,
) -> int:
    """List runs, the newest first: status, task, rate, figures, and when they were begun."""
    place, screen = from_start(folder), Screen(as_json)
    if not place.is_dir() and folder != DEFAULT:
        raise ValueError(_check.message("FOLDER", str(folder), "a folder that exists"))
    found, damaged = read_runs(place)
    for each in damaged:
        screen.note(f"left out: {each}")
    if found:
        screen.say(runs_table(found, screen.people.width))
    else:
        screen.say(f"no run in {folder}; `stepsize tune digits` makes one in runs")
    screen.answer(folder=str(folder), runs=[{**each, "folder": str(folder / each["folder"])} for each in found])
    return 0


def read_runs(place: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """What the runs in a folder say of themselves, the newest first, and what is wrong with those that cannot be read.

    Args:
        place: a folder with runs in it, or a run's.
    """
    inside = sorted(place.iterdir()) if place.is_dir() else []
    found, damaged = [], []
    for each in [place, *inside]:
        if (each / RUN).exists():
            try:
                facts = RunFolder.existing(each).facts()
            except (OSError, ValueError) as error:
                damaged.append(str(error))
            else:
                name = "" if each == place else each.name
                found.append({"folder": name, **{key: facts.get(key) for key in KEPT}})
    return sorted(found, key=lambda each: (each["started"] or "", each["folder"]), reverse=True), damaged


def runs_table(found: list[dict[str, Any]], width: int) -> Table:
    """A line for each run, no wider than the screen.

    Args:
        found: from ``read_runs``.
        width: of the screen, in columns.
    """
    table = Table(box=None, width=min(width, 120), pad_edge=False)
    table.add_column("run", overflow="ellipsis", no_wrap=True, ratio=4)
    table.add_column("status", overflow="ellipsis", no_wrap=True, width=11 if width < 100 else 24)
    table.add_column("rate", justify="right", no_wrap=True)
    table.add_column("steps", justify="right", no_wrap=True)
    table.add_column("figures", overflow="ellipsis", no_wrap=True, ratio=6)
    table.add_column("begun", no_wrap=True)
    for each in found:
        rate = "" if each["rate"] is None else f"{each['rate']:.3g}"
        done, steps = each["done"], each["steps"]
        count = "" if steps is None else f"{done}/{steps}" if done not in (None, steps) else str(steps)
        texts = each["folder"] or ".", each["status"] or "", figures_of(each["metrics"] or {})
        name, status, figures = map(_plain, texts)
        table.add_row(name, status, rate, count, figures, _when(each["started"]))
    return table


def figures_of(metrics: dict[str, float | None]) -> str:
    """The figures of a run that are worth most: those on data that it was not trained on, or else its training loss.

    Args:
        metrics: by name; the training loss is ``loss``.
    """
    others = {name: value for name, value in metrics.items() if name != "loss"} or metrics
    shown = [f"{_short(name)} {'not finite' if value is None else f'{value:.3g}'}" for name, value in others.items()]
    return "  ".join(shown[:FIGURES])


def _short(name: str) -> str:
    return name.replace("validation_", "val_").replace("accuracy", "acc").replace("_", " ")


def _plain(text: str) -> str:
    """One line of printable text, whatever a folder or an error is called."""
    return "".join(each if each.isprintable() else " " for each in text)


def _when(started: str | None) -> str:
    try:
        return datetime.datetime.fromisoformat(started or "").astimezone().strftime("%m-%d %H:%M")
    except ValueError:
        return ""
