"""A file of JSON lines that another process is writing: what is new, whole lines only, and what was taken back."""

from pathlib import Path
from typing import Any

from stepsize.record._lines import lines_in
from stepsize.state import read_regular

MARK = 64  # bytes before the place reached, by which a file is known to be the same


class Tail:
    """The lines read from a growing file, and the place reached.

    Args:
        path: the file; it may not be there yet.

    Attributes:
        entries: the whole lines so far, in order.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: list[dict[str, Any]] = []
        self._reached, self._mark = 0, b""

    def read(self) -> bool:
        """Read on, up to the last line that is ended; whether anything has changed.

        A file that was cut, or written anew as a resumed run does, is read from its beginning.
        """
        try:
            content = self._from(self._reached)
        except (FileNotFoundError, NotADirectoryError):
            content, gone = b"", bool(self.entries)
            self.entries, self._reached, self._mark = [], 0, b""
            return gone
        before = None
        if content is None:
            before, self.entries, self._reached, self._mark = self.entries, [], 0, b""
            content = read_regular(self.path)
        whole = content[: content.rfind(b"\n") + 1]
        if whole:
            self.entries += lines_in(self.path, whole).entries
            self._reached += len(whole)
            self._mark = (self._mark + whole)[-MARK:]
        return bool(whole) if before is None else before != self.entries

    def _from(self, place: int) -> bytes | None:
        """The bytes from a place on; None if those before it are not what they were."""
        if not place:
            return read_regular(self.path)
        with self.path.open("rb") as file:
            file.seek(place - len(self._mark))
            if file.read(len(self._mark)) != self._mark:
                return None
            return file.read()
