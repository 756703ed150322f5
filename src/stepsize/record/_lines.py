"""Reading a run's files as a crash may have left them: whole lines are kept, damage is reported."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

from stepsize.record._json import parsed
from stepsize.state import read_regular

SHOWN = 5  # numbers of damaged lines in a message


class RecordWarning(UserWarning):
    """Something of a run's record is damaged or missing."""


@dataclass(frozen=True)
class Lines:
    """The whole lines in a file of JSON lines.

    Attributes:
        path: the file.
        entries: the lines that are whole, in order: each has a ``step``.
        texts: the same as they stand in the file.
        numbers: the same counted from 1.
        damaged: the numbers of the others.
    """

    path: Path
    entries: tuple[dict[str, Any], ...] = ()
    texts: tuple[bytes, ...] = ()
    numbers: tuple[int, ...] = ()
    damaged: tuple[int, ...] = ()

    def complaint(self, damaged: Sequence[int] | None = None) -> str:
        """Which lines are damaged, in one line; empty when none is.

        Args:
            damaged: the numbers of those that matter; all when left out.
        """
        numbers = self.damaged if damaged is None else damaged
        if not numbers:
            return ""
        which = ", ".join(map(str, numbers[:SHOWN])) + (", ..." if len(numbers) > SHOWN else "")
        if len(numbers) == 1:
            return f"line {which} of {self.path} is damaged and left out"
        return f"{len(numbers)} lines of {self.path} are damaged and left out: {which}"


def read_lines(path: Path | str) -> Lines:
    r"""The lines of a file that ``JsonLines`` wrote; none if there is no file.

    A line is whole if it is a JSON object in UTF-8, its ``step`` is a whole number >= 0, and its other values are
    numbers, ``null`` or, in a line that tells an event, texts.

    Args:
        path: the file.

    Raises:
        ValueError: something else than a file is there.
        OSError: it cannot be read.

    Example:
        >>> from pathlib import Path
        >>> from stepsize.record import read_lines
        >>> _ = Path("metrics.jsonl").write_text('{"step": 0, "loss": 1.5}\n{"step": 1, "lo')
        >>> read_lines("metrics.jsonl").entries, read_lines("metrics.jsonl").damaged
        (({'step': 0, 'loss': 1.5},), (2,))
    """
    path = Path(path)
    try:
        content = read_regular(path)
    except (FileNotFoundError, NotADirectoryError):
        return Lines(path)
    return lines_in(path, content)


def lines_in(path: Path, content: bytes) -> Lines:
    """The lines of a file's content."""
    texts = content.removesuffix(b"\n").split(b"\n") if content else []
    parts = list(map(parsed, texts))
    whole = [index for index, part in enumerate(parts) if isinstance(part, dict) and _is_whole(part)]
    return Lines(
        path,
        tuple(parts[index] for index in whole),
        tuple(texts[index] for index in whole),
        tuple(index + 1 for index in whole),
        tuple(sorted({*range(1, len(parts) + 1)} - {index + 1 for index in whole})),
    )


def _is_whole(entry: Mapping[str, Any]) -> bool:
    step = entry.get("step")
    if isinstance(step, bool) or not isinstance(step, int) or not 0 <= step < 2**53:
        return False
    kinds = Real | str | None if "what" in entry else Real | None
    return all(isinstance(value, kinds) and not isinstance(value, bool) for value in entry.values())
