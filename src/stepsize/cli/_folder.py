"""The folder of a command's run, made and written by the first of the processes that do it together."""

from pathlib import Path
from typing import Any

from stepsize.cli._start import from_start
from stepsize.record import RunFolder
from stepsize.task import leads, led


class UnwrittenFolder:
    """A run's folder on the processes that do not write it; facts are only remembered.

    Args:
        path: the folder, written by the first process.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._facts: dict[str, Any] = {}

    def write(self, **facts: Any) -> None:
        """Remember facts."""
        self._facts |= facts

    def put_back(self) -> None:
        """Do nothing: no file was touched."""

    def facts(self) -> dict[str, Any]:
        """The remembered facts."""
        return dict(self._facts)


Folder = RunFolder | UnwrittenFolder


def new_folder(name: str, out: Path | None) -> Folder:
    """The folder of a new run: the one that was asked for, or the next free one of a name under ``runs``."""
    made: list[RunFolder] = []  # of the process that makes it
    path = led(lambda: _made(made, name, out))
    return made[0] if made else UnwrittenFolder(path)


def _made(made: list[RunFolder], name: str, out: Path | None) -> Path:
    try:
        made.append(RunFolder.fresh(name, from_start(Path("runs"))) if out is None else RunFolder(from_start(out)))
    except FileExistsError:
        raise
    except OSError as error:
        where = "the folder runs" if out is None else f"--out {out}"
        raise ValueError(f"{where} cannot be written: {error.strerror}; choose another with --out") from None
    return made[0].path


def written_by_first(folder: RunFolder) -> Folder:
    """A folder that was there before, as this process may use it."""
    if leads():
        return folder
    remembered = UnwrittenFolder(folder.path)
    remembered.write(**folder.facts())
    return remembered
