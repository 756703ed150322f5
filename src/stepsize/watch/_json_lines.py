"""A run as a text file: one JSON object a line, whole lines only."""

import json
import math
import weakref
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TextIO

from stepsize import _check
from stepsize.control import SIGNALS
from stepsize.state import write_atomic


class JsonLines:
    """An observer that appends one JSON object a line to a file, written through at once.

    A step's line has ``step`` (the first is 0), ``loss``, ``rate``, ``gradient_norm``, ``update_ratio``; a line from
    ``Control.observe`` has ``step`` (how many were done) and what was handed over; an event's line (a change by hand,
    a decision of feedback) has ``step``, ``what``, ``position``, ``group`` and maybe ``value`` and ``reason``. What is
    not finite is ``null``.

    Args:
        path: the file; made if missing, its folder too, and appended to.
        every: steps from one line to the next, >= 1.
        observed: another file for what is handed to ``Control.observe``, so that every line of each has the same
            names; the same file when left out.
        events: another file for events, made when the first comes; the same file when left out.
        resume_at: the step from which a stopped run goes on: what the files say of it and of later ones is dropped
            first, since it comes again.

    Raises:
        TypeError, ValueError: every is not a whole number >= 1.
        OSError: the file cannot be written.

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
        {"step": 0, "loss": 1.0, "rate": 0.5, "gradient_norm": 2.0, "update_ratio": 1.0}
    """

    def __init__(
        self,
        path: Path | str,
        every: int = 1,
        observed: Path | str | None = None,
        events: Path | str | None = None,
        resume_at: int | None = None,
    ) -> None:
        self.every = _check.whole("every", every, least=1)
        if resume_at is not None:
            resume_at = _check.whole("resume_at", resume_at, least=0)
            for file in {str(file) for file in (path, observed, events) if file is not None}:
                _keep_before(Path(file), resume_at)
        self._file = _append(self, path)
        self._observed = self._file if observed is None else _append(self, observed)
        self._events = self._file if events is None else events

    def wants(self, step: int) -> Collection[str]:
        """Every signal, each ``every`` steps."""
        return SIGNALS if step % self.every == 0 else ()

    def on_step(self, record: Mapping[str, float]) -> None:
        """Append a step's record, if it is one of this observer's."""
        if record["step"] % self.every == 0:
            self._file.write(to_json(record) + "\n")

    def on_observe(self, step: int, values: Mapping[str, float]) -> None:
        """Append what was observed."""
        self._observed.write(to_json({"step": step, **values}) + "\n")

    def on_event(self, step: int, event: Mapping[str, Any]) -> None:
        """Append what has happened."""
        if isinstance(self._events, Path | str):
            self._events = _append(self, self._events)
        self._events.write(to_json({"step": step, **event}) + "\n")

    def close(self) -> None:
        """Close the files; done by itself when the observer is dropped or the program ends."""
        for file in (self._file, self._observed, self._events):
            if not isinstance(file, Path | str):
                file.close()


def _keep_before(path: Path, step: int) -> None:
    """Drop the lines of a step and later ones, and a last line that was cut off."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            before = json.loads(line)["step"] < step
        except (ValueError, KeyError, TypeError):
            break
        if before:
            kept.append(line + "\n")
    write_atomic(path, "".join(kept).encode())


def _append(owner: JsonLines, path: Path | str) -> TextIO:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    file = Path(path).open("a", encoding="utf-8", buffering=1)  # noqa: SIM115 - closed with its owner
    weakref.finalize(owner, file.close)
    return file


def event_line(event: Mapping[str, Any]) -> str:
    """An event in one line for people.

    Args:
        event: as handed to ``on_event``.

    Example:
        >>> from stepsize.watch import event_line
        >>> event_line({"what": "scale", "position": 5.0, "group": "head", "value": 0.5, "reason": "too noisy"})
        'scale 0.5 of head: too noisy'
    """
    value = f" {event['value']:.6g}" if "value" in event else ""
    reason = f": {event['reason']}" if "reason" in event else ""
    return f"{event['what']}{value} of {event['group']}{reason}"


def to_json(value: Any, indent: int | None = None) -> str:
    """Strict JSON: numbers that are not finite become ``null``.

    Args:
        value: mappings, sequences, texts, numbers, None.
        indent: as in ``json.dumps``.

    Example:
        >>> from stepsize.watch import to_json
        >>> to_json({"loss": float("nan")})
        '{"loss": null}'
    """
    return json.dumps(_finite(value), indent=indent, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
