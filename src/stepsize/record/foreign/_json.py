"""JSON lines with any names, a JSON list of objects, and what ``JsonLines`` has written without a run's folder."""

import heapq
from pathlib import Path
from typing import Any

from stepsize.record._json import parsed
from stepsize.record._layout import EVENTS, METRICS, VALIDATION
from stepsize.record._lines import Lines
from stepsize.record.foreign._log import Log, Reader, row_of, say
from stepsize.state import read_regular

SUFFIXES = (".jsonl", ".ndjson", ".json")
STEERING = ("commands.jsonl", "answers.jsonl")  # of a run that can be steered, as control.steering names them; no log


def _within(folder: Path) -> list[Path]:
    if (folder / METRICS).exists():
        return [folder / METRICS]
    files = [file for suffix in SUFFIXES[:2] for file in sorted(folder.glob(f"*{suffix}"))]
    return [file for file in files if file.name not in STEERING]


def _read(path: Path) -> Log:
    beside = [VALIDATION, EVENTS] if path.name == METRICS else []
    entries = _entries(path)
    for other in (path.with_name(name) for name in beside):
        entries = [*heapq.merge(entries, _entries(other) if other.is_file() else [], key=_step)]
    events = [entry for entry in entries if isinstance(entry.get("what"), str) and type(entry.get("step")) is int]
    rows = [row_of(entry) for entry in entries if "what" not in entry]
    return Log(path, rows, events=events)


def _step(entry: dict[str, Any]) -> float:
    """Where a line belongs among those of another file."""
    step = entry.get("step")
    return step if type(step) is int else -1


def _entries(path: Path) -> list[dict[str, Any]]:
    content = read_regular(path)
    if content.lstrip()[:1] == b"[":
        whole = parsed(content)
        if isinstance(whole, list):
            return [entry for entry in whole if isinstance(entry, dict)]
    texts = content.removesuffix(b"\n").split(b"\n") if content else []
    found = [(index, parsed(text)) for index, text in enumerate(texts, 1) if text.strip()]
    entries = [entry for _, entry in found if isinstance(entry, dict)]
    damaged = tuple(index for index, entry in found if not isinstance(entry, dict))
    if damaged and not entries:
        raise ValueError(f"{path} has no line that is a JSON object, and stepsize reads it as JSON lines")
    if damaged:
        say(Lines(path, damaged=damaged).complaint())
    return entries


JSON = Reader("JSON lines", "JSON lines (.jsonl)", lambda _: True, _within, _read)
