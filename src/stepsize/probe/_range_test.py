"""The range test as a loan: rates go to the user's own loop, and everything it was handed is put back."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.optim import Optimizer

from stepsize import _check
from stepsize.optim import read_value, write_value
from stepsize.probe._suggest import Rule, Suggestion, steepest_by_log_rate
from stepsize.state import capture

BREAKS = 3.0  # how far above the best loss, in units of the first, a run counts as broken


@dataclass(frozen=True)
class RangeResult:
    """The curve of a range test and what a rule reads off it.

    Attributes:
        rates: the rates lent, rising.
        losses: the loss recorded at each, same length.
        stopped: why the test ended.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    stopped: str

    @cached_property
    def suggestion(self) -> Suggestion:
        """What the rule ``steepest_by_log_rate`` reads: a rate, or none and why."""
        return self.suggest(steepest_by_log_rate)

    def suggest(self, rule: Rule) -> Suggestion:
        """What another rule reads off the curve.

        Args:
            rule: ``steepest_by_log_rate``, ``valley``, ``minimum_tenth``, or any function of (rates, losses).

        Raises:
            TypeError: rule cannot be called.
        """
        if not callable(rule):
            raise TypeError(_check.message("rule", rule, "a function of (rates, losses)", "for example valley"))
        return rule(self.rates, self.losses)


class RangeTest:
    """A range test under way; made by ``range_test``, used by ``with`` and ``for``."""

    def __init__(self, optimizer: Optimizer, things: list[Any], rates: list[float]) -> None:
        self._optimizer = optimizer
        self._things = things
        self._plan = rates
        self._lent: list[float] = []
        self._losses: list[float] = []
        self._stopped = ""
        self._inside = False

    def __enter__(self) -> "RangeTest":
        if self._lent or self._inside:
            raise RuntimeError("this range test was used before; make a new one with range_test(...)")
        rates = [_check.number("lr of a parameter group", read_value(g), least=0) for g in self._optimizer.param_groups]
        if not max(rates) > 0:
            raise ValueError("lr of every parameter group is 0, and the test keeps the groups' ratios; set one above 0")
        self._ratios = [rate / max(rates) for rate in rates]
        self._captured = capture(*self._things)
        self._inside = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._inside = False
        self._stopped = self._stopped or ("the loop raised" if kind else "the loop ended early")
        self._captured.restore()

    def __iter__(self) -> Iterator[float]:
        """Lend each rate in turn: written to the groups (their ratios kept), the largest group getting the rate."""
        if not self._inside:
            raise RuntimeError("a range test gives rates only inside its with block: with range_test(...) as test:")
        if self._lent:
            raise RuntimeError("this range test was iterated before; make a new one with range_test(...)")
        for rate in self._plan:
            # a group that the loop adds meanwhile keeps its own rate, and is taken out again at the end
            for group, ratio in zip(self._optimizer.param_groups, self._ratios, strict=False):
                write_value(group, "lr", rate * ratio)
            self._lent.append(rate)
            yield rate
            if len(self._losses) < len(self._lent):
                raise RuntimeError(f"no loss was recorded at the rate {rate:g}; call test.record(loss) in the loop")
            if self._broken():
                return
        self._stopped = "all rates were tried"

    def record(self, loss: Tensor | float) -> None:
        """Note the loss at the rate last lent; reads it back from the device.

        Args:
            loss: one number, or a tensor of one element.

        Raises:
            TypeError, ValueError: it is not one number.
            RuntimeError: outside the loop, twice at one rate, or something else has written the rate meanwhile.
        """
        if not self._inside or len(self._losses) >= len(self._lent):
            raise RuntimeError("record(loss) belongs into the loop over the range test, once at each rate")
        _check.one_number("loss", loss)
        for group, ratio in zip(self._optimizer.param_groups, self._ratios, strict=False):
            lent, found = self._lent[-1] * ratio, read_value(group)
            if not math.isclose(lent, found, rel_tol=1e-5):
                raise RuntimeError(
                    f"the test lent the rate {lent:g} and found {found:g}: something in the loop writes rates, such as "
                    "Control or a scheduler; step the optimizer itself in the test's loop"
                )
        self._losses.append(float(loss.item() if isinstance(loss, Tensor) else loss))

    @property
    def result(self) -> RangeResult:
        """The curve so far, and the suggestion by rule.

        Raises:
            RuntimeError: the with block has not ended.
        """
        if not self._stopped:
            raise RuntimeError("the result is there after the with block")
        return RangeResult(tuple(self._lent[: len(self._losses)]), tuple(self._losses), self._stopped)

    def _broken(self) -> bool:
        loss, first, best = self._losses[-1], self._losses[0], min(self._losses)
        if not math.isfinite(loss):
            self._stopped = f"the loss became {loss} at the rate {self._lent[-1]:.3g}"
        elif loss - best > BREAKS * max(abs(first), first - best):
            self._stopped = f"the loss blew up to {loss:.3g} at the rate {self._lent[-1]:.3g}"
        return bool(self._stopped)


