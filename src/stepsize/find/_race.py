"""A race of short real runs with the schedule squeezed into them: decades, then halves, then quarters."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from stepsize import _check
from stepsize.control import Plan
from stepsize.engine import Engine, Leg, Result, serial
from stepsize.find._finding import Cost, Finding
from stepsize.schedule import Schedule
from stepsize.task import LARGEST, Startable, Task, Trial

# Each rung: its length as a share of the whole run, and the distance of its rates in decades.
# Why this works, and what it leaves on the table: docs/decisions/0005-first-finder.md
RUNGS = ((1 / 16, 1.0), (1 / 8, 0.5), (1 / 4, 0.25))
SHORTEST = 10  # steps; a shorter run says nothing about a schedule
FIRST = (-4, -3, -2, -1, 0)  # decades tried at once, before walking on
LEARNT = 0.02  # share of the initial loss that must be gone before a rung is believed
LOST = 0.5  # a rate that loses this share of the best progress of its rung breaks the run
MARGIN = 0.5  # decades kept below the lowest rate that breaks
CAUTION = 0.1  # decades stepped back in the end: too high costs more than too low
NEAR = 0.05  # share of the best progress that a rate of the interval may lack

Progress = Callable[[int, int, str], None]


def find(
    task: Startable,
    *,
    low: float = 1e-6,
    high: float = 100.0,
    schedule: str | None = None,
    clip: float | None = None,
    batch_size: int | None = None,
    seed: int = 0,
    steps: int | None = None,
    engine: Engine = serial,
    on_result: Callable[[Result], None] | None = None,
    progress: Progress | None = None,
) -> Finding:
    """Find a learning rate by a handful of short real runs with the schedule that will be used.

    Rates a decade apart are trained for a sixteenth of the run, half a decade around the best for an eighth, a
    quarter around the best of these for a quarter. Every run starts from the same weights and sees the same batches.
    Where the best is at the border the race walks on, as far as low and high allow. The answer stays half a decade
    below the lowest rate that lost half of the progress, and a tenth of a decade below the best.

    Args:
        task: a built-in task or your own.
        low: the lowest rate to try, > 0.
        high: the highest rate to try, > low.
        schedule: the text of the schedule of the whole run; squeezed into the short ones. The task's when left out.
        clip: the largest global gradient norm let through, > 0; the task's when left out.
        batch_size: examples in a batch, >= 1; the task's when left out.
        seed: of weights and data order, 0 <= seed < 2**32.
        steps: length of the run the rate is for, >= 1; the task's when left out.
        engine: how trials get done.
        on_result: called with each result as it comes.
        progress: called with (steps done, steps expected, a note for people).

    Raises:
        TypeError, ValueError: an argument is not what is said above.

    Example:
        >>> from stepsize import find
        >>> from stepsize.task import task_named
        >>> finding = find(task_named("digits"), steps=40)
        >>> 0.01 < finding.rate < 1
        True
    """
    if not isinstance(task, Startable):
        raise TypeError(_check.message("task", task, "a task", 'for example task_named("digits")'))
    low, high = check_range(low, high)
    total = task.steps if steps is None else _check.whole("steps", steps, least=1)
    if not callable(engine):
        raise TypeError(_check.message("engine", engine, "an engine", "for example stepsize.engine.serial"))
    for name, function in (("on_result", on_result), ("progress", progress)):
        if function is not None and not callable(function):
            raise TypeError(_check.message(name, function, "a function"))
    plan = Plan(schedule, clip=clip)
    # a schedule that does not fit, and a bad seed, are refused before anything is trained
    if batch_size is not None:
        batch_size = _check.whole("batch_size", batch_size, least=1)
    plan.over(total, task.epoch(batch_size) if isinstance(task, Task) else None)
    Trial(task.name, {} if schedule is None else {"schedule": schedule}, seed, total)
    course = None if schedule is None else Schedule.parse(schedule)
    return _Race(task, course, clip, batch_size, seed, total, low, high, engine, on_result, progress).run()


def check_range(low: float, high: float) -> tuple[float, float]:
    """The range of rates as floats, or an error that says which bound is off.

    Args:
        low: the lowest rate, > 0.
        high: the highest rate, > low.

    Raises:
        TypeError, ValueError: an argument is not what is said above.

    Example:
        >>> from stepsize.find import check_range
        >>> check_range(1e-3, 1)
        (0.001, 1.0)
    """
    low = _check.number("low", low, above=0)
    high = _check.number("high", high, above=low, remedy="rates are tried from low to high")
    if high > LARGEST:
        raise ValueError(_check.message("high", high, f"at most {LARGEST:g}"))
    return low, high


@dataclass
class _Race:
    task: Startable
    schedule: Schedule | None
    clip: float | None
    batch_size: int | None
    seed: int
    total: int
    low: float
    high: float
    engine: Engine
    on_result: Callable[[Result], None] | None
    progress: Progress | None
    results: list[Result] = field(default_factory=list)
    initial: float = math.nan
    began: float = field(default_factory=time.perf_counter)

    def run(self) -> Finding:
        start = self.task.start(self.trial(math.log10(self.low), self.total))
        self.initial = start.score()
        if not math.isfinite(self.initial):
            return self.nothing(f"the loss is {self.initial} before any training; look at the data and the model")
        exponents = [float(decade) for decade in FIRST if self.low <= 10.0**decade <= self.high]
        rung = self.explore(exponents or [(math.log10(self.low) + math.log10(self.high)) / 2], *RUNGS[0])
        length = RUNGS[0][0]
        if not any(math.isfinite(result.losses[0]) for result in self.results):
            first = self.results[0].losses[0]
            return self.nothing(f"the training loss is {first} at the first step; look at the data and the model")
        while not self.learnt(rung) and length < 1:
            length = min(1.0, 4 * length)  # a flat start may only need more steps
            rung = self.explore(list(rung), length, 1.0)
        if not self.learnt(rung):
            return self.nothing(
                f"nothing was learnt at any rate from {self.low:g} to {self.high:g} in {self.total} steps"
            )
        for share, distance in RUNGS[1:]:
            best = min(rung, key=lambda exponent: rung[exponent])
            near = [best - distance, best, best + distance]
            rung = self.explore([each for each in near if self.allowed(each)], max(share, length), distance)
        return self.conclude(rung)

    def allowed(self, exponent: float) -> bool:
        return math.log10(self.low) - 1e-9 <= exponent <= math.log10(self.high) + 1e-9

    def explore(self, exponents: list[float], share: float, distance: float) -> dict[float, float]:
        """Score the rates of a rung, by exponent, and walk on while the best is at a border."""
        length = min(self.total, max(SHORTEST, math.ceil(share * self.total)))
        scores: dict[float, float] = {}
        todo = exponents
        while todo:
            scores |= self.train(todo, length)
            best = min(scores, key=lambda exponent: scores[exponent])
            if self.learnt(scores):
                todo = [best - distance] * (best == min(scores)) + [best + distance] * (best == max(scores))
            else:
                todo = [min(scores) - distance, max(scores) + distance]
            todo = [exponent for exponent in todo if self.allowed(exponent)]
        return scores

    def train(self, exponents: list[float], length: int) -> dict[float, float]:
        done = {(result.trial.settings["lr"], result.trial.steps): result.score for result in self.results}
        trials = [self.trial(exponent, length) for exponent in exponents if (10.0**exponent, length) not in done]
        # validation decides nothing here, and would cost as much as the shortest runs
        for result in self.engine(self.task, [Leg(trial, trial.steps, metrics=False) for trial in trials]):
            self.results.append(result)
            if self.on_result is not None:
                self.on_result(result)
            if self.progress is not None:
                taken = sum(len(each.losses) for each in self.results)
                note = f"rate {result.trial.settings['lr']:.3g}: loss {result.score:.3g} ({length} steps)"
                self.progress(taken, max(taken, round(1.6 * self.total)), note)
            done[result.trial.settings["lr"], length] = result.score
        return {exponent: done[10.0**exponent, length] for exponent in exponents}

    def trial(self, exponent: float, length: int) -> Trial:
        settings: dict[str, Any] = {"lr": 10.0**exponent}
        if self.schedule is not None:
            settings["schedule"] = str(self.schedule.stretch(length / self.total))
        if self.clip is not None:
            settings["clip"] = self.clip
        if self.batch_size is not None:
            settings["batch_size"] = self.batch_size
        return Trial(self.task.name, settings, self.seed, length)

    def learnt(self, rung: dict[float, float]) -> bool:
        return bool(self.initial - min(rung.values()) > LEARNT * abs(self.initial))

    def conclude(self, rung: dict[float, float]) -> Finding:
        best = min(rung, key=lambda exponent: rung[exponent])
        lowest = rung[best]
        gained = self.initial - lowest
        good = [exponent for exponent, score in rung.items() if score <= lowest + NEAR * gained]
        breaks = self.breaking(best)
        chosen = max(min(best, breaks - MARGIN) - CAUTION, math.log10(self.low))
        at = f"lowest loss at {10**best:.3g}"
        if breaks < math.inf:
            at += f", and {10**breaks:.3g} breaks the run"
        edge = "" if self.allowed(best - 0.25) and self.allowed(best + 0.25) else "; still improving at the border"
        rate = float(f"{10**chosen:.3g}")
        ends = [rate, *(10**exponent for exponent in good if exponent <= breaks - MARGIN)]
        return Finding(rate, min(ends), max(ends), at + edge, self.initial, tuple(self.results), self.cost())

    def breaking(self, best: float) -> float:
        """The lowest exponent above the best at which a rung lost half of its best progress; infinite if none did."""
        best_of: dict[int, float] = {}
        for result in self.results:
            length = result.trial.steps
            best_of[length] = min(best_of.get(length, math.inf), result.score)
        broken = [
            math.log10(result.trial.settings["lr"])
            for result in self.results
            if self.learnt({0.0: best_of[result.trial.steps]})
            and result.score > self.initial - LOST * (self.initial - best_of[result.trial.steps])
            and result.trial.settings["lr"] > 10**best
        ]
        return min(broken, default=math.inf)

    def nothing(self, why: str) -> Finding:
        return Finding(None, None, None, why, self.initial, tuple(self.results), self.cost())

    def cost(self) -> Cost:
        steps = sum(len(result.losses) for result in self.results)
        return Cost(steps, steps / self.total, time.perf_counter() - self.began)
