"""Several processes that train together: who there is, what they agree on, and what the first one alone does."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from stepsize import _check
from stepsize.state import locked

Value = TypeVar("Value")
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
    size = dist.get_world_size() if _is_up() else _said("WORLD_SIZE", 1)
    if shard and size == 1:
        remedy = f"or start several: {COMMAND.format(2)} --shard"
        raise ValueError(_check.message("shard", shard, "False, since there is one process", remedy))
    return _together(shard, size)


@contextmanager
def _together(shard: bool, size: int) -> Iterator[Ranks]:
    begins = size > 1 and not _is_up()
    if begins:
        several = torch.cuda.is_available() and dist.is_nccl_available()
        dist.init_process_group("cpu:gloo,cuda:nccl" if several else "gloo")
    rank = dist.get_rank() if size > 1 else 0
    _joined.append(Ranks(rank, size, _said("LOCAL_RANK", rank), shard))
    try:
        yield _joined[-1]
    finally:
        _joined.pop()
        if begins:
            dist.destroy_process_group()


def _is_up() -> bool:
    return dist.is_available() and dist.is_initialized()


def _said(name: str, otherwise: int) -> int:
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


def led(function: Callable[[], Value]) -> Value:
    """What the first process's call gives or raises, on every process; the others call nothing.

    Args:
        function: of no arguments; its answer can be pickled.

    Example:
        >>> from stepsize.task import led
        >>> led(lambda: 3)
        3
    """
    if ranks().size == 1:
        return function()
    answer: list[Any] = [None, None]
    if leads():
        try:
            answer[0] = function()
        except Exception as error:
            answer[1] = error  # raised below, on every process
    dist.broadcast_object_list(answer)
    if answer[1] is not None:
        raise answer[1]
    return answer[0]  # type: ignore[no-any-return]


@contextmanager
def locked_by_first(folder: Path | str) -> Iterator[None]:
    """Keep other runs out of a folder during a block: the first process locks it for all of them.

    Args:
        folder: that exists.

    Raises:
        LockedError: another run is in it; on every process.

    Example:
        >>> from stepsize.task import locked_by_first
        >>> with locked_by_first("."):
        ...     print("nobody else")
        nobody else
    """
    with ExitStack() as stack:
        led(lambda: stack.enter_context(locked(folder)))
        yield


def the_firsts(value: Value) -> Value:
    """The first process's value, on every one, where each has computed its own."""
    return led(lambda: value)


def everyones(value: Value) -> list[Value]:
    """The value of each process, by rank."""
    found: list[Any] = [value]
    if ranks().size > 1:
        found *= ranks().size
        dist.all_gather_object(found, value)
    return found


def most(*values: float) -> list[float]:
    """Of each value the largest over all processes, the same on every one: what they go by in common."""
    if ranks().size == 1:
        return list(values)
    place = "cuda" if dist.get_backend() == "nccl" else "cpu"
    found = torch.tensor(values, dtype=torch.float64, device=place)
    dist.all_reduce(found, dist.ReduceOp.MAX)
    return list(map(float, found.tolist()))


def wait() -> None:
    """Until every process is here."""
    if ranks().size > 1:
        dist.barrier()


def device_here(device: str) -> str:
    """A task's device on this process: each has a card of its own where the device is ``"cuda"``.

    Args:
        device: of the task.

    Raises:
        ValueError: it is one card for all, or there are fewer cards than processes here.
    """
    mine = ranks()
    if mine.size == 1 or torch.device(device).type != "cuda":
        return device
    cards, here = torch.cuda.device_count(), _said("LOCAL_WORLD_SIZE", mine.size)
    if torch.device(device).index is not None:
        rule = f"without a number, since each of the {here} processes here takes a card of its own"
        raise ValueError(_check.message("device", device, rule, 'write "cuda"'))
    if cards < here:
        rule = f"one of which there are as many as processes here: {cards} for {here}"
        raise ValueError(_check.message("device", device, rule, f"start --nproc-per-node={cards}, or take cpu"))
    torch.cuda.set_device(mine.local)
    return f"cuda:{mine.local}"
