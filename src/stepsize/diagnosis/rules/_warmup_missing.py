"""A start at the full rate that throws the run off, from which it comes back."""

import numpy as np

from stepsize.diagnosis._seen import Seen
from stepsize.diagnosis._statistics import start
from stepsize.diagnosis._symptom import Symptom
from stepsize.diagnosis.rules._rate_too_high import rate_too_high

SHORT = 0.02  # of the run: a warm-up that is hardly one
BACK = 0.7  # of the loss at the start, below which it came back


def warmup_missing(seen: Seen) -> Symptom | None:
    """Whether the loss rose to twice its start while the rate began at its peak, and came back afterwards.

    Args:
        seen: the run.
    """
    steps, rates = seen["rate"].finite
    losses = seen["loss"].values
    if len(rates) < 20 or not np.isfinite(losses).all() or rate_too_high(seen) is None:
        return None
    peaked = float(steps[np.argmax(rates >= 0.9 * rates.max())]) / seen.length
    began, ended = start(losses), float(np.median(losses[-len(losses) // 10 :]))
    if peaked > SHORT or ended > BACK * began:
        return None
    evidence = {"loss_at_start": began, "loss_at_end": ended, "share_of_run_before_the_peak": peaked}
    remedy = f"warm up over {max(10, round(0.1 * seen.length))} steps: warmup('10%') before the schedule"
    return Symptom("warmup-missing", "warning", 0, evidence, remedy)
