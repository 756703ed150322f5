"""The share of ReLU units that nothing in the batch has lit.

Formula: of all features (or channels) behind the modules ReLU and ReLU6, the share whose output is 0 for every example
and place of the update's batch. Cost: one more forward pass. Functions such as ``torch.relu`` are not seen, nor what is
inside a compiled model; missing where nothing was.

What is healthy: a unit may be idle on one batch and useful on another, so the share falls with the batch size; only its
rise over a run says something. A share that jumps up early goes with a rate that was too high (Lu et al. 2020, "Dying
ReLU and initialization", arXiv 1903.06733, for the term).
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from stepsize.control.signals._signal import Signal, Update

LIKE = (nn.ReLU, nn.ReLU6)


def _after(update: Update) -> Tensor | None:
    if update.again is None:
        return None
    dead: list[Tensor] = []

    def look(module: nn.Module, _: Any, output: Any) -> None:
        if isinstance(module, LIKE) and isinstance(output, Tensor) and output.ndim > 1:
            feature = 1 if output.ndim == 4 else output.ndim - 1  # channels of images, else the last
            others = [dimension for dimension in range(output.ndim) if dimension != feature]
            dead.append(output.detach().amax(others) <= 0)

    handle = register_module_forward_hook(look)
    try:
        update.again(gradients=False)
    finally:
        handle.remove()
    return torch.cat(dead).float().mean() if dead else None


dead_share = Signal("dead_share", _after, cost="again")
"""From 0 to 1."""
