"""Each process's part of a batch that all have drawn, and the check that all have drawn the same."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from stepsize import _check
from stepsize.task._distributed import everyones
from stepsize.task._ranks import Ranks, ranks

PLAIN = bool | int | float | complex | None  # what is of the whole batch and not of an example


def check_size(size: int | None) -> None:
    """Raise ValueError if a batch size cannot be divided among the processes.

    Args:
        size: examples in a batch, where that is known.

    Example:
        >>> from stepsize.task import check_size
        >>> check_size(32)
    """
    here = ranks()
    if size is not None and size % here.size:
        near = [count for count in (size // here.size * here.size, -(-size // here.size) * here.size) if count]
        rule = f"a multiple of {here.size}, since {here} share each batch"
        raise ValueError(_check.message("batch_size", size, rule, f"give {' or '.join(map(str, near))}"))


def part(batch: Any, size: int | None) -> Any:
    """This process's examples of a batch: as many for each, in order.

    Formula, for each tensor of n examples, on rank r of R:
        rows from r n / R up to (r + 1) n / R

    Args:
        batch: tensors whose first dimension is that of examples, and lists, tuples and mappings of them. Numbers and
            tensors of no dimension are of the whole batch and stay.
        size: examples in a batch, where that is known.

    Raises:
        TypeError: something in it cannot be divided.
        ValueError: tensors of it do not have an example in each row, or cannot be divided evenly.
    """
    here = ranks()
    if here.size == 1:
        return batch
    counts = {len(tensor) for tensor in tensors_in(batch) if tensor.ndim}
    if size is not None and counts - {size}:
        rule = f"{size}, the batch size, since several processes share each batch"
        raise ValueError(_check.message("first dimension of a batch's tensors", _numbers(counts), rule))
    if len(counts) > 1:
        rule = "one number, that of examples, since several processes share each batch"
        raise ValueError(_check.message("first dimension of a batch's tensors", _numbers(counts), rule))
    for count in counts:
        check_size(count)
    return _part(batch, here)


def _numbers(counts: set[int]) -> str:
    return " and ".join(map(str, sorted(counts)))


def _part(batch: Any, here: Ranks) -> Any:
    if isinstance(batch, Tensor):
        rows = len(batch) // here.size if batch.ndim else 0
        return batch[here.rank * rows : (here.rank + 1) * rows] if batch.ndim else batch
    if isinstance(batch, Mapping):
        return {name: _part(item, here) for name, item in batch.items()}
    if isinstance(batch, tuple | list):
        parts = [_part(item, here) for item in batch]
        return type(batch)(*parts) if hasattr(batch, "_fields") else type(batch)(parts)
    if isinstance(batch, PLAIN):
        return batch
    rule = "made of tensors with an example in each row, since several processes share each batch"
    raise TypeError(_check.message("batch", batch, rule))


def tensors_in(batch: Any) -> Iterator[Tensor]:
    if isinstance(batch, Tensor):
        yield batch
    elif isinstance(batch, Mapping | tuple | list):
        for item in batch.values() if isinstance(batch, Mapping) else batch:
            yield from tensors_in(item)


def check_same(task: Any, batch: Any) -> None:
    """Raise ValueError on every process unless all have drawn the same batch.

    Args:
        task: whose batch it is.
        batch: on the CPU or another device, from which it is read back.
    """
    if ranks().size == 1:
        return
    digest = hashlib.sha256()
    for tensor in tensors_in(batch):
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    if len(set(everyones(digest.digest()))) > 1:
        raise ValueError(
            f"batches of the task {task.name!r} differ from process to process; draw from the generator they are given "
            "and from nothing else"
        )
