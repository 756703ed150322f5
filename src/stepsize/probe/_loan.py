"""Rates lent to the parameter groups of one or several optimizers, their ratios kept."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.hooks import RemovableHandle

from stepsize import _check
from stepsize.control import was_update
from stepsize.optim import read_value, write_value
from stepsize.state import optimizers_in

CYCLE = {"initial_lr", "max_lr", "min_lr"}  # what OneCycleLR notes in a group, and goes by


class Loan:
    """Writes rates to groups, the largest of all groups getting the rate, and counts the steps taken with them.

    Formula:
        lr of a group = rate * its own lr / the largest lr of all groups of all optimizers
    """

    def __init__(self, optimizers: Sequence[Optimizer]) -> None:
        self._outer = len(optimizers)
        inside = [
            optimizer
            for optimizer in optimizers_in(list(optimizers))
            if all(optimizer is not other for other in optimizers)
        ]
        rated = [
            optimizer for optimizer in inside if all(group.get("lr") is not None for group in optimizer.param_groups)
        ]
        self._optimizers = [*optimizers, *rated]
        rates, largest = self._rates("lr")
        if not largest > 0:  # a scheduler that begins at 0 has noted the rates it was given
            rates, largest = self._rates("initial_lr")
        if not largest > 0:
            raise ValueError("lr of every parameter group is 0, and the test keeps the groups' ratios; set one above 0")
        self._ratios = [[rate / largest for rate in of_groups] for of_groups in rates]
        self._handles: list[RemovableHandle] = []
        self.steps = 0

    def _rates(self, key: str) -> tuple[list[list[float]], float]:
        """The values of each group, and the largest among the given optimizers."""

        def rate(group: dict[str, Any]) -> float:
            there = key == "lr" or key in group
            return _check.number("lr of a parameter group", read_value(group, key) if there else 0.0, least=0)

        rates = [[rate(group) for group in optimizer.param_groups] for optimizer in self._optimizers]
        return rates, max((rate for of_groups in rates[: self._outer] for rate in of_groups), default=0.0)

    def count(self) -> None:
        """Count the steps of all optimizers from now on, those without effect left out, until ``uncount``.

        Not every wrapper runs hooks, but what is inside it does.
        """
        hooked = [optimizer for optimizer in self._optimizers if hasattr(optimizer, "_optimizer_step_post_hooks")]
        self._handles = [owner.register_step_post_hook(self._count) for owner in hooked]

    @property
    def counts(self) -> bool:
        """Whether steps are counted."""
        return bool(self._handles)

    def uncount(self) -> None:
        """Count no longer."""
        for handle in self._handles:
            handle.remove()

    def _count(self, optimizer: Optimizer, *_: Any) -> None:
        self.steps += bool(was_update(optimizer))

    def lend(self, rate: float) -> None:
        """Write a rate."""
        for group, ratio in self._pairs():
            write_value(group, "lr", rate * ratio)

    def give(self, rate: float) -> None:
        """Make a rate the base of the groups: of what a scheduler has noted, if there is one."""
        for group, ratio in self._pairs():
            base, key = rate * ratio, "max_lr" if group.keys() >= CYCLE and group["max_lr"] else "initial_lr"
            noted = group.get(key)
            write_value(group, "lr", base * (read_value(group) / float(noted) if noted else 1.0))
            if key == "max_lr":
                group.update({name: group[name] * base / noted for name in ("initial_lr", "min_lr")})
            if noted is not None:
                group[key] = base

    def check(self, rate: float) -> None:
        """Raise RuntimeError where a group has another rate than the one lent."""
        for group, ratio in self._pairs(self._outer):  # those inside may follow at their next step
            lent, found = rate * ratio, read_value(group)
            if not math.isclose(lent, found, rel_tol=1e-5):
                raise RuntimeError(
                    f"the test lent the rate {lent:g} and found {found:g}: something in the loop writes rates, such as "
                    "Control or a scheduler; step the optimizer itself in the test's loop"
                )

    def _pairs(self, first: int | None = None) -> Iterator[tuple[dict[str, Any], float]]:
        for optimizer, ratios in list(zip(self._optimizers, self._ratios, strict=True))[:first]:
            # a group that the loop adds meanwhile keeps its own rate, and is taken out again at the end
            yield from zip(optimizer.param_groups, ratios, strict=False)


def rebase(thing: Any) -> None:
    """Let a scheduler of torch take the noted rates of its groups as its bases, also inside what wraps or joins it."""
    if isinstance(thing, LRScheduler) and isinstance(vars(thing).get("base_lrs"), list):
        if isinstance(vars(thing).get("max_lrs"), list):
            _rebase_highest(thing)
        thing.base_lrs = [group["initial_lr"] for group in thing.optimizer.param_groups]
        thing._last_lr = [group["lr"] for group in thing.optimizer.param_groups]
    for part in (getattr(thing, "scheduler", None), *getattr(thing, "_schedulers", ())):
        if isinstance(part, LRScheduler):
            rebase(part)


def _rebase_highest(cyclic: Any) -> None:
    """Let a ``CyclicLR`` take the noted rates for its highest ones, and the lowest in proportion."""
    for place, group in enumerate(cyclic.optimizer.param_groups):
        highest = cyclic.max_lrs[place]
        share = cyclic.base_lrs[place] / highest if highest else 1.0
        cyclic.max_lrs[place] = group["initial_lr"]
        group["initial_lr"] *= share
        write_value(group, "lr", read_value(group) * share)
