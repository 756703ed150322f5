"""Exponents of the literature: where a law begins, which runs of one's own then move.

Rate against size: -0.71 with the batch free (Li et al. 2025, "Step Law", arXiv 2503.04715), -1 for the hidden layers of
Adam under width (Yang et al. 2022, arXiv 2203.03466), near 0 where a parametrisation takes care of it. The prior's
-0.45 lies between, and its deviation of 0.3 reaches both -1 and 0 within two of them.
Against length at a given batch: -0.3 (Bjorck et al. 2024, arXiv 2409.19913). Step Law's +0.31 has the batch grow along
by an exponent of 0.57, of which the root takes 0.29 away: +0.02 at a given batch. The prior's -0.1 lies between the
two, with the same deviation.
Against batch: 0.5 (Malladi et al. 2022, arXiv 2205.10287) to 1 (Goyal et al. 2017, arXiv 1706.02677), 0 beyond the
critical batch (McCandlish et al. 2018, arXiv 1812.06162).
The best batch against tokens: 0.38 to 0.57 (arXiv 2505.13738, 2503.04715); it hardly depends on size.
"""

import re
from collections.abc import Sequence

from stepsize import _check

SIZES = {"n", "params", "parameters", "size", "width", "hidden", "h", "dim", "model", "embd", "dmodel"}
LENGTHS = {"d", "tokens", "steps", "epochs", "length", "samples", "examples", "iterations", "ti"}
STEPS = {"steps", "iterations", "ti"}  # lengths that grow no batch along
BATCHES = {"b", "bs", "batch", "batchsize", "globalbatchsize"}
BEFORE = ("num", "global", "training", "train", "total", "max", "model", "hidden", "n")  # what may stand before these
# mean and standard deviation
RATE = {"size": (-0.45, 0.3), "length": (-0.1, 0.3), "batch": (0.5, 0.3)}
BATCH = {"size": (0.0, 0.3), "length": (0.45, 0.3)}
CRITICAL = 0.45  # exponent with which the batch grows where a rate saturates, against tokens
UNKNOWN = (0.0, 0.5)
ROLES = {"size": SIZES, "length": LENGTHS, "batch": BATCHES}


def axis_role(axis: str) -> str:
    """What an axis is by its name: ``size``, ``length``, ``batch``, or empty where that is not known.

    Args:
        axis: the column's name.

    Raises:
        TypeError: it is no text.

    Example:
        >>> from stepsize.scale import axis_role
        >>> axis_role("N"), axis_role("tokens"), axis_role("batch_size"), axis_role("colour")
        ('size', 'length', 'batch', '')
    """
    if not isinstance(axis, str):
        raise TypeError(_check.message("axis", axis, "a column's name"))
    word = _word(axis)
    rest = next((word.removeprefix(prefix) for prefix in BEFORE if word.startswith(prefix)), "")
    known = {word, rest} if len(rest) > 1 else {word}
    return next((role for role, names in ROLES.items() if known & names), "")


def prior_of(rate: str, axes: Sequence[str]) -> tuple[list[float], list[float]]:
    """Means and standard deviations of the exponents before there are runs.

    Args:
        rate: name of what is predicted.
        axes: names of what it depends on.
    """
    table = BATCH if axis_role(rate) == "batch" else RATE
    pairs = [table.get(axis_role(axis), UNKNOWN) for axis in axes]
    return [mean for mean, _ in pairs], [deviation for _, deviation in pairs]


def saturating(rate: str, axes: Sequence[str]) -> list[float]:
    """By axis the direction in which the rate saturates with the batch; zeros where batches play no part.

    Args:
        rate: name of what is predicted.
        axes: names of the logarithmic axes that it depends on.
    """
    roles = [axis_role(axis) for axis in axes]
    if axis_role(rate) == "batch" or roles.count("batch") != 1:
        return [0.0] * len(axes)
    # tokens are steps times batch
    along = CRITICAL if any(_word(axis).endswith(tuple(STEPS)) for axis in axes) else 0.0
    return [{"batch": 1 - along, "length": -CRITICAL}.get(role, 0.0) for role in roles]


def _word(axis: str) -> str:
    return re.sub(r"[^a-z]", "", axis.lower().removeprefix("log"))
