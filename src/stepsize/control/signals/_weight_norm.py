"""The norm of the weights, of all and of each parameter by its name.

Formula: ||w|| after the update. Cost: one pass over the weights, and reads back a number each.

What is healthy: no level of its own. Under weight decay it settles; layers followed by normalisation only grow without
it, and their rate in effect falls as rate / ||w||^2 (van Laarhoven 2017, "L2 regularization versus batch and weight
normalization", arXiv 1706.05350, section 2).
"""

from collections.abc import Mapping

from torch import Tensor

from stepsize.control.signals._signal import Signal, Update
from stepsize.optim import total_norm

NAME = "weight_norm"


def _after(update: Update) -> Mapping[str, Tensor]:
    weights = {name: parameter.detach() for name, parameter in update.parameters.items()}
    found = {name: total_norm([weight]) for name, weight in weights.items() if update.wants(f"{NAME}/{name}")}
    if update.wants(NAME) and weights:
        found[""] = total_norm(weights.values())
    return found


weight_norm = Signal(NAME, _after)
"""``weight_norm`` of all, ``weight_norm/NAME`` of one."""
