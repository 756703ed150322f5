"""The batches of short runs: the same for every run, from the loader's start, those set aside left out."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves
from torch.utils.data import Dataset, IterableDataset

from stepsize import _check
from stepsize.state import has_state, known_length

SHARE = 0.25  # of a loader's batches, and of a whole run's, that may be set aside;
ASIDE = 24  # but no more than these
NO_LOADERS = (str, bytes, Mapping, Tensor, nn.Module)  # what can be iterated over or called, and gives no batches
LOOKED = 4096  # numbers of each tensor by which two batches are told apart


class Source:
    """Batches from the start of a loader each time; where it ends it begins again, as the next epoch would.

    Args:
        loader: gives its batches anew each time it is iterated over, or a function that makes an iterator.
        name: of the argument, for messages.
    """

    def __init__(self, loader: Any, name: str) -> None:
        if isinstance(loader, Iterator) and not has_state(loader):
            remedy = "an open iterator cannot be put back; hand over the loader it was made from"
            raise TypeError(_check.message(name, loader, "a data loader", remedy))
        if isinstance(loader, Dataset) and not isinstance(loader, IterableDataset):
            remedy = "write DataLoader(dataset, batch_size=..., shuffle=True)"
            raise TypeError(_check.message(name, type(loader).__name__, "a loader of batches, not a data set", remedy))
        if (not isinstance(loader, Iterable) and not callable(loader)) or isinstance(loader, NO_LOADERS):
            rule = "a data loader, a list of batches or a function that makes an iterator of them"
            raise TypeError(_check.message(name, loader, rule))
        self.loader, self.name = loader, name
        self._make: Callable[[], Iterable[Any]] = (lambda: loader) if isinstance(loader, Iterable) else loader
        self._last: Any = None

    @property
    def length(self) -> int | None:
        """Batches in an epoch, if that is known."""
        return known_length(self.loader)

    def aside(self, steps: int) -> int:
        """How many of the first batches can be kept for scores: 0 where there are hardly any.

        Args:
            steps: batches of a whole run.
        """
        known = [count for count in (self.length, steps) if count is not None]
        return min(ASIDE, *(int(SHARE * count) for count in known))

    def batches(self, skipped: int = 0) -> Iterator[Any]:
        """Endless batches, without the first ones of each epoch.

        Args:
            skipped: how many of them.
        """
        while True:
            count = 0
            for count, batch in enumerate(self._epoch(), 1):
                if count > skipped:
                    yield batch
            if count <= skipped:
                problem = f"{self.name} ended after {count} batches"
                raise ValueError(f"{problem}, and more than {skipped} are needed; hand over one with more batches")

    def once(self) -> Iterator[Any]:
        """The batches of one epoch."""
        return iter(self._epoch())

    def _epoch(self) -> Iterator[Any]:
        made = self._make()
        if not isinstance(made, Iterable):
            raise TypeError(_check.message(f"what {self.name}() returns", made, "an iterator of batches"))
        if isinstance(made, Iterator) and made is self._last and made is not self.loader:
            rule = "a new iterator at each call"
            raise ValueError(_check.message(f"what {self.name}() returns", made, rule, "this one is exhausted"))
        self._last = made
        return iter(made)


def mark_of(batch: Any) -> list[Any]:
    """The fingerprint of a batch: the first numbers of its tensors and arrays, and its plain values."""
    found: list[Any] = []
    leaves = tree_leaves(dict(batch) if isinstance(getattr(batch, "data", None), dict) else batch)
    for leaf in itertools.islice(leaves, 100):
        if isinstance(leaf, np.ndarray) and leaf.dtype != object:
            leaf = torch.from_numpy(np.ascontiguousarray(leaf)) if leaf.dtype.kind in "biuf" else leaf.tobytes()
        if isinstance(leaf, Tensor):
            found += [tuple(leaf.shape), leaf.detach().flatten()[:LOOKED].cpu().clone()]
        elif isinstance(leaf, bool | int | float | str | bytes | type(None)):
            found.append(leaf)
    return found


def alike(first: list[Any], second: list[Any]) -> bool:
    """Whether two marks are of the same batch."""

    def same(one: Any, other: Any) -> bool:
        if isinstance(one, Tensor) and isinstance(other, Tensor):
            return one.dtype == other.dtype and torch.equal(one.nan_to_num(), other.nan_to_num())
        return type(one) is type(other) and bool(one == other or one != one)

    return len(first) == len(second) and all(map(same, first, second))
