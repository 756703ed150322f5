"""A validation loss that has turned."""

import numpy as np

from stepsize.diagnosis._seen import Seen
from stepsize.diagnosis._statistics import noise
from stepsize.diagnosis._symptom import Symptom

LOST = 0.25  # of what validation had gained
LATEST = 0.7  # of the run: where the turn must have come
NAMES = ("validation_loss", "val_loss", "eval_loss", "val/loss", "validation/loss", "eval/loss")


def overfitting(seen: Seen) -> Symptom | None:
    """Whether the validation loss has lost a quarter of what it had gained, while the training loss goes on falling.

    Args:
        seen: the run.
    """
    name = next((each for each in NAMES if each in seen.observed), None)
    if name is None:
        return None
    steps, values = seen.observed[name].finite
    training = seen["loss"].finite.values
    if len(values) < 6 or len(training) < 10:
        return None
    best = int(np.argmin(values))
    gained, lost = float(values[0] - values[best]), float(np.mean(values[-2:]) - values[best])
    fits = float(np.median(training[-len(training) // 5 :]) - np.median(training[: len(training) // 2])) < 0
    gained = max(gained, 0.1 * abs(float(values[best])))  # where it never fell
    late = steps[best] > LATEST * steps[-1] or len(values) - best < 4
    if gained == 0 or late or not fits or lost < LOST * gained or lost < 4 * noise(values):
        return None
    evidence = {"best": float(values[best]), "at_end": float(values[-1]), "lost_share_of_gain": lost / gained}
    remedy = f"stop at step {steps[best]:.0f}, or add weight decay, dropout or data; the rate is not at fault"
    return Symptom("overfitting", "warning", int(steps[best]), evidence, remedy)
