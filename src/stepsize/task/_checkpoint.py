"""The checkpoints of a training: the last and the best, each whole or not there."""

import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from stepsize import _check, _schema
from stepsize.control import Observer
from stepsize.record import BEST, LAST
from stepsize.task._contract import Training, Trial
from stepsize.task._files import read_state, save_state
from stepsize.task._ranks import leads
from stepsize.task._saved import longest
from stepsize.task._sources import OPTIMIZER, TaskChangedWarning, bring_up_to_date, changes

BY = "validation_loss"  # what the best is chosen by, where there is one; else the first figure there is


class CheckpointError(ValueError):
    """A checkpoint that cannot be gone on with: missing, damaged, or of another run. Nothing was changed."""


@dataclass
class Reached:
    """How far a training has come.

    Attributes:
        losses: training loss of each step done.
        history: validation figures along the way, each with its ``step``.
        best: the lowest validation loss so far.
        seconds: of training.
        validation: seconds that the first validation took; 0 where there was none.
        pause: steps from one validation to the next, once that is settled.
        verified: what forks have said of the rate; None where none have.
    """

    losses: list[float] = field(default_factory=list)
    history: list[dict[str, float]] = field(default_factory=list)
    best: float | None = None
    seconds: float = 0.0
    validation: float = 0.0
    pause: int | None = None
    verified: dict[str, Any] | None = None


class Checkpoints:
    """Keeps ``last.pt`` and ``best.pt`` of one trial in a folder.

    Args:
        folder: where; made if missing.
        trial: whose they are.
        watch: observers; what they have written is on the disk before a checkpoint says that it is done.
        accept_changes: whether to go on with a task that is no longer what it was.
    """

    def __init__(
        self, folder: Path | str, trial: Trial, watch: Iterable[Observer] = (), accept_changes: bool = False
    ) -> None:
        self.folder, self.trial, self.watch = Path(folder), trial, tuple(watch)
        self.accept_changes = accept_changes
        self.made_of: dict[str, str] = {}  # the task's code and optimizer
        self.accepted = False  # whether the last one was of a task that has changed since
        self.folder.mkdir(parents=True, exist_ok=True)

    def check_free(self) -> None:
        """Refuse a folder that has the checkpoint of another trial, which a new run would write over.

        Raises:
            CheckpointError: it has one, or one that cannot be read. A ValueError.
        """
        path = self.folder / LAST
        if path.exists() and read(path)["trial"]["key"] != self.trial.key:
            raise CheckpointError(f"{path} is of another run, which this one would write over; give another folder")

    def save(self, run: Training, reached: Reached) -> None:
        """Write the last one, over the one before."""
        content = self._content(run, reached)
        for observer in self.watch if leads() else ():
            sync: Callable[[], None] | None = getattr(observer, "sync", None)
            if sync is not None:
                sync()
        save_state(self.folder / LAST, content)

    def save_if_best(self, run: Training, reached: Reached) -> None:
        """Write the best one, if the last figures are."""
        figures = reached.history[-1]
        value = figures.get(BY)
        if value is None or math.isnan(value) or (reached.best is not None and not value < reached.best):
            return
        reached.best = value
        save_state(self.folder / BEST, self._content(run, reached))

    def _content(self, run: Training, reached: Reached) -> dict[str, Any]:
        return {
            "trial": {"key": self.trial.key, "text": describe(self.trial)},
            "run": run.state(),
            "losses": torch.tensor(reached.losses, dtype=torch.float64),
            "history": reached.history,
            "best": reached.best,
            "seconds": reached.seconds,
            "validation": reached.validation,
            "pause": reached.pause,
            "verified": reached.verified,
            "made_of": self.made_of,
        }

    def load(self, run: Training) -> Reached:
        """Put a fresh run of the same trial where the last checkpoint was, and say how far that is.

        Raises:
            CheckpointError: there is none, it cannot be read, or it is of another trial. A ValueError.
        """
        saved = read(self.folder / LAST)
        self.accepted = put_back(saved, self.folder / LAST, self.trial, run, self.made_of, self.accept_changes)
        for partial in self.folder.glob(".*.pt.*.partial"):  # of a process that was killed while it wrote
            partial.unlink(missing_ok=True)
        best = saved["best"]
        known = None if best is None or math.isnan(best) else best
        history = [dict(figures) for figures in saved["history"]]
        known_of = {name: saved[name] for name in ("seconds", "validation", "pause", "verified") if name in saved}
        return Reached(saved["losses"].tolist(), history, known, **known_of)


