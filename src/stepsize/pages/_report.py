"""One page for a run, a sweep, a finding or several of them, as a file that opens anywhere."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stepsize import _check
from stepsize.pages._commands import repeats
from stepsize.pages._found_parts import between, found_parts, plain_finding
from stepsize.pages._html import html_of
from stepsize.pages._numbers import text_of
from stepsize.pages._parts import Command, Facts, Page, picture, section
from stepsize.pages._pictures import views_of_task
from stepsize.pages._run_page import run_page, sections_of
from stepsize.pages._several_page import several_page
from stepsize.pages._sweep_page import sweep_page
from stepsize.record import REPORT, Entry, Run, compare, entry_of
from stepsize.search import Finding
from stepsize.state import write_atomic
from stepsize.sweeps import NAME, Sweep, entries_of
from stepsize.views import TaskViews, views_of

MOST = 12  # runs, logs or variants beside each other
WHAT = "a run, a sweep, a finding, a folder of one, or several of them in a list"
Reported = Run | Sweep | Finding | Path | str


def report(what: Reported | Sequence[Reported], path: Path | str | None = None, views: TaskViews | None = None) -> Path:
    """Write a page about a run, a sweep, a finding, or several runs: one file of HTML that needs nothing else.

    The verdict comes first, then what to do next, the evidence as charts with the numbers behind them, the surroundings
    and the command that repeats it. Without scripts all of it can still be read; the page asks nothing of the network.

    Args:
        what: a ``Run``, a ``Sweep``, a ``Finding``, the folder of a run or a sweep, a log of others; or two to twelve
            of them, which are compared.
        path: the page's file; ``report.html`` in the run's or sweep's folder when left out, and of what has none, or of
            several, in the working folder.
        views: of the run's task, ``task.views``; those of built-in tasks are known.

    Returns:
        The page's path.

    Raises:
        TypeError: an argument is of another type.
        ValueError: a folder holds neither a run nor a sweep.
        OSError: the file cannot be written; one that was there is untouched.

    Example:
        >>> from stepsize import JsonLines, Record, RunFolder, report
        >>> RunFolder("runs/a").write(task="digits", rate=0.1, steps=9)
        >>> lines = JsonLines("runs/a/metrics.jsonl")
        >>> for step in range(9):
        ...     lines.on(Record(step, step, values={"loss": 1 / (step + 1), "rate": 0.1}))
        >>> page = report("runs/a")
        >>> page.name, "<svg" in page.read_text(encoding="utf-8")
        ('report.html', True)
    """
    if views is not None and not callable(views):
        raise TypeError(_check.message("views", views, "a function of a run and its sheet, as of a task"))
    if path is not None and not isinstance(path, Path | str):
        raise TypeError(_check.message("path", path, "a file's path"))
    several = [*what] if isinstance(what, Sequence) and not isinstance(what, str) else None
    opened = _opened(what) if several is None else [_opened(item) for item in several]
    page = _page(opened, views)
    target = _place(opened) if path is None else Path(path)
    if target.is_dir():
        raise ValueError(_check.message("path", str(target), "a file, and not a folder", f"give {target / REPORT}"))
    write_atomic(target, html_of(page).encode())
    return target


def _opened(what: Any) -> Any:
    """The run or sweep at a path; other values as they are."""
    if isinstance(what, str | Path):
        if not Path(what).exists():
            raise ValueError(_check.message("what", str(what), "a folder that exists, or a log"))
        return Sweep.open(what, partial=True) if (Path(what) / NAME).exists() else Run.open(what)
    if not isinstance(what, Run | Sweep | Finding):
        raise TypeError(_check.message("what", what, WHAT))
    return what


def _place(opened: Any) -> Path:
    folder = getattr(opened, "folder", None)
    return folder / REPORT if isinstance(folder, Path) and folder.is_dir() else Path(REPORT)


def _page(opened: Any, views: TaskViews | None) -> Page:
    if isinstance(opened, list):
        return opened_page(opened)
    if isinstance(opened, Sweep):
        return sweep_page(opened)
    if isinstance(opened, Finding):
        return finding_page(opened)
    return run_page(opened, views or views_of_task(opened))


def opened_page(opened: Sequence[Run | Sweep | Finding]) -> Page:
    """The page of several.

    Args:
        opened: runs and sweeps.
    """
    if any(isinstance(value, Finding) for value in opened):
        raise TypeError(_check.message("what", "a finding in a list", "runs, sweeps or their folders", "give it alone"))
    entries = [entry for value in opened for entry in _entries(value)]
    if not 2 <= len(entries) <= MOST:
        rule = f"two to {MOST} runs, logs, or variants of sweeps"
        raise ValueError(_check.message("what", [entry.name for entry in entries], rule))
    known = {str(value.folder): repeats(value.facts) for value in opened if isinstance(value, Run)}
    return several_page(compare(*entries), {name: text for name, text in known.items() if text is not None})


def _entries(opened: Any) -> list[Entry]:
    name = str(opened.folder)
    return entries_of(opened, name) if isinstance(opened, Sweep) else [entry_of(opened, name)]


def finding_page(found: Finding) -> Page:
    """The page of a finding that no run followed.

    Args:
        found: by ``find`` or ``RateSearch``.
    """
    plain = plain_finding(found)
    pictures = [picture(view, number, "How the rate was found") for number, view in enumerate(views_of(found))]
    pairs = [] if found.rate is None else [("learning rate", text_of(found.rate, 3)), ("good between", between(plain))]
    pairs.append(("loss before training", text_of(found.initial)))
    if found.rate is None:
        state, verdict = "bad", f"No usable learning rate was found: {found.verdict}."
    else:
        state = "doubt" if found.doubts else "good"
        but = ", though there are doubts" if found.doubts else ""
        verdict = f"The best learning rate is {text_of(found.rate, 3)} (good between {between(plain)}){but}."
    return Page(
        "Finding", "Finding", verdict, state, (Facts(tuple(pairs), large=True),),
        sections_of(
            section("What to do next", *_next(found)),
            section("How the rate was found", *found_parts(plain, *pictures)),
        ),
    )  # fmt: skip


def _next(found: Finding) -> list[Command]:
    if found.rate is None:
        return [Command("stepsize.find(task, low=1e-8, high=1e4)", "Look in a wider range.")]
    lines = f"for group in optimizer.param_groups:\n    group['lr'] = {found.rate:.6g}"
    doubted = (
        [Command("stepsize.find(task, settle=True)", f"Settle the doubts by {found.remedy}.")] if found.doubts else []
    )
    return [*doubted, Command(lines, "Train with this rate.")]
