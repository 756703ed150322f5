"""Whose an error is: refused by a check of stepsize, raised in a user's code, or neither, which is a fault of ours."""

import dis
import linecache
import sysconfig
import traceback
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType

HERE = Path(__file__).resolve().parent
RAISE = dis.opmap["RAISE_VARARGS"]
INSTALLED = ("site-packages", "dist-packages")  # folders of packages that a user did not write
MARK = "_stepsize_origin"
WORKER = "in a worker process:"  # what the note begins with that an error from there has


@dataclass(frozen=True)
class Origin:
    """Where an error came from, as plain data that can travel from a worker process.

    Attributes:
        refused: whether a ``raise`` statement of stepsize raised it, which refuses what it was given.
        theirs: the lines of the traceback that stand in a user's code; empty where there are none.
        last: the lines of the last call of stepsize, and of where it ended.
        by_library: whether the error was raised by an installed package that stepsize or the user's code called.
    """

    refused: bool
    theirs: str
    last: str
    by_library: bool


def origin_of(error: BaseException, places: Iterable[Path] = ()) -> Origin:
    """Where an error came from: known from its traceback, or from the worker process that sent it.

    A check of stepsize ends in a ``raise`` of its own; what any other statement of stepsize raises, as by calling a
    function wrongly, is a fault of stepsize. So the innermost frame tells them apart, and no check has to say so.

    Args:
        error: that was caught.
        places: folders of packages that are a user's own though they are installed.
    """
    known: Origin | None = getattr(error, MARK, None)
    if known is not None:
        return known
    entries = list(_entries(error.__traceback__))
    own = [index for index, entry in enumerate(entries) if _is_own(entry)]
    users = [entry for entry in entries if _is_users(_file(entry), tuple(places))]
    refused = bool(entries) and own[-1:] == [len(entries) - 1] and _raises(entries[-1])
    by_library = bool(entries) and _is_installed(_file(entries[-1]))
    last = [entries[index] for index in dict.fromkeys([*own[-1:], len(entries) - 1])] if entries else []
    return Origin(refused, _lines(users), _lines(last), by_library)


def mark(error: BaseException, origin: Origin) -> None:
    """Remember an error's origin where its traceback does not tell it.

    Args:
        error: from another process.
        origin: known there.
    """
    with suppress(AttributeError, TypeError):  # some errors take no attributes
        setattr(error, MARK, origin)


def _entries(entry: TracebackType | None) -> Iterable[TracebackType]:
    while entry is not None:
        yield entry
        entry = entry.tb_next


def _raises(entry: TracebackType) -> bool:
    return entry.tb_frame.f_code.co_code[entry.tb_lasti] == RAISE


def _is_own(entry: TracebackType) -> bool:
    return _file(entry).is_relative_to(HERE)


def _is_users(file: Path, places: tuple[Path, ...]) -> bool:
    if file.is_relative_to(HERE) or not file.is_absolute():  # code that has no file
        return False
    if any(file.is_relative_to(folder) for folder in places):
        return True
    return not (_is_installed(file) or any(file.is_relative_to(folder) for folder in _libraries()))


def _is_installed(file: Path) -> bool:
    return not file.is_relative_to(HERE) and bool(set(INSTALLED) & set(file.parts))


@cache
def _libraries() -> tuple[Path, ...]:
    return tuple(Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib"))


def _file(entry: TracebackType) -> Path:
    name = entry.tb_frame.f_code.co_filename
    return Path(name) if name.startswith("<") else Path(name).resolve()


def _lines(entries: list[TracebackType]) -> str:
    linecache.checkcache()
    places = [(entry.tb_frame, entry.tb_lineno) for entry in entries]
    return "".join(traceback.StackSummary.extract(places).format())