def range_test(
    optimizer: Optimizer,
    model: nn.Module,
    *,
    also: Iterable[Any] = (),
    low: float = 1e-7,
    high: float = 10.0,
    steps: int = 100,
) -> RangeTest:
    """Train a few steps at rising rates in your own loop, and read a learning rate off the curve.

    Everything handed over is put back at the end, also after an exception, to the bit: weights, gradients, buffers,
    modes, optimizer state and groups, the global random generators. An open data iterator or a stream cannot be put
    back; make a fresh one for training.

    Args:
        optimizer: the optimizer that the loop steps; the ratios of its groups' rates are kept.
        model: the model it trains.
        also: further modules, optimizers, ``torch.Generator`` objects (a loader's, say) or objects with a state dict
            that the loop changes.
        low: the first rate, > 0.
        high: the last rate, > low.
        steps: how many rates, evenly spaced on a log axis, >= 2. The test ends before when the loss breaks.

    Raises:
        TypeError, ValueError: an argument is not what is said above.

    Example:
        >>> import torch
        >>> from stepsize import range_test
        >>> model = torch.nn.Linear(4, 1)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> generator = torch.Generator().manual_seed(0)
        >>> with range_test(optimizer, model, also=[generator], low=1e-4, high=10, steps=60) as test:
        ...     for rate in test:
        ...         x = torch.randn(64, 4, generator=generator)
        ...         loss = (model(x) - x.sum(1, keepdim=True)).square().mean()
        ...         optimizer.zero_grad()
        ...         loss.backward()
        ...         optimizer.step()
        ...         test.record(loss)
        >>> 1e-3 < test.result.suggestion.rate < 1
        True

    Source: Smith 2017, "Cyclical learning rates for training neural networks" (arXiv 1506.01186), section 3.3.
    """
    if not isinstance(optimizer, Optimizer):
        raise TypeError(_check.message("optimizer", optimizer, "a torch.optim.Optimizer"))
    if not isinstance(model, nn.Module):
        raise TypeError(_check.message("model", model, "a torch.nn.Module"))
    if not isinstance(also, Iterable):
        raise TypeError(_check.message("also", also, "a list of what the loop changes besides"))
    low = _check.number("low", low, above=0)
    high = _check.number("high", high, above=low, remedy="rates rise from low to high")
    steps = _check.whole("steps", steps, least=2)
    things = [optimizer, model, *also]
    for thing in things:
        stateful = hasattr(thing, "state_dict") and hasattr(thing, "load_state_dict")
        if not stateful and not hasattr(thing, "set_state"):
            raise TypeError(
                _check.message("also", thing, "a list of modules, optimizers, generators or stateful objects")
            )
    return RangeTest(optimizer, things, [float(rate) for rate in np.geomspace(low, high, steps)])
