"""Where a command was begun: a task's own code may change the working directory at any moment."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

_start: ContextVar[Path | None] = ContextVar("the working directory in which the command was begun", default=None)


@contextmanager
def begun_here() -> Iterator[None]:
    """Remember the working directory for a command."""
    mark = _start.set(_here())
    try:
        yield
    finally:
        _start.reset(mark)


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
