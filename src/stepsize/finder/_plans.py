"""Whole plans: which optimizer and which schedule, each at a rate of its own."""

import itertools
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from stepsize import _check
from stepsize.engine import Engine, Leg, serial
from stepsize.finder._find import check_range, check_task, checked, find
from stepsize.search import Cost, Finding, Progress, budget_of
from stepsize.task import Startable, Trial, check_takes, seed_of, squeezed, table_of

FINDING = 0.6  # share of the budget that goes into the plans' rates
FINAL = 0.25  # of a whole run: the length of the last heat
PROBE = 24  # batches that plans are compared on


@dataclass(frozen=True)
class PlanEntry:
    """A plan, its rate, and how it did beside others.

    Attributes:
        settings: what it sets, without the rate; what it leaves out is the task's.
        finding: what was found about its rate.
        scores: the loss at that rate by length of the run, in steps, as far as it was kept in the race.
    """

    settings: dict[str, Any]
    finding: Finding
    scores: dict[int, float] = field(default_factory=dict)

    def __str__(self) -> str:
        plan = ", ".join(f"{axis} {value}" for axis, value in self.settings.items()) or "the task's own"
        rate = "no usable rate" if self.finding.rate is None else f"rate {self.finding.rate:.3g}"
        return f"{plan}: {rate}"


@dataclass(frozen=True)
class PlanFinding:
    """The answer of ``find_plan``.

    Attributes:
        best: the plan to train with; None where none learnt anything.
        entries: all plans, the best first.
        verdict: one sentence: what was concluded and why.
        cost: what it took.
    """

    best: PlanEntry | None
    entries: tuple[PlanEntry, ...]
    verdict: str
    cost: Cost

    def __str__(self) -> str:
        price = f"{self.cost.runs:.1f} of a whole run, {self.cost.seconds:.1f} s"
        return f"{self.best or 'no usable plan'}: {self.verdict} ({price})"


def find_plan(
    task: Startable,
    over: Mapping[str, Iterable[Any] | None],
    *,
    budget: str | int | None = "4x",
    low: float = 1e-6,
    high: float = 100.0,
    seed: int | None = None,
    steps: int | None = None,
    engine: Engine = serial,
    progress: Progress | None = None,
    **axes: Any,
) -> PlanFinding:
    """Find a plan, such as an optimizer and a schedule, each candidate at a rate of its own.

    Every combination gets its rate by ``find``, all with the same share of the budget. Then they race at their rates:
    short runs from the same start on the same batches, the better half goes on to runs of twice the length, until one
    is left. Plans that the batches cannot tell apart are ranked as they were given, the task's own first.

    Args:
        task: a built-in task or your own.
        over: by axis (``optimizer``, ``schedule``, ``weight_decay``, ...), the values to try; None within them for the
            task's own, None instead of them for the usual candidates.
        budget: as in ``find``, for everything together, and never more than four times as much; but each plan may take
            120 steps.
        low: the lowest rate to try, > 0.
        high: the highest rate to try, > low.
        seed: of weights and data order, 0 <= seed < 2**32; the task's when left out.
        steps: length of the run the plan is for, >= 1; the task's when left out.
        engine: how trials get done.
        progress: called with (plans done, plans, a note for people).
        **axes: further settings of every run, as in ``find``.

    Raises:
        TypeError, ValueError: an argument is invalid.

    Example:
        >>> from stepsize.finder import find_plan
        >>> from stepsize.task import task_named
        >>> found = find_plan(task_named("digits"), {"optimizer": ["sgd(momentum=0.9)", "adamw"]}, steps=60)
        >>> len(found.entries), found.best is found.entries[0]
        (2, True)
    """
    began = time.perf_counter()
    if progress is not None and not callable(progress):
        raise TypeError(_check.message("progress", progress, "a function"))
    check_task(task, ())
    seed = seed_of(task, seed)
    settings, total = checked(task, seed, steps, engine, axes)
    low, high = check_range(low, high)
    own = {"schedule": getattr(task, "schedule", None)}  # said or not, it is one plan
    different = [
        {axis: value for axis, value in plan.items() if own.get(axis) != value} for plan in combined(task, over)
    ]
    plans = [{**settings, **plan} for number, plan in enumerate(different) if plan not in different[:number]]
    for plan in plans:
        checked(task, seed, steps, engine, plan)
    allowed = budget_of(budget, total)
    share: str | int = f"{FINDING * allowed.seconds / len(plans):.6f}s"
    if math.isfinite(allowed.steps):
        share = max(1, round(FINDING * allowed.steps / len(plans)))
    entries = []
    for number, plan in enumerate(plans, 1):
        finding = find(task, budget=share, low=low, high=high, seed=seed, steps=steps, engine=engine, **plan)
        entries.append(PlanEntry({axis: value for axis, value in plan.items() if axis not in settings}, finding))
        if progress is not None:
            progress(number, len(plans), str(entries[-1]))
    race = _Heats(task, settings, seed, total, engine, allowed.steps)
    ranked = race.run(entries)
    usable = [entry for entry in ranked if entry.finding.rate is not None]
    costs = [entry.finding.cost for entry in entries]
    took = sum(cost.steps for cost in costs) + race.steps
    forwards = sum(cost.forwards for cost in costs) + race.forwards
    cost = Cost(took, forwards, (took + forwards / 3) / total, time.perf_counter() - began)
    return PlanFinding(usable[0] if usable else None, tuple(ranked), race.verdict(usable), cost)


