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
        up: of the decades to go up.
        down: of the decades to go down.
        up_reach: decades to both sides of them that hold the best rate in 85 %.
        down_reach: the same, to go down.
    """

    low: Signs
    high: Signs
    up: Signs
    down: Signs
    up_reach: float
    down_reach: float


# fitted on the tuning tasks by benchmarks/diagnosis/weigh.py: docs/decisions/0031-verify.md
WEIGHTS = Weights(
    low={"": 0.0, "curvature": 0.0, "best": 0.0},
    high={"": 0.0, "worse": 0.0, "above": 0.0, "largest": 0.0, "growth": 0.0, "back": 0.0},
    up={"": 0.0, "curvature": 0.0, "vertex": 0.0},
    down={"": 0.0, "progress": 0.0},
    up_reach=0.65,
    down_reach=0.7,
)


def low_signs(rung: Rung, background: Background) -> Signs | None:
    """What speaks for a rate that is too low: a loss that is a straight line along the updates, and high forks that lead.

    Args:
        rung: the forks, by the exponent of their factor.
        background: of the run; nothing comes of it without its curvature.
    """
    if background.curvature is None:
        return None
    curvature = math.log10(min(max(background.curvature, 10**-2.5), 1e3))
    return {"": 1.0, "curvature": curvature, "best": rung.best, "vertex": rung.vertex}


def high_signs(rung: Rung, background: Background, begun: float | None) -> Signs | None:
    """What speaks for a rate that is too high.

    ``worse`` is by which share of the progress so far a fork at three times the rate ends above one at the rate;
    ``back`` the share of it that the best fork gains in its few steps, in decades; ``largest`` the curvature, near 1
    at the edge of stability; ``above`` and ``growth`` how far loss and gradients rose since the start.

    Args:
        rung: the forks, by the exponent of their factor.
        background: of the run; nothing comes of it unless its record shows curvature, loss and gradients.
        begun: the loss before any training.
    """
    largest, above, growth = background.largest, background.above, background.growth
    if largest is None or above is None or growth is None or begun is None:
        return None
    progress = progressed(rung, begun)
    own, three = rung.score(0.0), rung.score(rung.near(0.5))
    tried = rung.near(0.5) in rung.results
    worse = min(max((three - own) / progress, -1.0), 1.0) if tried and math.isfinite(own) else 0.0
    return {
        "": 1.0,
        "worse": worse,
        "above": min(max(above, -1.0), 1.0),
        "largest": math.log10(min(max(largest, 1e-6), 10.0)),
        "growth": min(max(growth, -3.0), 5.0),
        "back": math.log10(min(max(rung.gained / progress, 1e-3), 30.0)),
        "progress": math.log10(min(max(progress / (abs(begun) or 1.0), LEAST), 10.0)),
    }


def progressed(rung: Rung, begun: float) -> float:
    """What was gained before forks began; at least a thousandth of the loss before any training."""
    return max(begun - rung.start, LEAST * (abs(begun) or 1.0))


def weighed(signs: Signs, weights: Signs) -> float:
    """The sum of signs times weights."""
    return sum(weight * signs[name] for name, weight in weights.items())


def chance(signs: Signs, weights: Signs) -> float:
    """A logistic function of it.

    Formula:
        1 / (1 + exp(-sum(weight * sign)))
    """
    return 1.0 / (1.0 + math.exp(-min(max(weighed(signs, weights), -30.0), 30.0)))
