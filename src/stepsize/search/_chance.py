"""How likely forks and record together make it that a rate is ten times too low, or three times too high."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from stepsize.search._background import Background
from stepsize.search._rung import Rung

LEAST = 1e-3  # of the loss before any training: the progress so far is at least that
Signs = Mapping[str, float]


@dataclass(frozen=True)
class Weights:
    """What signs count for; "" is the constant.

    Attributes:
        low: of the chance that the rate is ten times too low.
        high: of the chance that it is three times too high.
        bare: of the same, without a record.
        up: of the decades to go up, where it is too low.
        down: decades to go down, where it is too high; below zero.
        up_reach: decades to both sides of ``up``, for an interval.
        down_reach: the same, of ``down``.
    """

    low: Signs
    high: Signs
    bare: Signs
    up: Signs
    down: float
    up_reach: float
    down_reach: float


# fitted on the tuning tasks by benchmarks/diagnosis/weigh.py: docs/decisions/0031-verify.md
WEIGHTS = Weights(
    low={"": -4.2, "curvature": -2.36, "vertex": 1.23},
    high={"": -0.13, "anew": 0.98, "above": 2.79, "largest": 0.92, "growth": -1.72},
    bare={"": -0.22, "anew": 2.11},
    up={"": 0.45, "curvature": -0.5, "vertex": 0.26},
    down=-1.25,
    up_reach=0.81,
    down_reach=0.76,
)


def low_signs(rung: Rung, background: Background) -> Signs | None:
    """What speaks for a rate that is too low: a loss straight along the updates, and higher forks that end lower.

    ``curvature`` is that of the record, in decades; ``vertex`` where forks end lowest, in decades from the rate.

    Args:
        rung: the forks, by the exponent of their factor.
        background: of the run; nothing comes of it without its curvature.
    """
    if background.curvature is None:
        return None
    curvature = math.log10(min(max(background.curvature, 10**-2.5), 1e3))
    return {"": 1.0, "curvature": curvature, "vertex": rung.vertex}


def high_signs(rung: Rung, background: Background, begun: float | None, anew: float | None) -> Signs | None:
    """What speaks for a rate that is too high, above all that a short run begun anew at a tenth of it gets further.

    ``anew`` is by how much, as a share of what the one that is ahead has gained; ``largest`` the curvature in decades,
    near 0 at the edge of stability; ``above`` and ``growth`` how far loss and gradients lie above the start: a loss
    that did not fall with gradients that vanish is what high rates leave behind.

    Args:
        rung: the forks, by the exponent of their factor.
        background: of the run; without all of it there is ``anew`` alone.
        begun: the loss before any training; nothing comes of the rest without it.
        anew: the loss after a short run begun anew; likewise.
    """
    if begun is None or anew is None:
        return None
    least = LEAST * (abs(begun) or 1.0)
    ahead = (rung.start - anew) / max(begun - min(rung.start, anew), least) if math.isfinite(anew) else -1.0
    signs = {"": 1.0, "anew": min(max(ahead, -1.0), 1.0)}
    largest, above, growth = background.largest, background.above, background.growth
    if largest is None or above is None or growth is None:
        return signs
    return signs | {
        "above": min(max(above, -1.0), 1.0),
        "largest": math.log10(min(max(largest, 1e-6), 10.0)),
        "growth": min(max(growth, -3.0), 5.0),
    }


def weighed(signs: Signs, weights: Signs) -> float:
    """The sum of signs times weights."""
    return sum(weight * signs[name] for name, weight in weights.items())


def chance(signs: Signs, weights: Signs) -> float:
    """A logistic function of it.

    Formula:
        1 / (1 + exp(-sum(weight * sign)))
    """
    return 1.0 / (1.0 + math.exp(-min(max(weighed(signs, weights), -30.0), 30.0)))
