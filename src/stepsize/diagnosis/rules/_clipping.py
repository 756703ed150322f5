"""Clipping that is always on."""

import re

import numpy as np

from stepsize.diagnosis._seen import Seen
from stepsize.diagnosis._symptom import Symptom

SHARE = 0.98  # of the steps
TIMES = 10.0  # the threshold: the median norm


def clipping_always(seen: Seen) -> Symptom | None:
    """Whether nearly each gradient was clipped, and to a tenth or less: the rate is then one of normalised gradients.

    Args:
        seen: the run.
    """
    threshold, norms = _threshold(seen), seen["gradient_norm"].finite.values
    if threshold is None or len(norms) < 20:
        return None
    share, times = float(np.mean(norms > threshold)), float(np.median(norms) / threshold)
    if share < SHARE or times < TIMES:
        return None
    evidence = {"share_clipped": share, "median_norm_over_threshold": times, "threshold": threshold}
    remedy = f"clip at {np.quantile(norms, 0.9):.2g}, or know that the rate is now one of normalised gradients"
    return Symptom("clipping-always", "info", int(seen["gradient_norm"].steps[0]), evidence, remedy)


def _threshold(seen: Seen) -> float | None:
    """The norm at which the plan clips; None without, and where that is no number."""
    found = re.search(r"^clip: ([0-9.e+-]+)$", str(seen.facts.get("plan", "")), re.MULTILINE)
    try:
        return float(found[1]) if found else None
    except ValueError:
        return None
