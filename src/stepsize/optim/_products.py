"""The inner product of two lists of tensors, such as gradients and the move of their weights."""

from collections.abc import Iterable

import torch
from torch import Tensor

from stepsize.optim._norms import HALVES, PIECE, local, over_ranks


def inner_product(first: Iterable[Tensor], second: Iterable[Tensor]) -> Tensor:
    """The sum of the products of all entries, a 0-d tensor on the tensors' device; nothing is read back.

    Summed in pieces whose sums are added up in double precision (in single where the device has no other). Complex
    numbers count by their real and imaginary parts. DTensors (FSDP2) count as a whole, for which every rank must call.

    Args:
        first: tensors, dense or sparse.
        second: as many, each of the shape of its counterpart.

    Example:
        >>> import torch
        >>> from stepsize.optim import inner_product
        >>> inner_product([torch.ones(2), torch.tensor([3.0])], [torch.ones(2), torch.tensor([2.0])])
        tensor(8., dtype=torch.float64)
    """
    firsts, seconds = list(first), list(second)
    if not firsts:
        return torch.zeros((), dtype=torch.float64)
    place = local(firsts[0]).device
    sums = [_product(local(one), local(other)).to(place) for one, other in zip(firsts, seconds, strict=True)]
    return over_ranks(torch.stack(sums), firsts).sum()


def _product(one: Tensor, other: Tensor) -> Tensor:
    flat, beside = _numbers(one), _numbers(other)
    pieces = zip(torch.split(flat, PIECE), torch.split(beside, PIECE), strict=True)
    kind = torch.float32 if flat.device.type == "mps" else torch.float64
    return torch.stack([torch.dot(left, right).to(kind) for left, right in pieces]).sum()


def _numbers(tensor: Tensor) -> Tensor:
    """All entries in a row, in a type whose sums are good for something."""
    dense = tensor if tensor.layout is torch.strided else tensor.to_dense()
    dense = torch.view_as_real(dense) if dense.is_complex() else dense
    return (dense.float() if dense.dtype in HALVES else dense).reshape(-1)
