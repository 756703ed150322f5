"""What a run's folder says of its rate, beside its forks."""

import math
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stepsize.diagnosis import Seen, Series
from stepsize.record import RUN, RecordWarning, Run
from stepsize.search import Background

USED = 0.05  # of the highest rate, below which the curvature says nothing of it
FEWEST = 10  # losses, or norms of gradients
MOST = 1e9  # beyond it all is the same
PARTS = 5  # of a record, of which the first and the last are compared


def background_of(folder: Path, done: int) -> Background:
    """What a run's folder shows up to one of its checkpoints; nothing where there is no record.

    Args:
        folder: of the run.
        done: steps at the checkpoint; what was written later does not count.
    """
    if not (folder / RUN).is_file():
        return Background()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RecordWarning)  # what is damaged is left out, and said by whoever shows it
        seen = Seen.of(Run.open(folder))
    return seen_until(seen, done)


def seen_until(seen: Seen, done: int) -> Background:
    """What a record shows up to a step.

    Args:
        seen: the record.
        done: steps that count.
    """
    loss, norm, rate, curvature = (_until(seen[name], done) for name in ("loss", "gradient_norm", "rate", "curvature"))
    as_at_peak, sizes = _curvature(curvature, rate)
    above = growth = None
    if len(loss.values) >= FEWEST and loss.values[0]:
        lately, first = float(np.median(np.array_split(loss.values, PARTS)[-1])), float(loss.values[0])
        above = _bounded((lately - first) / abs(first))
    if len(norm.values) >= FEWEST:
        first, *_, lately = (float(np.median(part)) for part in np.array_split(norm.values, PARTS))
        growth = math.log10(max(lately, 1e-12)) - math.log10(max(first, 1e-12))
    if not len(sizes):
        return Background(above=above, growth=growth)
    return Background(_bounded(float(np.median(as_at_peak))), _bounded(float(sizes.max())), above, growth)


def _bounded(value: float) -> float:
    """As it is, but for sizes that say no more than that something broke."""
    return min(max(value, -MOST), MOST)


def _until(series: Series, done: int) -> Series:
    """Its finite values before a step."""
    keep = (series.steps < done) & np.isfinite(series.values)
    return Series(series.steps[keep], series.values[keep])


def _curvature(curvature: Series, rate: Series) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Its size as it were at the highest rate so far, and as it was, where the rate was not far below."""
    sizes = np.abs(curvature.values)
    if not len(rate.values) or not rate.values.max() > 0:
        return sizes, sizes
    share = np.interp(curvature.steps, rate.steps, rate.values) / rate.values.max()
    used = share > USED
    return sizes[used] / share[used], sizes[used]
