"""A race of short real runs, as ask and tell: decades, then halves, then quarters.

It knows neither the task nor the training: it names the runs that come next, and takes their results.
"""

import math
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

from stepsize import _check
from stepsize.search._answer import Scope, answer
from stepsize.search._budget import Budget, budget_of
from stepsize.search._doubt import THREE, doubts, longer, remedy
from stepsize.search._finding import Cost, Finding, ShortRun, Stage, check_run
from stepsize.search._rung import Rung

# Why these, and what they were chosen by: docs/decisions/0013-finder.md
# Each rung: the length of its runs as a share of the budget, and the distance of its rates in decades. The last one has
# two rates: at that length two tell more than three that are shorter.
RUNGS = ((0.02, 1.0), (0.04, 0.5), (0.25, 0.35))
AMPLE = 1.5  # whole runs in a budget, from which on the last rung has three rates instead of two,
SHORTER = 0.66  # and this part of its length
SHORTEST = 8  # steps; a shorter run says nothing about a schedule
FIRST = (-3, -2, -1, 0)  # decades tried at once, before walking on
LATER = 4  # how many times as long a rung is repeated when nothing was learnt
FORWARD = 1 / 3  # what a loss without its gradient costs, in steps
PROBE = 0.25  # batches that a run is scored on, for each step of it
NOISE = 0.03  # share of the best progress that the probe's standard error may be; more batches make it so
OVER = 4.0  # times the budget that is never exceeded, gradients and losses together,
LEAST = 100.0  # but these steps may be taken at any rate: a first look costs half of them
SETTLING = 6.0  # whole runs that may be taken beyond these to settle an answer that is not to be trusted
RUNS = 5  # that a rung and the one after it take, about
WORTH = 1.5  # how many times as long runs must be to be tried again
INSTANT = 1e-9  # seconds that a run takes at least; clocks may be coarse
WALK = 0.1  # share of the best progress by which a rate at the last rung's border must lead for another run

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Ask:
    """A short run that a race wants.

    Attributes:
        rate: to be trained at.
        steps: of the run, with the whole schedule squeezed into them; 0 where only the score before training is wanted.
        probe: how many batches to score it on, the same for all runs.
    """

    rate: float
    steps: int
    probe: int


Asking = Generator[list[Ask], None, Any]


