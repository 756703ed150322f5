"""The line along which an update moves the weights: loss and slope on the same batch, at its beginning and its end.

With weights w, the update d, and loss L and gradient g of the batch: the slope g(w)·d predicts how much the loss falls;
L(w + d) - L(w) is how much it does, and g(w + d)·d is the slope where the update has come to.

The weights and gradients before the update are copied, on their device. Where the loss draws random numbers, as with
dropout, which is noticed at the first sample, the batch is evaluated both before and after the update, from the same
numbers; else the update's own loss and gradients serve for the first.
"""

import torch
from torch import Tensor

from stepsize.control.signals._signal import Update
from stepsize.optim import inner_product
from stepsize.state import mean_of_ranks

NAME = "along"
SLOPE = "curvature"  # the signal that needs the slope at the end, and so one more backward pass


class Along:
    """Loss and slope before and after an update; begun just before it.

    Args:
        update: whose batch was handed over.
    """

    def __init__(self, update: Update) -> None:
        again = update.again
        self._again, self._parameters = again, again.parameters
        self._old = [parameter.detach().clone() for parameter in self._parameters]
        self._twice, self._done = again.repeats.draws, False
        self._first: Tensor | None = None
        if self._twice:
            self._first, gradients = again(gradients=True)
        else:
            scale = again.scale()
            gradients = [
                None if parameter.grad is None else parameter.grad.detach() / scale for parameter in self._parameters
            ]
        self._gradients: list[Tensor | None] = gradients
        self.predicted: Tensor | None = None
        self.slope: Tensor | None = None
        self.decrease: Tensor | None = None

    def finish(self, update: Update) -> "Along":
        """Evaluate the batch after the update; once for all signals.

        Args:
            update: the same.
        """
        if self._done:
            return self
        self._done = True
        moved = [new.detach().sub(old) for new, old in zip(self._parameters, self._old, strict=True)]
        self._old = []
        predicted = _along(self._gradients, moved)
        self._gradients = []
        first = self._first if self._twice else update.loss
        sloped = SLOPE in self._again.wanted  # on every process the same
        loss, gradients = self._again(gradients=sloped)
        if self._again.repeats.draws and not self._twice:
            return self  # other random numbers than the update's: what differs is not only the weights
        parts = [predicted, _along(gradients, moved), loss, loss if first is None else first]
        together = mean_of_ranks(torch.stack([torch.as_tensor(part).to(predicted).reshape(()) for part in parts]))
        self.predicted = together[0]
        self.slope = together[1] if sloped else None
        self.decrease = None if first is None else together[2] - together[3]
        return self


def begun(update: Update) -> Along | None:
    """The line of an update, one for all signals; None where its batch was not handed over."""
    if update.again is None:
        return None
    if NAME not in update.shared:
        update.shared[NAME] = Along(update)
    line: Along = update.shared[NAME]
    return line


def _along(gradients: list[Tensor | None], moved: list[Tensor]) -> Tensor:
    pairs = [(gradient, move) for gradient, move in zip(gradients, moved, strict=True) if gradient is not None]
    return inner_product([gradient for gradient, _ in pairs], [move for _, move in pairs])
