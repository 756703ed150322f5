"""A schedule that is over long before the run, or is cut off in the middle."""

import numpy as np

from stepsize.diagnosis._seen import Seen
from stepsize.diagnosis._statistics import since
from stepsize.diagnosis._symptom import Symptom

OVER = 0.01  # of the peak: a rate at its end
FLAT = 0.15  # of the run, spent there
HIGH = 0.3  # of the peak: a rate that is cut off
FEWEST = 20


def schedule_too_short(seen: Seen) -> Symptom | None:
    """Whether the rate had decayed, gradually, to a hundredth or less, and then stayed there for a seventh of the run.

    Args:
        seen: the run.
    """
    steps, rates = seen["rate"].finite
    if len(rates) < FEWEST or rates.max() <= 0:
        return None
    share = rates / rates.max()
    flat = since(np.abs(share - share[-1]) <= 1e-3 * OVER)
    begun = len(rates) - flat
    if share[-1] > OVER or flat < FLAT * len(rates) or begun < 2 or not _is_gradual(share[: begun + 1]):
        return None
    length = float(steps[begun])
    evidence = {
        "rate_at_end": float(rates[-1]),
        "peak": float(rates.max()),
        "steps_at_the_end": float(steps[-1] - length),
    }
    remedy = f"the schedule ends at step {length:.0f} of {seen.length:.0f}: give it total={seen.length:.0f}"
    return Symptom("schedule-too-short", "warning", int(length), evidence, remedy)


def schedule_cut_off(seen: Seen) -> Symptom | None:
    """Whether a decay on a straight or concave line towards zero ends far above it: the total is longer than the run.

    Args:
        seen: the run.
    """
    steps, rates = seen["rate"].finite
    unfinished = not np.isfinite(seen["loss"].values).all()
    if (
        len(rates) < FEWEST
        or rates.max() <= 0
        or unfinished
        or seen.facts.get("status") in ("interrupted", "running", "stopped")
    ):
        return None
    peak = len(rates) - 1 - int(np.argmax(rates[::-1]))  # the last step at the peak
    fall = rates[peak:] / rates.max()
    if len(fall) < 0.3 * len(rates) or len(fall) < 10 or not HIGH < fall[-1] < 0.95 or not _is_gradual(fall):
        return None
    times = steps[peak:] - steps[peak]
    slopes = np.diff(fall) / np.diff(times)
    quarter = max(2, len(slopes) // 4)
    early, late = float(np.mean(slopes[:quarter])), float(np.mean(slopes[-quarter:]))
    if late > 0.98 * early or late >= 0:  # convex, as a power law or an exponential, which may end anywhere
        return None
    missing = float(fall[-1] / -late)
    evidence = {"rate_at_end": float(rates[-1]), "share_of_peak": float(fall[-1]), "steps_missing": missing}
    remedy = f"the run ends in the middle of its decay: give the schedule total={seen.length:.0f}, or train to its end"
    return Symptom("schedule-cut-off", "warning", int(steps[-1]), evidence, remedy)


def _is_gradual(share: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> bool:
    """Whether the way down is in many small steps and none up, unlike stairs."""
    peak = len(share) - 1 - int(np.argmax(share[::-1]))
    fall = -np.diff(share[peak:])
    total = float(share[peak] - share[-1])
    if len(fall) <= 5 or (fall < -1e-9).any():
        return False
    return float(fall.max()) < 0.34 * total and int(np.count_nonzero(fall)) > 5
