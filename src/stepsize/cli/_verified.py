"""What ``stepsize diagnose RUN --verify`` adds: the run itself is asked, by short forks from its last checkpoint."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepsize.cli._begin import alone
from stepsize.cli._damaged import damage_shown
from stepsize.cli._problems import StoppedError
from stepsize.cli._resume import VERIFYING, job_of
from stepsize.cli._screen import Screen
from stepsize.record import RUN
from stepsize.task import TaskChangedWarning

LOW = "rate-too-low"

if TYPE_CHECKING:
    from stepsize.diagnosis import Symptom
    from stepsize.finder import Verification


def verified(
    screen: Screen,
    folder: Path,
    symptoms: "tuple[Symptom, ...]",
    given: Mapping[str, Any],
    trust: bool,
    accept_changes: bool,
) -> "tuple[tuple[Symptom, ...], Verification]":
    """The findings of a run as forks confirm or refute them, and what the forks say; its folder stays as it is.

    Args:
        screen: where progress is shown.
        folder: of the run.
        symptoms: what its record shows.
        given: what the command line says instead of the folder: task, data, device.
        trust: whether to follow what a folder says that others may have written.
        accept_changes: whether the task may be another than it was.

    Raises:
        ValueError: the folder is of no run of stepsize, has no checkpoint from before the run's end, or leads to code
            that nobody vouches for.
    """
    from stepsize.finder import verify

    alone("diagnose --verify", "which trains one fork after the other")
    if not (folder / RUN).is_file():
        raise ValueError(
            f"{folder} was not written by stepsize train, so that nothing of it can be trained; --verify needs the "
            "folder of such a run, with a checkpoint in it; in a loop of your own, RateSearch(..., around=rate) does it"
        )
    beside = {"no_report": True, "as_json": screen.as_json}
    place = folder.absolute()  # a task's code may change the working directory
    work = job_of(folder, given, trust, accept_changes, beside, VERIFYING)
    try:
        with (
            damage_shown(screen),
            warnings.catch_warnings(),
            screen.progress(f"verify {work.task.name}", work.trial.steps) as bar,
        ):
            warnings.simplefilter("ignore", TaskChangedWarning)  # said before, in the words of a command line
            found = verify(
                work.task,
                place,
                work.trial,
                suspected=any(symptom.name == LOW for symptom in symptoms),
                accept_changes=accept_changes,
                progress=bar,
            )
    except KeyboardInterrupt:
        raise StoppedError(f"stopped; {folder} is as it was") from None
    return found.findings(symptoms), found
