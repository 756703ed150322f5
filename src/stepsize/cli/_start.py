"""The folder and words that a command began with: a task's code may change the working directory at any moment."""

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

_start: ContextVar[Path | None] = ContextVar("the working directory in which the command was begun", default=None)
_line: ContextVar[str | None] = ContextVar("the command line", default=None)
LONGEST = 4_000  # characters of a line that is kept


@contextmanager
def begun_here(arguments: Sequence[str] = ()) -> Iterator[None]:
    """Remember the working directory for a command, and its words.

    Args:
        arguments: the words after ``stepsize``.
    """
    mark, words = _start.set(_here()), _line.set(shlex.join(["stepsize", *arguments]))
    try:
        yield
    finally:
        _start.reset(mark)
        _line.reset(words)


def spelt_out(arguments: Sequence[str]) -> list[str]:
    """The words after ``stepsize`` with ``on`` behind a ``--guard`` that stands alone.

    Example:
        >>> from stepsize.cli._start import spelt_out
        >>> spelt_out(["tune", "digits", "--guard", "--seed", "1"])
        ['tune', 'digits', '--guard', 'on', '--seed', '1']
    """
    found: list[str] = []
    for place, word in enumerate(arguments):
        found.append(word)
        following = arguments[place + 1] if place + 1 < len(arguments) else "--"
        if word == "--guard" and following.startswith("-"):
            found.append("on")
    return found


def line_said() -> str | None:
    """The command line that repeats what is done; None outside of a command, or where it is too long to be kept."""
    line = _line.get()
    return line if line is not None and len(line) <= LONGEST and "\0" not in line and line.isprintable() else None


def from_start(path: Path) -> Path:
    """A path of the command line as it was meant: itself, or in full where the working directory is another now.

    Args:
        path: as it was given.
    """
    start = _start.get()
    return path if start is None or start == _here() else start / path


def _here() -> Path | None:
    try:
        return Path.cwd()
    except OSError:  # it was removed
        return None
