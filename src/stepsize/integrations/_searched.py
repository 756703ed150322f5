"""The search for a rate that both trainers share: windows of batches, each trained on by the trainer itself."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer, lr_scheduler

from stepsize import _check
from stepsize.control import Plan, from_torch
from stepsize.optim import read_value, write_value
from stepsize.probe import RateSearch
from stepsize.schedule import Schedule, constant, from_function
from stepsize.search import Finding
from stepsize.state import can_capture

NEARLY = 1e-9  # of a step, which rounding may have taken
OPTIONS = ("budget", "high", "low", "probe", "progress")


class Windows:
    """The batches of each update, from the start of an epoch each time.

    Args:
        count: of windows in an epoch; None where it is not known.
        make: gives the windows of an epoch.
    """

    def __init__(self, count: int | None, make: Callable[[], Iterator[Any]]) -> None:
        self._count, self._make = count, make

    def __repr__(self) -> str:
        count = "an unknown number of" if self._count is None else self._count
        return f"the trainer's data, which give {count} batches"

    def __len__(self) -> int:
        if self._count is None:
            raise TypeError("the length of an epoch is not known")
        return self._count

    def __iter__(self) -> Iterator[Any]:
        return self._make()


def searched(
    optimizers: Mapping[str, Optimizer],
    model: nn.Module,
    windows: Windows,
    *,
    train: Callable[[Any], Any],
    loss: Callable[[nn.Module, Any], Any],
    plan: Mapping[str, Any],
    total: int,
    also: Iterable[Any],
    begin: Callable[[], None],
    options: Mapping[str, Any],
) -> Finding:
    """Race rates in a trainer's own steps; weights, optimizers and what is in ``also`` are put back.

    Args:
        optimizers: by name.
        model: that is trained.
        windows: of batches.
        train: trains on a window, with the optimizer's step, and returns its loss.
        loss: of (model, window), for scores, where options have no probe.
        plan: schedules of the whole run, and ``per_epoch``.
        total: updates of the whole run.
        also: what changes besides.
        begin: called at the start of each short run.
        options: of ``RateSearch``.
    """
    probed = callable(options.get("probe"))
    parts = {name: part for name, part in plan.items() if name != "feedback" and part is not None}
    search = RateSearch(
        optimizers,
        model,
        loader=windows,
        loss=None if probed else loss,
        total=total,
        own_steps=True,
        also=[part for part in also if part is not None and can_capture(part)],
        **parts,
        **options,
    )
    with closing(iter(search)) as runs:  # type: ignore[type-var]
        for run in runs:
            begin()
            for window in run.batches():
                run.step(train(window))
    return search.finding


def check_options(find: Any) -> dict[str, Any] | None:
    """A hook's ``find``: options of the search, or None for no search."""
    if isinstance(find, bool):
        return {} if find else None
    if not isinstance(find, Mapping) or not all(isinstance(name, str) for name in find):
        raise TypeError(_check.message("find", find, "True, False or a mapping", 'such as {"budget": "0.3x"}'))
    return checked(**find)


def checked(**options: Any) -> dict[str, Any]:
    """Options of the search, checked as far as that goes without a model."""
    for name in options:
        if name not in OPTIONS:
            raise TypeError(f"there is no option {name!r} of the search; {_check.closest(name, OPTIONS)}")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    probe = min if options.get("probe") is None else options["probe"]
    if not callable(probe):
        raise TypeError(_check.message("probe", probe, "a function that returns the loss on held-out data"))
    RateSearch(optimizer, nn.Identity(), lr=Plan(), total=1, loader=[0], own_steps=True, **{**options, "probe": probe})
    return options


def found_or_raise(finding: Finding) -> float:
    """The rate that was found, for a run that is about to begin with it."""
    if finding.rate is None:
        raise RuntimeError(f"{finding}; look at data and model, or train at the rate as it is with find=False")
    return finding.rate


def largest_rate(optimizers: Iterable[Optimizer]) -> float:
    """The largest base of all groups; what a scheduler has noted, where there is one."""
    return max(
        (_base(group) for optimizer in optimizers for group in optimizer.param_groups if group.get("lr") is not None),
        default=0.0,
    )


def _base(group: Mapping[str, Any]) -> float:
    return read_value(group, "initial_lr" if "initial_lr" in group else "lr")


def write_rates(optimizers: Iterable[Optimizer], rate: float) -> None:
    """Give the largest group a rate, and the others theirs; what schedulers have noted goes.

    Args:
        optimizers: whose groups keep their ratios.
        rate: that was found.
    """
    every = list(optimizers)
    largest = largest_rate(every)
    for optimizer in every:
        for group in optimizer.param_groups:
            if group.get("lr") is not None:
                write_value(group, "lr", scaled(_base(group), rate, largest))
                group.pop("initial_lr", None)


def scaled(value: float, rate: float, largest: float) -> float:
    """A rate of the trainer's own, in the ratio it had to the largest before."""
    return rate if value == largest or not largest > 0 else value * rate / largest


def factors(scheduler: Any, stretch: float = 1.0) -> Schedule | list[Schedule]:
    """A torch scheduler that has not begun as factors of the groups' rates.

    Args:
        scheduler: of one optimizer; a ReduceLROnPlateau leaves the rates alone.
        stretch: updates to one of its steps.
    """
    if isinstance(scheduler, lr_scheduler.ReduceLROnPlateau):
        return constant()
    bases = [float(base) for base in scheduler.base_lrs]
    if isinstance(scheduler, lr_scheduler.LambdaLR):  # its functions are the factors themselves
        return [_factor(call, 1.0, stretch, index) for index, call in enumerate(scheduler.lr_lambdas)]
    read = from_torch(scheduler)
    lines: Any = read.lr if isinstance(read, Plan) else read
    every = lines if isinstance(lines, list | tuple) else [lines]
    return [_factor(*pair, stretch, index) for index, pair in enumerate(zip(every, bases, strict=True))]


def _factor(value: Callable[[Any], Any], base: float, stretch: float, index: int) -> Schedule:
    """One group's values, by the scheduler's own steps, over its base."""

    def factor(position: float) -> float:
        return float(value(math.floor(position / stretch + NEARLY))) / base if base > 0 else 0.0

    return from_function(factor, name=f"scheduler_of_group_{index}")
