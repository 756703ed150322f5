"""A data loader beside the one that has an open iterator: the same data in a shuffle of its own, and nothing shared."""

import copy
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from torch.utils.data import DataLoader, IterableDataset

from stepsize.state import is_generator

PARTS = ("sampler", "batch_sampler")
SHARED = ("dataset", "data_source")  # of loaders, samplers and data sets: what is only read
LEFT = "cannot be left as it was; use a DataLoader over a data set with a length, or leave verify out"


class Apart:
    """Loaders that can be iterated over without disturbing the originals, in mid-epoch too.

    Samplers and their generators are copies. The data sets are the same objects, so that the random generators which
    they and ``collate_fn`` hold are drawn from, and are to be put back.

    Args:
        loaders: of the trainer.
        verb: what is to be done with them, for messages.

    Attributes:
        loaders: beside the given ones, in their order.
        generators: that reading draws from.

    Raises:
        ValueError: one cannot be read a second time without disturbing the pass that is under way.
    """

    def __init__(self, loaders: Iterable[Any], verb: str) -> None:
        every = list(loaders)
        self.loaders = [_beside(loader, verb) for loader in every]
        self.generators = [each for loader in every for each in _generators(loader)]

    def begin(self, epoch: int) -> None:
        """Begin a pass: samplers that go by an epoch's number are told which.

        Args:
            epoch: counted from 0.
        """
        for loader in self.loaders:
            for sampler in _samplers(loader):
                if callable(getattr(sampler, "set_epoch", None)):
                    sampler.set_epoch(epoch)


def _beside(loader: Any, verb: str) -> Any:
    if isinstance(loader, Sequence):
        return loader
    kind = type(loader)
    if not isinstance(loader, DataLoader) or kind.__iter__ is not DataLoader.__iter__:
        raise ValueError(f"{verb} reads the training data a second time in mid-epoch, and a {kind.__name__} {LEFT}")
    if isinstance(loader.dataset, IterableDataset):
        name = type(loader.dataset).__name__
        raise ValueError(f"{verb} reads the training data a second time in mid-epoch, and the stream {name} {LEFT}")
    memo = {id(part): part for part in _shared(loader)}
    try:
        own = {name: copy.deepcopy(getattr(loader, name), memo) for name in (*PARTS, "generator")}
    except Exception as error:  # a lock, an open file, whatever its author has put there
        names = ", ".join(dict.fromkeys(type(part).__name__ for part in _samplers(loader)))
        raise ValueError(f"{verb} needs copies of the training data's samplers ({names}): {error}") from error
    beside = object.__new__(kind)
    vars(beside).update(vars(loader) | own | {"_iterator": None, "persistent_workers": False})
    return beside


def _samplers(loader: Any) -> Iterator[Any]:
    """The samplers of a loader, and those inside them."""
    todo, seen = [getattr(loader, name, None) for name in PARTS], set[int]()
    while todo:
        part = todo.pop()
        if part is not None and id(part) not in seen:
            seen.add(id(part))
            yield part
            todo += [getattr(part, name, None) for name in PARTS]


def _shared(loader: Any) -> Iterator[Any]:
    """The data sets of a loader and its samplers, and those inside them."""
    todo, seen = [loader, *_samplers(loader)], set[int]()
    while todo:
        for name in SHARED:
            part = getattr(todo[0], name, None)
            if part is not None and id(part) not in seen:
                seen.add(id(part))
                todo.append(part)
                yield part
        del todo[0]


def _generators(loader: Any) -> Iterator[Any]:
    """What data sets and ``collate_fn`` draw random numbers from, beside the global generators."""
    for part in (*_shared(loader), getattr(loader, "collate_fn", None)):
        yield from filter(is_generator, getattr(part, "__dict__", {}).values())
