"""Several processes that train together: who there is, and which of them this one is. No torch while there is one."""

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from stepsize import _check

COMMAND = "torchrun --nproc-per-node={} -m stepsize train ..."


@dataclass(frozen=True)
class Ranks:
    """Which of the processes that train together this one is.

    Attributes:
        rank: its number, from 0 on. The first one alone writes files.
        size: how many there are.
        local: its number on its machine.
        shard: whether the weights are spread over them (FSDP2) instead of copied to each (DDP).
    """

    rank: int = 0
    size: int = 1
    local: int = 0
    shard: bool = False

    def __str__(self) -> str:
        count = "one process" if self.size == 1 else f"{self.size} processes"
        return f"{count} with sharded weights" if self.shard else count


_joined: list[Ranks] = [Ranks()]


def ranks() -> Ranks:
    """This process among those that train together; the only one outside ``together``.

    Example:
        >>> from stepsize.task import ranks
        >>> ranks().rank, ranks().size
        (0, 1)
    """
    return _joined[-1]


def together(shard: bool = False) -> AbstractContextManager[Ranks]:
    """In this block, all processes that ``torchrun`` has begun train each run together.

    What is trained in it is the run of one process with the same batches: every process draws the whole batch, computes
    the gradient of its part, and gradients and losses are averaged. All of them must do the same. Begun without
    ``torchrun``, there is one process, and the block changes nothing.

    Args:
        shard: whether the weights are spread over the processes (FSDP2) instead of copied to each (DDP).

    Raises:
        TypeError, ValueError: shard is no truth value, or there is only one process to spread over.

    Example:
        >>> from stepsize import train
        >>> from stepsize.task import task_named, together
        >>> with together() as ranks:  # beside it: torchrun --nproc-per-node=2 script.py
        ...     trained = train(task_named("digits"), lr=0.1, steps=3)
        >>> ranks.size, trained.steps
        (1, 3)

    Source: Li et al. 2020, "PyTorch distributed" (arXiv 2006.15704), section 3; Zhao et al. 2023, "PyTorch FSDP"
    (arXiv 2304.11277), section 3.
    """
    if not isinstance(shard, bool):
        raise TypeError(_check.message("shard", shard, "True or False"))
    dist = _up()
    size = dist.get_world_size() if dist is not None else from_torchrun("WORLD_SIZE", 1)
    if shard and size == 1:
        remedy = f"or start several: {COMMAND.format(2)} --shard"
        raise ValueError(_check.message("shard", shard, "False, since there is one process", remedy))
    return _together(shard, size)


@contextmanager
def _together(shard: bool, size: int) -> Iterator[Ranks]:
    begins = size > 1 and _up() is None
    if size > 1:
        import torch
        import torch.distributed as dist
    if begins:
        several = torch.cuda.is_available() and dist.is_nccl_available()
        dist.init_process_group("cpu:gloo,cuda:nccl" if several else "gloo")
    rank = dist.get_rank() if size > 1 else 0
    _joined.append(Ranks(rank, size, from_torchrun("LOCAL_RANK", rank), shard))
    try:
        yield _joined[-1]
    finally:
        _joined.pop()
        if begins:
            dist.destroy_process_group()


def _up() -> Any:
    """The module ``torch.distributed`` where it has joined processes; what is not loaded yet has joined none."""
    dist = sys.modules.get("torch.distributed")
    return dist if dist is not None and dist.is_available() and dist.is_initialized() else None


def from_torchrun(name: str, otherwise: int) -> int:
    """A number that torchrun puts into the environment."""
    here = "MASTER_ADDR" in os.environ and "RANK" in os.environ
    return int(os.environ.get(name, otherwise)) if here else otherwise


def leads() -> bool:
    """Whether this is the process that writes: the first of those that train together, or the only one.

    Example:
        >>> from stepsize.task import leads
        >>> leads()
        True
    """
    return ranks().rank == 0
