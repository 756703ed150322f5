"""The folder of a run: what was run, how far it came, and the files that others put beside."""

import json
import platform
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stepsize import _check
from stepsize._version import __version__
from stepsize.state import write_status
from stepsize.watch._json_lines import to_json


class RunFolder:
    """A folder that holds one run: ``run.json`` (facts, written atomically) beside metrics, events and pictures.

    Args:
        path: a folder that does not exist yet or is empty.

    Raises:
        FileExistsError: the folder holds something already.
        OSError: it cannot be made or written.

    Example:
        >>> import tempfile
        >>> from stepsize.watch import RunFolder
        >>> with tempfile.TemporaryDirectory() as root:
        ...     folder = RunFolder.fresh("digits", root)
        ...     folder.write(status="running")
        ...     folder.path.name, RunFolder.fresh("digits", root).path.name, folder.facts()["status"]
        ('digits-0001', 'digits-0002', 'running')
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._facts: dict[str, Any] = {}
        if self.path.is_dir():  # what a process left that was killed while it began a run here
            for partial in self.path.glob(".run.json.*.partial"):
                partial.unlink(missing_ok=True)
        if self.path.exists() and not (self.path.is_dir() and not any(self.path.iterdir())):
            rule = "a new or empty folder"
            remedy = (
                "it holds another run; choose another name"
                if (self.path / "run.json").exists()
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
            ValueError: it holds no run.
        """
        folder = RunFolder.__new__(RunFolder)
        folder.path = Path(path)
        try:
            folder._facts = folder.facts()
        except (OSError, ValueError):
            raise ValueError(
                f"{path} holds no run: there is no readable run.json in it; look in the folder runs"
            ) from None
        return folder

    @staticmethod
    def fresh(name: str, root: Path | str = "runs") -> "RunFolder":
        """The next free folder ``root/name-0001``, ``root/name-0002`` …; two processes never get the same.

        Args:
            name: what the folders are called.
            root: where they are; made if missing.
        """
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
        """
        self._facts |= facts
        write_status(self.path / "run.json", (to_json(self._facts, indent=2) + "\n").encode())

    def facts(self) -> dict[str, Any]:
        """What ``run.json`` says."""
        read: dict[str, Any] = json.loads((self.path / "run.json").read_text(encoding="utf-8"))
        return read


def environment() -> dict[str, Any]:
    """Versions, threads and the git state of the working folder, as plain data.

    Example:
        >>> from stepsize.watch import environment
        >>> sorted(environment())
        ['git', 'threads', 'versions']
    """
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
