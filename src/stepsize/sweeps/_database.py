"""The file of a sweep: SQLite, checked where it is opened, with its errors in plain words."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stepsize import _check
from stepsize.sweeps._schema import COLUMNS, TABLES, facts_in, misbuilt, rows

NAME = "sweep.db"
FORMAT = 1  # of the tables; a file of a higher one was written by a newer stepsize
WAIT = 30.0  # seconds for another process that is writing
BESIDE = ("", "-wal", "-shm", "-journal")  # what SQLite opens: the file itself and those beside it
COPY = "put a copy back, or choose another folder"


class SweepFileError(ValueError):
    """A sweep's file cannot be read or written; what it holds is untouched."""


def path_of(folder: Path | str) -> Path:
    """The file of the sweep in a folder.

    Args:
        folder: the sweep's.
    """
    return Path(folder) / NAME


def connected(folder: Path | str, *, writing: bool) -> sqlite3.Connection:
    """A connection to a folder's file, made if it is not there and is to be written.

    Args:
        folder: the sweep's.
        writing: whether anything will be written; then every row is checked.

    Raises:
        SweepFileError: it is not a sweep's file, of a newer format, damaged, locked, or not to be read or written.
    """
    path = path_of(folder)
    if "\0" in str(path):
        raise SweepFileError(_check.message("folder", str(folder), "a path", "leave the NUL out"))
    with explained(path):
        _check_kind(path)
        if not writing and not path.exists():
            raise SweepFileError(f"{folder} holds no sweep: there is no {NAME} in it")
        return _written(path) if writing else _read(path)


def _check_kind(path: Path) -> None:
    """Raise unless what SQLite will open are files: it would wait forever for a pipe."""
    for beside in (path.with_name(f"{path.name}{end}") for end in BESIDE):
        if beside.exists() and not beside.is_file():
            raise SweepFileError(f"{beside} is a folder, a pipe or a device, not a file; choose another folder")


def _written(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = _opened(str(path))
    try:
        if not _is_empty(connection, path):
            _check_rows(connection, path)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        with writing(connection):
            if _format(connection) == 0:
                for statement in TABLES.split(";"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {FORMAT}")
    except BaseException:
        connection.close()
        raise
    return connection


def _read(path: Path) -> sqlite3.Connection:
    where = path.resolve().as_uri()
    try:
        connection = _opened(f"{where}?mode=ro", uri=True)
        empty = _is_empty(connection, path)
    except sqlite3.OperationalError:  # a folder that cannot be written: nobody else is writing there either
        connection = _opened(f"{where}?mode=ro&immutable=1", uri=True)
        empty = _is_empty(connection, path)
    if empty:
        raise SweepFileError(f"{path.parent} holds no sweep: its {NAME} is empty")
    return connection


def _opened(where: str, *, uri: bool = False) -> sqlite3.Connection:
    connection = sqlite3.connect(where, timeout=WAIT, isolation_level=None, check_same_thread=False, uri=uri)
    # what is no UTF-8 is found by the rule of its column
    connection.text_factory = lambda raw: raw.decode("utf-8", "backslashreplace")
    return connection


def _format(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _is_empty(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether a file has no tables yet; SweepFileError if it is of another kind or format, or damaged."""
    # in one statement, or another process could make them in between
    both = "SELECT user_version, (SELECT count(*) FROM sqlite_master) FROM pragma_user_version"
    found, tables = connection.execute(both).fetchone()
    if found > FORMAT:
        raise SweepFileError(
            f"{path} was written by a newer stepsize (format {found}, this one knows {FORMAT}); update stepsize"
        )
    if found == 0 and not tables:
        return True
    wrong = misbuilt(connection)
    if found < FORMAT or wrong.endswith("missing"):
        raise SweepFileError(f"{path} is a database of something else; choose another folder")
    problem = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0]).splitlines()[-1]  # the first is a title
    if wrong or problem != "ok":
        raise SweepFileError(f"{path} is damaged: {wrong or _printable(problem)}; {COPY}")
    return False


def _check_rows(connection: sqlite3.Connection, path: Path) -> None:
    """Raise SweepFileError for the first row that is not as it was written."""
    facts, fault = facts_in(connection)
    for table in () if fault else COLUMNS:
        fault = fault or next((fault for _, fault in rows(connection, table, facts) if fault), "")
    if fault:
        raise SweepFileError(f"{path} is damaged: {fault}; {COPY}")


@contextmanager
def writing(connection: sqlite3.Connection) -> Iterator[None]:
    """A transaction that no other process writes beside; undone if the block raises.

    Args:
        connection: of ``connected``.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """SQLite's errors, with the file's name and a remedy.

    Args:
        path: the file.

    Raises:
        SweepFileError: instead of SQLite's errors.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise SweepFileError(f"{path}: {_printable(str(error))}; {_remedy(str(error))}") from None
    except UnicodeDecodeError:  # an error of SQLite that quotes a damaged page
        raise SweepFileError(f"{path} is damaged; {COPY}") from None
    except OSError as error:
        raise SweepFileError(f"{path} cannot be written: {error.strerror}; choose another folder") from None


def _printable(text: str) -> str:
    """A text on one line; SQLite quotes what is damaged as it is."""
    return _check.printable(text, "?")


def _remedy(problem: str) -> str:
    for sign, remedy in (
        ("locked", f"another process has been writing for {WAIT:.0f} s; look which one holds it"),
        ("readonly", "the file or its folder cannot be written; choose another folder"),
        ("unable to open", "the folder cannot be read or written"),
        ("full", "the disk is full; make room and give the same command again"),
        ("I/O", "the disk cannot be read or written; mend that and give the same command again"),
        ("not a database", "it is not a sweep's file; choose another folder"),
        ("malformed", "it is damaged; choose another folder, or put a copy back"),
    ):
        if sign in problem:
            return remedy
    return "nothing was changed"
