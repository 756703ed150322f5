"""``find_law``: a law of the best rate from small runs that are planned, trained and kept, and what it predicts."""

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stepsize import _check
from stepsize.engine import Engine
from stepsize.finder import find
from stepsize.scale._columns import Columns
from stepsize.scale._fit_law import fit_law
from stepsize.scale._kept_runs import KeptRuns
from stepsize.scale._law import Prediction, RateLaw
from stepsize.scale._points_to_run import RUNS, Planner, Runnable, planned
from stepsize.search import Progress
from stepsize.state import locked
from stepsize.sweeps import chosen_engine
from stepsize.task import Startable, Trial, seed_of

APART, FEWEST, MOST, DIGITS = math.sqrt(10), 3, 6, 3
BROKE = 9.0  # times the lowest loss, above it: a run that ended there says little of the best rate


@dataclass(frozen=True)
class Verified:
    """What training at the target showed.

    Attributes:
        lr: the best rate there, between those that were tried.
        residual: the logarithm of that over the predicted one.
        inside: whether the interval holds it.
        excess: by how much the predicted rate's loss is above the lowest one, as a share of it.

    Example:
        >>> from stepsize.scale import Verified
        >>> Verified(0.1, 0.0, True, 0.0).inside
        True
    """

    lr: float
    residual: float
    inside: bool
    excess: float


@dataclass(frozen=True)
class LawFinding:
    """The answer of ``find_law``.

    Attributes:
        prediction: the rate at the target, with its interval and doubts.
        law: that gave it.
        runs: those it was fitted on, as columns by name.
        price: of these, in runs at the target; a verification's are not counted.
        verified: what training at the target showed; None where it was not asked for.

    Example:
        >>> from stepsize.scale import LawFinding
        >>> list(LawFinding.__dataclass_fields__)
        ['prediction', 'law', 'runs', 'price', 'verified']
    """

    prediction: Prediction
    law: RateLaw
    runs: Columns
    price: float
    verified: Verified | None = None


def find_law(
    task: Startable,
    over: Mapping[str, Sequence[Any] | None],
    at: Mapping[str, float],
    *,
    budget: str | int | None = None,
    folder: Path | str | None = None,
    verify: bool = False,
    seed: int | None = None,
    steps: int | None = None,
    epochs: float | None = None,
    engine: Engine | None = None,
    progress: Progress | None = None,
    **axes: Any,
) -> LawFinding:
    """The rate for a bigger batch, a longer run, a wider model, from small runs that it trains.

    The cheapest point gets its rate by ``find``. Every point, from the cheapest on, is trained whole at three rates
    half a decade apart about what the law predicts from the points before, and at more where the best one is at the
    border. On all of them ``fit_law`` is fitted. With a folder, each run is written down as it ends, and the same call
    goes on with what is missing.

    Args:
        task: a built-in task or your own.
        over: by axis the values of the small runs: ``batch_size``, ``steps`` or ``epochs``, axes of the task's own;
            None for values to be chosen: halves of the target's. Where no length is among them, all runs have as many
            steps.
        at: the target: a number for each of these axes.
        budget: what the small runs may take, about: ``"0.5x"`` of a run at the target, or so many of its steps; one run
            where values are chosen, and no limit where all are given, when left out.
        folder: where runs are kept, in ``runs.csv``; nowhere when left out.
        verify: whether the target is trained too, at three rates or more about the predicted one.
        seed: of weights and data order, 0 <= seed < 2**32; the task's when left out.
        steps: of runs, where no axis says it, >= 1; the task's when left out.
        epochs: of runs, instead of steps, > 0: a bigger batch then has fewer of these.
        engine: how trials get done; in a process for each core when left out, if the task can be sent there.
        progress: called with (runs done, runs expected, a note for people).
        **axes: what else is said of every run, as settings of a ``Trial``.

    Raises:
        TypeError, ValueError: an argument is invalid, every run broke, or the folder's runs are others.

    Example:
        >>> from stepsize.engine import serial
        >>> from stepsize.scale import find_law
        >>> from stepsize.task import task_named
        >>> task = task_named("linear-regression")
        >>> found = find_law(task, {"steps": [10, 20, 40]}, {"steps": 160}, engine=serial)
        >>> found.prediction.low < found.prediction.lr < found.prediction.high
        True
    """
    if not isinstance(verify, bool):
        raise TypeError(_check.message("verify", verify, "True or False"))
    if progress is not None and not callable(progress):
        raise TypeError(_check.message("progress", progress, "a function"))
    if not isinstance(folder, Path | str | None):
        raise TypeError(_check.message("folder", folder, "a folder's path"))
    if not isinstance(task, Startable):
        raise TypeError(_check.message("task", task, "a task", 'for example task_named("digits")'))
    if engine is not None and not callable(engine):
        raise TypeError(_check.message("engine", engine, "an engine", "for example stepsize.engine.serial"))
    total = task.steps if steps is None else _check.whole("steps", steps, least=1)
    if epochs is not None:
        epochs = _check.number("epochs", epochs, above=0)
        if steps is not None or "steps" in over or "epochs" in over:
            raise ValueError(_check.message("epochs", epochs, "left out where something else says the runs' length"))
    said = {axis: value for axis, value in axes.items() if value is not None}
    if twice := [axis for axis in said if axis == "lr" or axis in at]:
        raise ValueError(f"{twice[0]} is what the runs differ in; leave it out of what is said of every run")
    planner = Planner(
        task, Trial.of(task, said, seed_of(task, seed), total).settings, total, _in_order(at, over), epochs
    )
    points = planned(planner, over, budget)
    with ExitStack() as stack:
        if folder is not None:
            Path(folder).mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(Path(folder)))
        runs = KeptRuns(task, tuple(over), seed_of(task, seed), folder)
        how = engine or chosen_engine(task, FEWEST)
        work = _Work(task, runs, how, progress, RUNS * (len(points) + verify))
        if runs.cut:
            work.tell(f"the last line of {runs.file} was cut off as it was written: its run is trained again")
        for point in points:
            work.train(point)
        law = fit_law(runs.columns(points), list(over))
        found = law.predict(planner.target.place)
        price = sum(point.price * len(runs.at(point)) for point in points)
        verified = work.verify(planner.target, found) if verify else None
    prediction = Prediction(found.lr, found.low, found.high, found.at, (*found.doubts, *_idle(runs, points)))
    return LawFinding(prediction, law, runs.columns(points), price, verified)


