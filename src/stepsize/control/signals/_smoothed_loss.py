"""The loss, smoothed over the steps that are looked at.

Formula, with the losses x of these steps and the weight 1/64 of the last one, as in Adam without a bias at the start:
    m <- 63/64 m + 1/64 x,  smoothed_loss = m / (1 - (63/64)^n)

A value that is not finite is passed over. Cost: reads back one number, the loss. After resuming it begins anew.

Source: Kingma and Ba 2015, "Adam: a method for stochastic optimization" (arXiv 1412.6980), section 3.
"""

import math

from stepsize.control.signals._signal import Signal, Update

NAME, KEPT = "smoothed_loss", 63 / 64


def _after(update: Update) -> float | None:
    mean, weight = update.memory.get(NAME, (0.0, 0.0))
    loss = math.nan if update.loss is None else float(update.loss)
    if math.isfinite(loss):
        mean, weight = KEPT * mean + (1 - KEPT) * loss, KEPT * weight + (1 - KEPT)
        update.memory[NAME] = mean, weight
    return mean / weight if weight else None


smoothed_loss = Signal(NAME, _after)
"""Missing where no loss was handed over."""