def put_back(
    saved: Mapping[str, Any],
    path: Path,
    trial: Trial,
    run: Training,
    made_of: Mapping[str, str],
    accept_changes: bool = False,
) -> bool:
    """Put a fresh run where a checkpoint was, and say whether its task has changed since.

    Args:
        saved: the checkpoint's content, from ``read``.
        path: the checkpoint's file, for messages.
        trial: whose it must be.
        run: of that trial, at its beginning.
        made_of: the task's code and optimizer now.
        accept_changes: whether to go on with a task that is no longer what it was.

    Raises:
        CheckpointError: it cannot be gone on with. A ValueError.
    """
    if saved["trial"]["key"] != trial.key:
        theirs = " ".join(saved["trial"]["text"].split())
        raise CheckpointError(
            f"{path} is of {theirs[:300]}, and this is {describe(trial)}; resume with what it was begun with"
        )
    done = len(saved["losses"])
    if done > longest(saved["run"], trial.steps):
        raise CheckpointError(f"{path} has done {done} steps of a run of {trial.steps}; it is damaged")
    of_run = saved["run"].get("done", done)
    if isinstance(of_run, int) and of_run != done:
        raise CheckpointError(f"{path} has the losses of {done} steps and a run at another one; it is damaged")
    changed = _check_task(path, saved, run, made_of, accept_changes)
    try:
        run.load_state(saved["run"])
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        why = _check.in_one_line(error, 300)
        raise CheckpointError(f"{path} cannot be gone on with: {why}") from error
    return changed


def _check_task(
    path: Path, saved: Mapping[str, Any], run: Training, made_of: Mapping[str, str], accept_changes: bool
) -> bool:
    before = saved.get("made_of", {})
    differ = changes(before, made_of) if before else []
    another = before.get(OPTIMIZER, made_of.get(OPTIMIZER)) != made_of.get(OPTIMIZER)
    if another or (differ and not accept_changes):
        remedy = "put it back" + ("" if another else ", or accept the changes")
        raise CheckpointError(f"{path} is of a task that is not what it was: {', '.join(differ[:5])}; {remedy}")
    if differ:
        bring_up_to_date(saved["run"], run, before, made_of)
        said = f"{path} is gone on with although {', '.join(differ[:5])}"
        warnings.warn(said, TaskChangedWarning, stacklevel=6)
    return bool(differ)


def read(path: Path) -> dict[str, Any]:
    """A checkpoint's content, whose fields are what they should be.

    Args:
        path: the file.

    Raises:
        CheckpointError: there is none, it is damaged, or no checkpoint of a training. A ValueError.
    """
    try:
        content = read_state(path)
    except (FileNotFoundError, NotADirectoryError):
        raise CheckpointError(
            f"there is no checkpoint {path}; the run was stopped before its first, so start it again"
        ) from None
    except ValueError as error:
        raise CheckpointError(str(error)) from None
    try:
        CHECKPOINT("the checkpoint", content)
        _check_finite(content["losses"], content["run"])
        last = len(content["losses"])
        _schema.every(_schema.record({"step": _schema.whole(0, last)}))("history of the checkpoint", content["history"])
    except ValueError as error:
        raise CheckpointError(f"{path} is not a checkpoint of stepsize's training, or is damaged: {error}") from None
    return content


def _losses(name: str, value: Any) -> None:
    """A row of numbers."""
    fits = isinstance(value, torch.Tensor) and value.dtype == torch.float64 and value.dim() == 1
    if not fits or not value.is_cpu or value.layout != torch.strided:
        shown = f"{value.dtype} of shape {tuple(value.shape)}" if isinstance(value, torch.Tensor) else value
        raise ValueError(_check.message(name, shown, "a row of float64 numbers"))


def _check_finite(losses: torch.Tensor, run: Mapping[str, Any]) -> None:
    """A training that diverged is not saved, but one with a guard may go on."""
    control = run.get("control")
    guarded = isinstance(control, Mapping) and control.get("guard") is not None
    if not guarded and not losses.isfinite().all():
        raise ValueError(_check.message("losses of the checkpoint", losses.tolist(), "finite"))


CHECKPOINT = _schema.record(
    {
        "trial": _schema.record({"key": _schema.text, "text": _schema.text}),
        "run": _schema.of_type(Mapping, "a mapping"),
        "losses": _losses,
        "history": _schema.every(_schema.table(_schema.real)),
        "best": _schema.maybe(_schema.real),
    },
    {
        "seconds": _schema.finite(least=0),
        "validation": _schema.finite(least=0),
        "pause": _schema.maybe(_schema.whole(1)),
        "verified": _schema.maybe(_schema.of_type(Mapping, "a mapping")),
        "made_of": _schema.table(_schema.text),
    },
)


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