def _in_order(at: Any, over: Any) -> Any:
    """The target with its axes in the order in which they are given for the runs."""
    if not isinstance(at, Mapping) or not isinstance(over, Mapping):
        return at
    return {**{axis: at[axis] for axis in over if axis in at}, **at}


@dataclass
class _Work:
    """Trains what is missing."""

    task: Startable
    runs: KeptRuns
    engine: Engine
    progress: Progress | None
    expected: int
    done: int = 0
    points: list[Runnable] = field(default_factory=list)

    def train(self, point: Runnable) -> None:
        """A point, at rates about the one that the law predicts so far."""
        self.race(point, _on_grid(self.middle(point)))
        self.points.append(point)

    def middle(self, point: Runnable) -> float:
        here = self.runs.at(point)
        if begun := [rate for rate in here if {*_about(rate)} <= {*here}]:  # in an earlier call
            return begun[0]
        known = [point for point in self.points if any(map(math.isfinite, self.runs.at(point).values()))]
        if known:
            return fit_law(self.runs.columns(known), list(point.place)).predict(point.place).lr
        self.tell("a first rate")
        found = find(self.task, seed=self.runs.seed, steps=point.steps, engine=self.engine, **point.settings)
        if found.rate is None:
            raise ValueError(f"every run broke or none learnt at {_said(point)}: {found.verdict}")
        return found.rate

    def race(self, point: Runnable, middle: float) -> None:
        """Three rates about the middle, then on while the best one is at the border."""
        asked = _about(middle)
        while asked:
            self.do(point, asked)
            asked = self.more(point)

    def more(self, point: Runnable) -> list[float]:
        """One rate more where the best one is at the border, or where fewer than three say something."""
        here = self.runs.at(point)
        lowest = min(here.values())
        said = [rate for rate, loss in here.items() if math.isfinite(loss) and loss - lowest <= BROKE * abs(lowest)]
        if len(here) >= MOST:
            return []
        if not said:
            return [_beside(min(here), -2)]
        best = min(said, key=here.__getitem__)
        if best == max(here):
            return [_beside(best, 1)]
        return [_beside(min(here), -1)] if best == min(here) or len(said) < FEWEST else []

    def do(self, point: Runnable, rates: Sequence[float]) -> None:
        wanted = [rate for rate in rates if rate not in self.runs.at(point)]
        self.done += len(rates) - len(wanted)
        for result in self.engine(self.task, [point.trial(self.task, rate, self.runs.seed) for rate in wanted]):
            rate = float(result.trial.settings["lr"])
            self.runs.note(point, rate, result.score)
            self.done += 1
            self.tell(f"{_said(point)}, rate {rate:.3g}: loss {result.score:.3g}")

    def verify(self, target: Runnable, found: Prediction) -> Verified:
        """Train at the target, at the predicted rate and others about it."""
        self.race(target, found.lr)
        here = self.runs.at(target)
        lowest = min(here.values())
        best = fit_law(self.runs.columns([*self.points, target]), list(target.place)).bests()[-1][1]
        inside = found.low <= best <= found.high
        return Verified(best, math.log(best / found.lr), inside, here[found.lr] / lowest - 1)

    def tell(self, note: str) -> None:
        if self.progress is not None:
            self.progress(min(self.done, self.expected), self.expected, note)


def _about(middle: float) -> list[float]:
    return [_beside(middle, -1), middle, _beside(middle, 1)]


def _beside(rate: float, steps: int) -> float:
    """So many half decades from a rate, on the grid if the rate is."""
    other = rate * APART**steps
    return _on_grid(other) if rate == _on_grid(rate) else _rounded(other)


def _on_grid(rate: float) -> float:
    """The nearest of 1, 0.316, 0.1, 0.0316 ...: points share them, so that they can be compared."""
    return _rounded(APART ** round(math.log(rate) / math.log(APART)))


def _rounded(rate: float) -> float:
    return float(f"{rate:.{DIGITS}g}")


def _said(point: Runnable) -> str:
    return ", ".join(f"{axis} {value:g}" for axis, value in point.place.items())


def _idle(runs: KeptRuns, points: Sequence[Runnable]) -> list[str]:
    """Axes that change nothing: whose values give equal losses at equal rates."""
    found = []
    for axis in points[0].place:
        pairs = [
            (one, other, rate)
            for number, one in enumerate(points)
            for other in points[number + 1 :]
            if all((one.place[name] == other.place[name]) == (name != axis) for name in one.place)
            for rate in runs.at(one).keys() & runs.at(other).keys()
            if math.isfinite(runs.at(one)[rate])
        ]
        if pairs and all(runs.at(one)[rate] == runs.at(other)[rate] for one, other, rate in pairs):
            found.append(f"{axis} changes nothing: runs that differ in it alone end with equal losses")
    return found
