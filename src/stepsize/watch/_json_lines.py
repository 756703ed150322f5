"""A run as a text file: one JSON object a line, whole lines only."""

import os
import warnings
import weakref
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from stepsize import _check
from stepsize.control import DEFAULT, Record, Signal, due, signals_of
from stepsize.record import Lines, RecordWarning, event_text, read_lines, to_json
from stepsize.state import AppendedFile, write_atomic

_WRITERS: "weakref.WeakValueDictionary[str, JsonLines]" = weakref.WeakValueDictionary()  # of controls, by real path


class JsonLines:
    """An observer that appends one JSON object a line to a file, written through at once.

    A step's line has ``step`` (the first is 0), ``position`` (the clock) and the signals; a line from
    ``Control.observe`` has ``step`` (how many were done), ``position`` and what was handed over; an event's line (a
    change by hand, a decision of feedback) has ``step``, ``what``, ``group``, ``position`` and maybe ``value`` and
    ``reason``. What is not finite is ``null``.

    Args:
        path: the file; made if missing, its folder too, and appended to.
        every: steps from one line to the next, >= 1.
        observed: another file for what is handed to ``Control.observe``, so that every line of each has the same
            names; the same file when left out.
        events: another file for events, made when the first comes; the same file when left out.
        resume_at: the step from which a stopped run goes on: what the files say of it and of later ones comes again,
            and is dropped before the first new line. Damaged lines are dropped too, and said in a ``RecordWarning``; so
            is a file that ends too early.
        signals: what is written of a step: names, patterns such as ``"update_ratio/*"``, and signals of one's own;
            loss, rates and gradient norm when left out. ``update_ratio`` copies weights.

    Raises:
        TypeError, ValueError: an argument is invalid; later, an observed value is called ``step`` or ``position``, or
            another observer has begun to write one of the files, as when a cell of a notebook is run again: the newer
            one has it. One observer may write for several controls.
        OSError: the file cannot be written; every line in it is then still whole.

    Example:
        >>> import pathlib, tempfile, torch
        >>> from stepsize import Control, JsonLines
        >>> weight = torch.ones(1, requires_grad=True)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "metrics.jsonl")
        ...     control = Control(torch.optim.SGD([weight], lr=0.5), watch=JsonLines(path))
        ...     loss = weight.square().sum()
        ...     loss.backward()
        ...     _ = control.step(loss)
        ...     print(path.read_text().strip())
        {"step": 0, "position": 0.0, "loss": 1.0, "rate": 0.5, "gradient_norm": 2.0}
    """

    def __init__(
        self,
        path: Path | str,
        every: int = 1,
        observed: Path | str | None = None,
        events: Path | str | None = None,
        resume_at: int | None = None,
        signals: Collection[str | Signal] = DEFAULT,
    ) -> None:
        self.every = _check.whole("every", every, least=1)
        signals_of(signals)
        self.signals = tuple(signals)
        self._path, self._observed, self._events = map(str, (path, observed or path, events or path))
        self._files = {"step": self._path, "observed": self._observed, "event": self._events}
        self._open: dict[str, AppendedFile] = {}
        self._kept: dict[str, bytes] = {}
        self._controls = 0  # that have begun and not ended
        self._written: set[str] = set()  # the files by their real paths, once a control has begun
        if resume_at is None:
            self._file(self._path)
            self._file(self._observed)
            return
        resume_at = _check.whole("resume_at", resume_at, least=0)
        for name in dict.fromkeys((self._path, self._observed, self._events)):
            kept = _before(read_lines(name), resume_at, self.every if name == self._path else None)
            if os.path.lexists(name):
                self._kept[name] = kept

    def _file(self, name: str) -> AppendedFile:
        for path, content in self._kept.items():  # not before a run that may yet be refused has begun to go on
            write_atomic(path, content)
        self._kept = {}
        if name not in self._open:
            self._open[name] = AppendedFile(name, lines=True)
            weakref.finalize(self, self._open[name].close)
        return self._open[name]

    def _append(self, name: str, entry: Mapping[str, Any]) -> None:
        self._file(name).write((to_json(entry) + "\n").encode())

    def wants(self, step: int) -> Collection[str | Signal]:
        """The signals, each ``every`` steps."""
        return due(self.signals, step, self.every) if step % self.every == 0 else ()

    def begin(self, facts: Mapping[str, Any]) -> None:
        """Nobody else in this process may write the files from now on."""
        self._controls += 1
        self._written = self._places()
        _WRITERS.update(dict.fromkeys(self._written, self))

    def _places(self) -> set[str]:
        """The files by their real paths; a terminal or another device is no file."""
        names = {self._path, self._observed, self._events}
        return {os.path.realpath(name) for name in names if Path(name).is_file() or not os.path.lexists(name)}

    def _check_own(self) -> None:
        """Raise where another observer has begun to write: the lines of two runs in one file are those of none."""
        for place in self._written:
            if _WRITERS.get(place, self) is not self:
                raise ValueError(
                    f"path {place} is written by another JsonLines now; choose another file for one of them, "
                    "or hand one JsonLines to both"
                )

    def _release(self) -> None:
        for place in [place for place, writer in _WRITERS.items() if writer is self]:
            del _WRITERS[place]

    def on(self, record: Record) -> None:
        """Append a line; ValueError if an observed value is called as a step's own are."""
        if record.kind == "observed":
            for name in ("step", "position"):
                if name in record.values:
                    rule = f"an observed value must have another name than {name!r}"
                    raise ValueError(f"{rule}, which is the record's own; rename it")
        self._check_own()
        self._append(self._files[record.kind], record.line())

    def end(self, status: str) -> None:
        """Several controls may share the files; they are closed when the observer is dropped."""
        self._controls -= 1
        if self._controls <= 0:
            self._release()

    def sync(self) -> None:
        """Wait until every line would survive a power cut; a checkpoint that is written next is not ahead of them."""
        for file in self._open.values():
            file.sync()

    def close(self) -> None:
        """Close the files; done by itself when the observer is dropped or the program ends."""
        self._release()
        for file in self._open.values():
            file.close()


def _before(lines: Lines, step: int, every: int | None) -> bytes:
    """The whole lines before a step; it says which are damaged, and whether those of ``every`` step end before it."""
    kept = [place for place, entry in enumerate(lines.entries) if entry["step"] < step]
    steps = [lines.entries[place]["step"] for place in kept]
    behind = every is not None and _next(steps, every) < step
    last = lines.numbers[kept[-1]] if kept else 0
    lost = [number for number in lines.damaged if number < last or behind]  # what stood behind them comes again
    ends = f"ends at step {steps[-1]}" if steps else "has no line"
    gap = f"{lines.path} {ends}, behind the checkpoint at step {step}: the curves have a gap" if behind else ""
    for problem in (lines.complaint(lost), gap):
        if problem:
            warnings.warn(problem, RecordWarning, stacklevel=3)
    return b"".join(lines.texts[place] + b"\n" for place in kept)


def _next(steps: list[int], every: int) -> int:
    """The step at which the next line is due; what was written at longer intervals goes on so."""
    if not steps:
        return 0
    return steps[-1] + max(every, steps[-1] - steps[-2] if len(steps) > 1 else 0)


def event_line(event: Record) -> str:
    """An event in one line for people.

    Args:
        event: a record of this kind.

    Example:
        >>> from stepsize import Record
        >>> from stepsize.watch import event_line
        >>> event_line(Record(5, 5.0, "event", {"value": 0.5}, {"what": "scale", "group": "head", "reason": "noisy"}))
        'scale 0.5 of head: noisy'
    """
    return event_text(event.line())
