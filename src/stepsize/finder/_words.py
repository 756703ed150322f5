"""Arguments of ``find`` in place of a task: a model, a loader and their companions."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from stepsize import _check
from stepsize.schedule import Schedule
from stepsize.state import can_capture, capture
from stepsize.task import Startable, Task

OF_A_TASK = ("optimizer", "schedule", "steps")  # which may stand beside a task too


@dataclass(frozen=True)
class Words:
    """The words of ``Task.of`` as ``find`` was given them; None for those that were left out."""

    model: Any
    loader: Any
    loss: Any
    optimizer: Any
    steps: int | None
    epochs: float | None
    schedule: Any
    device: str | None

    def task_or(self, task: Startable | None) -> tuple[Startable, dict[str, Any]]:
        """The task, made of the words where none was given, and the settings of its trials that the words say.

        Args:
            task: as it was given.

        Raises:
            TypeError, ValueError: there are neither, or both, or a word is invalid.
        """
        options = {name: value for name, value in vars(self).items() if value is not None}
        if task is None and not options.keys() & {"model", "loader"}:
            remedy = "or write find(model=..., loader=..., loss=..., optimizer=..., steps=...)"
            raise TypeError(_check.message("task", task, "a task", f'for example task_named("digits"), {remedy}'))
        if task is None:
            words = {"model": None, "loader": None, "optimizer": None, **options}
            return Task.of(**words), {}
        beside = [name for name in options if name not in OF_A_TASK]
        if beside:
            shown = " ".join(map(str.strip, repr(options[beside[0]]).splitlines()))[:60]
            raise TypeError(
                f"{beside[0]} must be left out beside a task, which says it itself, got {shown}; or leave out the task"
            )
        settings = {name: options[name] for name in ("optimizer", "schedule") if name in options}
        return task, {
            name: str(setting) if isinstance(setting, Schedule) else setting for name, setting in settings.items()
        }

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Put back after a block what of the loader and its data set can tell its state."""
        if not can_capture(self.loader):
            yield
            return
        kept = capture(self.loader)
        try:
            yield
        finally:
            kept.restore()
