"""The state of every global random number generator a training loop draws from."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stepsize import _check, _schema

WORDS = 624  # of a Mersenne twister


@dataclass(frozen=True, slots=True)
class RandomState:
    """The states of Python's, numpy's, torch's and, where CUDA is in use, its devices' global generators.

    Example:
        >>> import torch
        >>> from stepsize.state import RandomState
        >>> before = RandomState.now()
        >>> first = torch.rand(3)
        >>> before.restore()
        >>> torch.equal(first, torch.rand(3))
        True
    """

    python: Any
    numpy: Any
    cpu: Tensor
    cuda: tuple[Tensor, ...]

    @staticmethod
    def now() -> "RandomState":
        """The states at this moment."""
        used = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
        cuda = tuple(torch.cuda.get_rng_state_all()) if used else ()
        return RandomState(random.getstate(), np.random.get_state(), torch.get_rng_state(), cuda)

    @staticmethod
    def seeded(seed: int) -> "RandomState":
        """The states that follow from one seed, 0 <= seed < 2**32; the generators themselves stay as they are."""
        before = RandomState.now()
        try:
            random.seed(seed)
            np.random.seed(seed)
            torch.manual_seed(seed)
            return RandomState.now()
        finally:
            before.restore()

    def state_dict(self) -> dict[str, Any]:
        """Plain data, for ``torch.load(weights_only=True)``."""
        name, keys, *rest = self.numpy
        numpy = [name, torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest]
        return {"python": self.python, "numpy": numpy, "cpu": self.cpu, "cuda": list(self.cuda)}

    @staticmethod
    def from_state_dict(state: dict[str, Any]) -> "RandomState":
        """The inverse of ``state_dict``.

        Args:
            state: from ``state_dict``.

        Raises:
            ValueError: it is no such state.
        """
        RANDOM("the random state", state)
        version, numbers, gauss = state["python"]
        name, keys, *rest = state["numpy"]
        numpy = (name, keys.numpy().astype(np.uint32), *rest)
        found = RandomState((version, tuple(numbers), gauss), numpy, state["cpu"], tuple(state["cuda"]))
        found._try()
        return found

    def _try(self) -> None:
        """Raise ValueError unless generators take the states: tried on others than the global ones."""
        tries: dict[str, Callable[[], object]] = {
            "python": lambda: random.Random().setstate(self.python),
            "numpy": lambda: np.random.RandomState().set_state(self.numpy),
            "cpu": lambda: torch.Generator().set_state(self.cpu),
        }
        for name, attempt in tries.items():
            try:
                attempt()
            except (OverflowError, RuntimeError, TypeError, ValueError) as error:
                why = _check.in_one_line(error)
                raise ValueError(f"{name} of the random state does not fit its generator: {why}") from None

    def equals(self, other: "RandomState") -> bool:
        """Whether all generators are at the same place.

        Args:
            other: another state.
        """
        own, others = (state.state_dict() for state in (self, other))
        same = own["python"] == others["python"] and torch.equal(own["cpu"], others["cpu"])
        return same and all(
            torch.equal(a, b) if isinstance(a, Tensor) else a == b
            for a, b in zip([*own["numpy"], *own["cuda"]], [*others["numpy"], *others["cuda"]], strict=True)
        )

    def restore(self) -> None:
        """Put the global generators back to these states."""
        random.setstate(self.python)
        np.random.set_state(self.numpy)
        torch.set_rng_state(self.cpu)
        if self.cuda:
            torch.cuda.set_rng_state_all(list(self.cuda))


def _is_bytes(name: str, value: Any) -> None:
    if not isinstance(value, Tensor) or value.dtype != torch.uint8 or value.dim() != 1:
        raise ValueError(_check.message(name, value, "a row of bytes"))


def _is_keys(name: str, value: Any) -> None:
    if not isinstance(value, Tensor) or value.dtype != torch.int64 or value.shape != (WORDS,):
        raise ValueError(_check.message(name, value, f"{WORDS} whole numbers"))
    if value.min() < 0 or value.max() >= 2**32:
        raise ValueError(_check.message(name, value, "whole numbers from 0 to 2**32 - 1"))


_NUMBERS = _schema.every(_schema.whole(0, 2**32 - 1))
RANDOM = _schema.record(
    {
        "python": _schema.row(_schema.whole(), _NUMBERS, _schema.maybe(_schema.finite())),
        # a place behind the end would be read by numpy without looking
        "numpy": _schema.row(_schema.text, _is_keys, _schema.whole(0, WORDS), _schema.whole(0, 1), _schema.finite()),
        "cpu": _is_bytes,
        "cuda": _schema.every(_is_bytes),
    }
)


@contextmanager
def own_randomness(state: RandomState) -> Iterator[list[RandomState]]:
    """Run a block from a random state of its own and leave the global generators as they were.

    Args:
        state: where the block's draws start.

    Yields:
        A list that holds, after the block, the one state at which its draws ended.

    Example:
        >>> import torch
        >>> from stepsize.state import RandomState, own_randomness
        >>> mine = RandomState.seeded(0)
        >>> with own_randomness(mine) as ended:
        ...     first = torch.rand(1)
        >>> with own_randomness(mine):
        ...     again = torch.rand(1)
        >>> torch.equal(first, again), len(ended)
        (True, 1)
    """
    outside = RandomState.now()
    state.restore()
    ended: list[RandomState] = []
    try:
        yield ended
    finally:
        ended.append(RandomState.now())
        outside.restore()
