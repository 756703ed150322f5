"""A loss that never left what guessing gives."""

import numpy as np

from stepsize.diagnosis._seen import Seen
from stepsize.diagnosis._statistics import noise, start
from stepsize.diagnosis._symptom import Symptom

CLASSES = np.arange(2, 1001)
NEAR = 0.01  # of the loss


def never_learnt(seen: Seen) -> Symptom | None:
    """Whether the loss stays within a hundredth of ln(classes) from beginning to end.

    Uniform guesses among k classes have a cross entropy of ln(k).

    Args:
        seen: the run.
    """
    values = seen["loss"].finite.values
    if seen.is_early or len(values) < 20:
        return None
    parts = np.array([float(np.mean(part)) for part in np.array_split(values, 4)])
    level = float(parts.mean())
    classes = int(CLASSES[np.argmin(np.abs(np.log(CLASSES) - level))])
    error = noise(values) / np.sqrt(len(values) / 4)
    is_flat = np.abs(parts - level).max() < max(NEAR * abs(level), 2 * error) and abs(
        start(values) - level
    ) < 0.1 * abs(level)
    falls = parts[0] - parts[-1] > max(3 * error, 0.002 * abs(level))
    if level <= 0 or classes > 100 or not is_flat or falls or abs(np.log(classes) - level) > NEAR * level:
        return None
    evidence = {"loss": level, "classes": float(classes), "loss_of_guessing": float(np.log(classes))}
    remedy = f"nothing was learnt beyond guessing among {classes} classes: check the labels, then the rate"
    return Symptom("never-learnt", "error", None, evidence, remedy)
