"""A scheduler that is stepped once an epoch where it should be each batch, or the other way round."""

import numpy as np

from stepsize.diagnosis._seen import Seen
from stepsize.diagnosis._symptom import Symptom

STAIRS = 4  # of equal length, fewer may be meant
WAVES = 4  # whole ones, down to nothing
FEWEST = 30


def stepped_per_epoch(seen: Seen) -> Symptom | None:
    """Whether a warm-up comes in stairs of equal length and the first has no rate worth the name: an epoch was lost.

    Args:
        seen: the run.
    """
    steps, rates = seen["rate"].finite
    if len(rates) < FEWEST or rates.max() <= 0:
        return None
    share = rates / rates.max()
    edges = np.flatnonzero(np.abs(np.diff(share)) > 1e-9) + 1
    lengths = np.diff(steps[np.r_[0, edges]])
    if len(edges) < STAIRS or len(lengths) < 3 or lengths.min() < 5 * np.median(np.diff(steps)):
        return None
    equal = float(np.ptp(lengths)) <= 2 * float(np.median(np.diff(steps)))
    levels = share[np.r_[0, edges]]
    ratios = levels[1:] / np.maximum(levels[:-1], 1e-12)
    is_decay_by_steps = len(levels) > 2 and float(np.ptp(ratios)) < 0.02  # a constant factor each time is meant so
    begins_low = levels[0] < 0.5 and levels[0] < levels[1]
    if not equal or is_decay_by_steps or not begins_low:
        return None
    stair = float(np.median(lengths))
    evidence = {"steps_per_change": stair, "changes": float(len(edges)), "first_share_of_peak": float(levels[0])}
    remedy = f"the rate changes every {stair:.0f} steps only: step the scheduler after each batch"
    return Symptom("stepped-per-epoch", "warning", int(steps[edges[0]]), evidence, remedy)


def stepped_per_batch(seen: Seen) -> Symptom | None:
    """Whether the rate falls from its beginning to nothing and comes back, many times: an epoch's schedule, each batch.

    torch's ``CosineAnnealingLR`` rises again beyond ``T_max``.

    Args:
        seen: the run.
    """
    rates = seen["rate"].finite.values
    if len(rates) < FEWEST or rates.max() <= 0:
        return None
    share = rates / rates.max()
    low, high = share < 0.1, share > 0.9
    phases = np.where(high, 1, np.where(low, -1, 0))
    phases = phases[phases != 0]
    turns = int(np.count_nonzero(np.diff(phases)))
    if share[0] < 0.9 or turns < 2 * WAVES or not _symmetric(share):
        return None
    period = 2 * seen.length / turns
    evidence = {"waves": turns / 2, "steps_per_wave": period}
    remedy = f"the rate goes up and down every {period:.0f} steps: step it once an epoch, or count T_max in batches"
    return Symptom("stepped-per-batch", "warning", int(period / 2), evidence, remedy)


def _symmetric(share: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> bool:
    """Whether it rises as fast as it falls, which restarts do not."""
    change = np.diff(share)
    up, down = change[change > 0], -change[change < 0]
    return bool(len(up) and len(down) and 0.5 < np.median(up) / np.median(down) < 2)
