"""The folder of a run: what was run, how far it came, and the files that others put beside."""

import json
import platform
import subprocess
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from stepsize import _check
from stepsize._json import to_json
from stepsize._version import __version__
from stepsize.record._facts import FACTS, check_fields, check_resumable, read_facts
from stepsize.record._layout import FORMAT, RUN
from stepsize.record._signature import is_mine, signature
from stepsize.state import write_status

LONGEST_NAME = 200  # bytes; file systems take 255, and a number follows


class RunFolder:
    """A folder that holds one run: ``run.json`` (facts, written atomically) beside metrics, events and pictures.

    Args:
        path: a folder that does not exist yet or is empty.

    Raises:
        FileExistsError: the folder holds something already.
        OSError: it cannot be made or written.

    Example:
        >>> import tempfile
        >>> from stepsize.record import RunFolder
        >>> with tempfile.TemporaryDirectory() as root:
        ...     folder = RunFolder.fresh("digits", root)
        ...     folder.write(status="running")
        ...     folder.path.name, RunFolder.fresh("digits", root).path.name, folder.facts()["status"]
        ('digits-0001', 'digits-0002', 'running')
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._file = _file_of(self.path)
        self._facts: dict[str, Any] = {}
        self._found = b""
        if self.path.is_dir():  # what a process left that was killed while it began a run here
            for partial in self.path.glob(f".{RUN}.*.partial"):
                partial.unlink(missing_ok=True)
        if self.path.exists() and not (self.path.is_dir() and not any(self.path.iterdir())):
            rule = "a new or empty folder"
            remedy = (
                "it holds another run; choose another name"
                if (self.path / RUN).exists()
                else ("something else is there; choose another name")
            )
            raise FileExistsError(_check.message("out", str(path), rule, remedy))
        self.path.mkdir(parents=True, exist_ok=True)

    @staticmethod
    def existing(path: Path | str) -> "RunFolder":
        """The folder of a run that was there before, to go on with it.

        Args:
            path: the folder.

        Raises:
            ValueError: it holds no run, or its ``run.json`` is damaged or of a newer stepsize.
        """
        folder = RunFolder.__new__(RunFolder)
        folder.path = Path(path)
        folder._file = _file_of(folder.path)
        folder._facts = folder.facts()
        folder._found = folder._file.read_bytes()
        return folder

    @staticmethod
    def fresh(name: str, root: Path | str = "runs") -> "RunFolder":
        """The next free folder ``root/name-0001``, ``root/name-0002`` …; two processes never get the same.

        Args:
            name: what the folders are called; a single part of a path.
            root: where they are; made if missing.

        Raises:
            ValueError: the name is more than a part of a path, or no text.
        """
        _check_name(name)
        Path(root).mkdir(parents=True, exist_ok=True)
        number = 1
        while True:
            path = Path(root) / f"{name}-{number:04d}"
            try:
                path.mkdir()
            except FileExistsError:
                number += 1
            else:
                return RunFolder(path)

    def write(self, **facts: Any) -> None:
        """Add facts to ``run.json``, or change them; the file is whole at every moment.

        On a full disk it is written over the old one, so that the status is true there as well.

        Args:
            facts: plain data by name.

        Raises:
            ValueError: one that stepsize reads itself, such as ``rate`` or ``steps``, is of another kind.
            OSError: the file cannot be written.
        """
        plain = json.loads(to_json(facts))
        check_fields(self._shown, plain, FACTS, remedy="")  # what is written can be read again
        self._facts = {**self._facts, **plain, "format": FORMAT}
        if "said" in self._facts:
            self._facts["signature"] = signature(self._facts)
        write_status(self._file, (to_json(self._facts, indent=2) + "\n").encode())

    def put_back(self) -> None:
        """Leave ``run.json`` as it was when ``existing`` opened the folder."""
        if self._found:
            write_status(self._file, self._found)
            self._facts = json.loads(self._found)

    def facts(self) -> dict[str, Any]:
        """The content of ``run.json``.

        Raises:
            ValueError: it is missing, damaged or of a newer stepsize.
        """
        return read_facts(self._file, self._shown)

    def check_resumable(self, settings: Collection[str] = ()) -> None:
        """Raise ValueError unless ``run.json`` says everything that a run is resumed with.

        Args:
            settings: names of what a trial may set, whose values are for the caller to check.
        """
        check_resumable(self._shown, self._facts, settings)

    @property
    def _shown(self) -> Path:
        return self.path / RUN

    @property
    def is_mine(self) -> bool:
        """Whether this user made the folder, or has trusted it: ``run.json`` is signed with the user's key."""
        return is_mine(self._file, self._facts)


def _file_of(folder: Path) -> Path:
    """Its ``run.json``, in whatever folder the program works later; a folder moved as a whole keeps its run."""
    return folder.absolute() / RUN


def _check_name(name: str) -> None:
    """Raise unless a name can be the beginning of a folder's."""
    plain = isinstance(name, str) and name.isprintable() and not set(name) & set('/\\:*?"<>|')
    if not plain or not name.strip(". ") or len(name.encode()) > LONGEST_NAME:
        rule = f"usable in a folder's name: at most {LONGEST_NAME} bytes, and none of / \\ : * ? \" < > |"
        raise ValueError(_check.message("name", name, rule, "choose the folder yourself, with --out"))


def environment() -> dict[str, Any]:
    """Versions, threads and the git state of the working folder, as plain data.

    Example:
        >>> from stepsize.record import environment
        >>> sorted(environment())
        ['git', 'threads', 'versions']
    """
    import torch  # listing runs needs none

    versions = {
        "stepsize": __version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "platform": platform.platform(),
    }
    commit = _git("rev-parse", "HEAD")
    git = None if commit is None else {"commit": commit, "changed": bool(_git("status", "--porcelain"))}
    return {"versions": versions, "threads": torch.get_num_threads(), "git": git}


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
