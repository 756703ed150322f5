"""Whether an update's gradients were clipped.

Formula: 1 where clipping multiplied any entry by less than 1, else 0; the mean over steps is the share of clipped
steps. Missing where nothing clips. Cost: reads back one number.

What is healthy: there is no evidence for one share. Language models train well with nearly every early step clipped
(Brown et al. 2020, arXiv 2005.14165, appendix B, clip at 1.0); where all steps are clipped to the end, the rate is
really threshold times rate, and the threshold is part of it.
"""

from torch import Tensor

from stepsize.control.signals._signal import Signal, Update


def _after(update: Update) -> Tensor | None:
    return None if update.factor is None else (update.factor < 1).float()


clipped = Signal("clipped", _after)
"""1 or 0."""
