"""A trainer's run that is steered from a folder: commands are those of its scheduler, and a few for its loop."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from stepsize import _check
from stepsize.control import Commands, Scheduler

LOOP = ("checkpoint", "stop")  # what commands may want of any trainer


def check_steer(steer: Any) -> Path | None:
    """The folder that a hook was given as ``steer``.

    Args:
        steer: a folder or its path, or None.
    """
    if steer is not None and not isinstance(steer, str | Path):
        raise TypeError(_check.message("steer", steer, "a folder", 'write for example steer="runs/a"'))
    return None if steer is None else Path(steer)


def steered(scheduler: Scheduler, folder: Path, verbs: Collection[str]) -> Commands:
    """Let a trainer's scheduler be steered; how long the run is stays the trainer's to say.

    Args:
        scheduler: that has not begun.
        folder: that commands come from.
        verbs: that the hook does.
    """
    commands = Commands(folder, verbs)
    scheduler.steer_by(commands, fixed=True)
    return commands


def is_over(scheduler: Scheduler) -> bool:
    """Whether a command has brought the run's end forward, and there it is."""
    return scheduler.total is not None and scheduler.position >= scheduler.total
