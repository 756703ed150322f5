"""A rate that is too high: the loss broke, or rose clearly before it fell, if it fell at all."""

import numpy as np

from stepsize.diagnosis._seen import Seen
from stepsize.diagnosis._statistics import noise, start
from stepsize.diagnosis._symptom import Symptom

FEWEST = 20  # losses
PARTS = 10  # of a run, whose medians are looked at
FIRST = 3  # of them, in which a rise counts
RISE = 1.0  # of the loss at the start, by which the loss is above it
RISEN_BY, ENDED_BY = 1.0, 1.5  # times its noise, by which a level is above the start
BROKEN, RISEN, ENDED = (
    0.3,
    0.1,
    0.1,
)  # times the rate, where the loss broke, rose, or ended above its start
SPREAD = 0.7  # decades each way


def rate_too_high(seen: Seen) -> Symptom | None:
    """Whether the loss rose to twice its start, ended above it, or was no number any more.

    Runs that are merely too high heal themselves at the edge of stability and look like good ones: it is silent there.

    Args:
        seen: the run.

    Source: measured, docs/decisions/0026-diagnosis.md.
    """
    series = seen["loss"]
    losses = series.finite.values
    if not len(losses) or not np.isfinite(series.values[0]):
        return None  # it was no number before anything was changed
    began = start(losses)
    if len(losses) < len(series.values):
        return _symptom(series.steps[~np.isfinite(series.values)][0], BROKEN, began, float(losses[-1]), seen)
    if len(losses) < FEWEST:
        return None
    levels = np.array([float(np.median(part)) for part in np.array_split(losses, PARTS)])
    above = levels - began
    spread = noise(losses)
    if max(above[:FIRST]) > max(RISEN_BY * spread, RISE * abs(began)):
        return _symptom(series.steps[0], RISEN, began, float(levels[:FIRST].max()), seen)
    if above[-1] > max(ENDED_BY * spread, began - levels.min(), 0.02 * abs(began)):
        return _symptom(series.steps[0], ENDED, began, float(levels[-1]), seen)
    return None


def _symptom(step: float, factor: float, began: float, level: float, seen: Seen) -> Symptom:
    reach = {"factor_low": factor / 10**SPREAD, "factor_high": min(1.0, factor * 10**SPREAD)}
    rates = seen["rate"].finite.values
    to = f"about {factor * rates.max():.2g}, " if len(rates) else ""
    remedy = f"lower the rate to {to}{factor:g} times what it is, or lengthen the warm-up"
    evidence = {"loss_at_start": began, "loss_after": level, **reach}
    return Symptom("rate-too-high", "error", int(step), evidence, remedy, factor)
