"""What people see: results on standard output, progress on standard error, one JSON object instead if asked for."""

import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext, redirect_stdout
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from stepsize.task import leads
from stepsize.watch import event_line, to_json


class Screen:
    """Prints for people, or one JSON object for programs; then everything for people goes to standard error.

    Of processes that train together only the first one prints.
    """

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        quiet = not leads()
        self.errors = Console(stderr=True, highlight=False, quiet=quiet)
        self.people = self.errors if as_json else Console(highlight=False, quiet=quiet)

    def say(self, text: Any = "") -> None:
        """A line or a table for people; paths and texts are never wrapped or read as markup."""
        if isinstance(text, str):
            self.people.print(text, markup=False, soft_wrap=True)
        else:
            self.people.print(text)

    def note(self, text: str) -> None:
        """A line beside the results, on standard error."""
        self.errors.print(f"stepsize: {text}", markup=False, soft_wrap=True)

    def answer(self, **result: Any) -> None:
        """The one JSON object, if it was asked for."""
        if self.as_json and leads():
            print(to_json(result), flush=True)  # noqa: T201 - the command line prints

    @contextmanager
    def progress(self, title: str, total: int) -> Iterator["Bar"]:
        """A progress bar while the block runs."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=15),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[note]}"),
        )
        # what others print meanwhile, such as Ray of machines that die, must not stand beside the one object
        elsewhere = redirect_stdout(sys.stderr) if self.as_json else nullcontext()
        with elsewhere, Progress(*columns, console=self.errors) as rich_progress:
            yield Bar(rich_progress, rich_progress.add_task(title, total=total, note=""), total)


class Bar:
    """A progress bar: the ``progress`` hook of ``find``, and an observer of training."""

    def __init__(self, progress: Progress, task: TaskID, total: int) -> None:
        self._progress, self._task, self._total = progress, task, total
        self._every = max(1, total // 100)

    def __call__(self, done: int, total: int, note: str) -> None:
        """Show how far it is."""
        self._progress.update(self._task, completed=done, total=total, note=note)

    def wants(self, step: int) -> Collection[str]:
        """Loss and rate, a hundred times a run."""
        return {"loss", "rate"} if step % self._every == 0 or step + 1 == self._total else ()

    def on_step(self, record: Mapping[str, float]) -> None:
        """Show a step's loss and rate."""
        step = int(record["step"])
        if self.wants(step):
            self(step + 1, self._total, f"loss {record.get('loss', 0):.4g}  rate {record['rate']:.3g}")

    def on_observe(self, step: int, values: Mapping[str, float]) -> None:
        """Validation figures have their place at the end."""

    def on_event(self, step: int, event: Mapping[str, Any]) -> None:
        """Say what has changed the rate."""
        self._progress.console.print(f"step {step}: {event_line(event)}", highlight=False, soft_wrap=True)
