"""Norms that are right: summed in pieces, since one float32 sum over a large tensor is not, and over all shards."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.utils import get_total_norm

PIECE = 1 << 19  # entries summed in float32 at once: relative errors near 1e-6; one sum over 38 million has 1e-3
PLAIN = (Tensor, torch.nn.Parameter)
HALVES = (torch.float16, torch.bfloat16)


def is_shard(tensor: Tensor) -> bool:
    """Whether a tensor is a DTensor: what this process holds of it may be a part."""
    return type(tensor) not in PLAIN and hasattr(tensor, "to_local")


def local(tensor: Tensor) -> Tensor:
    """This process's part of a tensor: all of it, or the local part of a DTensor, in the same memory."""
    held: Any = tensor
    part: Tensor = held.to_local() if is_shard(held) else tensor
    return part


def entries(gradient: Tensor) -> Tensor:
    """The numbers of a gradient, each entry once: itself, or the values of a sparse one."""
    if gradient.layout is torch.strided:
        return gradient
    held: Tensor = gradient.coalesce() if gradient.is_sparse else gradient
    return held.values()


def squared_norm(tensor: Tensor) -> float:
    """The sum of squares of a dense tensor on the CPU, in pieces that are summed in double precision."""
    if not tensor.numel():
        return 0.0
    if tensor.dtype in HALVES:
        return float(torch.linalg.vector_norm(tensor, dtype=torch.float32)) ** 2
    if tensor.is_contiguous():
        flat = tensor.view(-1)
    else:
        flat = tensor.as_strided((tensor.numel(),), (1,)) if is_dense(tensor) else tensor.reshape(-1)
    if flat.numel() <= PIECE:
        total = torch.dot(flat, flat).item()
    else:
        total = math.fsum(torch.dot(piece, piece).item() for piece in torch.split(flat, PIECE))
    if 1e-30 < total < math.inf:
        return total
    # squares of float32 that are too small or too large for it
    return float(torch.linalg.vector_norm(tensor, dtype=torch.float64)) ** 2


def is_dense(tensor: Tensor) -> bool:
    """Whether a tensor's entries lie side by side in one of the usual orders."""
    if tensor.is_contiguous():
        return True
    return tensor.ndim == 4 and tensor.is_contiguous(memory_format=torch.channels_last)


def squared_norms(tensors: Sequence[Tensor]) -> Tensor:
    """Each tensor's sum of squares, over all ranks that hold parts of it; shape (n,), on their device, read by nobody.

    Every rank must call this with the same tensors in the same order: DTensors cost one sum over ranks for each way
    in which they are distributed.
    """
    return over_ranks(squares_here(list(map(local, tensors))), tensors)


def squares_here(tensors: Sequence[Tensor]) -> Tensor:
    """Each tensor's sum of squares, of what this process holds."""
    if tensors[0].device.type == "cpu" and not torch.compiler.is_compiling():
        return torch.tensor([squared_norm(tensor) for tensor in tensors], dtype=torch.float64)
    kind = torch.float32 if tensors[0].device.type == "mps" else torch.float64
    halves = any(tensor.dtype in HALVES for tensor in tensors)
    return torch.stack(torch._foreach_norm(list(tensors), 2, torch.float32 if halves else None)).to(kind).square()


def over_ranks(squares: Tensor, tensors: Sequence[Any]) -> Tensor:
    """Sums of squares of parts, shape (..., n), added up over the ranks that hold the n tensors' other parts."""
    ways: dict[Any, list[int]] = {}
    for index, tensor in enumerate(tensors):
        if is_shard(tensor):
            ways.setdefault((tensor.device_mesh, tuple(tensor.placements)), []).append(index)
    for (mesh, placements), where in ways.items():
        part = squares[..., where].contiguous()
        for dimension, placement in enumerate(placements):
            if not placement.is_replicate():
                dist.all_reduce(part, group=mesh.get_group(dimension))
        squares[..., where] = part
    return squares


def total_norm(tensors: Iterable[Tensor]) -> Tensor:
    """The norm of all entries of all tensors, a 0-d tensor on their device; nothing is read back.

    Of half precision it is a float32, since squares of finite numbers do not fit into the type itself. Sparse tensors
    count by their values, DTensors (FSDP2) as a whole, for which every rank must call.

    Args:
        tensors: dense or sparse, on any devices.

    Example:
        >>> import torch
        >>> from stepsize.optim import total_norm
        >>> total_norm([torch.full((4,), 60_000.0, dtype=torch.float16), torch.zeros(2)])
        tensor(120000.)
    """
    dense = list(map(entries, tensors))
    if any(map(is_shard, dense)):
        kind = torch.float32 if dense[0].dtype in HALVES else dense[0].dtype
        return squared_norms(dense).sum().sqrt().to(kind)
    if not any(tensor.dtype in HALVES for tensor in dense):
        return get_total_norm(dense)
    norms = [
        norm
        for members in by_kind(dense)
        for norm in torch._foreach_norm(members, 2, torch.float32 if members[0].dtype in HALVES else None)
    ]
    norm: Tensor = torch.linalg.vector_norm(torch.stack([norm.to(dense[0].device) for norm in norms]))
    return norm


def by_kind(tensors: Iterable[Tensor]) -> list[list[Tensor]]:
    """Tensors of one device and type together."""
    found: dict[Any, list[Tensor]] = {}
    for tensor in tensors:
        found.setdefault((tensor.device, tensor.dtype), []).append(tensor)
    return list(found.values())


def smallest_over_ranks(value: Tensor, tensors: Sequence[Any]) -> Tensor:
    """The smallest of the ranks' values, 0-d, where tensors are distributed over them."""
    meshes = dict.fromkeys(tensor.device_mesh for tensor in tensors if is_shard(tensor))
    value = value.clone() if meshes else value
    for mesh in meshes:
        for dimension in range(mesh.ndim):
            dist.all_reduce(value, dist.ReduceOp.MIN, group=mesh.get_group(dimension))
    return value
