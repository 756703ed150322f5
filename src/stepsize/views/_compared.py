"""Views of several runs side by side: their losses, rates and accuracies, a colour for each."""

import textwrap
from collections.abc import Mapping

import numpy as np

from stepsize import _check
from stepsize.record import Run
from stepsize.views._record import drawable
from stepsize.views._run import few, points
from stepsize.views._thin import is_noisy, moving_mean
from stepsize.views._view import Scale, Sheet, View, colour_of, series

MOST = 12  # runs on a sheet
SMOOTHED = 20  # parts of a noisy curve whose means are drawn
TITLES = {
    "loss": "Training loss",
    "validation_loss": "Validation loss",
    "rate": "The rate as applied",
    "accuracy": "Validation accuracy",
}


def compared(runs: Mapping[str, Run]) -> Sheet:
    """Several runs: training and validation loss, rate and accuracy against the step.

    Noisy training losses are shown as their moving mean over a twentieth of the run.

    Args:
        runs: by name, two to twelve.

    Raises:
        TypeError: it is no mapping of runs.
        ValueError: they are too few or too many, or nothing of them can be drawn.

    Example:
        >>> from stepsize import JsonLines, Record, Run, RunFolder
        >>> from stepsize.views import compared
        >>> for name in ("runs/a", "runs/b"):
        ...     RunFolder(name).write(task="digits", rate=0.1)
        ...     JsonLines(f"{name}/metrics.jsonl").on(Record(0, 0, values={"loss": 1.0}))
        >>> [view.title for view in compared({name: Run.open(name) for name in ("runs/a", "runs/b")}).views]
        ['Training loss']
    """
    if not isinstance(runs, Mapping) or not all(isinstance(run, Run) for run in runs.values()):
        raise TypeError(_check.message("runs", runs, "runs by name"))
    if not 2 <= len(runs) <= MOST:
        raise ValueError(_check.message("runs", list(runs), f"two to {MOST} runs"))
    clean = {name: drawable(run) for name, run in runs.items()}
    views = [view for name in TITLES if (view := _view(name, clean)) is not None]
    if not views:
        raise ValueError(_check.message("folders", list(runs), "run folders with something to draw"))
    return Sheet("", tuple(views), (6.4, 4.0), min(2, len(views)))


def _view(name: str, runs: Mapping[str, Run]) -> View | None:
    lines = []
    for number, (label, run) in enumerate(runs.items()):
        at, values = points(run.steps if name in ("loss", "rate") else run.observed, name)
        if not len(at):
            continue
        if name == "loss" and is_noisy(values):
            values = moving_mean(values, max(1, len(values) // SMOOTHED))
        rate = run.facts.get("rate")
        label = textwrap.shorten(label, 40, placeholder=" …") + (f": rate {rate:.3g}" if rate else "")
        dashed = number >= 8  # the colours begin again
        lines.append(series(at, values, label, colour_of(number), width=1.4, marker=few(at), dashed=dashed))
    if not lines:
        return None
    is_log = "loss" in name and all(np.asarray(line.y).min() > 0 for line in lines)
    about = f"{TITLES[name]} of each run against the step."
    return View(name, TITLES[name], Scale("step"), Scale(name.replace("_", " "), log=is_log), tuple(lines), about=about)
