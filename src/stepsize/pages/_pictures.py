"""Pictures as files: of a run, of a sweep, of several runs beside one another."""

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from stepsize import _check, _extras
from stepsize.record import BY, PICTURE, Comparison, Run, compare, entry_of
from stepsize.state import write_atomic
from stepsize.sweeps import Sweep, sweep_sheet
from stepsize.task import BUILT_IN
from stepsize.views import Sheet, TaskViews, compared, drawable, run_sheet, save, sheet_figure

FIGURES = 2  # validation figures of a task's own that are drawn, beside accuracy
MOST = 12  # runs in a picture


def picture(folder: Run | Path | str, views: TaskViews | None = None, path: Path | str | None = None) -> Path:
    """Draw a run from its own files, into ``picture.png`` beside them.

    Args:
        folder: a run folder with ``run.json``, and ``metrics.jsonl`` or ``finding.json`` or both. Validation figures
            are read from ``validation.jsonl``, or from among the metrics. What is damaged is left out, and said in a
            ``RecordWarning``. Or a log that others wrote, or a run that was read already.
        views: of the run's task, ``task.views``; those of built-in tasks are known.
        path: the picture's file; in the run's folder when left out, which a log of others has none of.

    Returns:
        The picture's path.

    Raises:
        TypeError: views is no function.
        ValueError: the folder holds no run, or nothing of it can be drawn.
        ImportError: matplotlib is not installed.

    Example:
        >>> import tempfile
        >>> from stepsize import Record
        >>> from stepsize.pages import picture
        >>> from stepsize import JsonLines, RunFolder
        >>> with tempfile.TemporaryDirectory() as root:
        ...     run = RunFolder.fresh("digits", root)
        ...     run.write(task="digits")
        ...     lines = JsonLines(run.path / "metrics.jsonl")
        ...     for step in range(10):
        ...         lines.on(Record(step, step, values={"loss": 1 / (step + 1), "rate": 0.1}))
        ...     lines.close()
        ...     picture(run.path).name
        'picture.png'
    """
    if views is not None and not callable(views):
        raise TypeError(_check.message("views", views, "a function of a run and its sheet, as of a task"))
    run = folder if isinstance(folder, Run) else Run.open(folder)
    sheet = pictured(run_sheet(run, views or views_of_task(run)))
    if path is None and "log" in run.facts:
        raise ValueError(f"{run.folder} is a log of others, beside which nothing is written; say the picture's path")
    path = run.folder / PICTURE if path is None else Path(path)
    save(sheet_figure(sheet), path)
    return path


def pictured(sheet: Sheet) -> Sheet:
    """The part of a run's sheet in its picture; a page has all of it.

    Args:
        sheet: of a run.
    """
    own = [view.name for view in sheet.views if view.name.startswith("figure/") and view.name != "figure/accuracy"]
    details = [view.name for view in sheet.views if view.name.startswith("detail/")]
    kept = sheet.without(*own[FIGURES:], *details)
    return kept if kept.views else replace(sheet, views=sheet.views[:6])


def views_of_task(run: Run) -> TaskViews | None:
    """The views of a run's task, if it is a built-in one; a user's code is not imported because a folder names it.

    Args:
        run: whose task it is.
    """
    views: TaskViews | None = getattr(BUILT_IN.get(str(run.facts.get("task"))), "views", None)
    return views


def comparison(runs: Sequence[Path | str] | Comparison, path: Path | str, by: str = "step") -> Path:
    """Draw several runs in one picture: losses, rates and other courses, the gap to validation, scores by rate.

    Noisy training losses are drawn as their moving mean over a twentieth of the run.

    Args:
        runs: folders of two runs or more, at most twelve, or logs that others wrote; or what ``compare`` gave.
        path: the picture's file.
        by: what courses run along, as in ``compare``, which a comparison knows itself.

    Returns:
        The picture's path.

    Raises:
        TypeError, ValueError: an argument is invalid, a folder holds no run, or nothing of them can be drawn.
        ImportError: matplotlib is not installed.

    Example:
        >>> from stepsize import Record
        >>> from stepsize.pages import comparison
        >>> from stepsize import JsonLines, RunFolder
        >>> for rate in (0.1, 0.2):
        ...     run = RunFolder.fresh("digits")
        ...     run.write(task="digits", rate=rate)
        ...     JsonLines(run.path / "metrics.jsonl").on(Record(0, 0, values={"loss": 1.0, "rate": rate}))
        >>> comparison(["runs/digits-0001", "runs/digits-0002"], "runs.png").name
        'runs.png'
    """
    if by not in BY:
        raise ValueError(_check.message("by", by, "'step', 'time' or 'share'"))
    if isinstance(runs, Comparison):
        found = runs
    elif isinstance(runs, str) or not isinstance(runs, Sequence) or not 2 <= len(runs) <= MOST:
        raise ValueError(_check.message("runs", runs, f"two to {MOST} folders of runs, or a comparison"))
    else:
        found = compare(*(entry_of(drawable(Run.open(run)), str(run)) for run in runs), by=by)
    save(sheet_figure(compared(found)), path)
    return Path(path)


def sweep_picture(sweep: Sweep | Path | str, path: Path | str | None = None) -> Path:
    """Draw a sweep: loss against rate for every variant, train against validation, convergence, best ridge.

    Args:
        sweep: a sweep, or its folder.
        path: the picture's file; ``sweep.png`` in the sweep's folder when left out.

    Returns:
        The picture's path.

    Raises:
        ValueError: there is no sweep, or nothing of it was trained yet.
        ImportError: matplotlib is not installed.

    Example:
        >>> import tempfile
        >>> from stepsize import sweep
        >>> from stepsize.engine import serial
        >>> from stepsize.pages import sweep_picture
        >>> from stepsize.task import task_named
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     swept = sweep(task_named("quadratic"), [0.01, 0.1], 1, steps=20, folder=folder, engine=serial)
        ...     sweep_picture(swept).name
        'sweep.png'
    """
    if not isinstance(sweep, Sweep | Path | str):
        raise TypeError(_check.message("sweep", sweep, "a sweep or its folder"))
    swept = sweep if isinstance(sweep, Sweep) else Sweep.open(sweep)
    drawn = sheet_figure(sweep_sheet(swept), margins=True)
    target = swept.folder / "sweep.png" if path is None else Path(path)
    if target.suffix.lower() == ".png":
        _write_once(drawn, target)
    else:
        save(drawn, target)
    return target


def _write_once(drawn: Any, target: Path) -> None:
    """Write a figure whose margins are given: ``savefig`` draws all twice, the first time to lay it out."""
    drawn.set_dpi(130)
    canvas, buffer = _extras.load("matplotlib.backends.backend_agg", "plot", "a picture"), io.BytesIO()
    canvas.FigureCanvasAgg(drawn).print_png(buffer)
    write_atomic(target, buffer.getvalue())
