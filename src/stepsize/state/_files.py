"""Files that are there whole or not at all."""

import os
from pathlib import Path


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
