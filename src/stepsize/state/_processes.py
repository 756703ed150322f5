"""Processes that train together: how many there are, and the values they exchange."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
import torch.distributed as dist

NUMBERS = {"sum": dist.ReduceOp.SUM, "max": dist.ReduceOp.MAX} if dist.is_available() else {}


def processes() -> int:
    """How many processes ``torch.distributed`` has joined; 1 where it has joined none.

    Example:
        >>> from stepsize.state import processes
        >>> processes()
        1
    """
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def gathered(value: Any, device: torch.device | None = None) -> list[Any]:
    """The value of each process, by rank, the same list on each; every one must call.

    Args:
        value: of this process, which can be pickled.
        device: of this process, where it is exchanged under NCCL; the card that is set when left out.

    Example:
        >>> from stepsize.state import gathered
        >>> gathered(3)
        [3]
    """
    found: list[Any] = [value] * processes()
    if len(found) > 1:
        own = device is not None and device.type == "cuda"
        with torch.cuda.device(device) if own else nullcontext():
            dist.all_gather_object(found, value)
    return found


def mean_of_ranks(values: torch.Tensor) -> torch.Tensor:
    """The mean over all processes, in place, the same on each; every one must call.

    Args:
        values: of this process, on its device.

    Example:
        >>> import torch
        >>> from stepsize.state import mean_of_ranks
        >>> mean_of_ranks(torch.tensor([1.0, 2.0]))
        tensor([1., 2.])
    """
    count = processes()
    if count > 1:
        dist.all_reduce(values)
        values.div_(count)
    return values


def reduced(values: Sequence[float], how: str, device: torch.device | str | None = None) -> list[float]:
    """Each value summed over all processes, or the largest of it, the same on each; every one must call.

    Args:
        values: of this process.
        how: ``"sum"`` or ``"max"``.
        device: of this process, where they are exchanged under NCCL.

    Example:
        >>> from stepsize.state import reduced
        >>> reduced([1.0, 2.0], "max")
        [1.0, 2.0]
    """
    if processes() == 1:
        return list(map(float, values))
    place = device if device is not None and dist.get_backend() == "nccl" else "cpu"
    found = torch.tensor(values, dtype=torch.float64, device=place)
    dist.all_reduce(found, NUMBERS[how])
    return list(map(float, found.tolist()))
