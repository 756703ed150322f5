"""A race of short real runs, as ask and tell: decades, then halves, then quarters.

It knows neither the task nor the training: it names the runs that come next, and takes their results.
"""

import math
import time
from collections.abc import Callable, Generator, Sequence

from stepsize import _check
from stepsize.search._answer import Scope, answer
from stepsize.search._asking import FORWARD, Ask, Asking, Open, Progress
from stepsize.search._budget import Budget, budget_of
from stepsize.search._doubt import THREE, doubts, longer, remedy
from stepsize.search._finding import Finding, ShortRun, Stage
from stepsize.search._purse import SHORTEST, Purse
from stepsize.search._rung import Rung

# Why these, and what they were chosen by: docs/decisions/0013-finder.md
# Each rung: the length of its runs as a share of the budget, and the distance of its rates in decades. The last one has
# two rates: at that length two tell more than three that are shorter.
RUNGS = ((0.02, 1.0), (0.04, 0.5), (0.25, 0.35))
AMPLE = 1.5  # whole runs in a budget, from which on the last rung has three rates instead of two,
SHORTER = 0.66  # and this part of its length
FIRST = (-3, -2, -1, 0)  # decades tried at once, before walking on
NOISE = 0.03  # share of the best progress that the probe's standard error may be; more batches make it so
SETTLING = 6.0  # whole runs that may be taken beyond these to settle an answer that is not to be trusted
WALK = 0.1  # share of the best progress by which a rate at the last rung's border must lead for another run


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
        allowed = budget_of(budget, self.total)
        forward = _check.number("forward", forward, least=0)
        most = None if most is None else _check.whole("most", most, least=1)
        for name, function in (("clock", clock), ("progress", progress)):
            if not callable(function) and (name == "clock" or function is not None):
                raise TypeError(_check.message(name, function, "a function"))
        if not isinstance(remark, str):
            raise TypeError(_check.message("remark", remark, "a text"))
        if not isinstance(settle, bool):
            raise TypeError(_check.message("settle", settle, "True or False"))
        self._purse = Purse(allowed, self.total, forward, most, clock)
        self._settle, self.remark, self._clock, self._progress = settle, remark, clock, progress
        self._stages: list[Stage] = []
        self._initial: tuple[float, ...] = ()
        self._asked = Open(self._run(), "run")

    def ask(self) -> tuple[Ask, ...]:
        """The next short runs, which may be done in any order; none when the race is over.

        Those that were asked for and not told of yet are asked for again.
        """
        return self._asked.ask()

    def tell(self, ask: Ask, run: ShortRun) -> None:
        """How a run went that was asked for.

        Args:
            ask: that was asked for.
            run: how it went.

        Raises:
            TypeError: ask or run is none.
            ValueError: it was not asked for, has been told already, or run is of another rate or length.
        """
        self._asked.close(ask, run)
        self._purse.pay(ask, run)
        if not ask.steps:
            self._initial = tuple(run.probed) or (run.score,)
            return
        if self._progress is not None:
            taken = self._purse.steps
            place = len(self._stages) + 1
            rung = f"rung {place} of {max(place, len(RUNGS))}"
            note = f"{rung}, rate {ask.rate:.3g}: loss {run.score:.3g} ({ask.steps} steps)"
            self._progress(taken, max(taken, round(min(self.budget.steps, 2 * self.total))), note)

    @property
    def budget(self) -> Budget:
        """What it may spend; in steps, too, once a first run has taken its time."""
        return self._purse.budget

    @property
    def most(self) -> int | None:
        """Batches of the probe that there are; None for as many as are wanted."""
        return self._purse.most

    @most.setter
    def most(self, count: int | None) -> None:
        self._purse.most = count

    @property
    def finding(self) -> Finding:
        """The answer.

        Raises:
            RuntimeError: runs are still asked for.
        """
        return self._asked.finding

    def _run(self) -> Generator[list[Ask], None, Finding]:
        """Race until there is an answer, or plainly none."""
        low, high = self.scope.low, self.scope.high
        decades = [float(decade) for decade in FIRST if low <= 10.0**decade <= high]
        decades = decades or [(math.log10(low) + math.log10(high)) / 2]
        yield [Ask(10.0 ** decades[0], 0, self._purse.probe(self.total))]
        if not all(map(math.isfinite, self._initial)):
            loss = next(loss for loss in self._initial if not math.isfinite(loss))
            return self._nothing(f"the loss is {loss} before any training; look at the data and the model")
        yield from self._take_time(decades[0])
        rung = yield from self._explore(self._rung(self._purse.length(RUNGS[0][0]), RUNGS[0][1]), decades)
        first = [run.losses[0] for _, run in self._purse.runs if run.losses]
        if first and not any(map(math.isfinite, first)):
            return self._nothing(f"the training loss is {first[0]} at the first step; look at the data and the model")
        while not rung.learnt and (longer := self._purse.longer(rung.length, rung.certain)) > rung.length:
            # a flat start may only need more steps: the highest rates that hold are the ones to ask
            self._conclude(rung, "nothing learnt yet: longer")
            holding = [exponent for exponent in sorted(rung.results) if exponent not in rung.hopeless][-2:]
            rates = self._purse.affordable(holding or decades, longer)
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

    def _closer(self, rung: Rung) -> Asking:
        """The first rung in which something was learnt, and those after it: longer runs at rates closer together."""
        rungs = [rung]
        ample = self.budget.steps >= AMPLE * self.total
        share, distance = RUNGS[-1]
        last = self._purse.length(SHORTER * share if ample else share), distance
        steps = [(self._purse.length(share), distance) for share, distance in RUNGS[1:-1]] + [last]
        # after a flat start, or on a small budget, the runs are as long already, and halves of a decade will do
        for length, distance in [step for step in steps if step[0] > rung.length] or [(rung.length, RUNGS[1][1])]:
            two = (length, distance) == last and not ample
            # of runs as long as before, the best is known already, and stays in the middle
            middle = self.scope.inside(rung.vertex, two * distance / 2) if length > rung.length else rung.best
            around = [middle + shift * distance for shift in ((-0.5, 0.5) if two else (-1, 0, 1))]
            rates = [rate for rate in around if self.scope.allowed(rate)] or [middle]
            if self._purse.affordable(rates, length) != rates:
                break  # the answer is that of the rungs there are
            rung = yield from self._explore(self._rung(length, distance, believed=True), rates, WALK * two)
            rungs.append(rung)
            self._conclude(rung)
        return rungs

    def _further(self, rungs: list[Rung]) -> Asking:
        """The rungs, and one of longer runs, if there is room for it."""
        self._purse.extra, last = SETTLING * self.total, rungs[-1]
        middle, distance = self.scope.inside(last.vertex), RUNGS[-1][1]
        rates = [
            exponent for exponent in (middle + place * distance for place in THREE) if self.scope.allowed(exponent)
        ]
        length = longer(last, self.total)
        if length == last.length or self._purse.affordable(rates, length) != rates:
            return rungs
        rung = yield from self._explore(self._rung(length, distance, believed=True), rates, WALK)
        self._conclude(rung)
        return [*rungs, rung]

    def _take_time(self, exponent: float) -> Asking:
        """Turn a budget of time into steps, by a first short run."""
        if not math.isfinite(self.budget.steps):
            began, steps = self._clock(), min(SHORTEST, self.total)
            yield from self._train([exponent], steps)
            self._purse.take_time(began, steps)

    def _rung(self, length: int, distance: float, *, believed: bool = False, later: bool = False) -> Rung:
        """A rung with nothing tried."""
        return Rung(length, distance, self._initial[: self._purse.probe(length)], believed, later)

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
            todo = self._purse.affordable(todo, rung.length)
        self._purse.needed = rung.batches(NOISE) if rung.learnt else self.total
        return rung

    def _train(self, exponents: list[float], length: int) -> Asking:
        """Runs by exponent; what is done already is not done again."""
        done, probe = self._purse.done(length), self._purse.probe(length)
        asks = [Ask(10.0**exponent, length, probe) for exponent in exponents if 10.0**exponent not in done]
        if asks:
            yield asks
            done = self._purse.done(length)
        return {exponent: done[10.0**exponent] for exponent in exponents}

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
        cost = self._purse.cost()
        against = doubts(rungs, self.total) if rungs else ()
        runs = tuple(run for _, run in self._purse.runs)
        way = remedy(rungs[-1], self.total) if against else ""
        return Finding(rate, low, high, why, initial, runs, cost, tuple(self._stages), against, way)
