"""Results of Control: a finished step, and the rates to come."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


class Step(NamedTuple):
    """The result of a call of ``Control.step``; nothing has been read back from the device.

    Attributes:
        position: the clock before the update; the first step is at 0.
        norm: the gradients' global norm before clipping, a 0-d tensor; None where it was not needed.
        threshold: the clipping threshold; None without clipping.
        done: whether the weights were updated: True or False, or a 0-d bool tensor where only the device knows.
        factor: the smallest factor that clipping multiplied an entry of the gradients by, a 0-d tensor; None without.
        loss: the loss as it was handed over or returned by a closure, summed over accumulated calls; None without.
        names: the parameter groups that have a rate.
        values: the rate of each that this update was done with.
    """

    position: float
    norm: Tensor | None = None
    threshold: float | None = None
    done: bool | Tensor = True
    factor: Tensor | None = None
    loss: Tensor | float | None = None
    names: Sequence[str] = ()
    values: Sequence[float] = ()

    @property
    def rates(self) -> dict[str, float]:
        """The learning rates of this update by group name; ``Control.rates`` has those of the next."""
        return dict(zip(self.names, self.values, strict=True))

    @property
    def updated(self) -> bool:
        """Whether the weights were updated: not while gradients accumulate, nor when the step was left out."""
        return bool(self.done)

    @property
    def clipped(self) -> bool:
        """Whether any gradient was made smaller. Reads the factor back from the device."""
        return self.factor is not None and bool(self.factor < 1)


@dataclass(frozen=True)
class Preview:
    """The rates that will be, without touching the optimizer.

    Attributes:
        positions: shape (n,), in steps.
        rates: for each group by name, shape (n,).
    """

    positions: NDArray[np.float64]
    rates: Mapping[str, NDArray[np.float64]]


def read(value: Tensor | float) -> float:
    """A plain number; reads back from the device."""
    return float(value.item() if isinstance(value, Tensor) else value)
