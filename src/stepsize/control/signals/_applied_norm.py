"""The gradients' norm after clipping.

Formula: ||g|| of the gradients that the optimizer was given. Cost: one pass over the gradients, and reads back one
number. Beside ``gradient_norm``, which is taken before, it says how much clipping took away.

What is healthy: as for ``gradient_norm``: no level of its own, only its course.
"""

from torch import Tensor

from stepsize.control.signals._signal import Signal, Update
from stepsize.optim import gradient_norm


def _after(update: Update) -> Tensor | None:
    held = [parameter for parameter in update.parameters.values() if parameter.grad is not None]
    return gradient_norm(held) if held else None


applied_norm = Signal("applied_norm", _after, needs_norm=True)
"""The global norm after clipping; a scaler's factor is taken out."""
