"""Trying a run's rate on its way, where its record is suspicious: once, by short forks from a checkpoint."""

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from stepsize import _check
from stepsize.control import Bus, Control, Record
from stepsize.diagnosis import Seen, Series, Symptom, diagnose, is_suspicious
from stepsize.record import Run
from stepsize.search import CHECKED_AT, Recheck
from stepsize.task._checkpoint import Checkpoints, Reached
from stepsize.task._contract import Startable, Training, Trial
from stepsize.task._faces import Controlled
from stepsize.task._ranks import ranks

LOW, HIGH = "rate-too-low", "rate-too-high"


class Verified(Protocol):
    """What forks say: the parts of ``Verification`` that a run on its way needs."""

    @property
    def onward(self) -> float:
        """What to multiply the rate by from here on."""

    def findings(self, passive: Sequence[Symptom], /) -> Sequence[Symptom]:
        """A record's symptoms as forks bear them out."""

    def plain(self) -> dict[str, Any]:
        """All of it as plain data."""


Verify = Callable[..., Verified]


class StoppedVerifying(Exception):  # noqa: N818 - no error: Ctrl-C while forks are trained
    """It was stopped on its way, and nothing was found."""


class Suspicion:
    """Looks at a run at a quarter of its steps, and has its rate verified if it is suspicious.

    Args:
        verify: the function ``stepsize.verify``, or another one that is called as it is.
        apply: whether to go on at the rate that it says.
        task: that is trained.
        trial: the run's.

    Raises:
        TypeError, ValueError: an argument is invalid, or the run cannot be verified.
    """

    def __init__(self, verify: Verify, apply: bool, task: Startable, trial: Trial) -> None:
        check_verifiable(trial.steps)
        self._verify, self._apply, self._task, self._trial = verify, apply, task, trial

    def next(self, done: int, total: int) -> int:
        """The next step at which it looks, or the run's last."""
        return step if (step := _step(total)) > done else total

    def is_due(self, reached: Reached, total: int) -> bool:
        """Whether it looks at a run that has come so far."""
        return reached.verified is None and len(reached.losses) == _step(total)

    def look(
        self, run: Training, checkpoints: Checkpoints, reached: Reached, bus: Bus, progress: Callable[..., None]
    ) -> None:
        """Verify the rate from the checkpoint at which the run stands, if that is suspicious; tell what comes of it.

        Args:
            run: that trains.
            checkpoints: of the run, the last one of the step at which it stands.
            reached: how far it has come; it keeps what is found.
            bus: is told.
            progress: called with (steps done, steps expected, a note for people); what it raises stops the forks.
        """
        step, seen = len(reached.losses), _seen(checkpoints.folder, reached.losses)
        if not is_suspicious(seen):
            return
        passive = [symptom for symptom in diagnose(seen) if symptom.name in (LOW, HIGH)]
        low = any(symptom.name == LOW for symptom in passive)
        more = {"accept_changes": checkpoints.accept_changes, "progress": progress}
        try:
            found = self._verify(self._task, checkpoints.folder, self._trial, suspected=low, **more)
            onward, plain = found.onward, found.plain()
        except StoppedVerifying:
            return
        except Exception as error:  # whatever a fork has met, also of the task's own: the run itself goes on
            words = f"the rate could not be verified: {type(error).__name__}: {_check.in_one_line(error, 300)}"
            reached.verified = {"words": words}
            _tell(run, bus, step, {}, {"what": "verify", "group": "*", "reason": words})
            return
        against = HIGH if onward > 1 else LOW  # of two that disagree none is followed
        accused = any(symptom.name == against and symptom.severity != "info" for symptom in passive)
        applied = self._apply and onward != 1 and not accused
        reached.verified = {"words": str(found), "applied": applied, **plain}
        _tell(run, bus, step, {"value": onward}, {"what": "verify", "group": "*", "reason": str(found)})
        for symptom in found.findings(passive):
            _tell(run, bus, step, *symptom.event)
        if applied:
            control_of(run).scale(onward, reason=f"forks from step {step} end lowest there")


def _tell(run: Training, bus: Bus, step: int, values: dict[str, float], text: dict[str, str]) -> None:
    bus.send(Record(step, control_of(run).position, "event", values, text))


def _step(total: int) -> int:
    return math.ceil(CHECKED_AT * total)


def check_verifiable(steps: int) -> None:
    """Raise ValueError unless runs of this length, in one process, can be verified on their way.

    Args:
        steps: of the run, >= 1.

    Example:
        >>> from stepsize.task import check_verifiable
        >>> check_verifiable(400)
    """
    steps = _check.whole("steps", steps, least=1)
    if ranks().size > 1:
        raise ValueError("verify trains forks in one process, and several train this run; leave it out")
    try:
        Recheck(1.0, steps, steps - _step(steps))
    except ValueError as error:
        raise ValueError(f"verify: {error}; else leave verify out") from None


def control_of(run: Training) -> Control:
    """The control of a run that can be verified, or an error.

    Args:
        run: that was started.

    Raises:
        TypeError: it trains without one.
    """
    if not isinstance(run, Controlled) or not isinstance(run.control, Control):
        raise TypeError("verify needs a run with a Control, whose rate and plan can be changed, and this one has none")
    return run.control


def _seen(folder: Path, losses: Sequence[float]) -> Seen:
    """A run as though it had been stopped here: what its folder has of it, or its losses where nothing was written."""
    with suppress(ValueError):
        seen = Seen.of(Run.open(folder))
        if seen["loss"]:
            return replace(seen, facts={**seen.facts, "status": "stopped"})
    return Seen({"loss": Series(np.arange(len(losses), dtype=float), np.array(losses, dtype=float))})
