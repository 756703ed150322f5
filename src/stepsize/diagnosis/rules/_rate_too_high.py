"""A rate that is too high: the loss broke, rose clearly, or ended where it began, or a gradient leapt."""

import math

import numpy as np

from stepsize.diagnosis._seen import Array, Seen, Series
from stepsize.diagnosis._statistics import end, noise, running_median, start, window_of
from stepsize.diagnosis._symptom import Symptom
from stepsize.diagnosis.rules._spikes import spikes

FEWEST = 20  # losses
PARTS = 10  # of a run, whose medians are looked at
FIRST = 3  # of them, in which a rise counts
RISE = 1.0  # of the loss at the start, by which the loss is above it
RISEN_BY, ENDED_BY = 1.0, 1.5  # times its noise, by which a level is above the start
GAIN, LEAP, ABOVE = 0.05, 0.1, 3.0  # of the start, gained in all; of it, leapt at first; times the leaps of the end
TORN = 5.0  # times the gradient norm's median, up to which it goes with such a leap
THROWN, STEEPER, UNDONE = 11.0, 1.5, 0.75  # times the norm around it, and its start; of the start, not gained
AROUND, AGAIN = 0.1, 4.0  # of the run; a second leap, since one bad batch makes one
RISEN = 0.1  # times the rate, where the loss rose, or ended at its start or above it
BREAKS, SOONER, NEAREST, FARTHEST = 2.2, -1.4, 0.25, 2.0  # decades by the step at which it broke, on the tuning tasks
SPREAD = 0.7  # decades each way


def rate_too_high(seen: Seen) -> Symptom | None:
    """Whether the loss broke for good, rose to twice its start, ended above it, or leapt and ended at it.

    Or the gradient's norm leapt to eleven times what it was around there, above where it began, and not once only, in a
    run that did not gain three quarters of the loss at its start, and has no spikes of bad batches: an update threw the
    weights to where the loss is steep.

    Formula: of a loss that broke at step s, between 0.25 and 2,
        log10(rate / best) = 2.2 - 1.4 log10(1 + s)

    Runs that are merely too high heal themselves at the edge of stability and look like good ones: it is silent there.

    Args:
        seen: the run.

    Source: measured, docs/decisions/0026-diagnosis.md.
    """
    series = seen["loss"]
    losses = series.finite.values
    if not len(losses) or not np.isfinite(series.values[0]):
        return None  # it was no number before anything was changed
    broken = ~np.isfinite(series.values)
    if broken[-1]:
        step = float(series.steps[np.flatnonzero(~broken)[-1] + 1])
        away = min(max(BREAKS + SOONER * math.log10(1 + max(step, 0.0)), NEAREST), FARTHEST)
        return _symptom(step, float(f"{10**-away:.1g}"), float(losses[0]), float(losses[-1]), seen)
    if len(losses) < FEWEST:
        return None
    began, spread = start(losses), noise(losses)
    levels = np.array([float(np.median(part)) for part in np.array_split(losses, PARTS)])
    above = levels - began
    if max(above[:FIRST]) > max(RISEN_BY * spread, RISE * abs(began)):
        return _symptom(series.steps[0], RISEN, began, float(levels[:FIRST].max()), seen)
    if above[-1] > max(ENDED_BY * spread, began - levels.min(), 0.02 * abs(began)):
        return _symptom(series.steps[0], RISEN, began, float(levels[-1]), seen)
    if seen.is_early:
        return None  # every run has gained little then
    norms = seen["gradient_norm"].finite
    known = len(norms.values) >= FEWEST
    if not (known and norms.values.max() < TORN * np.median(norms.values)) and _leapt(losses, began):
        return _symptom(series.steps[0], RISEN, began, end(losses), seen)
    if known and -above[-1] < UNDONE * abs(began) and (thrown := _thrown(norms)) and spikes(seen) is None:
        step, leap = thrown
        return _symptom(step, RISEN, began, float(levels[-1]), seen, {"leap_of_gradient_norm": leap})
    return None


def _leapt(losses: Array, began: float) -> bool:
    """Whether the loss ended about where it began, after an early leap above the noise: what it had is destroyed."""
    third = len(losses) // 3
    leap, noisy = losses[:third].max() - began, losses[-third:].max() - np.median(losses[-third:])
    gained = began - end(losses)
    return bool(gained < GAIN * abs(began) and leap > LEAP * abs(began) and leap > ABOVE * noisy)


def _thrown(norms: Series) -> tuple[float, float] | None:
    """The step at which the gradient's norm leapt far above what it was around there and at the start; how far."""
    leaps = norms.values / np.maximum(running_median(norms.values, window_of(norms.values, AROUND, 5)), 1e-30)
    above = np.where(norms.values > STEEPER * start(norms.values), leaps, 0.0)
    at = int(above.argmax())
    thrown = above[at] > THROWN and (leaps > AGAIN).sum() > 1
    return (float(norms.steps[at]), float(above[at])) if thrown else None


def _symptom(
    step: float, factor: float, began: float, level: float, seen: Seen, beside: dict[str, float] | None = None
) -> Symptom:
    reach = {"factor_low": factor / 10**SPREAD, "factor_high": min(1.0, factor * 10**SPREAD)}
    rates = seen["rate"].finite.values
    to = f"about {factor * rates.max():.2g}, " if len(rates) else ""
    remedy = f"lower the rate to {to}{factor:g} times what it is, or lengthen the warm-up"
    evidence = {"loss_at_start": began, "loss_after": level, **(beside or {}), **reach}
    return Symptom("rate-too-high", "error", int(step), evidence, remedy, factor)
