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
from stepsize.record import METRICS, RUN, RUNNING, VALIDATION, RunFolder, read_lines

DEFAULT = Path("runs")
GAP, BEGUN = 2, 11  # columns between two others, and of a date
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
    for name in damaged:
        screen.note(f"left out: {name}")
    if found:
        screen.say(runs_table(found, screen.people.width))
    else:
        screen.say(f"no run in {folder}; `stepsize tune digits` makes one in runs")
    screen.answer(folder=str(folder), runs=[{**run, "folder": str(folder / run["folder"])} for run in found])
    return 0


def read_runs(place: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Facts of the runs in a folder, the newest first, and the problems of those that cannot be read.

    Args:
        place: a folder with runs in it, or a run's.
    """
    inside = sorted(place.iterdir()) if place.is_dir() else []
    found, damaged = [], []
    for path in [place, *inside]:
        if (path / RUN).exists():
            try:
                facts = RunFolder.existing(path).facts()
            except (OSError, ValueError) as error:
                damaged.append(str(error))
            else:
                name = "" if path == place else path.name
                kept = {key: facts.get(key) for key in KEPT}
                if kept["status"] == RUNNING:  # or killed, and its lines say how far it came
                    kept["done"] = max(kept["done"] or 0, _written(path))
                found.append({"folder": name, **kept})
    return sorted(found, key=lambda run: (run["started"] or "", run["folder"]), reverse=True), damaged


def _written(place: Path) -> int:
    """How many steps the files of a run tell of."""
    try:
        last = [line["step"] + 1 for line in read_lines(place / METRICS).entries[-1:]]
        last += [line["step"] for line in read_lines(place / VALIDATION).entries[-1:]]
    except (OSError, ValueError):
        return 0
    return max(last, default=0)


def runs_table(found: list[dict[str, Any]], width: int) -> Table:
    """A line for each run, no wider than the screen.

    Args:
        found: from ``read_runs``.
        width: of the screen, in columns.
    """
    width, status_width = min(width, 120), 11 if width < 100 else 24
    rows = [_row(run) for run in found]
    widest = [max(len(row[place]) for row in rows) for place in range(4)]
    room = width - status_width - max(widest[2], 4) - max(widest[3], 5) - BEGUN - 5 * GAP
    room = max(room - widest[0], 6 * room // 10)
    table = Table(box=None, width=width, pad_edge=False)
    table.add_column("run", overflow="ellipsis", no_wrap=True, ratio=4)
    table.add_column("status", overflow="ellipsis", no_wrap=True, width=status_width)
    table.add_column("rate", justify="right", no_wrap=True)
    table.add_column("steps", justify="right", no_wrap=True)
    figures = [_check.printable(figures_of(run["metrics"] or {}, room)) for run in found]
    table.add_column("figures", overflow="ellipsis", no_wrap=True, width=min(room, max(7, *map(len, figures))))
    table.add_column("begun", no_wrap=True)
    for row, shown, run in zip(rows, figures, found, strict=True):
        table.add_row(*row, shown, _when(run["started"]))
    return table


def _row(run: dict[str, Any]) -> tuple[str, str, str, str]:
    """Its name, status, rate and steps."""
    rate = "" if run["rate"] is None else f"{run['rate']:.3g}"
    done, steps = run["done"], run["steps"]
    count = "" if steps is None else f"{done}/{steps}" if done not in (None, steps) else str(steps)
    return _check.printable(run["folder"] or "."), _check.printable(run["status"] or ""), rate, count


def figures_of(metrics: dict[str, float | None], room: int) -> str:
    """The figures of a run that are worth most: those on data that it was not trained on, or else its training loss.

    Args:
        metrics: by name; the training loss is ``loss``.
        room: columns that they may take: of more than one those that fit whole.
    """
    others = {name: value for name, value in metrics.items() if name != "loss"} or metrics
    shown = [f"{_short(name)} {'not finite' if value is None else f'{value:.3g}'}" for name, value in others.items()]
    return next(
        (text for few in range(FIGURES, 1, -1) if len(text := "  ".join(shown[:few])) <= room), "".join(shown[:1])
    )


def _short(name: str) -> str:
    return name.replace("validation_", "val_").replace("accuracy", "acc").replace("_", " ")


def _when(started: str | None) -> str:
    try:
        return datetime.datetime.fromisoformat(started or "").astimezone().strftime("%m-%d %H:%M")
    except ValueError:
        return ""
