"""Clipping gradients: by their global norm, by value, and unit by unit beside the weights."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from stepsize import _check
from stepsize.optim._norms import HALVES, by_kind, is_shard, local, over_ranks, smallest_over_ranks, total_norm


@dataclass(frozen=True, slots=True)
class Clipped:
    """The result of clipping, on the device of the gradients; nothing has been read back.

    Attributes:
        norm: the global norm before clipping, a 0-d tensor.
        threshold: the threshold, in the way of clipping's own unit.
        factor: the smallest factor that any entry was multiplied by, a 0-d tensor at most 1.
    """

    norm: Tensor
    threshold: float
    factor: Tensor

    @property
    def finite(self) -> Tensor:
        """Whether the norm is finite, a 0-d bool tensor."""
        return torch.isfinite(self.norm)


def clip_by_norm(parameters: Iterable[Tensor], threshold: float, norm: Tensor | None = None) -> Clipped:
    """Scale all gradients in place so that their global norm is at most the threshold.

    Formula:
        g <- g min(1, threshold / (norm + 1e-6)),   norm = sqrt(sum of all squared entries of all gradients)

    Args:
        parameters: tensors with or without a gradient; those without are passed over. With DTensors (FSDP2) the norm
            is that of the whole gradients, and every rank must call. Sparse gradients stay sparse.
        threshold: largest norm let through, > 0, in the gradients' own unit.
        norm: ``gradient_norm(parameters)``, where that is known already.

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
    algorithm 1; the 1e-6 is ``torch.nn.utils.clip_grad_norm_``'s, whose bits these are in float32 and float64. The
    norm of float16 and bfloat16 is summed in float32, where torch's overflows.
    """
    threshold = _check.number("threshold", threshold, above=0)
    gradients = _gradients(parameters)
    norm = total_norm(gradients) if norm is None else norm
    factor = clip_factor(norm, threshold)
    for members in by_kind(map(_memory, gradients)):
        torch._foreach_mul_(members, factor.to(members[0].device))
    return Clipped(norm, threshold, factor)


def clip_factor(norm: Tensor, threshold: float | Tensor) -> Tensor:
    """The factor by which clipping by norm multiplies gradients; nothing is read back.

    Formula:
        min(1, threshold / (norm + 1e-6)), and 1 where the threshold is infinite

    Args:
        norm: of the gradients; of several models shape (models,).
        threshold: largest norm let through, > 0; a number, or one for each model.

    Example:
        >>> import torch
        >>> from stepsize.optim import clip_factor
        >>> clip_factor(torch.tensor([5.0, 0.5]), torch.tensor([1.0, 1.0]))
        tensor([0.2000, 1.0000])

    Source: as for ``clip_by_norm``.
    """
    factor = torch.clamp(threshold / (norm + 1e-6), max=1.0)
    if isinstance(threshold, Tensor):
        factor = torch.where(torch.isinf(threshold), torch.ones_like(factor), factor)
    return factor


def clip_by_value(parameters: Iterable[Tensor], threshold: float, norm: Tensor | None = None) -> Clipped:
    """Cut every entry of every gradient off at the threshold, in place; NaN stays NaN.

    Formula:
        g <- min(max(g, -threshold), threshold), entry by entry

    Args:
        parameters: as for ``clip_by_norm``.
        threshold: largest absolute entry let through, > 0.
        norm: as for ``clip_by_norm``.

    Raises:
        TypeError, ValueError: the threshold is not a finite number > 0.

    Example:
        >>> import torch
        >>> from stepsize.optim import clip_by_value
        >>> weight = torch.zeros(3, requires_grad=True)
        >>> weight.grad = torch.tensor([3.0, -4.0, 0.5])
        >>> clipped = clip_by_value([weight], threshold=1.0)
        >>> weight.grad, clipped.factor.item()
        (tensor([ 1.0000, -1.0000,  0.5000]), 0.25)
    """
    threshold = _check.number("threshold", threshold, above=0)
    gradients = _coalesced(parameters)
    if any(gradient.is_complex() for gradient in gradients):
        rule = "of real numbers, since complex ones have no order"
        raise TypeError(_check.message("gradients", "complex ones", rule, "clip by norm"))
    norm = total_norm(gradients) if norm is None else norm
    parts = [part for part in map(_memory, gradients) if part.numel()]
    largest = [torch.stack(torch._foreach_norm(tensors, math.inf)).amax().to(norm) for tensors in by_kind(parts)]
    factor = torch.clamp(threshold / torch.stack([torch.zeros_like(norm), *largest]).amax(), max=1.0)
    for members in by_kind(parts):
        bound = min(threshold, torch.finfo(members[0].dtype).max)
        torch._foreach_clamp_max_(members, bound)
        torch._foreach_clamp_min_(members, -bound)
    return Clipped(norm, threshold, smallest_over_ranks(factor, gradients))


def clip_adaptively(
    parameters: Iterable[Tensor], threshold: float = 0.01, eps: float = 1e-3, norm: Tensor | None = None
) -> Clipped:
    """Adaptive gradient clipping: scale each unit's gradient so that it is small beside the unit's weights.

    Formula, for each unit i: a row of a matrix, an output channel of a kernel, a whole vector:
        G_i <- G_i min(1, threshold max(||W_i||, eps) / ||G_i||)

    Its authors leave the last linear layer out: hand over the others' parameters.

    Args:
        parameters: as for ``clip_by_norm``.
        threshold: largest norm of a gradient as a share of its weights' norm, > 0.
        eps: lower bound on the weights' norm, > 0, so that units that begin at zero can move.
        norm: as for ``clip_by_norm``.

    Raises:
        TypeError, ValueError: threshold or eps is not a finite number > 0.

    Example:
        >>> import torch
        >>> from stepsize.optim import clip_adaptively
        >>> weight = torch.ones(2, 4, requires_grad=True)
        >>> weight.grad = torch.stack([torch.ones(4), torch.full((4,), 1e-3)])
        >>> clip_adaptively([weight], threshold=0.01).factor
        tensor(0.0100)
        >>> weight.grad[:, 0]
        tensor([0.0100, 0.0010])

    Source: Brock et al. 2021, "High-performance large-scale image recognition without normalization"
    (arXiv 2102.06171), section 4, equation 3.
    """
    threshold = _check.number("threshold", threshold, above=0)
    eps = _check.number("eps", eps, above=0)
    held = [parameter for parameter in parameters if parameter.grad is not None]
    gradients = _coalesced(held)
    norm = total_norm(gradients) if norm is None else norm
    smallest = [torch.ones_like(norm)]
    for weight, gradient in zip(held, gradients, strict=True):
        below = _unit_norms(gradient)
        factors = torch.clamp(threshold * _unit_norms(weight.detach()).clamp(min=eps) / below, max=1.0)
        part = _memory(gradient)
        if part.numel():
            smallest.append(factors.amin().to(norm))
            part.mul_(factors if gradient.layout is torch.strided else _by_entry(factors, gradient))
    return Clipped(norm, threshold, smallest_over_ranks(torch.stack(smallest).amin(), gradients))


def gradient_norm(parameters: Iterable[Tensor]) -> Tensor:
    """The global norm of all gradients, a 0-d tensor on their device; nothing is read back.

    Args:
        parameters: tensors with or without a gradient; those without are passed over. With DTensors (FSDP2) it is the
            norm of the whole gradients, a plain tensor, and every rank must call.

    Example:
        >>> import torch
        >>> from stepsize.optim import gradient_norm
        >>> weight = torch.zeros(2, requires_grad=True)
        >>> weight.grad = torch.tensor([3.0, 4.0])
        >>> gradient_norm([weight])
        tensor(5.)
    """
    return total_norm(_gradients(parameters))


def _gradients(parameters: Iterable[Tensor]) -> list[Tensor]:
    return [parameter.grad for parameter in parameters if parameter.grad is not None]


def _coalesced(parameters: Iterable[Tensor]) -> list[Tensor]:
    """The gradients, of which sparse ones are made such that each entry stands in them once."""
    held = [parameter for parameter in parameters if parameter.grad is not None]
    for parameter in held:
        if parameter.grad.is_sparse and not parameter.grad.is_coalesced():  # type: ignore[union-attr]
            parameter.grad = parameter.grad.coalesce()  # type: ignore[union-attr]
    return _gradients(held)


def _memory(gradient: Tensor) -> Tensor:
    """The memory that changes when a gradient is changed in place."""
    if gradient.layout is torch.strided:
        return local(gradient)
    return gradient._values() if gradient.is_sparse else gradient.values()


def _unit_norms(tensor: Any) -> Tensor:
    """The norms of a tensor's units, in a shape that multiplies what this process holds of it."""
    if tensor.layout is not torch.strided:
        return _sparse_unit_norms(tensor)
    part = local(tensor)
    kind = torch.float32 if part.dtype in HALVES else None
    dimensions = list(range(1, part.ndim)) if part.ndim > 1 else None
    norms: Tensor = torch.linalg.vector_norm(part, dim=dimensions, keepdim=part.ndim > 1, dtype=kind)
    if is_shard(tensor):
        if part.ndim < 2:
            return over_ranks(norms.square().reshape(1), [tensor]).sqrt().reshape(())
        squares = norms.square()
        for dimension, placement in enumerate(tensor.placements):
            if not placement.is_replicate() and placement.dim != 0:  # whole units are held here otherwise
                dist.all_reduce(squares, group=tensor.device_mesh.get_group(dimension))
        norms = squares.sqrt()
    return norms


def _sparse_unit_norms(gradient: Tensor) -> Tensor:
    """The same of a coalesced sparse gradient, in the shape that its whole tensor would have."""
    if not gradient.is_sparse:
        rule = "dense or sparse by coordinates, since units are rows"
        raise TypeError(_check.message("layout of a gradient", gradient.layout, rule, "clip by norm or by value"))
    numbers = gradient.values()
    numbers = numbers.float() if numbers.dtype in HALVES else numbers
    if gradient.ndim < 2:
        norm: Tensor = torch.linalg.vector_norm(numbers)
        return norm
    squares = numbers.abs().square().reshape(len(numbers), -1).sum(1)
    rows = squares.new_zeros(len(gradient)).index_add_(0, gradient.indices()[0], squares)
    return rows.sqrt().reshape(-1, *[1] * (gradient.ndim - 1))


def _by_entry(factors: Tensor, gradient: Tensor) -> Tensor:
    """Factors of a coalesced sparse gradient's units, in a shape that multiplies its values."""
    if gradient.ndim < 2:
        return factors
    return factors.flatten()[gradient.indices()[0]].reshape(-1, *[1] * gradient.dense_dim())
