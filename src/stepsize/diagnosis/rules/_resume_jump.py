"""A run that was resumed and is not what it was."""

import numpy as np

from stepsize.diagnosis._seen import Array, Seen
from stepsize.diagnosis._statistics import noise
from stepsize.diagnosis._symptom import Symptom

NOISES = 6.0
TIMES = 1.5  # up or down, which no schedule does from one log line to the next but by a stair


def resume_jump(seen: Seen) -> Symptom | None:
    """Whether loss or rate leap where the run was resumed: where ``run.json`` says so, or the log goes back in steps.

    Args:
        seen: the run.
    """
    for step in _resumed(seen):
        before, after, error = _around(seen["loss"].steps, seen["loss"].values, step)
        leapt = len(after) > 2 and np.median(after) - np.median(before) > max(
            NOISES * error, 0.1 * abs(np.median(before))
        )
        earlier, later, _ = _around(seen["rate"].steps, seen["rate"].values, step, 1)
        ratio = float(later[0] / earlier[-1]) if len(later) and len(earlier) and earlier[-1] > 0 else 1.0
        if leapt or not 1 / TIMES < ratio < TIMES:
            evidence = {"rate_after_over_before": ratio}
            if len(before) and len(after):
                evidence |= {"loss_before": float(np.median(before)), "loss_after": float(np.median(after))}
            remedy = "load the optimizer's and the schedule's state too, and go on with the position that was saved"
            return Symptom("resume-jump", "warning", int(step), evidence, remedy)
    return None


def _resumed(seen: Seen) -> list[float]:
    """The steps at which it went on."""
    told = seen.facts.get("resumed_at")
    steps = seen["loss"].steps
    back = steps[1:][np.diff(steps) <= 0]
    return [*([float(told)] if told else []), *map(float, back)]


def _around(steps: Array, values: Array, step: float, count: int = 7) -> tuple[Array, Array, float]:
    """The values before and after a step as they were written, and their noise."""
    finite = np.isfinite(values)
    steps, values = steps[finite], values[finite]
    back = np.flatnonzero(np.diff(steps) <= 0)
    place = int(back[0]) + 1 if len(back) else int(np.searchsorted(steps, step))
    before, after = values[max(0, place - count) : place], values[place : place + count]
    return before, after, noise(before) if len(before) > 2 else 0.0
