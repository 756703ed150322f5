"""Records that others wrote, read as if stepsize had written them: a reader for each format, one file each."""

import os
from collections.abc import Mapping
from pathlib import Path

from stepsize import _check
from stepsize.record._layout import RUN
from stepsize.record.foreign._columns import Columns
from stepsize.record.foreign._csv import CSV
from stepsize.record.foreign._json import JSON
from stepsize.record.foreign._lines import Lines, lines_of
from stepsize.record.foreign._log import Log as Log
from stepsize.record.foreign._log import Reader as Reader
from stepsize.record.foreign._tensorboard import TENSORBOARD
from stepsize.record.foreign._transformers import TRANSFORMERS

READERS: tuple[Reader, ...] = (TRANSFORMERS, CSV, TENSORBOARD, JSON)
"""In the order in which they are asked; the last takes any file of text."""


def source_at(path: Path) -> "tuple[Reader, Path] | None":
    """The reader of what is at a path, and what it is to read; None where nothing is to be read.

    Args:
        path: a log, or a folder with one.

    Raises:
        ValueError: there are several logs in the folder.
    """
    if path.exists() and not path.is_dir():
        return next(((reader, path) for reader in READERS if reader.fits(path)), None)
    for reader in READERS if path.is_dir() else ():
        found = reader.within(path)
        if len(found) > 1:
            names = ", ".join(str(file.relative_to(path)) for file in found[:5]) + (", ..." if len(found) > 5 else "")
            rule = "a run folder or one with a single log"
            raise ValueError(_check.message("path", str(path), rule, f"name one of {len(found)}: {names}"))
        if found:
            return reader, found[0]
    return None


def read_log(reader: Reader, path: Path, columns: Mapping[str, str] | None) -> "tuple[Log, Lines]":
    """A log's content, and its lines by our names.

    Args:
        reader: from ``source_at``.
        path: from the same.
        columns: what values are called in the log, by our names for them; the usual guesses for those left out.

    Raises:
        ValueError: it cannot be read, or has no such column.
        ImportError: what reads it is not installed.
    """
    log = reader.read(path)
    if len(log.runs) > 1 and not columns:
        names = ", ".join(log.runs[:5]) + (", ..." if len(log.runs) > 5 else "")
        raise ValueError(
            f"{path} has columns of {len(log.runs)} runs: {names}; choose with columns={{'loss': 'RUN - loss'}}"
        )
    lines = lines_of(log, Columns(columns or {})) if log.rows else Lines()
    if not lines.steps and not lines.observed:
        raise ValueError(f"{path} has no line with a step and a number, read as {reader.about}; choose another log")
    return log, lines


def no_run(path: Path) -> ValueError:
    """The error where neither a run nor a log is."""
    if not os.path.lexists(path):
        return ValueError(_check.message("path", str(path), "a run folder or a log of training", "it is not there"))
    what = f"one with a {RUN}, or with {', '.join(reader.about for reader in READERS)}"
    return ValueError(_check.message("path", str(path), "a run folder or a log of training", what))


def check_columns(columns: object) -> None:
    """Raise unless they are a mapping from texts to texts."""
    if columns is None:
        return
    is_right = isinstance(columns, Mapping) and all(
        isinstance(name, str) and isinstance(column, str) and name and column for name, column in columns.items()
    )
    if not is_right:
        rule = "a mapping from names of stepsize to those in the log"
        raise TypeError(_check.message("columns", columns, rule, 'such as {"loss": "my/loss"}'))
