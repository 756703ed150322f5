"""A loss on fixed batches, measured so that training does not notice."""

from collections.abc import Callable, Iterable
from contextlib import ExitStack

import torch
from torch import Tensor, nn

from stepsize import _check
from stepsize.state import RandomState, evaluating, own_randomness

Probe = Callable[[], Tensor | float]


class FixedProbe:
    """Calls a function in eval mode, without gradients, from the same random state each time; modes are put back."""

    def __init__(self, call: Probe, modules: Iterable[nn.Module]) -> None:
        self._call = call
        self._modules = tuple(modules)
        self._randomness = RandomState.now()

    def __call__(self) -> float:
        with ExitStack() as stack:
            for module in self._modules:
                stack.enter_context(evaluating(module))
            stack.enter_context(own_randomness(self._randomness))
            stack.enter_context(torch.no_grad())
            loss = self._call()
            _check.one_number("the probe's loss", loss)
            return float(loss.item() if isinstance(loss, Tensor) else loss)
