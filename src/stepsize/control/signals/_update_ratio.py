"""How far an update moves the weights: the norm of the update over the norm of the weights.

The old weights wait in host memory where the weights are on an accelerator, and come back one tensor at a time; the
difference is taken in place. So on the device there is at most one extra tensor at a time, and on a CPU one copy of
those weights that are looked at: all of them for ``update_ratio``, those that fit a pattern for ``update_ratio/NAME``.
"""

from collections.abc import Mapping

from torch import Tensor

from stepsize.control.signals._signal import Signal, Update
from stepsize.optim import total_norm

NAME = "update_ratio"


def _before(update: Update) -> dict[str, Tensor]:
    whole = update.wants(NAME)
    named = update.parameters.items()
    return {name: _copy(parameter.detach()) for name, parameter in named if whole or update.wants(f"{NAME}/{name}")}


def _copy(weights: Tensor) -> Tensor:
    """The weights as they are, not on their device where that is an accelerator and they are no part of a whole."""
    return weights.cpu() if type(weights) is Tensor and weights.device.type != "cpu" else weights.clone()


def _after(update: Update, before: dict[str, Tensor]) -> Mapping[str, Tensor]:
    sizes, moves = {}, {}
    for name in list(before):
        new = update.parameters[name].detach()
        old = before.pop(name).to(new.device)
        sizes[name] = total_norm([old])
        moves[name] = total_norm([old.sub_(new)])
    ratios = {name: moves[name] / sizes[name] for name in sizes if update.wants(f"{NAME}/{name}")}
    if update.wants(NAME) and sizes:
        ratios[""] = total_norm(moves.values()) / total_norm(sizes.values())
    return ratios


update_ratio = Signal(NAME, _after, _before, cost="copies")
"""Of all weights, and as ``update_ratio/NAME`` of a single one, by the name it has in ``Update.parameters``."""
