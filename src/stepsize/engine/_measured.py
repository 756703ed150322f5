"""A few steps of each way of training, timed, and the totals that are predicted from them.

The shortest of several times is taken, in CPU seconds where there is one thread: what else a machine does only makes
steps longer.
"""

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from stepsize.engine._batched import Batched, Bench, Flight
from stepsize.engine._declined import DeclinedError
from stepsize.engine._members import Members
from stepsize.engine._work import Leg
from stepsize.task import Startable, device_of

START = 5.0  # seconds until worker processes train; benchmarks/sweep.py
SHARED = 0.9  # of a core's speed, where every core has a worker
COMPILING, PER_OPERATION = 8.0, 0.08  # seconds to compile a step, and more for each operation; benchmarks/engines.py
OVERHEAD = 8.0  # what an operation of a stacked step costs beside its arithmetic, in small additions
LEAST = 0.1  # of a stacked step's time is left when it is compiled, at least
GAIN = 0.8  # of the next best time is what compiling must come below
LOOK = 0.3  # seconds that one way is timed for
LITTLE = 1.0  # seconds of work that are done before they could be measured
FIRST = 8  # members of the first try
DEAR = 160  # steps of one trial that trying to batch may cost
PROMISING = 1.5  # times a step alone is what one among few may take for more members to be tried


@dataclass(frozen=True)
class Measured:
    """Measurements of some trials.

    Attributes:
        trials: how many there are to train.
        steps: of each.
        start: seconds to start one.
        alone: seconds of a step of one.
        together: seconds of a step of one among others; None where they cannot be batched, or that was not tried.
        operations: of a stacked step.
        addition: seconds of the smallest operation.
        members: how many were together.
        workers: how many processes could be used.
        why_not: why something was not considered.
    """

    trials: int
    steps: int
    start: float
    alone: float
    together: float | None = None
    operations: int = 0
    addition: float = 0.0
    members: int = 1
    workers: int = 1
    why_not: str = ""

    def serial(self) -> float:
        """Seconds for all of them, one after the other."""
        return self.trials * (self.start + self.steps * self.alone)

    def predicted(self) -> dict[str, float]:
        """Seconds for all of them by engine, compiling included."""
        found = {"serial": self.serial()}
        if self.workers > 1:
            found["processes"] = START + self.serial() / (SHARED * min(self.workers, self.trials))
        if self.together is not None:
            found["batched"] = self.trials * (self.start + self.steps * self.together)
        return found

    def compiling(self) -> float:
        """Seconds to compile a step, as far as that can be known before."""
        return COMPILING + PER_OPERATION * self.operations

    def compiled(self) -> float:
        """Seconds for all of them compiled, compiling included, as far as that can be known before."""
        together = self.together or 0.0
        saved = OVERHEAD * self.addition * self.operations / self.members
        step = max(together - saved, LEAST * together)
        return self.compiling() + self.trials * (self.start + self.steps * step)

    def compiling_pays(self) -> bool:
        """Whether compiling promises enough, and costs little enough beside serial if it keeps nothing."""
        best = min(self.predicted().values())
        safe = best + self.compiling() <= 1.05 * self.serial() + 1
        return self.together is not None and safe and self.compiled() < GAIN * best


def clock(task: Startable) -> Callable[[], float]:
    """CPU seconds where one thread does everything, which other work on the machine does not lengthen; else a clock's.

    Args:
        task: whose trials are timed.
    """
    one = torch.get_num_threads() == 1 and device_of(task) == "cpu"
    return time.process_time if one else time.perf_counter


def alone(task: Startable, leg: Leg) -> tuple[float, float]:
    """Seconds to start a run and of one of its steps.

    Args:
        task: whose run.
        leg: of the run.
    """
    now = clock(task)
    began = now()
    run = task.start(leg.trial)
    start = now() - began
    if leg.until == 0:
        return start, 0.0
    done, spent, best = 1, 0.0, float("inf")
    run.advance(1)  # the first is slower
    while spent < LOOK and done < leg.until:
        steps = min(5, leg.until - done)
        began = now()
        losses = run.advance(steps)
        took = now() - began
        done, spent, best = done + steps, spent + took, min(best, took / steps)
        if len(losses) < steps:
            break
    return start, best if spent else start


def together(task: Startable, legs: list[Leg], measured: Measured) -> Measured:
    """With a step among others measured: among few, and where that promises something, among all.

    Args:
        task: whose trials.
        legs: of them, alike in their axes but for rate and seed.
        measured: what is known already.

    Raises:
        DeclinedError: they cannot be batched.
    """
    if DEAR * measured.alone > 0.05 * measured.serial() + LITTLE:
        return replace(measured, why_not="batching not tried, a step is too long for so few")
    bench, members = Batched().bench(task), legs[:FIRST]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "There is a performance drop")  # it is measured here
        step, operations = timed(bench, task, members)
        if len(legs) > FIRST and step < PROMISING * measured.alone:
            members = legs[: Batched().count(task)]
            step, operations = timed(bench, task, members)
    return replace(measured, together=step, operations=operations, addition=_addition(), members=len(members))


def timed(bench: Bench, task: Startable, legs: list[Leg]) -> tuple[float, int]:
    """Seconds of a step of one member among these, and how many operations a step has.

    Args:
        bench: where they are stacked.
        task: whose trials.
        legs: of them.

    Raises:
        DeclinedError: they cannot be batched, or nothing of them is left.
    """
    flights = [flight for flight in (Flight(task, leg) for leg in legs) if flight.alive]
    if not flights:
        raise DeclinedError(task.name, "nothing is left to train")
    kinds = [bench.kind(flight) for flight in flights]
    flying = [flight for flight, kind in zip(flights, kinds, strict=True) if kind == kinds[0]]
    stack = bench.stack(kinds[0], flying)
    stack = bench.loaded(stack, [flight.run for flight in flying])
    members = Members([flight.run for flight in flying] + [flying[-1].run] * (stack.count - len(flying)))
    with Counting() as counted:  # type: ignore[no-untyped-call]
        bench.steps(stack, members, 1)
    now, spent, best = clock(task), 0.0, float("inf")
    left = flying[0].leg.until - members.done
    while spent < LOOK and left > 0:
        steps = min(5 if spent else 2, left)
        began = now()
        bench.steps(stack, members, steps)
        took = now() - began
        left, spent, best = left - steps, spent + took, min(best, took / steps)
    return best / len(flying), counted.count


def _addition() -> float:
    """Seconds of the smallest operation."""
    one, best = torch.zeros(1), float("inf")
    for _ in range(20):
        began = time.perf_counter()
        for _ in range(50):
            one + one
        best = min(best, (time.perf_counter() - began) / 50)
    return best


class Counting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts operations."""

    count = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += 1
        return function(*args, **(kwargs or {}))
