"""What a run's folder says of its rate, beside its forks: the curvature along its updates."""

import warnings
from pathlib import Path

import numpy as np

from stepsize.diagnosis import Seen
from stepsize.record import RUN, RecordWarning, Run

USED = 0.05  # of the highest rate, below which the curvature says nothing of it


def curvature_in(folder: Path, done: int) -> float | None:
    """The curvature that a run's folder shows up to one of its checkpoints; None where there is none.

    Args:
        folder: of the run.
        done: steps at the checkpoint; what was written later does not count.
    """
    if not (folder / RUN).is_file():
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RecordWarning)  # what is damaged is left out, and said by whoever shows it
        return curvature_until(Seen.of(Run.open(folder)), done)


def curvature_until(seen: Seen, done: int) -> float | None:
    """The median curvature along a record's updates, as it were at the highest rate so far.

    Formula: with c = (g1 - g0) · d / abs(g0 · d) on one batch,
        median of abs(c) · highest rate / rate

    Args:
        seen: the record.
        done: steps that count.
    """
    curvature, rate = seen["curvature"].finite, seen["rate"].finite
    before = curvature.steps < done
    steps, sizes = curvature.steps[before], np.abs(curvature.values[before])
    rates = rate.values[rate.steps < done]
    if len(rates) and rates.max() > 0:
        share = np.interp(steps, rate.steps, rate.values) / rates.max()
        used = share > USED
        sizes = sizes[used] / share[used]
    return float(np.median(sizes)) if len(sizes) else None
