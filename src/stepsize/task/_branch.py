"""Branches of a run: from a checkpoint on, at another rate, with what is left of its plan squeezed into fewer steps."""

import math
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stepsize import _check
from stepsize.control import Control
from stepsize.record import BEST, LAST
from stepsize.task._checkpoint import CheckpointError, put_back, read
from stepsize.task._contract import Startable, Training, Trial
from stepsize.task._faces import Controlled
from stepsize.task._saved import longest
from stepsize.task._sources import optimizer_of_run, sources_of

NEEDED = "branches need a checkpoint from before the end: stop a run on its way (Ctrl-C, or stepsize steer RUN stop)"


@dataclass(frozen=True)
class Branches:
    """Branches of a run from one checkpoint of its folder, in which nothing is changed.

    Attributes:
        task: that is trained.
        trial: the run's.
        path: the checkpoint's file.
        done: steps that it has done.
        total: steps of the whole run.
        rates: by parameter group, where the run stands.
        finished: whether the run has come to its end since.

    Example:
        >>> import tempfile
        >>> from dataclasses import replace
        >>> from stepsize import Trial, train
        >>> from stepsize.task import Branches, task_named
        >>> task = replace(task_named("digits"), metrics=lambda model: {"validation_loss": 1.0})
        >>> trial = Trial("digits", {"lr": 0.1}, steps=40)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = train(task, trial, folder=folder, evaluate_every=10)
        ...     branches = Branches.of(folder, task, trial)  # it is over: from its best checkpoint, here the first
        >>> branches.finished, branches.done, branches.left
        (True, 0, 40)
        >>> len(branches.start(factor=3, steps=4).advance(4))
        4
    """

    task: Startable
    trial: Trial
    path: Path
    done: int
    total: int
    rates: Mapping[str, float]
    finished: bool = False
    _state: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @staticmethod
    def of(folder: Path | str, task: Startable, trial: Trial, accept_changes: bool = False) -> "Branches":
        """Branches of a run from its last checkpoint, or from its best one where the last is at the end.

        Args:
            folder: of the run, in which ``train`` has kept its checkpoints.
            task: the run's.
            trial: the run's.
            accept_changes: whether the task may be another than it was, as for ``train``.

        Raises:
            TypeError, ValueError: there is no checkpoint from before the end, it cannot be gone on with, or the task
                trains without a ``Control``.
        """
        folder = Path(folder)
        if not os.path.lexists(folder / LAST):
            raise CheckpointError(f"{folder} has no checkpoint {LAST}, so that nothing can be tried; {NEEDED}")
        # each file is read once: the run may go on meanwhile, and write another
        path, saved = folder / LAST, read(folder / LAST)
        finished = len(saved["losses"]) >= _total(saved, trial)
        if finished and os.path.lexists(folder / BEST):
            path, saved = folder / BEST, read(folder / BEST)
        done, total = len(saved["losses"]), _total(saved, trial)
        if done >= total:
            raise CheckpointError(f"{folder} is of a run that is over, and has no checkpoint from before; {NEEDED}")
        run = task.start(trial)
        control = run.control if isinstance(run, Controlled) else None
        if not isinstance(control, Control):
            raise TypeError(
                f"the task {task.name!r} trains by itself, without a Control whose rate and plan could be changed; "
                "in a loop of your own, RateSearch(..., around=rate) tries others in mid-run"
            )
        put_back(saved, path, trial, run, {**sources_of(task), **optimizer_of_run(run)}, accept_changes)
        return Branches(task, trial, path, done, total, control.rates, finished, saved["run"])

    @property
    def left(self) -> int:
        """Steps that the run still has."""
        return self.total - self.done

    def start(self, factor: float = 1.0, steps: int | None = None) -> Training:
        """A branch at its beginning: the run as it stood, at its rates times a factor.

        Args:
            factor: of the rates, > 0.
            steps: of the branch, into which what is left of the plan is squeezed; as many as are left when left out.

        Raises:
            TypeError, ValueError: an argument is invalid, or the rates cannot be changed.
        """
        factor = _check.number("factor", factor, above=0)
        steps = self.left if steps is None else _check.whole("steps", steps, least=1)
        run = self.task.start(self.trial)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # said when the checkpoint was opened
            run.load_state(self._state)
        control: Control = run.control  # type: ignore[attr-defined]
        if steps != self.left:
            control.extend(self.done + steps, "stretch")
        _scale(control, factor)
        return run

    def anew(self, factor: float, steps: int) -> Training:
        """The run at its beginning, at its rates times a factor, and with the whole of its plan squeezed.

        Args:
            factor: of the rates, > 0.
            steps: into which the plan is squeezed, >= 1.

        Raises:
            TypeError, ValueError: an argument is invalid, or the rates cannot be changed.
        """
        factor = _check.number("factor", factor, above=0)
        steps = _check.whole("steps", steps, least=1)
        run = self.task.start(self.trial)
        control: Control = run.control  # type: ignore[attr-defined]
        if steps != self.total:
            control.extend(steps, "stretch")
        _scale(control, factor)
        return run


def _scale(control: Control, factor: float) -> None:
    before = control.rates
    control.scale(factor)
    if factor != 1 and control.rates == before and any(before.values()):
        held = ", ".join(f"{name} {rate:g}" for name, rate in before.items())
        raise ValueError(f"the rates are held at values ({held}), so that no other can be tried; release them first")


def _total(saved: Mapping[str, Any], trial: Trial) -> int:
    """How many steps the run of a checkpoint has, which commands may have changed."""
    control = saved["run"].get("control")
    total = control.get("total") if isinstance(control, Mapping) else None
    if isinstance(total, float | int) and math.isfinite(total):
        return math.ceil(total * (1 - 1e-12))
    return longest(saved["run"], trial.steps)
