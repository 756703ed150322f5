"""A rate that is far too low: the loss is a straight line along each update and still falls, or hardly fell at all."""

import math

import numpy as np

from stepsize.diagnosis._seen import Array, Seen
from stepsize.diagnosis._symptom import Symptom

FEWEST, MANY = 2, 8  # looks at the curvature, and from how many on they are trusted as they are
USED = 0.05  # of the highest rate, below which curvature says nothing of it
STRAIGHT, PEAKS = 0.08, 0.12  # curvature at the highest rate, median; as it was, ninth decile
CAREFUL = 0.7  # times those bounds, with fewer looks
FALLS = 0.1  # of the whole fall, which comes in the second half
SLOPE, OFFSET = 0.57, -0.53  # of log10(rate / best) over log10(curvature), by least absolute errors on the tuning tasks
SPREAD = 0.65  # decades each way that hold 85 % of the best rates, on the tuning tasks
LITTLE, LATE, CLEAR = (
    0.1,
    0.3,
    0.4,
)  # without curvature: fall of the loss, share of it in the second half, noise over fall
WITHOUT = 30.0  # times, where only the loss speaks: the median of the tuning tasks


def rate_too_low(seen: Seen) -> Symptom | None:
    """Whether the rate is ten times too low or more, by the curvature along the updates; by the loss alone without it.

    Formula: with c = (g1 - g0) · d / abs(g0 · d) on one batch, over the rate's share of its peak, median of looks,
        log10(rate / best) = 0.57 log10(c) - 0.53

    Args:
        seen: the run.

    Source: measured, docs/decisions/0026-diagnosis.md.
    """
    losses = seen["loss"].values
    if seen.is_early or len(losses) < 20 or not np.isfinite(losses).all():
        return None
    curvature = curvature_of(seen)
    if len(curvature[0]) < FEWEST:
        return None if seen["curvature"] else _by_loss(seen)
    middle, most = float(np.median(curvature[0])), float(np.quantile(curvature[1], 0.9))
    late, _ = _late(seen)
    share = 1.0 if len(curvature[0]) >= MANY else CAREFUL
    if not (middle < share * STRAIGHT and most < share * PEAKS and late > FALLS):
        return None
    factor = 10 ** -(SLOPE * math.log10(max(middle, 1e-4)) + OFFSET)
    evidence = {"curvature": middle, "curvature_ninth_decile": most, "late_share_of_fall": late}
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


def curvature_of(seen: Seen) -> tuple[Array, Array]:
    """Its size as it were at the highest rate, and as it was, at steps whose rate was not far below."""
    curvature, rates = seen["curvature"].finite, seen["rate"].finite
    sizes = np.abs(curvature.values)
    if not rates or rates.values.max() <= 0:
        return sizes, sizes
    share = np.interp(curvature.steps, rates.steps, rates.values) / rates.values.max()
    used = share > USED
    return sizes[used] / share[used], sizes[used]


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
