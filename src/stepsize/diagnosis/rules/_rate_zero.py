"""A rate of zero."""

import numpy as np

from stepsize.diagnosis._seen import Seen
from stepsize.diagnosis._symptom import Symptom

SHARE = 0.25  # of the run


def rate_zero(seen: Seen) -> Symptom | None:
    """Whether the rate was 0 for a quarter of the run and more, so that nothing was learnt.

    Args:
        seen: the run.
    """
    steps, rates = seen["rate"].finite
    if len(rates) < 5:
        return None
    zero = rates == 0
    if np.mean(zero) < SHARE:
        return None
    evidence = {"share_of_steps": float(np.mean(zero)), "highest_rate": float(rates.max())}
    whole = "the rate was 0 all the time: give the optimizer a rate, since schedules are factors of it"
    part = "look at the schedule's total, and at what else writes to the optimizer"
    return Symptom("rate-zero", "error", int(steps[np.argmax(zero)]), evidence, whole if zero.all() else part)
