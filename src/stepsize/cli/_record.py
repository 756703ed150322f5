"""The record of a run that was stopped: where it goes on from, and which validations it has lost."""

import os
import warnings
from pathlib import Path

from stepsize.cli._damaged import damage_shown as damage_shown
from stepsize.record import BEST, EVENTS, LAST, METRICS, VALIDATION, RecordWarning, read_lines
from stepsize.state import read_regular
from stepsize.task import CheckpointError, read_state, steps_done


def going_on(folder: Path) -> int:
    """How many steps a stopped run has done, from which it goes on; 0 before its first checkpoint.

    Args:
        folder: of the run.

    Raises:
        CheckpointError: it is missing though the run has curves, or it cannot be used.
        ValueError: one of the files with curves is no file.
    """
    for name in (METRICS, VALIDATION, EVENTS):
        if os.path.lexists(folder / name) and not (folder / name).is_file():
            read_regular(folder / name)  # says what it is instead
    if os.path.lexists(folder / LAST):
        return steps_done(folder)
    steps = [entry["step"] for entry in read_lines(folder / METRICS).entries]
    if steps or (folder / BEST).exists():
        reached = f"its curves reach step {max(steps)}" if steps else "it has a {BEST}"
        raise CheckpointError(
            f"{folder} has no {LAST} to go on from, though {reached}; put it back, or begin anew in another folder"
        )
    return 0


def say_lost_validations(folder: Path) -> None:
    """Say, in a ``RecordWarning``, which validations the checkpoint has and the record has not: they do not come again.

    Args:
        folder: of a run that was stopped.
    """
    if not (folder / LAST).is_file():
        return
    there = {entry["step"] for entry in read_lines(folder / VALIDATION).entries}
    lost = [figures["step"] for figures in read_state(folder / LAST)["history"] if figures["step"] not in there]
    if lost:
        steps = ", ".join(f"{step:g}" for step in lost[:5]) + (" and others" if len(lost) > 5 else "")
        name = folder / VALIDATION
        warnings.warn(
            f"{name} lacks the validations of step {steps}: the curves have a gap", RecordWarning, stacklevel=2
        )
