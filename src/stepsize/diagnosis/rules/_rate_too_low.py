"""A rate that is far too low: the loss is a straight line along nearly every update, or hardly fell at all."""

import math

import numpy as np

from stepsize.diagnosis._seen import Array, Seen
from stepsize.diagnosis._statistics import start
from stepsize.diagnosis._symptom import Symptom
from stepsize.diagnosis.rules._rate_too_high import rate_too_high

FEWEST = 2  # looks along the update
USED = 0.05  # of the highest rate, below which a look says nothing of it
MOST, LARGE = 0.056, 0.75  # curvature that so large a share of the looks stays below
FIRST = 0.1  # curvature at the first look, as it were at the highest rate
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

    Formula: with the gradients g0 and g1 on one batch before and after its update d, c = abs((g1 - g0) · d / g0 · d);
    where only the share r of the predicted decrease is known, c = 2 abs(1 - r), the same on a quadratic. The rate is
    too low where c < 0.056 at three looks of four, c < 0.1 at the first, over the rate's share of its peak, and the
    loss never lost nine tenths of its start. With the third quartile of c,
        log10(rate / best) = 0.6 log10(c) - 0.6

    Args:
        seen: the run.

    Source: measured, docs/decisions/0026-diagnosis.md.
    """
    losses = seen["loss"].values
    if seen.is_early or len(losses) < 20 or not np.isfinite(losses).all():
        return None
    if rate_too_high(seen) is not None:
        return None  # it has been thrown to where the loss is flat
    if not seen["curvature"] and not seen["decrease_ratio"]:
        return _by_loss(seen)
    looks, shares = looks_of(seen)
    if len(looks) < FEWEST:
        return None
    curvature, first, gained = float(np.quantile(looks, LARGE)), float(looks[0] / shares[0]), _gained(losses)
    if not (curvature < MOST and first < FIRST and gained < NEARLY_ALL):
        return None
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


def looks_of(seen: Seen, until: float = math.inf) -> tuple[Array, Array]:
    """Sizes of the curvature, and the rate's share of its peak there, at steps whose rate was not far below.

    Args:
        seen: the run.
        until: the step before which looks and the peak count.
    """
    curvature, ratio, rates = seen["curvature"].finite, seen["decrease_ratio"].finite, seen["rate"].finite
    steps, sizes = curvature.steps, np.abs(curvature.values)
    if not seen["curvature"]:
        steps, sizes = ratio.steps, 2 * np.abs(1 - ratio.values)
    steps, sizes = steps[steps < until], sizes[steps < until]
    peak = rates.values[rates.steps < until].max(initial=0.0)
    if peak <= 0:
        return sizes, np.ones_like(sizes)
    shares = np.interp(steps, rates.steps, rates.values) / peak
    used = shares > USED
    return sizes[used], shares[used]


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
