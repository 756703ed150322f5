"""The range test as a loan: rates go to the user's own loop, and everything it was handed is put back."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

from stepsize import _check
from stepsize.probe._fixed_probe import Probe
from stepsize.probe._given import also_of, check_model
from stepsize.probe._under_way import RangeTest
from stepsize.state import has_state, is_loader, is_optimizer


def range_test(
    optimizer: Optimizer | Iterable[Optimizer],
    model: nn.Module,
    *,
    loader: Any = None,
    scaler: torch.amp.GradScaler | None = None,
    also: Iterable[Any] = (),
    low: float = 1e-7,
    high: float = 10.0,
    steps: int = 100,
    probe: Probe | None = None,
) -> RangeTest:
    """Train a few steps at rising rates in your own loop, and read a learning rate off the curve.

    Everything handed over is put back at the end, also after an exception, bit for bit: weights, gradients, buffers,
    modes, optimizers with all that they hold, the global random generators. An open data iterator, worker processes or
    a stream cannot be put back; make a fresh iterator for training. ``result.unrestored`` names those that were found.

    With several processes (``torch.distributed``) every rank runs the loop: losses are averaged over the ranks, and all
    go on or stop as one.

    Args:
        optimizer: the optimizer that the loop steps, or a list of them: each group gets the rate times its own over the
            largest of all groups, so that all ratios are kept.
        model: the model it trains.
        loader: the data loader that the loop iterates over: its generators, epoch and position are put back, so that a
            fresh iterator gives what it would have given.
        scaler: the ``torch.amp.GradScaler`` of the loop. A rate whose step it left out, as it does while it looks for
            its scale, is lent again; ``result.skipped`` counts them.
        also: further modules, optimizers that keep their rates, random generators, loaders or objects with a state
            dict, such as schedulers, that the loop changes.
        low: the first rate, > 0.
        high: the last rate, > low.
        steps: how many rates, evenly spaced on a log axis, >= 2. The test ends before when the loss breaks.
        probe: a function that returns the loss on fixed batches that are never trained on. It is called after each
            rate's step, with model and further modules in eval mode, without gradients and with the same random draws
            each time, and suggests the rate by ``probe_minimum_third``; ``test.record(loss)`` may then be left out.

    Raises:
        TypeError, ValueError: an argument is invalid.

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

        With a probe:

        >>> held_out = torch.randn(256, 4, generator=generator)
        >>> probe = lambda: (model(held_out) - held_out.sum(1, keepdim=True)).square().mean()
        >>> with range_test(optimizer, model, also=[generator], low=1e-4, high=10, steps=60, probe=probe) as test:
        ...     for rate in test:
        ...         x = torch.randn(64, 4, generator=generator)
        ...         optimizer.zero_grad()
        ...         (model(x) - x.sum(1, keepdim=True)).square().mean().backward()
        ...         optimizer.step()
        >>> test.result.suggestion.rule, 1e-2 < test.result.suggestion.rate < 1
        ('probe_minimum_third', True)

    Source: Smith 2017, "Cyclical learning rates for training neural networks" (arXiv 1506.01186), section 3.3.
    """
    optimizers = _optimizers(optimizer)
    check_model(model, optimizers)
    if scaler is not None and not isinstance(scaler, torch.amp.GradScaler):
        raise TypeError(_check.message("scaler", scaler, "a torch.amp.GradScaler"))
    if probe is not None and not callable(probe):
        raise TypeError(_check.message("probe", probe, "a function that returns a loss"))
    low = _check.number("low", low, above=0)
    high = _check.number("high", high, above=low, remedy="rates rise from low to high")
    steps = _check.whole("steps", steps, least=2)
    parts = [part for part in (_loader(loader), scaler) if part is not None]
    things = [*optimizers, model, *parts, *also_of(also)]
    rates = [float(rate) for rate in np.geomspace(low, high, steps)]
    return RangeTest(optimizers, things, rates, scaled=scaler is not None, probe=probe)


def _optimizers(value: Any) -> list[Optimizer]:
    listed = list(value) if isinstance(value, list | tuple) else [value]
    if not listed or not all(map(is_optimizer, listed)):
        raise TypeError(_check.message("optimizer", value, "a torch.optim.Optimizer or a list of them"))
    if len({id(optimizer) for optimizer in listed}) < len(listed):
        raise ValueError(_check.message("optimizer", value, "a list in which each is there once"))
    return listed


def _loader(value: Any) -> Any:
    if isinstance(value, Iterator) and not has_state(value):
        remedy = "an open iterator cannot be put back; hand over the loader it was made from"
        raise TypeError(_check.message("loader", value, "a data loader", remedy))
    if value is not None and not is_loader(value) and not has_state(value):
        rule = "a data loader: something with a generator, a sampler or a state dict"
        raise TypeError(_check.message("loader", value, rule, "leave out what always gives the same batches"))
    return value
