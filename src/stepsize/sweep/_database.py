"""The file of a sweep: SQLite, with its errors in plain words."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NAME = "sweep.db"
FORMAT = 1  # of the tables; a file of a higher one was written by a newer stepsize
WAIT = 30.0  # seconds for another process that is writing
TABLES = """
CREATE TABLE sweep (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE starts (seed INTEGER PRIMARY KEY, score REAL NOT NULL);
CREATE TABLE owners (
    id INTEGER PRIMARY KEY AUTOINCREMENT, host TEXT NOT NULL, pid INTEGER NOT NULL, beat REAL NOT NULL
);
CREATE TABLE trials (
    key TEXT PRIMARY KEY, place INTEGER NOT NULL, settings TEXT NOT NULL, seed INTEGER NOT NULL, steps INTEGER NOT NULL,
    status TEXT NOT NULL DEFAULT 'open', done INTEGER NOT NULL DEFAULT 0, owner INTEGER,
    score REAL, metrics TEXT, losses BLOB, seconds REAL, engine TEXT, threads INTEGER
);
CREATE INDEX by_place ON trials (status, place);
CREATE TABLE rungs (key TEXT NOT NULL, done INTEGER NOT NULL, score REAL, PRIMARY KEY (key, done));
"""


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
        writing: whether anything will be written.

    Raises:
        SweepFileError: it is no file of a sweep, of a newer format, locked, or not to be read or written.
    """
    path = path_of(folder)
    if not writing and not path.is_file():
        raise SweepFileError(f"{folder} holds no sweep: there is no {NAME} in it")
    with told(path):
        return _written(path) if writing else _read(path)


def _written(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=WAIT, isolation_level=None, check_same_thread=False)
    _check_format(connection, path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    with writing(connection):
        if _format(connection) == 0:
            for statement in TABLES.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {FORMAT}")
    return connection


def _read(path: Path) -> sqlite3.Connection:
    where = path.resolve().as_uri()
    connection = sqlite3.connect(f"{where}?mode=ro", uri=True, timeout=WAIT, isolation_level=None)
    try:
        _check_format(connection, path)
    except sqlite3.OperationalError:  # a folder that cannot be written: nobody else is writing there either
        connection = sqlite3.connect(f"{where}?mode=ro&immutable=1", uri=True, isolation_level=None)
        _check_format(connection, path)
    return connection


def _format(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _check_format(connection: sqlite3.Connection, path: Path) -> None:
    found = _format(connection)
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if found > FORMAT:
        raise SweepFileError(
            f"{path} was written by a newer stepsize (format {found}, this one knows {FORMAT}); update stepsize"
        )
    if found == 0 and tables:
        raise SweepFileError(f"{path} is a database of something else; choose another folder")


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
def told(path: Path) -> Iterator[None]:
    """What SQLite says is wrong, with the file's name and a remedy.

    Args:
        path: the file.

    Raises:
        SweepFileError: instead of SQLite's errors.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise SweepFileError(f"{path}: {error}; {_remedy(str(error))}") from None
    except OSError as error:
        raise SweepFileError(f"{path} cannot be written: {error.strerror}; choose another folder") from None


def _remedy(problem: str) -> str:
    for sign, remedy in (
        ("locked", f"another process has been writing for {WAIT:.0f} s; look which one holds it"),
        ("readonly", "the file or its folder cannot be written; choose another folder"),
        ("unable to open", "the folder cannot be read or written"),
        ("full", "the disk is full; make room and give the same command again"),
        ("not a database", "it is no file of a sweep; choose another folder"),
        ("malformed", "it is damaged; choose another folder, or put a copy back"),
    ):
        if sign in problem:
            return remedy
    return "nothing was changed"
