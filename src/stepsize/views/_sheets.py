"""The sheet of a run: its title, the views known of any run, and those of its task."""

import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from stepsize import _check
from stepsize.record import RecordWarning, Run
from stepsize.views import _gap as _gap  # registers what it knows
from stepsize.views import _plans as _plans
from stepsize.views import _run as _run
from stepsize.views._record import drawable
from stepsize.views._registry import views_of
from stepsize.views._view import Sheet

TaskViews = Callable[[Run, Sheet], Sheet]
LONGEST = 400  # characters of a title


def run_sheet(run: Run, own: TaskViews | None = None) -> Sheet:
    """The views of a run: those that any run has, and what its task makes of them.

    Args:
        run: as it was read.
        own: the task's ``views``: (run, sheet) -> sheet.

    Raises:
        TypeError: an argument is of another type.
        ValueError: nothing of the run can be drawn.

    Example:
        >>> from stepsize import JsonLines, Record, Run, RunFolder
        >>> from stepsize.views import run_sheet
        >>> RunFolder("runs/a").write(task="digits", rate=0.1)
        >>> lines = JsonLines("runs/a/metrics.jsonl")
        >>> for step in range(9):
        ...     lines.on(Record(step, step, values={"loss": 1 / (step + 1), "rate": 0.1}))
        >>> sheet = run_sheet(Run.open("runs/a"))
        >>> sheet.title, [view.name for view in sheet.views]
        ('digits  ·  rate 0.1', ['rate', 'loss'])
    """
    if not isinstance(run, Run):
        raise TypeError(_check.message("run", run, "a Run, as Run.open gives"))
    if own is not None and not callable(own):
        raise TypeError(_check.message("own", own, "a function of a run and its sheet"))
    seen = drawable(run)
    title = f"{run.folder.name}  ·  a log of {run.facts['log']}" if "log" in run.facts else title_of(seen.facts)
    sheet = Sheet(title[:LONGEST], views_of(seen))
    if own is not None:
        try:
            sheet = own(seen, sheet)
        except ValueError as error:  # of facts that were edited
            warnings.warn(f"{error}; the task's own views are left out", RecordWarning, stacklevel=2)
    if not sheet.views:
        raise ValueError(_check.message("folder", str(run.folder), "a run folder with something to draw"))
    return sheet


def title_of(facts: Mapping[str, Any]) -> str:
    """A run in one line: task, rate, what it reached, its seed."""
    parts = [str(facts.get("task", "run"))]
    if facts.get("rate"):
        parts.append(f"rate {facts['rate']:.3g}")
    accuracy = (facts.get("metrics") or {}).get("accuracy")
    if accuracy is not None and math.isfinite(accuracy):
        parts.append(f"validation accuracy {accuracy:.2%}")
    if facts.get("status", "finished") != "finished":
        parts.append(str(facts["status"]))
    return "  ·  ".join([*parts, f"seed {facts['seed']}"] if "seed" in facts else parts)