def combined(task: Startable, over: Mapping[str, Iterable[Any] | None]) -> list[dict[str, Any]]:
    """Every combination of the values, the task's own left out of the settings.

    Args:
        task: whose axes they are.
        over: by axis, the values to try, or None for the usual ones.

    Raises:
        TypeError, ValueError: there is no axis, no value, or one that its axis cannot have.

    Example:
        >>> from stepsize.finder._plans import combined
        >>> from stepsize.task import task_named
        >>> combined(task_named("digits"), {"optimizer": [None, "adamw"], "warmup": [0]})
        [{'warmup': 0.0}, {'optimizer': 'adamw', 'warmup': 0.0}]
    """
    if not isinstance(over, Mapping) or not over:
        raise TypeError(_check.message("over", over, "a mapping by axis", 'such as {"optimizer": ["sgd", "adamw"]}'))
    check_takes(task, over, "over")
    axes, values = table_of(task), {}
    for axis, tried in over.items():
        usual = axes[axis].candidates
        if tried is None and not usual:
            known = " and ".join(name for name, choice in axes.items() if choice.candidates)
            raise ValueError(
                _check.message(f"the values of {axis} in over", tried, f"given; only {known} have usual ones")
            )
        if axis == "lr" or isinstance(tried, str) or not isinstance(tried, Iterable | None):
            rule = "several values of an axis other than lr, whose rates are found"
            raise TypeError(_check.message(f"over[{axis!r}]", tried, rule))
        chosen = list(usual if tried is None else tried)
        forms = [None if choice is None else axes[axis].canonical(f"over[{axis!r}]", choice) for choice in chosen]
        values[axis] = list(dict.fromkeys(forms))
        if not values[axis]:
            raise ValueError(_check.message(f"over[{axis!r}]", chosen, "one value or more"))
    made = [dict(zip(values, choice, strict=True)) for choice in itertools.product(*values.values())]
    return [{axis: value for axis, value in plan.items() if value is not None} for plan in made]


@dataclass
class _Heats:
    """Runs of the plans at their rates, each heat twice as long as the one before, for the better half of them."""

    task: Startable
    settings: dict[str, Any]
    seed: int
    total: int
    engine: Engine
    allowed: float = math.inf  # steps for all of them
    steps: int = 0
    forwards: int = 0

    def run(self, entries: list[PlanEntry]) -> list[PlanEntry]:
        """All entries, the best first."""
        racing = [entry for entry in entries if entry.finding.rate is not None]
        out = [entry for entry in entries if entry.finding.rate is None]
        heats = max(1, math.ceil(math.log2(max(1, len(racing)))))
        length = FINAL * self.total / 2 ** (heats - 1)
        length = max(1, math.ceil(min(length, self.allowed / (heats * max(1, len(racing))))))
        while len(racing) > 1:
            legs = [self.leg(entry, length) for entry in racing]
            results = {result.trial.key: result for result in self.engine(self.task, legs)}
            here = [results[leg.trial.key] for leg in legs]
            self.steps += sum(len(result.losses) for result in here)
            self.forwards += sum(len(result.probed) for result in here)
            scored = [
                replace(entry, scores={**entry.scores, length: result.score})
                for entry, result in zip(racing, here, strict=True)
            ]
            scored.sort(key=lambda entry: entry.scores[length])
            keep = (len(scored) + 1) // 2 if len(scored) > 2 else 1
            racing, out = scored[:keep], scored[keep:] + out
            length = min(self.total, 2 * length)
        return racing + out

    def leg(self, entry: PlanEntry, length: int) -> Leg:
        """A run of a plan at its rate, the schedule squeezed into it."""
        shortened = squeezed({**self.settings, **entry.settings, "lr": entry.finding.rate}, length / self.total)
        return Leg(Trial.of(self.task, shortened, self.seed, length), length, metrics=False, probe=PROBE)

    def verdict(self, ranked: list[PlanEntry]) -> str:
        """The result of the last heat."""
        if not ranked:
            return "no plan learnt anything"
        if len(ranked) == 1:
            return "the only one with a usable rate"
        best, second = ranked[:2]
        length = max(second.scores)
        return (
            f"loss {best.scores[length]:.4g} after {length} of {self.total} steps, before {second.scores[length]:.4g} "
            f"of {second}"
        )
