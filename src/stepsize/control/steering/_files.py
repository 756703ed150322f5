"""The two files that grow in a steered folder: opened only if they are their owner's, written by whole lines."""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import NamedTuple

COMMANDS, ANSWERS, ABOUT = "commands.jsonl", "answers.jsonl", "steering.json"
LARGEST_FILE = 2**20  # bytes of the commands
LARGEST_ANSWERS = 16 * 2**20
PRIVATE = 0o600
TRIES = 10  # to open a file that is not replaced meanwhile
OTHERS = stat.S_IWGRP | stat.S_IWOTH
_SAFE = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)


class Seen(NamedTuple):
    """A file as the last look found it; another one means that there is something to read."""

    inode: int
    size: int
    changed: int


def seen(path: str) -> Seen | None:
    """What a look at a path finds, without opening it; None where nothing is.

    Args:
        path: of the file.
    """
    try:
        about = os.lstat(path)
    except OSError:
        return None
    return Seen(about.st_ino, about.st_size, about.st_ctime_ns)  # of mode and owner too


def check_mine(path: Path | str, about: os.stat_result, largest: int) -> None:
    """Raise PermissionError or ValueError unless a file is one that this user alone writes.

    Args:
        path: for the message.
        about: of the open file.
        largest: bytes that it may have.
    """
    if not stat.S_ISREG(about.st_mode):
        what = "it is not a regular file but a link, a pipe, a device or a folder"
        raise PermissionError(errno.EPERM, what, str(path))
    if hasattr(os, "geteuid") and about.st_uid != os.geteuid():
        who = f"it belongs to user {about.st_uid}, and this is user {os.geteuid()}"
        raise PermissionError(errno.EPERM, who, str(path))
    if about.st_mode & OTHERS and os.name == "posix":
        mode = stat.S_IMODE(about.st_mode)
        raise PermissionError(errno.EPERM, f"others may write it (mode {mode:o}); it must have mode 600", str(path))
    if about.st_size > largest:
        raise ValueError(f"{path} has {about.st_size:,} bytes, and {largest:,} is the most")


def content(path: Path | str, largest: int = LARGEST_FILE) -> bytes:
    """All of a file, if it is one that this user alone writes.

    Args:
        path: of the file.
        largest: bytes that it may have.

    Raises:
        OSError, ValueError: it is not there, a link, another user's, or too large.
    """
    descriptor = _opened(path, os.O_RDONLY)
    try:
        check_mine(path, os.fstat(descriptor), largest)
        pieces = []
        while piece := os.read(descriptor, 2**20):
            pieces.append(piece)
            if sum(map(len, pieces)) > largest:
                raise ValueError(f"{path} has grown past {largest:,} bytes while it was read")
        return b"".join(pieces)
    finally:
        os.close(descriptor)


def make(path: Path | str) -> None:
    """Make a file of mode 0600, if there is nothing of that name.

    Args:
        path: of the file.

    Raises:
        OSError: the folder is missing or not writable.
    """
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFE, PRIVATE))


@contextmanager
def appending(path: Path | str, largest: int) -> Iterator["Appending"]:
    """A file to which whole lines are appended during a block, by nobody else at the same time; made if missing.

    Args:
        path: of the file.
        largest: bytes that it may have in the end.

    Raises:
        OSError, ValueError: it is a link, another user's, or too large.
    """
    for left in reversed(range(TRIES)):
        descriptor = _opened(path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        try:
            with _alone(descriptor):
                about = os.fstat(descriptor)
                if left and not _is_there(path, about):  # another one took its place while this one was waited for
                    continue
                check_mine(path, about, largest)
                yield Appending(path, descriptor, largest)
                return
        finally:
            os.close(descriptor)


class Appending:
    """What ``appending`` gives."""

    def __init__(self, path: Path | str, descriptor: int, largest: int) -> None:
        self._path, self._descriptor, self._largest = path, descriptor, largest

    def content(self) -> bytes:
        """All that is in it."""
        size = os.fstat(self._descriptor).st_size
        return os.pread(self._descriptor, size, 0)

    def write(self, lines: bytes) -> None:
        """Append whole lines in one call, and wait until they would survive a power cut.

        Args:
            lines: each with its end.

        Raises:
            ValueError: the file would be too large.
            OSError: they cannot be written; the file is then as it was.
        """
        size = os.fstat(self._descriptor).st_size
        if size and os.pread(self._descriptor, 1, size - 1) != b"\n":
            lines = b"\n" + lines  # behind half a line of a process that was killed
        if size + len(lines) > self._largest:
            raise ValueError(f"{self._path} is full: it has {size:,} bytes, and {self._largest:,} is the most")
        try:
            written = os.write(self._descriptor, lines)
            os.fsync(self._descriptor)
        except OSError as error:
            os.ftruncate(self._descriptor, size)
            raise OSError(error.errno, error.strerror, str(self._path)) from error
        if written < len(lines):
            os.ftruncate(self._descriptor, size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))


def set_aside(folder: Path, keep: Callable[[bytes], bytes]) -> Path | None:
    """Give commands and answers of an earlier run another name; None where nothing was answered.

    Args:
        folder: of the run.
        keep: of all commands, the lines that are still to be read, which stay.

    Raises:
        OSError, ValueError: a file is a link, another user's, too large, or cannot be renamed.
    """
    commands, answers = folder / COMMANDS, folder / ANSWERS
    found = seen(str(answers))
    if found is None or not found.size:
        return None
    both = commands, answers
    place = next(place for place in count(1) if not any(os.path.lexists(_aside(path, place)) for path in both))
    with appending(commands, LARGEST_FILE) as file:
        aside, left = _aside(commands, place), folder / f".{COMMANDS}.{os.getpid()}"
        left.unlink(missing_ok=True)
        with appending(left, LARGEST_FILE) as fresh:
            fresh.write(keep(file.content()))
        os.link(commands, aside)
        left.replace(commands)  # before the answers go: what was answered must not be read again
    answers.replace(_aside(answers, place))
    return aside


def _aside(path: Path, place: int) -> Path:
    return path.with_name(f"{path.stem}-{place}{path.suffix}")


def _is_there(path: Path | str, about: os.stat_result) -> bool:
    found = seen(str(path))
    return found is not None and found.inode == about.st_ino


def _opened(path: Path | str, flags: int) -> int:
    try:
        return os.open(path, flags | _SAFE, PRIVATE)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK, errno.ENXIO):
            raise PermissionError(errno.EPERM, "it is a link or a pipe, and no regular file", str(path)) from None
        raise


@contextmanager
def _alone(descriptor: int) -> Iterator[None]:
    """Others who append wait for each other; where there are no locks, a single write is whole anyhow."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    yield
