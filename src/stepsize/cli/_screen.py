"""Output: results on standard output, progress on standard error, one JSON object instead if asked for."""

import os
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from stepsize.record import to_json
from stepsize.task import leads

if TYPE_CHECKING:
    from stepsize.control import Record

SHARE, PAUSE, LEAST = 0.1, 60.0, 1.0  # of the work, or seconds, from one line to the next; never more than one a second

OUTPUT, ERRORS = 1, 2  # descriptors, which child processes inherit

_answers: ContextVar[TextIO | None] = ContextVar("standard output of a command that answers with one JSON object")


@contextmanager
def answering(as_json: bool) -> Iterator[None]:
    """Keep standard output for the one JSON object: what a user's code or a child process prints goes beside it.

    Args:
        as_json: whether the command answers so; otherwise nothing changes.
    """
    if not as_json:
        yield
        return
    output, kept = sys.stdout, _duplicate(OUTPUT)
    if kept is None or _duplicate(ERRORS, close=True) is None:  # one of them is closed
        with _answers_on(output):
            yield
        return
    with os.fdopen(kept, "w", encoding=output.encoding, errors="backslashreplace") as standard:
        _flush(output)
        os.dup2(ERRORS, OUTPUT)
        try:
            with _answers_on(standard if _descriptor(output) == OUTPUT else output):
                yield
        finally:
            _flush(output)
            os.dup2(standard.fileno(), OUTPUT)


def _duplicate(descriptor: int, *, close: bool = False) -> int | None:
    """Another descriptor of the same file, None where it is closed."""
    try:
        found = os.dup(descriptor)
    except OSError:
        return None
    if close:
        os.close(found)
    return found


def _flush(output: TextIO) -> None:
    for stream in (output, sys.__stdout__):
        with suppress(AttributeError, OSError, ValueError):  # it is closed, or none
            stream.flush()  # type: ignore[union-attr]


@contextmanager
def _answers_on(output: TextIO) -> Iterator[None]:
    mark = _answers.set(output)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _answers.reset(mark)


def _descriptor(stream: TextIO | None) -> int | None:
    try:
        return None if stream is None else stream.fileno()
    except (OSError, ValueError):
        return None


@contextmanager
def quiet_threads() -> Iterator[None]:
    """Leave out the traceback of a thread that keeps its error for whom it works for, as TensorBoard's writer does."""
    before = threading.excepthook

    def hook(arguments: threading.ExceptHookArgs) -> None:
        if getattr(arguments.thread, "exception", None) is not arguments.exc_value:
            before(arguments)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before


def _silence(stream: Any) -> None:
    """Let what is left in a stream go nowhere, so that its flush at the end does not fail once more."""
    with suppress(OSError, ValueError, AttributeError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())
        os.close(nothing)


class Mild(Console):
    """A console whose reader may go away, or whose disk may be full: what cannot be shown stops no work.

    Attributes:
        lost: why something could not be written to standard output, though somebody was to read it.
    """

    lost: OSError | None = None

    def print(self, *objects: Any, **options: Any) -> None:
        """Print, as long as somebody can read it."""
        if not self.quiet:
            try:
                super().print(*objects, **options)
            except OSError as error:
                if not self.stderr and not isinstance(error, BrokenPipeError):
                    Mild.lost = OSError(error.errno, error.strerror, "standard output")
                self.on_broken_pipe()

    def on_broken_pipe(self) -> None:
        """Print nothing any more; Python's own flush at the end must not complain either."""
        self.quiet = True
        _silence(self.file)


class Screen:
    """Prints for people, or one JSON object for programs; then everything for people goes to standard error.

    Of processes that train together only the first one prints.
    """

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        # names are a user's own, and no markup or emoji is meant by what is in them
        plain = {"highlight": False, "markup": False, "emoji": False, "quiet": not leads()}
        self.errors = Mild(stderr=True, **plain)  # type: ignore[arg-type]
        self.people = self.errors if as_json else Mild(**plain)  # type: ignore[arg-type]

    def say(self, text: Any = "") -> None:
        """A line or a table for people; paths and texts are never wrapped."""
        self.people.print(text, soft_wrap=isinstance(text, str))

    def note(self, text: str) -> None:
        """A line beside the results, on standard error."""
        self.errors.print(f"stepsize: {text}", markup=False, soft_wrap=True)

    def answer(self, **result: Any) -> None:
        """The one JSON object, if it was asked for."""
        if self.as_json and leads():
            output = _answers.get(None) or sys.stdout
            try:
                print(to_json(result), file=output, flush=True)
            except OSError as error:
                _silence(output)
                if not isinstance(error, BrokenPipeError):  # nobody reads any more
                    raise OSError(error.errno, error.strerror, "standard output") from None

    @contextmanager
    def progress(self, title: str, total: int) -> Iterator["Bar"]:
        """A progress bar while the block runs; where nobody can see it move, a line now and then."""
        if not self.errors.is_terminal or self.errors.is_dumb_terminal:
            yield Bar(self.errors, total, Lines(self.errors, title, total))
            return
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=15),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[note]}", markup=False),
        )
        with Progress(*columns, console=self.errors) as moving:
            shown = moving.add_task(title, total=total, note="")

            def move(done: int, total: int, note: str) -> None:
                moving.update(shown, completed=done, total=total, note=note)

            yield Bar(self.errors, total, move)


class Lines:
    """Progress in a file or a pipe: a line at the beginning, at each tenth or minute, and at the end."""

    def __init__(self, console: Console, title: str, total: int) -> None:
        self._console, self._title = console, title
        self._began = self._at = time.monotonic()
        self._said = 0.0
        console.print(f"{title} 0/{total}", soft_wrap=True)

    def __call__(self, done: int, total: int, note: str) -> None:
        """Print a line, if it is time to."""
        now, share = time.monotonic(), done / max(total, 1)
        waited, moved = now - self._at, share - self._said
        if (done >= total and moved > 0) or (waited >= LEAST and (moved >= SHARE or waited >= PAUSE)):
            self._at, self._said = now, share
            spent = f"{now - self._began:.0f} s"
            self._console.print(f"{self._title} {done}/{total} {share:.0%} {spent}  {note}", soft_wrap=True)


class Bar:
    """A command's progress: the ``progress`` hook of ``find`` and sweeps, and an observer of training."""

    def __init__(self, console: Console, total: int, show: Callable[[int, int, str], None]) -> None:
        self._console, self._total, self._show = console, total, show
        self._every = max(1, total // 100)
        self._step = ""  # loss and rate of the last step that was seen

    def __call__(self, done: int, total: int, note: str) -> None:
        """Show how far it is; while something else than a step is done, what the last step was too."""
        self._show(done, total, f"{self._step}  {note}" if self._step else note)

    def wants(self, step: int) -> Collection[str]:
        """Loss and rate, a hundred times a run."""
        return {"loss", "rate"} if step % self._every == 0 or step + 1 == self._total else ()

    def begin(self, facts: Mapping[str, Any]) -> None:
        """The command has said it."""

    def on(self, record: "Record") -> None:
        """Show a step's loss and rate, and what has changed the rate; validations have their place at the end."""
        if record.kind == "step":
            values = record.values
            self._step = f"loss {values.get('loss', 0):.4g}  rate {values['rate']:.3g}"
            self._show(record.step + 1, self._total, self._step)
        elif record.kind == "event":
            from stepsize.watch import event_line  # needs torch, which trains here

            self._console.print(f"step {record.step}: {event_line(record)}", soft_wrap=True)

    def end(self, status: str) -> None:
        """The command says it."""
