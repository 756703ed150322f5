"""Where a data loader keeps how far it got."""

from collections.abc import Iterator
from typing import Any

import torch

PARTS = ("sampler", "batch_sampler", "dataset")


def is_loader(thing: Any) -> bool:
    """Whether a thing gives batches and has a generator, a sampler or a batch sampler."""
    parted = any(hasattr(thing, name) for name in ("generator", "sampler", "batch_sampler"))
    return parted and hasattr(thing, "__iter__")


def has_state(thing: Any) -> bool:
    """Whether a thing can be saved and loaded by a state dict."""
    return callable(getattr(thing, "state_dict", None)) and callable(getattr(thing, "load_state_dict", None))


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
