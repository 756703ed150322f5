"""Files that grow by whole pieces."""

import contextlib
import os
import stat
from pathlib import Path


class AppendedFile:
    r"""A file that grows by whole pieces: each is written through at once, or none of it is.

    Args:
        path: the file; made if missing, its folder too. A last line that was cut off is ended if ``lines``.
        lines: whether its pieces are lines.

    Raises:
        OSError: it cannot be written.

    Example:
        >>> import pathlib, tempfile
        >>> from stepsize.state import AppendedFile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = AppendedFile(f"{folder}/new/lines.txt", lines=True)
        ...     file.write(b"one\n")
        ...     file.close()
        ...     pathlib.Path(folder, "new", "lines.txt").read_text()
        'one\n'
    """

    def __init__(self, path: Path | str, lines: bool = False) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("ab", buffering=0)
        self._regular = stat.S_ISREG(os.fstat(self._file.fileno()).st_mode)  # else a device, such as a terminal
        if lines and self._regular and self._file.tell() and not self._ends_a_line():
            self.write(b"\n")

    def _ends_a_line(self) -> bool:
        with self.path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"

    def write(self, piece: bytes) -> None:
        """Append a piece.

        Args:
            piece: its bytes.

        Raises:
            OSError: it cannot be written; the file is then as it was.
        """
        before, left = self._file.tell() if self._regular else 0, memoryview(piece)
        try:
            while left:
                left = left[self._file.write(left) or 0 :]
        except OSError as error:
            if self._regular:
                with contextlib.suppress(OSError):
                    self._file.truncate(before)
            raise OSError(error.errno, error.strerror, str(self.path)) from error

    def flush(self) -> None:
        """Nothing waits to be written."""

    def sync(self) -> None:
        """Wait until all of it would survive a power cut."""
        if self._regular and not self._file.closed:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()
