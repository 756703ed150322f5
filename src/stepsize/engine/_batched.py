"""Many trials at once in this process: members of one batch, stepped together by vectorised operations."""

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import torch

from stepsize import _check
from stepsize.engine._compiled import compiler, shapes
from stepsize.engine._declined import DeclinedError, check_run, check_task
from stepsize.engine._members import Members
from stepsize.engine._serial import check_trial, check_work
from stepsize.engine._stacked import Stack
from stepsize.engine._tried import tried
from stepsize.engine._work import Leg, Result, concluded, leg_of, resumed
from stepsize.task import Batchable, Startable, Trial, device_of, own_settings

FEW, MANY = 32, 256  # members at once on a CPU, and on anything else
LOOKS = 4  # batches that are looked at to see whether all have one shape


@dataclass(frozen=True)
class Batched:
    """Train many trials at once in this process, their weights stacked and their steps vectorised.

    Formula, for each member k, with the optimizer's own step at the rate 1:
        w_k <- w_k + rate_k (step(w_k, g_k) - w_k)

    Every member has the figures of a trial alone, as far as rounding allows: 1e-12 in float64 over 50 steps; in float32
    they drift apart as any two orders of summation do. It pays for small models; convolutions, recurrent nets and
    attention are slower on a CPU than one after the other. What cannot be batched is refused before it is trained, with
    the reason: see the project's page on engines.

    Args:
        members: how many at once, >= 1; 32 on a CPU and 256 elsewhere when left out.
        compiled: whether whole steps are compiled (``torch.compile``), which takes seconds and pays for long sweeps.

    Raises:
        TypeError, ValueError: an argument is invalid, or there is no C++ compiler to compile with.

    Example:
        >>> from stepsize import Trial
        >>> from stepsize.engine import Batched, serial
        >>> from stepsize.task import task_named
        >>> task = task_named("linear-regression")
        >>> trials = [Trial(task.name, {"lr": lr}, seed=0, steps=50) for lr in (0.01, 0.03, 0.1)]
        >>> together, alone = list(Batched()(task, trials)), list(serial(task, trials))
        >>> all(abs(one.score - other.score) < 1e-5 for one, other in zip(together, alone))
        True
    """

    members: int | None = None
    compiled: bool = False
    _benches: list[Any] = field(default_factory=list, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.members is not None:
            _check.whole("members", self.members, least=1)
        if not isinstance(self.compiled, bool):
            raise TypeError(_check.message("compiled", self.compiled, "True or False"))
        if self.compiled and (why := compiler()):
            raise ValueError(_check.message("compiled", True, f"False here, since {why}"))

    @property
    def name(self) -> str:
        """The engine's name in results."""
        return "batched-compiled" if self.compiled else "batched"

    def __call__(self, task: Startable, trials: Iterable[Trial | Leg]) -> Iterator[Result]:
        """Train the trials.

        Args:
            task: what the trials are of: a ``Task`` from callables.
            trials: what is to be trained; as many as there may be members are asked for at a time.

        Raises:
            TypeError: task is no task, or a trial no trial.
            ValueError: they cannot be batched; of those asked for together nothing was trained then.
        """
        check_work(task, trials)
        check_task(task)
        return self._results(task, map(check_trial, trials))

    def count(self, task: Startable) -> int:
        """How many trials of a task are trained at once."""
        return self.members or (FEW if device_of(task) == "cpu" else MANY)

    def bench(self, task: Startable) -> "Bench":
        """Where a task's trials are stacked; what was compiled is used again by the next call for the same task."""
        if not self.compiled:
            return Bench(self)
        if not self._benches or self._benches[0][0] is not task:
            self._benches[:] = [(task, Bench(self))]
        bench: Bench = self._benches[0][1]
        return bench

    def _results(self, task: Startable, trials: Iterator[Trial | Leg]) -> Iterator[Result]:
        bench = self.bench(task)
        while window := list(islice(trials, self.count(task))):
            flights = bench.flights([Flight(task, leg_of(work)) for work in window])
            for stack, flying in flights:  # all of them could be stacked
                yield from bench.flown(stack, flying)


class Flight:
    """A leg under way."""

    def __init__(self, task: Any, leg: Leg) -> None:
        began = time.perf_counter()
        self.leg = leg
        self.run = check_run(task.name, task.start(leg.trial))
        self.losses, before = resumed(self.run, leg)
        self.seconds = before + time.perf_counter() - began

    @property
    def alive(self) -> bool:
        """Whether it is to be trained further."""
        return len(self.losses) < self.leg.until and (not self.losses or math.isfinite(self.losses[-1]))


@dataclass
class Bench:
    """Stacks by what they are of, so that what was tried and compiled once is used again."""

    engine: Batched
    stacks: dict[Any, Stack] = field(default_factory=dict)
    uniform: dict[Any, bool] = field(default_factory=dict)

    def flights(self, flights: Sequence[Flight]) -> list[tuple[Stack | None, list[Flight]]]:
        """Those that can fly together, each with a stack that was tried; what needs no training has none."""
        together: dict[Any, list[Flight]] = {}
        for flight in flights:
            key = self.kind(flight) if flight.alive else None
            together.setdefault(key, []).append(flight)
        return [(self.stack(key, flying) if key else None, flying) for key, flying in together.items()]

    def kind(self, flight: Flight) -> tuple[Any, ...]:
        """What one batch's members share: optimizer, batches, the task's own settings, both ends of their legs."""
        run, leg = flight.run, flight.leg
        groups = [
            {key: value for key, value in group.items() if key not in ("params", "lr")}
            for group in run.optimizer.param_groups
        ]
        own = tuple(own_settings(leg.trial.settings).items())
        what = (type(run.optimizer).__name__, repr(groups), run.size, own)
        if what not in self.uniform:
            self.uniform[what] = len({repr(shapes(batch)) for batch in run.fresh(LOOKS)}) == 1
        alike = None if self.uniform[what] else leg.trial.seed  # batches of other shapes cannot be stacked
        return (*what, alike, len(flight.losses), leg.until)

    def stack(self, key: tuple[Any, ...], flying: Sequence[Flight]) -> Stack:
        """A stack for these, tried on their first batch if none of their kind was before."""
        runs, what = [flight.run for flight in flying], key[:4]
        if self.engine.compiled and not self.uniform[what]:
            raise DeclinedError(runs[0].task.name, "its batches differ in shape, and each shape would be compiled anew")
        if what not in self.stacks or (self.engine.compiled and len(runs) > self.stacks[what].count):
            self.stacks[what] = tried(runs, self.engine.compiled)
        return self.stacks[what]

    def flown(self, stack: Stack | None, flying: list[Flight]) -> Iterator[Result]:
        """Train them to their ends, and yield each as it arrives."""
        for flight in flying if stack is None else self.trained(stack, flying):
            yield concluded(flight.run, flight.leg, flight.losses, flight.seconds, self.engine.name)

    def trained(self, stack: Stack, flying: list[Flight]) -> Iterator[Flight]:
        """The legs, each when it is at its end, or when its loss is no longer finite."""
        while flying:
            stack = self.loaded(stack, [flight.run for flight in flying])
            members = Members([flight.run for flight in flying] + [flying[-1].run] * (stack.count - len(flying)))
            until = flying[0].leg.until
            ahead = members.ahead(until - members.done)
            waiting = flying
            while waiting and members.done < until:
                began = time.perf_counter()
                losses = self.steps(stack, members, min(ahead, until - members.done))
                share = (time.perf_counter() - began) / len(waiting)
                for place, flight in enumerate(flying):
                    if flight in waiting:
                        flight.losses += up_to_broken(losses[place])
                        flight.seconds += share
                yield from (flight for flight in waiting if not math.isfinite(flight.losses[-1]))
                waiting = [flight for flight in waiting if math.isfinite(flight.losses[-1])]
                if not self.engine.compiled and 2 * len(waiting) <= len(flying):
                    break  # room is made: the others go on in a smaller stack
            for place, flight in enumerate(flying):
                if flight in waiting:
                    kept = flight.leg.keep is not None
                    stack.unload(place, members.settle(place, clock=kept), state=kept or members.done < until)
            yield from (flight for flight in waiting if not flight.alive)
            flying = [flight for flight in waiting if flight.alive]

    def loaded(self, stack: Stack, runs: Sequence[Batchable]) -> Stack:
        """The stack with these runs in it, or one of their number."""
        if self.engine.compiled:
            runs = [*runs, *[runs[-1]] * (stack.count - len(runs))]
        if len(runs) == stack.count:
            stack.load(runs)
            return stack
        return Stack(runs, stack.wanted)

    def steps(self, stack: Stack, members: Members, count: int) -> list[list[float]]:
        """Some steps; the losses of each member."""
        rates, thresholds = members.rates(count, stack.dtype), members.thresholds(count, stack.dtype)
        losses = [
            stack.step(batches, rates[place], None if thresholds is None else thresholds[place])
            for place, batches in enumerate(members.advance(count))
        ]
        found: list[list[float]] = torch.stack(losses).T.tolist()
        return found


def up_to_broken(losses: list[float]) -> list[float]:
    """Losses up to the first that is not finite.

    Args:
        losses: of steps in order.
    """
    end = next((place for place, loss in enumerate(losses, 1) if not math.isfinite(loss)), len(losses))
    return losses[:end]
