"""What Control gives back: a step that was done, and the rates that will be."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


class Step(NamedTuple):
    """What a call of ``Control.step`` did; nothing has been read back from the device.

    Attributes:
        updated: whether the weights were updated.
        position: the clock before the update; the first step is at 0.
        norm: the gradients' global norm before clipping, a 0-d tensor; None where it was not needed.
        threshold: the clipping threshold; None without clipping.
    """

    updated: bool
    position: float
    norm: Tensor | None = None
    threshold: float | None = None

    @property
    def clipped(self) -> bool:
        """Whether the gradients were scaled down. Reads the norm back from the device."""
        return self.norm is not None and self.threshold is not None and bool(self.norm > self.threshold)


@dataclass(frozen=True)
class Preview:
    """The rates that will be, without touching the optimizer.

    Attributes:
        positions: shape (n,), in steps.
        rates: for each group by name, shape (n,).
    """

    positions: NDArray[np.float64]
    rates: Mapping[str, NDArray[np.float64]]
