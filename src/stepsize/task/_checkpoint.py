"""The checkpoints of a training: the last and the best, each whole or not there."""

import pickle
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from stepsize.task._contract import Run, Trial
from stepsize.task._files import save_state
from stepsize.task._sources import OPTIMIZER, TaskChangedWarning, changes

LAST, BEST = "last.pt", "best.pt"
BY = "validation_loss"  # what the best is chosen by, where there is one; else the first figure there is


@dataclass
class Progress:
    """How far a training is.

    Attributes:
        losses: training loss of each step done.
        history: validation figures along the way, each with its ``step``.
        best: the lowest validation loss so far.
        seconds: of training.
    """

    losses: list[float] = field(default_factory=list)
    history: list[dict[str, float]] = field(default_factory=list)
    best: float | None = None
    seconds: float = 0.0


class Checkpoints:
    """Keeps ``last.pt`` and ``best.pt`` of one trial in a folder.

    Args:
        folder: where; made if missing.
        trial: whose they are.
        accept_changes: whether to go on with a task that is no longer what it was.
    """

    def __init__(self, folder: Path | str, trial: Trial, accept_changes: bool = False) -> None:
        self.folder, self.trial, self.accept_changes = Path(folder), trial, accept_changes
        self.made_of: dict[str, str] = {}  # the task's code and optimizer
        self.accepted = False  # whether the last one was of a task that has changed since
        self.folder.mkdir(parents=True, exist_ok=True)

    def save(self, run: Run, progress: Progress) -> None:
        """Write the last one, over the one before."""
        save_state(self.folder / LAST, self._content(run, progress))

    def save_if_best(self, run: Run, progress: Progress) -> None:
        """Write the best one, if the last figures are."""
        figures = progress.history[-1]
        value = figures.get(BY)
        if value is None or (progress.best is not None and not value < progress.best):
            return
        progress.best = value
        save_state(self.folder / BEST, self._content(run, progress))

    def _content(self, run: Run, progress: Progress) -> dict[str, Any]:
        return {
            "trial": {"key": self.trial.key, "text": describe(self.trial)},
            "run": run.state(),
            "losses": torch.tensor(progress.losses, dtype=torch.float64),
            "history": progress.history,
            "best": progress.best,
            "seconds": progress.seconds,
            "made_of": self.made_of,
        }

    def load(self, run: Run) -> Progress:
        """Put a fresh run of the same trial where the last checkpoint was, and say how far that is.

        Raises:
            ValueError: there is none, it cannot be read, or it is of another trial.
        """
        saved = read(self.folder / LAST)
        for partial in self.folder.glob(".*.pt.*.partial"):  # of a process that was killed while it wrote
            partial.unlink(missing_ok=True)
        if saved["trial"]["key"] != self.trial.key:
            raise ValueError(
                f"{self.folder / LAST} is of {saved['trial']['text']}, and this is {describe(self.trial)}; resume with "
                "what it was begun with"
            )
        self._check_task(saved.get("made_of", {}))
        try:
            run.load_state(saved["run"])
        except ValueError as error:
            raise ValueError(f"{self.folder / LAST} cannot be gone on with: {error}") from error
        seconds = saved.get("seconds", 0.0)
        return Progress(saved["losses"].tolist(), list(saved["history"]), saved["best"], seconds)

    def _check_task(self, before: Mapping[str, str]) -> None:
        differ = changes(before, self.made_of) if before else []
        another = before.get(OPTIMIZER, self.made_of.get(OPTIMIZER)) != self.made_of.get(OPTIMIZER)
        if another or (differ and not self.accept_changes):
            remedy = "put it back" + ("" if another else ", or accept the changes")
            raise ValueError(
                f"{self.folder / LAST} is of a task that is not what it was: {', '.join(differ[:5])}; {remedy}"
            )
        self.accepted = bool(differ)
        if differ:
            kept = (
                "; the optimizer keeps the settings of the checkpoint"
                if any(OPTIMIZER in each for each in differ)
                else ""
            )
            warnings.warn(
                f"{self.folder / LAST} is gone on with although {', '.join(differ[:5])}{kept}",
                TaskChangedWarning,
                stacklevel=5,
            )


def read(path: Path) -> dict[str, Any]:
    """A checkpoint's content.

    Args:
        path: the file.

    Raises:
        ValueError: there is none, or it is no checkpoint.
    """
    if not path.is_file():
        raise ValueError(f"there is no checkpoint {path}; the run was stopped before its first, so begin it anew")
    try:
        content = torch.load(path, weights_only=True)
    except (EOFError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
        raise ValueError(f"{path} cannot be read as a checkpoint ({type(error).__name__}); is it complete?") from None
    if not isinstance(content, Mapping) or not {"trial", "run", "losses", "history", "best"} <= set(content):
        raise ValueError(f"{path} is no checkpoint of stepsize's training")
    return dict(content)


def steps_done(folder: Path | str) -> int:
    """How many steps the last checkpoint in a folder has done.

    Args:
        folder: of a run.

    Raises:
        ValueError: there is none, or it cannot be read.

    Example:
        >>> import tempfile
        >>> from stepsize import train
        >>> from stepsize.task import steps_done, task_named
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = train(task_named("digits"), lr=0.1, steps=3, folder=folder)
        ...     steps_done(folder)
        3
    """
    return len(read(Path(folder) / LAST)["losses"])


def describe(trial: Trial) -> str:
    """A trial in words."""
    settings = ", ".join(f"{axis} {value}" for axis, value in sorted(trial.settings.items()))
    return f"the task {trial.task!r} with {settings}, seed {trial.seed}, {trial.steps} steps"
