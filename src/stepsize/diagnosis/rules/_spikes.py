"""Isolated leaps of the loss."""

import numpy as np

from stepsize.diagnosis._seen import Seen
from stepsize.diagnosis._statistics import running_median, start, window_of
from stepsize.diagnosis._symptom import Symptom

FEWEST = 3
NOISES = 12.0
GAINED = 2.0  # times what the loss had gained by then, that a spike loses again


def spikes(seen: Seen) -> Symptom | None:
    """Whether the loss leaps, three times and more, by all of what it had gained and by far more than its noise.

    Chowdhery et al. 2022 (PaLM), section 5.1, skip the batches around such steps.

    Args:
        seen: the run.
    """
    steps, values = seen["loss"].finite
    if len(values) < 40:
        return None
    middle = running_median(values, window_of(values, 0.1, 9))
    above = values - middle
    spread = 1.4826 * running_median(np.abs(above), window_of(values, 0.1, 9))
    gained = start(values) - middle
    late = np.arange(len(values)) >= len(values) // 10
    leaps = late & (gained > 0) & (above > GAINED * gained) & (above > NOISES * spread)
    found = np.flatnonzero(leaps)
    begun = found[np.diff(found, prepend=-10) > 1]  # neighbours are one spike
    if len(begun) < FEWEST:
        return None
    evidence = {"spikes": float(len(begun)), "largest": float(above[found].max()), "noise": float(np.median(spread))}
    remedy = "clip the gradients' norm at its median, or lower the rate to a third; look at the batches of these steps"
    return Symptom("spikes", "warning", int(steps[begun[0]]), evidence, remedy)
