"""Clipping gradients by their global norm."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from stepsize import _check


@dataclass(frozen=True, slots=True)
class Clipped:
    """What clipping saw and did, on the device of the gradients; nothing has been read back.

    Attributes:
        norm: the global norm before clipping, a 0-d tensor.
        threshold: the largest norm let through.
    """

    norm: Tensor
    threshold: float

    @property
    def factor(self) -> Tensor:
        """What every gradient was multiplied by, a 0-d tensor at most 1."""
        return torch.clamp(self.threshold / (self.norm + 1e-6), max=1.0)

    @property
    def finite(self) -> Tensor:
        """Whether the norm is finite, a 0-d bool tensor."""
        return torch.isfinite(self.norm)


def clip_by_norm(parameters: Iterable[Tensor], threshold: float) -> Clipped:
    """Scale all gradients in place so that their global norm is at most the threshold.

    Formula:
        g <- g min(1, threshold / (norm + 1e-6)),   norm = sqrt(sum of all squared entries of all gradients)

    Args:
        parameters: tensors with or without a gradient; those without are passed over.
        threshold: largest norm let through, > 0, in the gradients' own unit.

    Raises:
        TypeError, ValueError: the threshold is not a finite number > 0.

    Example:
        >>> import torch
        >>> from stepsize.optim import clip_by_norm
        >>> weight = torch.zeros(2, requires_grad=True)
        >>> weight.grad = torch.tensor([3.0, 4.0])
        >>> clipped = clip_by_norm([weight], threshold=1.0)
        >>> clipped.norm.item(), round(clipped.factor.item(), 4), round(weight.grad.norm().item(), 4)
        (5.0, 0.2, 1.0)

    Source: Pascanu et al. 2013, "On the difficulty of training recurrent neural networks" (arXiv 1211.5063),
    algorithm 1; the 1e-6 is ``torch.nn.utils.clip_grad_norm_``'s, whose bits these are.
    """
    threshold = _check.number("threshold", threshold, above=0)
    held = list(parameters)
    norm = gradient_norm(held)
    clip_grads_with_norm_(held, threshold, norm)
    return Clipped(norm, threshold)


def gradient_norm(parameters: Iterable[Tensor]) -> Tensor:
    """The global norm of all gradients, a 0-d tensor on their device; nothing is read back.

    Args:
        parameters: tensors with or without a gradient; those without are passed over.

    Example:
        >>> import torch
        >>> from stepsize.optim import gradient_norm
        >>> weight = torch.zeros(2, requires_grad=True)
        >>> weight.grad = torch.tensor([3.0, 4.0])
        >>> gradient_norm([weight])
        tensor(5.)
    """
    return get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])
