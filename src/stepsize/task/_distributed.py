"""Several processes that train together: what they agree on, and what the first one alone does."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from stepsize import _check
from stepsize.state import gathered, locked, reduced
from stepsize.task._ranks import from_torchrun, leads, ranks

Value = TypeVar("Value")


def led(function: Callable[[], Value]) -> Value:
    """The result or error of the first process's call, on every process; the others call nothing.

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
    return gathered(value) if ranks().size > 1 else [value]


def most(*values: float) -> list[float]:
    """Of each value the largest over all processes, the same on every one: what they go by in common."""
    if ranks().size == 1:
        return list(values)
    return reduced(values, "max", "cuda")


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
    own = ranks()
    if own.size == 1 or torch.device(device).type != "cuda":
        return device
    cards, here = torch.cuda.device_count(), from_torchrun("LOCAL_WORLD_SIZE", own.size)
    if torch.device(device).index is not None:
        rule = f"without a number, since each of the {here} processes here takes a card of its own"
        raise ValueError(_check.message("device", device, rule, 'write "cuda"'))
    if cards < here:
        rule = f"one of which there are as many as processes here: {cards} for {here}"
        raise ValueError(_check.message("device", device, rule, f"start --nproc-per-node={cards}, or take cpu"))
    torch.cuda.set_device(own.local)
    return f"cuda:{own.local}"
