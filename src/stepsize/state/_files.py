"""Files that are there whole or not at all, and reading what may be anything."""

import contextlib
import errno
import os
import stat
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT)


def write_atomic(path: Path | str, content: bytes) -> None:
    """Write a file so that a crash at any moment leaves the old content or the new one, never a part.

    Args:
        path: the file; its folder must exist.
        content: the whole new content.

    Raises:
        OSError: the disk is full, the folder is missing or not writable; the old file is then untouched.

    Example:
        >>> import pathlib, tempfile
        >>> from stepsize.state import write_atomic
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_atomic(f"{folder}/run.json", b"{}")
        ...     pathlib.Path(folder, "run.json").read_text()
        '{}'
    """
    path = Path(path)
    try:
        _write(path, content)
    except OSError as error:  # in the name of the file that was meant, not of the partial one
        raise OSError(error.errno, error.strerror, str(path)) from error


def write_status(path: Path | str, content: bytes) -> None:
    """``write_atomic``, but on a full disk a small file is written over the old one, in the room that this has.

    A status must be true also when nothing else can be written any more.

    Args:
        path: the file; its folder must exist.
        content: the whole new content.

    Raises:
        OSError: it cannot be written; on a full disk, if the old file has no room for it.

    Example:
        >>> import pathlib, tempfile
        >>> from stepsize.state import write_status
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_status(f"{folder}/run.json", b"{}")
        ...     pathlib.Path(folder, "run.json").read_text()
        '{}'
    """
    path = Path(path)
    try:
        write_atomic(path, content)
    except OSError as error:
        if error.errno not in FULL or not _has_room(path, len(content)):
            raise
        with path.open("r+b", buffering=0) as file:
            file.write(content)
            file.truncate(len(content))


def _has_room(path: Path, size: int) -> bool:
    """Whether the blocks that a file has already hold so many bytes."""
    with contextlib.suppress(OSError, AttributeError):  # Windows says no blocks
        return size <= path.stat().st_blocks * 512
    return False


def read_regular(path: Path | str) -> bytes:
    """A file's content, if it is a regular file: reading a pipe or a device might never end.

    Args:
        path: the file, or a link to one.

    Raises:
        ValueError: it is something else, or a link that leads nowhere.
        OSError: there is none, or it cannot be read.

    Example:
        >>> from stepsize.state import read_regular
        >>> read_regular("/dev/null")
        Traceback (most recent call last):
        ...
        ValueError: /dev/null must be a regular file, got a device
    """
    path = Path(path)
    _check_regular(path)
    return path.read_bytes()


def _check_regular(path: Path) -> None:
    """Raise ValueError if something else than a regular file is at a path, OSError if nothing is."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if path.is_symlink() and error.errno in (errno.ENOENT, errno.ELOOP):
            raise ValueError(f"{path} must be a regular file, got a symbolic link that leads nowhere") from None
        raise
    if not stat.S_ISREG(mode):
        kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
        raise ValueError(f"{path} must be a regular file, got {kinds.get(stat.S_IFMT(mode), 'a device')}")


def _write(path: Path, content: bytes) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    if os.name == "posix":  # the new name itself must survive a power cut as well
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
