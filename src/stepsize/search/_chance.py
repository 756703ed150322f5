"""How likely it is, by what was tried and recorded, that a rate is ten times too low, or three times too high."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from stepsize.search._rung import Rung

LEAST = 1e-3  # of the loss before any training: what was gained is at least that
Signs = Mapping[str, float]


@dataclass(frozen=True)
class Weights:
    """What signs count for; "" is the constant.

    Attributes:
        low: of the chance that the rate is ten times too low.
        high: of the chance that it is three times too high.
        up: of the decades to go up, where it is too low.
        down: decades to go down, where it is too high; below zero.
        up_reach: decades to both sides of ``up``, for an interval.
        down_reach: the same, of ``down``.
    """

    low: Signs
    high: Signs
    up: Signs
    down: float
    up_reach: float
    down_reach: float


# fitted on the tuning tasks by benchmarks/diagnosis/weigh.py: docs/decisions/0031-verify.md
WEIGHTS = Weights(
    low={"": -4.2, "curvature": -2.36, "vertex": 1.23},
    high={"": -0.22, "anew": 2.11},
    up={"": 0.45, "curvature": -0.5, "vertex": 0.26},
    down=-1.25,
    up_reach=0.81,
    down_reach=0.76,
)


def low_signs(rung: Rung, curvature: float | None) -> Signs | None:
    """What speaks for a rate that is too low: a loss straight along the updates, and higher forks that end lower.

    ``curvature`` is that of the record, in decades; ``vertex`` where forks end lowest, in decades from the rate.

    Args:
        rung: the forks, by the exponent of their factor.
        curvature: along the run's updates; nothing comes of the rest without it.
    """
    if curvature is None:
        return None
    return {"": 1.0, "curvature": math.log10(min(max(curvature, 10**-2.5), 1e3)), "vertex": rung.vertex}


def high_signs(rung: Rung, begun: float | None, anew: float | None) -> Signs | None:
    """What speaks for a rate that is too high: that a short run begun anew at a tenth of it gets further.

    ``anew`` is by how much, as a share of what the one that is ahead has gained, from -1 to 1.

    Args:
        rung: the forks, by the exponent of their factor.
        begun: the loss before any training; nothing comes of the rest without it.
        anew: the loss after a short run begun anew; likewise.
    """
    if begun is None or anew is None:
        return None
    if not math.isfinite(anew):
        return {"": 1.0, "anew": -1.0}
    gained = max(begun - min(rung.start, anew), LEAST * (abs(begun) or 1.0))
    return {"": 1.0, "anew": min(max((rung.start - anew) / gained, -1.0), 1.0)}


def weighed(signs: Signs, weights: Signs) -> float:
    """The sum of signs times weights."""
    return sum(weight * signs[name] for name, weight in weights.items())


def chance(signs: Signs, weights: Signs) -> float:
    """A logistic function of it.

    Formula:
        1 / (1 + exp(-sum(weight * sign)))
    """
    return 1.0 / (1.0 + math.exp(-min(max(weighed(signs, weights), -30.0), 30.0)))
