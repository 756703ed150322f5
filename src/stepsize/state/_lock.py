"""One process at a time on a folder: a lock that is freed when its process ends, however it ends."""

import errno
import os
import re
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from stepsize.state._files import read_regular

NAME = ".lock"
OPENED = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # whatever the folder holds under this name
NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
HOLDER = re.compile(r"process (\d{1,18}) on (\S+)")
_held: ContextVar[frozenset[Path]] = ContextVar("held", default=frozenset())


class LockedError(ValueError):
    """A folder that another process works on."""


@contextmanager
def locked(folder: Path | str) -> Iterator[None]:
    """Keep other processes, and other threads of this one, from working on a folder during a block.

    The lock is the operating system's own on the file ``.lock`` in the folder, so that a process that dies frees it. A
    block inside another one of the same folder changes nothing.

    Args:
        folder: that exists.

    Raises:
        LockedError: another process works on it; the message says which. A subclass of ValueError.
        OSError: the folder is missing or not writable.

    Example:
        >>> import tempfile
        >>> from stepsize.state import locked
        >>> with tempfile.TemporaryDirectory() as folder, locked(folder):
        ...     print("nobody else")
        nobody else
    """
    place = Path(folder).resolve()
    if place in _held.get():
        yield
        return
    descriptor = _taken(Path(folder) / NAME)
    token = _held.set(_held.get() | {place})
    try:
        yield
    finally:
        _held.reset(token)
        _free(place / NAME, descriptor)


def at_work(folder: Path | str) -> bool | None:
    """Whether the process that a folder's lock names is alive; None where there is no lock, or it is another machine's.

    The lock itself is not touched. A process that was killed has left its name.

    Args:
        folder: of a run; it may be on another machine's disk.

    Example:
        >>> import tempfile
        >>> from stepsize.state import at_work, locked
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with locked(folder):
        ...         inside = at_work(folder)
        ...     print(inside, at_work(folder))
        True None
    """
    try:
        found = HOLDER.match(read_regular(Path(folder) / NAME)[:300].decode("utf-8", "replace"))
    except (OSError, ValueError):
        return None
    if found is None or found[2] != socket.gethostname() or os.name == "nt":  # where asking would end the process
        return None
    try:
        os.kill(int(found[1]), 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # another user's
        return None
    return True


def _taken(path: Path) -> int:
    """The lock's file, open and locked."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | OPENED, 0o644)
        try:
            _lock(descriptor, path)
            if _is_still(path, descriptor):
                with suppress(OSError):  # it says who holds it, and holds without
                    os.ftruncate(descriptor, 0)
                    os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
                _inherited.append(descriptor)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its holder has removed it meanwhile: take the new one


def _lock(descriptor: int, path: Path) -> None:
    try:
        import fcntl
    except ImportError:
        _say(path, "this system has no flock")
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 200).decode("utf-8", "replace").strip().splitlines()
        who = holder[0] if holder and holder[0].isprintable() else "another process"
        raise LockedError(
            f"{path.parent} is in use by {who}; wait until it ends or stop it, since two at once would spoil the run"
        ) from None
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        _say(path, error.strerror or "no reason given")


def _say(path: Path, why: str) -> None:
    warnings.warn(
        f"{path.parent} cannot be locked ({why}): make sure that no other process works on it", UserWarning, 4
    )


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _free(path: Path, descriptor: int) -> None:
    if descriptor not in _inherited:  # a process that was forked off inside the block, and never held it
        return
    _inherited.remove(descriptor)
    if _is_still(path, descriptor):
        path.unlink(missing_ok=True)
    os.close(descriptor)


_inherited: list[int] = []


def _let_go() -> None:
    """In a process that was forked off: it must not keep what it inherited locked when its parent has ended."""
    while _inherited:
        os.close(_inherited.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)
