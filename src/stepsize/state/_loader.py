"""The progress of data loaders, and objects that are saved and loaded by a state dict."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils.data import IterableDataset

Undo = Callable[[], object]
METHODS = ("state_dict", "load_state_dict")
PARTS = ("sampler", "batch_sampler", "dataset")


def is_loader(thing: Any) -> bool:
    """Whether a thing gives batches and has a generator, a sampler or a batch sampler.

    Args:
        thing: anything.

    Example:
        >>> from torch.utils.data import DataLoader
        >>> from stepsize.state import is_loader
        >>> is_loader(DataLoader([1, 2])), is_loader([1, 2])
        (True, False)
    """
    parted = any(hasattr(thing, name) for name in ("generator", "sampler", "batch_sampler"))
    return parted and hasattr(thing, "__iter__")


def has_state(thing: Any) -> bool:
    """Whether a thing can be saved and loaded by a state dict.

    Args:
        thing: anything.

    Example:
        >>> import torch
        >>> from stepsize.state import has_state
        >>> has_state(torch.nn.Linear(1, 1)), has_state(3)
        (True, False)
    """
    inside = getattr(thing, "base_dataloader", thing)  # Accelerate's loaders have these methods whatever is inside
    return all(callable(getattr(holder, name, None)) for holder in (thing, inside) for name in METHODS)


def known_length(loader: Any) -> int | None:
    """Batches in a pass, where the loader knows; None where it cannot tell, as a stream.

    Args:
        loader: anything.

    Example:
        >>> from stepsize.state import known_length
        >>> known_length([1, 2]), known_length(iter([1, 2]))
        (2, None)
    """
    try:
        return len(loader)
    except (TypeError, NotImplementedError):
        return None


def loader_parts(loader: Any) -> Iterator[Any]:
    """The loader, its samplers and data sets, each once, outermost first."""
    todo, seen = [loader], set()
    while todo:
        part = todo.pop(0)
        if part is not None and id(part) not in seen:
            seen.add(id(part))
            yield part
            todo += [getattr(part, name, None) for name in PARTS]


def own_generator(part: Any) -> torch.Generator | None:
    """A part's generator; None where it draws from the global one."""
    generator = getattr(part, "generator", None)
    return generator if isinstance(generator, torch.Generator) else None


def by_state_dict(thing: Any) -> Undo:
    """A function that restores an object by its own state dict."""
    kept = copy.deepcopy(thing.state_dict())
    # load_state_dict may keep what it is given, so each restore gets a copy of its own
    return lambda: thing.load_state_dict(copy.deepcopy(kept))


def loader_part_undos(part: Any) -> Iterator[Undo]:
    """A function that restores a loader, or one of its samplers or data sets."""
    if has_state(part):
        yield by_state_dict(part)
    # the epoch is a DistributedSampler's, the iteration Accelerate's; the iterator is there when workers persist, and
    # part of a state dict
    names = ("epoch", "iteration") if has_state(part) else ("epoch", "iteration", "_iterator")
    items = {name: vars(part)[name] for name in names if name in getattr(part, "__dict__", {})}
    if items:
        yield lambda: vars(part).update(items)


def streams(loader: Any) -> list[str]:
    """Names of a loader's data sets whose position nothing puts back."""
    if has_state(loader):
        return []
    found = [part for part in loader_parts(loader) if isinstance(part, IterableDataset) and not has_state(part)]
    return [f"the position of {type(part).__name__}, a stream without a state dict" for part in found]