class Race:
    """One search: which short runs come next, what was spent, what was seen, what follows from it.

    Args:
        total: steps of a whole run, >= 1.
        low: the lowest rate to try, > 0.
        high: the highest rate to try, > low.
        budget: what it may spend, about, as ``budget_of`` takes it; never more than four times as much, or 100 steps
            where that is more.
        clock: () -> seconds; processes that train together need one that they agree on.
        forward: what a batch of the probe costs, in steps, >= 0.
        most: batches of the probe that there are, >= 1; as many as are wanted when left out.
        remark: what else the verdict says.
        settle: whether longer runs follow, four times as long each time, until the answer is to be trusted or they are
            whole: three at first, six whole runs at most.
        progress: called with (steps done, steps expected, a note for people).

    Raises:
        TypeError, ValueError: an argument is invalid.

    Example:
        >>> from stepsize.search import Race, Tried
        >>> race = Race(100, low=1e-6, high=100.0)
        >>> while asks := race.ask():
        ...     for ask in asks:  # here a run is a formula: gradient descent on x ** 2 / 2, begun at 1
        ...         losses = tuple((1 - ask.rate) ** (2 * step) / 2 for step in range(ask.steps + 1))
        ...         race.tell(ask, Tried(ask.rate, ask.steps, losses[-1], losses[:-1]))
        >>> 0.1 < race.finding.rate < 2
        True
    """

    def __init__(
        self,
        total: int,
        low: float,
        high: float,
        budget: str | int | None = None,
        *,
        clock: Callable[[], float] = time.perf_counter,
        forward: float = FORWARD,
        most: int | None = None,
        remark: str = "",
        settle: bool = False,
        progress: Progress | None = None,
    ) -> None:
        self.total = _check.whole("total", total, least=1)
        low = _check.number("low", low, above=0)
        self.scope = Scope(low, _check.number("high", high, above=low, remedy="rates are tried from low to high"))
        self.budget = budget_of(budget, self.total)
        self._forward = _check.number("forward", forward, least=0)
        self.most = None if most is None else _check.whole("most", most, least=1)
        for name, function in (("clock", clock), ("progress", progress)):
            if not callable(function) and (name == "clock" or function is not None):
                raise TypeError(_check.message(name, function, "a function"))
        if not isinstance(remark, str):
            raise TypeError(_check.message("remark", remark, "a text"))
        if not isinstance(settle, bool):
            raise TypeError(_check.message("settle", settle, "True or False"))
        self._settle, self._settling = settle, 0.0
        self.remark, self._clock, self._progress = remark, clock, progress
        self._told: list[tuple[Ask, ShortRun]] = []
        self._open: list[Ask] = []
        self._stages: list[Stage] = []
        self._initial: tuple[float, ...] = ()
        self._forwards = 0
        self._needed = 0  # batches of the probe that noise asks for
        self._pace = 0.0  # seconds that a step takes, where the budget is a time
        self._began = clock()
        self._finding: Finding | None = None
        self._course = self._run()

    def ask(self) -> tuple[Ask, ...]:
        """The next short runs, which may be done in any order; none when the race is over.

        Those that were asked for and not told of yet are asked for again.
        """
        if not self._open and self._finding is None:
            try:
                self._open = list(next(self._course))
            except StopIteration as over:
                self._finding = over.value
        return tuple(self._open)

    def tell(self, ask: Ask, run: ShortRun) -> None:
        """How a run went that was asked for.

        Args:
            ask: that was asked for.
            run: how it went.

        Raises:
            TypeError: ask or run is none.
            ValueError: it was not asked for, has been told already, or run is of another rate or length.
        """
        if not isinstance(ask, Ask):
            raise TypeError(_check.message("ask", ask, "one of those that ask() gave"))
        if ask not in self._open:
            raise ValueError(f"no run at the rate {ask.rate:g} of {ask.steps} steps is asked for; tell what ask() gave")
        check_run(ask.rate, ask.steps, run)
        self._open.remove(ask)
        self._forwards += len(run.probed)
        if not ask.steps:
            self._initial = tuple(run.probed) or (run.score,)
            return
        self._told.append((ask, run))
        if self._progress is not None:
            taken = self._steps
            place = len(self._stages) + 1
            rung = f"rung {place} of {max(place, len(RUNGS))}"
            note = f"{rung}, rate {ask.rate:.3g}: loss {run.score:.3g} ({ask.steps} steps)"
            self._progress(taken, max(taken, round(min(self.budget.steps, 2 * self.total))), note)

    @property
    def finding(self) -> Finding:
        """The answer.

        Raises:
            RuntimeError: runs are still asked for.
        """
        if self._finding is None:
            raise RuntimeError("the race is not over; go on until ask() gives no more runs")
        return self._finding

    def _run(self) -> Generator[list[Ask], None, Finding]:
        """Race until there is an answer, or plainly none."""
        low, high = self.scope.low, self.scope.high
        decades = [float(decade) for decade in FIRST if low <= 10.0**decade <= high]
        decades = decades or [(math.log10(low) + math.log10(high)) / 2]
        yield [Ask(10.0 ** decades[0], 0, self._probe(self.total))]
        if not all(map(math.isfinite, self._initial)):
            loss = next(loss for loss in self._initial if not math.isfinite(loss))
            return self._nothing(f"the loss is {loss} before any training; look at the data and the model")
        yield from self._take_time(decades[0])
        rung = yield from self._explore(self._rung(self._length(RUNGS[0][0]), RUNGS[0][1]), decades)
        first = [run.losses[0] for _, run in self._told if run.losses]
        if first and not any(map(math.isfinite, first)):
            return self._nothing(f"the training loss is {first[0]} at the first step; look at the data and the model")
        while not rung.learnt and (longer := self._longer(rung)) > rung.length:
            # a flat start may only need more steps: the highest rates that hold are the ones to ask
            self._conclude(rung, "nothing learnt yet: longer")
            holding = [exponent for exponent in sorted(rung.results) if exponent not in rung.hopeless][-2:]
            rates = self._affordable(holding or decades, longer)
            if not rates:
                break
            rung = yield from self._explore(self._rung(longer, rung.distance, later=True), rates)
        if not rung.learnt and not rung.certain:
            return self._nothing(
                f"no signal: nothing was learnt at any rate from {low:g} to {high:g} in {rung.length} steps"
            )
        if rung.unmoved:
            tried = f"all rates from {10 ** min(rung.results):g} to {10 ** max(rung.results):g}"
            return self._nothing(
                f"no signal: {tried} gave the same losses; something else sets the rate, such as a scheduler with "
                "rates of its own (max_lr)"
            )
        self._conclude(rung)
        rungs = yield from self._closer(rung)
        while (
            self._settle and doubts(rungs, self.total) and len(rungs) < len(more := (yield from self._further(rungs)))
        ):
            rungs = more
        found = answer(rungs, self.scope, self.total, self.remark)
        return self._found(found.rate, found.low, found.high, found.verdict, found.initial, rungs)

    @property
    def _steps(self) -> int:
        """Steps taken; by a run that does not know its losses, all that were asked for."""
        return sum(len(run.losses) or ask.steps for ask, run in self._told)

    @property
    def _spent(self) -> float:
        """Steps taken, a batch of the probe as a part of one."""
        return self._steps + self._forward * self._forwards

    @property
    def _room(self) -> float:
        """Steps that may still be taken, a batch of the probe as a part of one."""
        steps, least = max(OVER * self.budget.steps, LEAST) + self._settling - self._spent, LEAST - self._spent
        if not self._pace:
            return steps
        left = OVER * self.budget.seconds - (self._clock() - self._began)
        return max(min(steps, left / self._pace), least)

    def _affordable(self, exponents: list[float], length: int) -> list[float]:
        """Those of some rates that there is room for, the highest first to be kept; what is done costs nothing."""
        done = self._done(length)
        new = [exponent for exponent in exponents if 10.0**exponent not in done]
        dropped = max(0, len(new) - max(0, math.floor(self._room / self._price(length))))
        return [exponent for exponent in exponents if exponent not in new[:dropped]]

    def _price(self, length: int) -> float:
        """Steps that a run takes with its score, which costs nothing where runs score themselves."""
        probes = not self._told or any(run.probed for _, run in self._told)
        return length + self._forward * self._probe(length) * probes

    def _closer(self, rung: Rung) -> Asking:
        """The first rung in which something was learnt, and those after it: longer runs at rates closer together."""
        rungs = [rung]
        ample = self.budget.steps >= AMPLE * self.total
        share, distance = RUNGS[-1]
        last = self._length(SHORTER * share if ample else share), distance
        steps = [(self._length(share), distance) for share, distance in RUNGS[1:-1]] + [last]
        # after a flat start, or on a small budget, the runs are as long already, and halves of a decade will do
        for length, distance in [step for step in steps if step[0] > rung.length] or [(rung.length, RUNGS[1][1])]:
            two = (length, distance) == last and not ample
            # of runs as long as before, the best is known already, and stays in the middle
            middle = self.scope.inside(rung.vertex, two * distance / 2) if length > rung.length else rung.best
            around = [middle + shift * distance for shift in ((-0.5, 0.5) if two else (-1, 0, 1))]
            rates = [rate for rate in around if self.scope.allowed(rate)] or [middle]
            if self._affordable(rates, length) != rates:
                break  # the answer is that of the rungs there are
            rung = yield from self._explore(self._rung(length, distance, believed=True), rates, WALK * two)
            rungs.append(rung)
            self._conclude(rung)
        return rungs

    def _further(self, rungs: list[Rung]) -> Asking:
        """The rungs, and one of longer runs, if there is room for it."""
        self._settling, last = SETTLING * self.total, rungs[-1]
        middle, distance = self.scope.inside(last.vertex), RUNGS[-1][1]
        rates = [
            exponent for exponent in (middle + place * distance for place in THREE) if self.scope.allowed(exponent)
        ]
        length = longer(last, self.total)
        if length == last.length or self._affordable(rates, length) != rates:
            return rungs
        rung = yield from self._explore(self._rung(length, distance, believed=True), rates, WALK)
        self._conclude(rung)
        return [*rungs, rung]

    def _longer(self, rung: Rung) -> int:
        """Steps of the next runs where nothing was learnt; those of the rung if that would cost too much."""
        room = self._room
        length = min(self.total, LATER * rung.length, math.floor(room / RUNS))
        while length > rung.length and RUNS * self._price(length) > room:
            length = min(length - 1, math.floor(length * room / (RUNS * self._price(length))))
        if length < WORTH * rung.length:  # then a whole run, if there is room for one and nothing else to go by
            length = self.total if room >= self._price(self.total) and not rung.certain else rung.length
        return length

    def _length(self, share: float) -> int:
        """Steps of a run that takes a share of the budget."""
        return min(self.total, max(SHORTEST, math.ceil(share * self.budget.steps)))

    def _take_time(self, exponent: float) -> Asking:
        """Turn a budget of time into steps, by a first short run."""
        if not math.isfinite(self.budget.steps):
            began, steps = self._clock(), min(SHORTEST, self.total)
            yield from self._train([exponent], steps)
            self._pace = max(self._clock() - began, INSTANT) / steps
            self.budget = Budget(max(1.0, self.budget.seconds / self._pace), self.budget.seconds)

    def _rung(self, length: int, distance: float, *, believed: bool = False, later: bool = False) -> Rung:
        """A rung with nothing tried."""
        return Rung(length, distance, self._initial[: self._probe(length)], believed, later)

    def _probe(self, length: int) -> int:
        """Batches that a run of so many steps is scored on."""
        wanted = max(3, min(24, math.ceil(PROBE * length)), min(length // 2, self._needed))
        return wanted if self.most is None else min(wanted, self.most)

    def _explore(self, rung: Rung, exponents: list[float], walk: float = 0.0) -> Asking:
        """Train the rates of a rung, and walk on while the best is at a border, by a share of its progress."""
        todo = exponents
        while todo:
            rung.results |= yield from self._train(todo, rung.length)
            lowest, highest = min(rung.results), max(rung.results)
            if rung.learnt and rung.lead < walk * rung.gained:
                todo = []
            elif rung.learnt:
                todo = [rung.best - rung.distance] * (rung.best == lowest)
                todo += [rung.best + rung.distance] * (rung.best == highest)
            elif lowest in rung.hopeless:
                todo = [lowest - rung.distance]
            else:
                todo = [highest + rung.distance] * (highest not in rung.hopeless)
            todo = [
                exponent
                for exponent in todo
                if self.scope.allowed(exponent) and rung.near(exponent) not in rung.results
            ]
            todo = self._affordable(todo, rung.length)
        self._needed = rung.batches(NOISE) if rung.learnt else self.total
        return rung

    def _train(self, exponents: list[float], length: int) -> Asking:
        """Runs by exponent; what is done already is not done again."""
        done, probe = self._done(length), self._probe(length)
        asks = [Ask(10.0**exponent, length, probe) for exponent in exponents if 10.0**exponent not in done]
        if asks:
            yield asks
            done = self._done(length)
        return {exponent: done[10.0**exponent] for exponent in exponents}

    def _done(self, length: int) -> dict[float, ShortRun]:
        """Runs of a length, by rate."""
        return {ask.rate: run for ask, run in self._told if ask.steps == length}

    def _conclude(self, rung: Rung, concluded: str = "") -> None:
        """Keep what a rung came to."""
        concluded = concluded or f"best near {10 ** self.scope.inside(rung.vertex):.2g}"
        self._stages.append(Stage(rung.length, tuple(10**exponent for exponent in sorted(rung.results)), concluded))

    def _nothing(self, why: str) -> Finding:
        """No answer, and why."""
        return self._found(None, None, None, why, sum(self._initial) / len(self._initial))

    def _found(
        self,
        rate: float | None,
        low: float | None,
        high: float | None,
        why: str,
        initial: float,
        rungs: Sequence[Rung] = (),
    ) -> Finding:
        cost = Cost(self._steps, self._forwards, self._spent / self.total, self._clock() - self._began)
        against = doubts(rungs, self.total) if rungs else ()
        runs = tuple(run for _, run in self._told)
        way = remedy(rungs[-1], self.total) if against else ""
        return Finding(rate, low, high, why, initial, runs, cost, tuple(self._stages), against, way)
