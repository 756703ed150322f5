"""A loss that ends above its beginning."""

import numpy as np

from stepsize.diagnosis._seen import Seen
from stepsize.diagnosis._statistics import noise, start
from stepsize.diagnosis._symptom import Symptom

SHARE = 0.2  # of the run, at its end, that must be above the beginning
NOISES = 4.0


def diverging(seen: Seen) -> Symptom | None:
    """Whether the loss of the last fifth lies above the loss before training, by more than its noise.

    Args:
        seen: the run.
    """
    steps, values = seen["loss"].finite
    if len(values) < 20:
        return None
    began, last = start(values), values[-max(5, round(SHARE * len(values))) :]
    level, gained = float(np.median(last)), began - float(np.min(values))
    spread = noise(values)
    rise = max(NOISES * spread, 0.5 * gained, 0.02 * abs(began))
    if level <= began + rise or np.quantile(last, 0.1) <= began:
        return None
    above = np.flatnonzero(values <= began)
    step = int(steps[min(len(steps) - 1, above[-1] + 1 if len(above) else 0)])
    evidence = {"loss_at_start": began, "loss_at_end": level, "noise": spread}
    return Symptom("diverging", "error", step, evidence, "lower the rate to a tenth, or lengthen the warm-up")
