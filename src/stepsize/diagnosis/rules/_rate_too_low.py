"""A rate that is far too low: the loss is a straight line along nearly every update, or hardly fell at all."""

import math

import numpy as np

from stepsize.diagnosis._seen import Array, Seen
from stepsize.diagnosis._statistics import start
from stepsize.diagnosis._symptom import Symptom

FEWEST = 2  # looks along the update
USED = 0.05  # of the highest rate, below which a look says nothing of it
MOST, LARGE = 0.056, 0.75  # curvature that so large a share of the looks stays below
FIRST = 0.12  # curvature at the first look, as it were at the highest rate
NEARLY_ALL = 0.9  # of the loss at the start, gained at best: no more was to be gained
SLOPE, OFFSET = 0.6, -0.6  # of log10(rate / best) over log10(curvature), by least absolute errors on the tuning tasks
SPREAD = 0.65  # decades each way that hold 85 % of the best rates, on the tuning tasks
PARTS = 10  # of a run, whose medians are looked at
LITTLE, LATE, CLEAR = (
    0.1,
    0.3,
    0.4,
)  # without curvature: fall of the loss, share of it in the second half, noise over fall
WITHOUT = 30.0  # times, where only the loss speaks: the median of the tuning tasks


def rate_too_low(seen: Seen) -> Symptom | None:
    """Whether the rate is ten times too low or more: the loss is a straight line along nearly every update.

    Formula: on one batch, with gradients g0 and g1 before and after the update d, and its loss lowered by the share r
    of what was predicted, c = max(abs((g1 - g0) · d / g0 · d), 2 abs(1 - r)): on a quadratic both are the same. Low is
    c < 0.056 at three looks of four, c < 0.12 at the first, over the rate's share of its peak, and a loss that never
    lost nine tenths of its start. With the third quartile of the first term,
        log10(rate / best) = 0.6 log10(c) - 0.6

    Args:
        seen: the run.

    Source: measured, docs/decisions/0026-diagnosis.md.
    """
    losses = seen["loss"].values
    if seen.is_early or len(losses) < 20 or not np.isfinite(losses).all():
        return None
    if not seen["curvature"] and not seen["decrease_ratio"]:
        return _by_loss(seen)
    slopes, bends, shares = _looks(seen)
    if len(bends) < FEWEST:
        return None
    most, first, gained = float(np.quantile(bends, LARGE)), float(bends[0] / shares[0]), _gained(losses)
    if not (most < MOST and first < FIRST and gained < NEARLY_ALL):
        return None
    curvature = float(np.quantile(slopes, LARGE))
    factor = 10 ** -(SLOPE * math.log10(max(curvature, 1e-4)) + OFFSET)
    evidence = {"curvature": curvature, "curvature_at_first": first, "gained_share_of_loss": gained}
    return _symptom(seen, factor, SPREAD, evidence)


def _by_loss(seen: Seen) -> Symptom | None:
    """Whether the loss lost less than a tenth of itself, clearly, and much of that late."""
    losses = seen["loss"].values
    late, fall = _late(seen)
    share = fall / max(abs(float(np.median(losses[: max(1, len(losses) // 10)]))), 1e-12)
    noise = float(np.median(np.abs(np.diff(losses)))) / 0.954
    if len(losses) < 40 or not (0 < share < LITTLE and late > LATE and noise < CLEAR * fall):
        return None
    return _symptom(seen, WITHOUT, 1.0, {"fall_of_the_loss": share, "late_share_of_fall": late})


def _symptom(seen: Seen, factor: float, spread: float, evidence: dict[str, float]) -> Symptom:
    factor = float(f"{factor:.2g}")
    reach = {"factor_low": max(1.0, factor / 10**spread), "factor_high": factor * 10**spread}
    rates = seen["rate"].finite.values
    to = f" to about {factor * rates.max():.2g}," if len(rates) else ""
    remedy = f"raise the rate{to} {factor:g} times what it is, or find it with stepsize find"
    return Symptom("rate-too-low", "warning", None, {**evidence, **reach}, remedy, factor)


def _looks(seen: Seen) -> tuple[Array, Array, Array]:
    """Curvature, the larger of it and of what the loss shows, and the rate's share of its peak, where that is not low.

    Of two columns, one may be missing: the other stands for it.
    """
    slope, value = seen["curvature"].finite, seen["decrease_ratio"].finite
    steps = np.union1d(slope.steps, value.steps)
    found = np.full((2, len(steps)), np.nan)
    found[0, np.searchsorted(steps, slope.steps)] = np.abs(slope.values)
    found[1, np.searchsorted(steps, value.steps)] = 2 * np.abs(1 - value.values)
    slopes, bends = np.where(np.isfinite(found[0]), found[0], found[1]), np.fmax(*found)
    rates = seen["rate"].finite
    if not rates or rates.values.max() <= 0:
        return slopes, bends, np.ones_like(bends)
    shares = np.interp(steps, rates.steps, rates.values) / rates.values.max()
    used = shares > USED
    return slopes[used], bends[used], shares[used]


def _gained(losses: Array) -> float:
    """By how much of itself the loss was lower at best than at the start."""
    began = start(losses)
    levels = [float(np.median(part)) for part in np.array_split(losses, PARTS)]
    return (began - min(levels)) / max(abs(began), 1e-12)


def _late(seen: Seen) -> tuple[float, float]:
    """The share of the loss's fall that came in the second half of what the rates add up to, and the fall."""
    losses, rates = seen["loss"], seen["rate"].finite
    moved = np.arange(len(losses.values), dtype=float)
    if rates and rates.values.max() > 0:
        moved = np.cumsum(np.interp(losses.steps, rates.steps, rates.values))
    moved = (moved - moved[0]) / (moved[-1] - moved[0]) if moved[-1] > moved[0] else np.linspace(0, 1, len(moved))

    def level(low: float, high: float) -> float:
        here = losses.values[(moved >= low) & (moved <= high)]
        return float(np.median(here)) if len(here) else float("nan")

    fall = level(0, 0.1) - level(0.9, 1)
    return ((level(0.45, 0.55) - level(0.9, 1)) / fall if fall > 0 else 0.0), fall
