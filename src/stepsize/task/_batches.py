"""Shuffled batches, epoch after epoch, that can be stopped anywhere and go on to the last bit."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from stepsize import _check

POOL = 50  # batches that are sorted by length together
_KEYS = {"start", "now", "position", "examples", "size"}


class Shuffled:
    """An endless iterator of batches: each epoch is a fresh permutation; what fills no batch is passed over.

    With lengths, an epoch's batches are of like length: the permutation is cut into pools of 50 batches, each pool is
    sorted by length and cut into batches, and the batches are put in random order.

    Args:
        examples: how many examples there are, >= size.
        size: examples in a batch, >= 1.
        generator: all draws are from it: the order, and what ``make`` draws.
        make: (indices int64 [size], generator) -> the batch; it may draw, such as augmentations.
        lengths: of each example, int64 [examples]; for batches of like length.

    Raises:
        TypeError, ValueError: an argument is invalid.

    Example:
        >>> import torch
        >>> def batches():
        ...     return Shuffled(10, 4, torch.Generator().manual_seed(0), lambda picked, generator: picked)
        >>> first = batches()
        >>> _ = [next(first) for _ in range(3)]
        >>> second = batches()
        >>> second.load_state_dict(first.state_dict())
        >>> torch.equal(next(first), next(second))
        True
    """

    def __init__(
        self,
        examples: int,
        size: int,
        generator: torch.Generator,
        make: Callable[[Tensor, torch.Generator], Any],
        lengths: Tensor | None = None,
    ) -> None:
        examples = _check.whole("examples", examples, least=1)
        self._size = _check.whole("batch_size", size, least=1)
        if not isinstance(generator, torch.Generator):
            raise TypeError(_check.message("generator", generator, "a torch.Generator"))
        if not callable(make):
            raise TypeError(_check.message("make", make, "a function of (indices, generator)"))
        if lengths is not None and (not isinstance(lengths, Tensor) or lengths.shape != (examples,)):
            raise ValueError(_check.message("lengths", lengths, f"a tensor of shape ({examples},)"))
        if self._size > examples:
            raise ValueError(_check.message("batch_size", size, f"at most {examples:,}, the number of examples"))
        self._examples, self._generator, self._make, self._lengths = examples, generator, make, lengths
        self._begin_epoch()

    def _begin_epoch(self) -> None:
        self._start = self._generator.get_state()
        self._position = 0
        order = torch.randperm(self._examples, generator=self._generator)
        order = order[: self._examples // self._size * self._size]
        if self._lengths is not None:
            order = self._by_length(order, self._lengths)
        self._order = order.view(-1, self._size)  # [batches, size]

    def _by_length(self, order: Tensor, lengths: Tensor) -> Tensor:
        pools = [pool[lengths[pool].argsort(stable=True)] for pool in torch.split(order, POOL * self._size)]
        batches = torch.cat(pools).view(-1, self._size)
        return batches[torch.randperm(len(batches), generator=self._generator)]

    def __iter__(self) -> "Shuffled":
        return self

    def __next__(self) -> Any:
        if self._position == len(self._order):
            self._begin_epoch()
        picked = self._order[self._position]
        self._position += 1
        return self._make(picked, self._generator)

    def state_dict(self) -> dict[str, Any]:
        """Where it stands: the generator at the epoch's start and now, and the batches given since. About 10 kB."""
        return {
            "start": self._start.clone(),
            "now": self._generator.get_state(),
            "position": self._position,
            "examples": self._examples,
            "size": self._size,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where another one over the same data stood.

        Args:
            state: from its ``state_dict()``.

        Raises:
            ValueError: it is no such state, or one of other data or another batch size.
        """
        missing = _KEYS - set(state)
        if missing:
            raise ValueError(f"state is not of shuffled batches: it lacks {', '.join(sorted(missing))}")
        for name, own in (("examples", self._examples), ("size", self._size)):
            if state[name] != own:
                raise ValueError(_check.message(f"{name} of the saved batches", state[name], f"{own:,}, as here"))
        self._generator.set_state(state["start"])
        self._begin_epoch()
        self._position = int(state["position"])
        self._generator.set_state(state["now"])
