"""What a race has spent and may still spend: steps, batches of the probe, and time where the budget is a time."""

import math
from collections.abc import Callable
from typing import Protocol

from stepsize.search._budget import Budget
from stepsize.search._finding import Cost, ShortRun

SHORTEST = 8  # steps; a shorter run says nothing about a schedule
LATER = 4  # how many times as long a rung is repeated when nothing was learnt
PROBE = 0.25  # batches that a run is scored on, for each step of it
OVER = 4.0  # times the budget that is never exceeded, gradients and losses together,
LEAST = 100.0  # but these steps may be taken at any rate: a first look costs half of them
RUNS = 5  # that a rung and the one after it take, about
WORTH = 1.5  # how many times as long runs must be to be tried again
INSTANT = 1e-9  # seconds that a run takes at least; clocks may be coarse


class Asked(Protocol):
    """A run that was asked for."""

    @property
    def rate(self) -> float:
        """Trained at."""

    @property
    def steps(self) -> int:
        """Its length."""


class Purse:
    """The budget of a race, and the runs that were paid from it.

    Args:
        budget: of the race.
        total: steps of a whole run.
        forward: price of a batch of the probe, in steps.
        most: batches of the probe that there are; None for as many as are wanted.
        clock: () -> seconds.
    """

    def __init__(
        self, budget: Budget, total: int, forward: float, most: int | None, clock: Callable[[], float]
    ) -> None:
        self.budget, self._total, self._forward, self.most, self._clock = budget, total, forward, most, clock
        self.runs: list[tuple[Asked, ShortRun]] = []
        self.needed = 0  # batches of the probe that noise asks for
        self.extra = 0.0  # steps beyond the budget that may be taken to settle an answer
        self._forwards = 0
        self._pace = 0.0  # seconds that a step takes, where the budget is a time
        self._began = clock()

    def pay(self, ask: Asked, run: ShortRun) -> None:
        """Count a run; the loss before training, of no steps, by its batches alone."""
        self._forwards += len(run.probed)
        if ask.steps:
            self.runs.append((ask, run))

    def take_time(self, began: float, steps: int) -> None:
        """Turn a budget of time into steps, by a first run that began at a moment and took so many."""
        self._pace = max(self._clock() - began, INSTANT) / steps
        self.budget = Budget(max(1.0, self.budget.seconds / self._pace), self.budget.seconds)

    @property
    def steps(self) -> int:
        """Steps taken; by a run that does not know its losses, all that were asked for."""
        return sum(len(run.losses) or ask.steps for ask, run in self.runs)

    @property
    def spent(self) -> float:
        """Steps taken, a batch of the probe as a part of one."""
        return self.steps + self._forward * self._forwards

    @property
    def room(self) -> float:
        """Steps that may still be taken, a batch of the probe as a part of one."""
        steps, least = max(OVER * self.budget.steps, LEAST) + self.extra - self.spent, LEAST - self.spent
        if not self._pace:
            return steps
        left = OVER * self.budget.seconds - (self._clock() - self._began)
        return max(min(steps, left / self._pace), least)

    def price(self, length: int) -> float:
        """Steps that a run takes with its score, which costs nothing where runs score themselves."""
        probes = not self.runs or any(run.probed for _, run in self.runs)
        return length + self._forward * self.probe(length) * probes

    def affordable(self, exponents: list[float], length: int) -> list[float]:
        """Those of some rates that there is room for, the highest first to be kept; what is done costs nothing."""
        done = self.done(length)
        new = [exponent for exponent in exponents if 10.0**exponent not in done]
        dropped = max(0, len(new) - max(0, math.floor(self.room / self.price(length))))
        return [exponent for exponent in exponents if exponent not in new[:dropped]]

    def longer(self, length: int, certain: bool) -> int:
        """Steps of the next runs where nothing was learnt in so many; the same if longer ones would cost too much.

        Args:
            length: of the runs that were done.
            certain: whether these are enough to go by.
        """
        room = self.room
        new = min(self._total, LATER * length, math.floor(room / RUNS))
        while new > length and RUNS * self.price(new) > room:
            new = min(new - 1, math.floor(new * room / (RUNS * self.price(new))))
        if new < WORTH * length:  # then a whole run, if there is room for one and nothing else to go by
            new = self._total if room >= self.price(self._total) and not certain else length
        return new

    def length(self, share: float) -> int:
        """Steps of a run that takes a share of the budget."""
        return min(self._total, max(SHORTEST, math.ceil(share * self.budget.steps)))

    def probe(self, length: int) -> int:
        """Batches that a run of so many steps is scored on."""
        wanted = max(3, min(24, math.ceil(PROBE * length)), min(length // 2, self.needed))
        return wanted if self.most is None else min(wanted, self.most)

    def done(self, length: int) -> dict[float, ShortRun]:
        """Runs of a length, by rate."""
        return {ask.rate: run for ask, run in self.runs if ask.steps == length}

    def cost(self) -> Cost:
        """All that was spent."""
        return Cost(self.steps, self._forwards, self.spent / self._total, self._clock() - self._began)
