"""One picture of several runs: their losses, rates and accuracies, a colour for each."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stepsize import _check
from stepsize.report._bowl import COLOURS
from stepsize.report._panels import is_noisy, moving_mean
from stepsize.report._record import Drawn, read_record
from stepsize.views import figure, plain, save

MOST = 12  # runs in a picture
SMOOTHED = 20  # parts of a noisy curve whose means are drawn
PANELS = {
    "loss": "Training loss",
    "validation_loss": "Validation loss",
    "rate": "The rate as applied",
    "accuracy": "Validation accuracy",
}


def comparison(folders: Sequence[Path | str], path: Path | str) -> Path:
    """Draw several runs in one picture: training and validation loss, rate and accuracy against the step.

    Noisy training losses are drawn as their moving mean over a twentieth of the run.

    Args:
        folders: of two runs or more, at most twelve.
        path: the picture's file.

    Returns:
        The picture's path.

    Raises:
        ValueError: a folder holds no run, or nothing of them can be drawn.
        ImportError: matplotlib is not installed.

    Example:
        >>> from stepsize import Record
        >>> from stepsize.report import comparison
        >>> from stepsize import JsonLines, RunFolder
        >>> for rate in (0.1, 0.2):
        ...     run = RunFolder.fresh("digits")
        ...     run.write(task="digits", rate=rate)
        ...     JsonLines(run.path / "metrics.jsonl").on(Record(0, 0, values={"loss": 1.0, "rate": rate}))
        >>> comparison(["runs/digits-0001", "runs/digits-0002"], "runs.png").name
        'runs.png'
    """
    if isinstance(folders, str) or not isinstance(folders, Sequence) or not 2 <= len(folders) <= MOST:
        raise ValueError(_check.message("folders", folders, f"two to {MOST} folders of runs"))
    records = {str(folder): read_record(Path(folder)) for folder in folders}
    shown = [name for name in PANELS if any(_points(record, name) for record in records.values())]
    if not shown:
        raise ValueError(_check.message("folders", list(records), "run folders with something to draw"))
    columns = min(2, len(shown))
    rows = -(-len(shown) // columns)
    sheet = figure(6.4 * columns, 4.0 * rows)
    for number, name in enumerate(shown, 1):
        ax = sheet.add_subplot(rows, columns, number)
        for colour, (folder, record) in zip(COLOURS * 2, records.items(), strict=False):
            _draw(ax, name, _points(record, name), colour, _label(folder, record))
        ax.set(xlabel="step", ylabel=name.replace("_", " "))
        if "loss" in name and all((np.asarray(line.get_ydata()) > 0).all() for line in ax.lines):
            ax.set_yscale("log")
        ax.set_title(PANELS[name], fontsize=10)
        ax.legend(fontsize=8)
        ax.grid(alpha=0.25)
        ax.spines[["top", "right"]].set_visible(False)
    save(sheet, path)
    return Path(path)


def _points(record: Drawn, name: str) -> list[tuple[int, float]]:
    lines = record.steps if name in ("loss", "rate") else record.seen
    return [(line["step"], line[name]) for line in lines if line.get(name) is not None]


def _draw(ax: Any, name: str, points: list[tuple[int, float]], colour: str, label: str) -> None:
    if not points:
        return
    at, values = np.array([step for step, _ in points]), np.array([float(value) for _, value in points])
    if name == "loss" and is_noisy(values):
        values = moving_mean(values, max(1, len(values) // SMOOTHED))
    ax.plot(at, values, color=colour, linewidth=1.4, marker="o" if len(at) < 5 else "", label=label)


def _label(folder: str, record: Drawn) -> str:
    rate = record.facts.get("rate")
    return plain(textwrap.shorten(folder, 40, placeholder=" …") + (f": rate {rate:.3g}" if rate else ""))
