"""A race of short real runs with the schedule squeezed into them: decades, then halves, then quarters."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from stepsize.engine import Engine, Leg, Result
from stepsize.find._budget import Budget
from stepsize.find._finding import Cost, Finding, Stage
from stepsize.find._rung import Rung
from stepsize.state import Captured
from stepsize.task import Startable, Trial, led, squeezed

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
RUNS = 5  # that a rung and the one after it take, about
WORTH = 1.5  # how many times as long runs must be to be tried again
DRIFT = 0.2  # share of the drift between the last rungs that is believed to go on with each doubling
FARTHEST = (-0.5, 0.25)  # decades that it may lead to
WALK = 0.1  # share of the best progress by which a rate at the last rung's border must lead for another run
MARGIN = 0.25  # decades kept below the lowest rate that breaks a run
CAUTION = 0.03  # decades stepped back, times the square of the doublings to a whole run: too high costs more;
NEAR = 2.0  # which the first two doublings do not count for
MOST = 0.3  # decades stepped back at most
FLAT = 0.01  # share of the best progress beyond which noise is no excuse
BELOW, ABOVE = 0.25, 0.45  # decades that the interval reaches below and above the answer
FINE = 0.1  # share of the best progress that a rate of the last rung may miss to be in it

Progress = Callable[[int, int, str], None]


@dataclass
class Race:
    """One search: what it asks for, what it has spent, what it saw."""

    task: Startable
    settings: dict[str, Any]
    seed: int
    total: int
    low: float
    high: float
    budget: Budget
    engine: Engine
    live: Captured | None = None
    on_result: Callable[[Result], None] | None = None
    progress: Progress | None = None
    results: list[Result] = field(default_factory=list)
    stages: list[Stage] = field(default_factory=list)
    initial: tuple[float, ...] = ()
    forwards: int = 0
    needed: int = 0  # batches of the probe that noise asks for
    pace: float = 0.0  # seconds that a step takes, where the budget is a time
    began: float = field(default_factory=time.perf_counter)

    def run(self) -> Finding:
        """Race until there is an answer, or plainly none."""
        decades = [float(decade) for decade in FIRST if self.low <= 10.0**decade <= self.high]
        decades = decades or [(math.log10(self.low) + math.log10(self.high)) / 2]
        self.initial = self.before(decades[0])
        if not all(map(math.isfinite, self.initial)):
            loss = next(loss for loss in self.initial if not math.isfinite(loss))
            return self.nothing(f"the loss is {loss} before any training; look at the data and the model")
        self.take_time(decades[0])
        rung = self.explore(self.rung(self.length(RUNGS[0][0]), RUNGS[0][1]), decades)
        if not any(math.isfinite(result.losses[0]) for result in self.results if result.losses):
            first = self.results[0].losses[0]
            return self.nothing(f"the training loss is {first} at the first step; look at the data and the model")
        while not rung.learnt and (longer := self.longer(rung)) > rung.length:
            # a flat start may only need more steps: the highest rates that hold are the ones to ask
            self.tell(rung, "nothing learnt yet: longer")
            holding = [each for each in sorted(rung.results) if each not in rung.hopeless][-2:]
            rates = self.affordable(holding or decades, longer)
            if not rates:
                break
            rung = self.explore(self.rung(longer, rung.distance, later=True), rates)
        if not rung.learnt and not rung.certain:
            return self.nothing(
                f"no signal: nothing was learnt at any rate from {self.low:g} to {self.high:g} in {rung.length} steps"
            )
        self.tell(rung, f"best near {10 ** self.inside(rung.vertex):.2g}")
        return self.conclude(self.closer(rung))

    @property
    def room(self) -> float:
        """Steps that may still be taken, a loss without its gradient as a third of one."""
        steps, least = max(OVER * self.budget.steps, LEAST) - self.spent, LEAST - self.spent
        if not self.pace:
            return steps
        left = led(lambda: OVER * self.budget.seconds - (time.perf_counter() - self.began))
        return max(min(steps, left / self.pace), least)

    @property
    def spent(self) -> float:
        """Steps taken, a loss without its gradient as a third of one."""
        return sum(len(result.losses) for result in self.results) + FORWARD * self.forwards

    def affordable(self, exponents: list[float], length: int) -> list[float]:
        """Those of some rates that there is room for, the highest first to be kept; what is done costs nothing."""
        done = {(result.trial.settings["lr"], result.trial.steps) for result in self.results}
        new = [each for each in exponents if (10.0**each, length) not in done]
        dropped = max(0, len(new) - max(0, math.floor(self.room / self.price(length))))
        return [each for each in exponents if each not in new[:dropped]]

    def price(self, length: int) -> float:
        """Steps that a run takes with its score, which costs nothing where runs score themselves."""
        probes = not self.results or any(result.probed for result in self.results)
        return length + FORWARD * self.probe(length) * probes

    def closer(self, rung: Rung) -> list[Rung]:
        """The first rung in which something was learnt, and those after it: longer runs at rates closer together."""
        rungs = [rung]
        ample = self.budget.steps >= AMPLE * self.total
        share, distance = RUNGS[-1]
        last = self.length(SHORTER * share if ample else share), distance
        steps = [(self.length(share), distance) for share, distance in RUNGS[1:-1]] + [last]
        # after a flat start, or on a small budget, the runs are as long already, and halves of a decade will do
        for length, distance in [each for each in steps if each[0] > rung.length] or [(rung.length, RUNGS[1][1])]:
            two = (length, distance) == last and not ample
            # of runs as long as before, the best is known already, and stays in the middle
            middle = self.inside(rung.vertex, two * distance / 2) if length > rung.length else rung.best
            around = [middle + each * distance for each in ((-0.5, 0.5) if two else (-1, 0, 1))]
            rates = [each for each in around if self.allowed(each)] or [middle]
            if self.affordable(rates, length) != rates:
                break  # the answer is that of the rungs there are
            rung = self.explore(self.rung(length, distance, believed=True), rates, WALK * two)
            rungs.append(rung)
            self.tell(rung, f"best near {10 ** self.inside(rung.vertex):.2g}")
        return rungs

    def longer(self, rung: Rung) -> int:
        """Steps of the next runs where nothing was learnt; those of the rung if that would cost too much."""
        room = self.room
        length = min(self.total, LATER * rung.length, math.floor(room / RUNS))
        while length > rung.length and RUNS * self.price(length) > room:
            length = min(length - 1, math.floor(length * room / (RUNS * self.price(length))))
        if length < WORTH * rung.length:  # then a whole run, if there is room for one and nothing else to go by
            length = self.total if room >= self.price(self.total) and not rung.certain else rung.length
        return length

    def length(self, share: float) -> int:
        """Steps of a run that takes a share of the budget."""
        return min(self.total, max(SHORTEST, math.ceil(share * self.budget.steps)))

    def take_time(self, exponent: float) -> None:
        """Turn a budget of time into steps, by a first short run."""
        if not math.isfinite(self.budget.steps):
            began = time.perf_counter()
            self.train([exponent], min(SHORTEST, self.total))
            # processes that train together go by the first one's clock
            self.pace = led(lambda: (time.perf_counter() - began) / min(SHORTEST, self.total))
            self.budget = Budget(max(1.0, self.budget.seconds / self.pace), self.budget.seconds)

    def rung(self, length: int, distance: float, *, believed: bool = False, later: bool = False) -> Rung:
        """A rung with nothing tried."""
        return Rung(length, distance, self.initial[: self.probe(length)], believed, later)

    def allowed(self, exponent: float) -> bool:
        """Whether a rate is in the range."""
        return math.log10(self.low) - 1e-9 <= exponent <= math.log10(self.high) + 1e-9

    def inside(self, exponent: float, room: float = 0.0) -> float:
        """The nearest exponent in the range, so far from its ends; the middle of a range that is too narrow."""
        low, high = math.log10(self.low), math.log10(self.high)
        room = min(room, (high - low) / 2)
        return max(low + room, min(high - room, exponent))

    def before(self, exponent: float) -> tuple[float, ...]:
        """The loss before training, on the batches that runs are scored on."""
        leg = Leg(self.trial(exponent, self.total), 0, metrics=False, probe=self.probe(self.total))
        (result,) = self.done([leg])
        self.forwards += len(result.probed)
        return result.probed or (result.score,)

    def probe(self, length: int) -> int:
        """Batches that a run of so many steps is scored on."""
        return max(3, min(24, math.ceil(PROBE * length)), min(length // 2, self.needed))

    def explore(self, rung: Rung, exponents: list[float], walk: float = 0.0) -> Rung:
        """Train the rates of a rung, and walk on while the best is at a border, by a share of its progress."""
        todo = exponents
        while todo:
            rung.results |= self.train(todo, rung.length)
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
            todo = [each for each in todo if self.allowed(each) and rung.near(each) not in rung.results]
            todo = self.affordable(todo, rung.length)
        self.needed = rung.batches(NOISE) if rung.learnt else self.total
        return rung

    def train(self, exponents: list[float], length: int) -> dict[float, Result]:
        """Results by exponent; what is done already is not done again."""
        done = {(result.trial.settings["lr"], result.trial.steps): result for result in self.results}
        trials = [self.trial(exponent, length) for exponent in exponents if (10.0**exponent, length) not in done]
        # validation decides nothing here, and would cost as much as the shortest runs
        legs = [Leg(trial, trial.steps, metrics=False, probe=self.probe(length)) for trial in trials]
        for result in self.done(legs):
            self.results.append(result)
            self.forwards += len(result.probed)
            done[result.trial.settings["lr"], length] = result
            if self.on_result is not None:
                self.on_result(result)
            if self.progress is not None:
                taken = sum(len(each.losses) for each in self.results)
                note = f"rate {result.trial.settings['lr']:.3g}: loss {result.score:.3g} ({length} steps)"
                self.progress(taken, max(taken, round(min(self.budget.steps, 2 * self.total))), note)
        return {exponent: done[10.0**exponent, length] for exponent in exponents}

    def done(self, legs: list[Leg]) -> Iterator[Result]:
        """The engine's results; a model that is one live object is put back before each."""
        if self.live is None:
            yield from self.engine(self.task, legs)
            return
        try:
            for leg in legs:
                self.live.restore()
                yield from self.engine(self.task, [leg])
        finally:
            self.live.restore()

    def trial(self, exponent: float, length: int) -> Trial:
        """A run of a rate, with the whole schedule squeezed into it."""
        settings = squeezed({**self.settings, "lr": 10.0**exponent}, length / self.total)
        return Trial(self.task.name, settings, self.seed, length)

    def tell(self, rung: Rung, concluded: str) -> None:
        """Keep what a rung came to."""
        self.stages.append(Stage(rung.length, tuple(10**each for each in sorted(rung.results)), concluded))

    def conclude(self, rungs: list[Rung]) -> Finding:
        """The answer, from all rungs in which something was learnt."""
        rungs = [rung for rung in rungs if rung.learnt] or rungs
        last = rungs[-1]
        alike = last.alike(FLAT)
        drift = self.drift(rungs) if len(alike) == 1 else 0.0  # where noise decides it says nothing of the way on
        at = self.inside(last.vertex + drift)
        # of equals the lower; not above the best one that was tried, and far from a whole run a little less
        beyond = max(0.0, math.log2(self.total / last.length) - NEAR)
        lower = min(at - min(MOST, CAUTION * beyond**2), alike[0] + drift)
        breaks = min((each for rung in rungs for each in rung.broken() if each > last.best), default=math.inf)
        chosen = self.inside(min(lower, breaks - MARGIN))
        fine = [each for each in last.results if last.score(each) <= last.score(last.best) + FINE * last.gained]
        low = self.inside(min(chosen - BELOW, last.vertex - BELOW, *fine))
        high = self.inside(max(chosen + ABOVE, min(last.vertex + 0.1, breaks), *fine))
        rate = float(f"{10**chosen:.3g}")
        interval = min(rate, max(self.low, 10**low)), max(rate, min(self.high, 10**high))
        verdict = self.verdict(last, alike, at if abs(drift) > 0.02 else None, breaks)
        return Finding(rate, *interval, verdict, last.start, tuple(self.results), self.cost(), tuple(self.stages))

    def verdict(self, last: Rung, alike: list[float], drifted: float | None, breaks: float) -> str:
        """The conclusion in words; exponents of rates that nothing tells apart, of the drift's end, of what breaks."""
        verdict = f"lowest loss at {10 ** self.inside(last.vertex):.3g}"
        if len(alike) > 1:
            span = f"{10 ** alike[0]:.3g} to {10 ** alike[-1]:.3g}"
            verdict = f"rates from {span} are indistinguishable: the lower is taken"
        elif drifted is not None:
            verdict += f", drifting to {10**drifted:.3g} by the end of a whole run"
        if self.live is not None:
            verdict += "; the model is one live object, put back before each run"
        if breaks < math.inf:
            verdict += f", and {10**breaks:.3g} breaks the run"
        ends = (min(last.results), -last.distance), (max(last.results), last.distance)
        if any(last.best == end and not self.allowed(end + step) for end, step in ends):
            verdict += "; still improving at the border"
        return verdict

    def drift(self, rungs: list[Rung]) -> float:
        """Decades by which the best rate moves on from the last rung to a whole run."""
        last = rungs[-1]
        before = next((rung for rung in reversed(rungs) if rung.length < last.length), None)
        if before is None:
            return 0.0
        each = (last.vertex - before.vertex) / math.log2(last.length / before.length)
        low, high = FARTHEST
        return max(low, min(high, DRIFT * each * math.log2(self.total / last.length)))

    def nothing(self, why: str) -> Finding:
        """No answer, and why."""
        start = sum(self.initial) / len(self.initial)
        return Finding(None, None, None, why, start, tuple(self.results), self.cost(), tuple(self.stages))

    def cost(self) -> Cost:
        """What it took so far."""
        steps = sum(len(result.losses) for result in self.results)
        return Cost(steps, self.forwards, self.spent / self.total, time.perf_counter() - self.began)
