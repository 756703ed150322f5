"""Doing a sweep: what is missing is trained, and written down as it comes."""

import shutil
import tempfile
import time
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from stepsize import _check
from stepsize.engine import Auto, Engine, Leg, Processes, Result, cores, serial
from stepsize.sweeps._axes import trials_of
from stepsize.sweeps._halving import Halving
from stepsize.sweeps._read import Sweep
from stepsize.sweeps._store import Store
from stepsize.task import Startable, Task, TaskChangedWarning, Trial, changes, device_of, packed, ranks, sources_of

PAUSE = 0.3  # seconds between two looks at what another process is doing
WAITING = "waiting for "  # what the note begins with while only other processes are at work
FACTS = ("schedule", "clip", "batch_size", "accumulate", "amp", "device", "per_epoch")  # of a task, beside its name

Progress = Callable[[int, int, str], None]


def sweep(
    task: Startable,
    rates: Iterable[float] | float,
    seeds: int | Iterable[int] = 3,
    *,
    folder: Path | str | None = None,
    steps: int | None = None,
    stop: Halving | None = None,
    engine: Engine | None = None,
    on_result: Callable[[Result], None] | None = None,
    progress: Progress | None = None,
    **axes: Any,
) -> Sweep:
    """Train a task at many rates over several seeds, and at every combination with the other axes.

    With a folder, every trial is written down when it is done: the same call goes on with the ones that are missing,
    and with more seeds, rates or values of an axis later. Two processes on one folder share the work. Killed at any
    moment, nothing that was done is lost, and the figures are those of an uninterrupted sweep.

    Args:
        task: a built-in task or your own.
        rates: learning rates, each > 0; see ``logspace``.
        seeds: how many, >= 1, or which; each gives weights, data order and everything drawn.
        folder: where the sweep is kept; in a temporary folder that goes with the answer when left out.
        steps: length of a trial, >= 1; the task's when left out.
        stop: what stops trials early; nothing when left out, and then those that were stopped before are trained to
            their end too. Those whose loss is no longer finite always stop.
        engine: how trials get done; in a process for each core when left out, if the task can be sent there.
        on_result: called with each result as it comes.
        progress: called with (trials done, trials expected, a note for people).
        axes: more axes by name, each one value or several in a list: ``optimizer``, ``schedule``, ``batch_size``,
            ``warmup``, ``weight_decay``, ``momentum``, ``clip``. None among them stands for the task's own.

    Returns:
        What is known, of this call and earlier ones on the same folder.

    Raises:
        TypeError, ValueError: an argument is invalid; nothing was trained.
        SweepFileError: the folder holds something else, or cannot be written.

    Example:
        >>> from stepsize import sweep
        >>> from stepsize.engine import serial
        >>> from stepsize.task import task_named
        >>> swept = sweep(task_named("linear-regression"), [0.01, 0.1], seeds=2, steps=50, engine=serial)
        >>> len(swept.outcomes), swept.best()[0].rate
        (4, 0.1)
    """
    if not isinstance(task, Startable):
        raise TypeError(_check.message("task", task, "a task", 'for example task_named("digits")'))
    total = task.steps if steps is None else _check.whole("steps", steps, least=1)
    for name, function in (("engine", engine), ("on_result", on_result), ("progress", progress)):
        if function is not None and not callable(function):
            remedy = "for example stepsize.engine.serial" if name == "engine" else ""
            raise TypeError(_check.message(name, function, "an engine" if remedy else "a function", remedy))
    if not isinstance(stop, Halving | None):
        raise TypeError(_check.message("stop", stop, "a Halving", "for example Halving((0.25, 0.5))"))
    if not isinstance(folder, Path | str | None):
        raise TypeError(_check.message("folder", folder, "a folder's path"))
    if ranks().size > 1:
        raise ValueError(
            f"a sweep shares its trials among processes by itself, and here are {ranks()} that train together; "
            "begin it without torchrun, with an engine such as Processes()"
        )
    trials = trials_of(task, {**axes, "lr": rates}, seeds, total)
    chosen = chosen_engine(task, len(trials)) if engine is None else engine
    kept = partial(_kept, task, trials, total, stop, chosen, on_result, progress)
    if folder is not None:
        return kept(Path(folder))
    where = Path(tempfile.mkdtemp(prefix="stepsize-sweep-"))
    try:
        answer = kept(where)
    except BaseException:
        shutil.rmtree(where, ignore_errors=True)
        raise
    weakref.finalize(answer, shutil.rmtree, where, ignore_errors=True)
    return answer


def _kept(
    task: Startable,
    trials: Sequence[Trial],
    total: int,
    stop: Halving | None,
    engine: Engine,
    on_result: Callable[[Result], None] | None,
    progress: Progress | None,
    where: Path,
) -> Sweep:
    """A sweep in a folder."""
    where = where.absolute()  # a task's own code may change the working directory
    engine = engine.kept_in(where) if isinstance(engine, Auto) else engine
    with closing(Store(where, facts_of(task, total))) as store:
        _warn_of_change(store, task)
        store.add(trials)
        if stop is None:
            store.reopen(trial.key for trial in trials)
        _Sweeping(task, {trial.key: trial for trial in trials}, store, engine, stop, on_result, progress).to_end()
    return Sweep.open(where)


def chosen_engine(task: Startable, trials: int) -> Engine:
    """Processes where there are several cores and trials, and the task can be sent; one after the other otherwise.

    Args:
        task: whose trials they are.
        trials: how many.

    Example:
        >>> from stepsize.sweeps import chosen_engine
        >>> from stepsize.task import task_named
        >>> chosen_engine(task_named("digits"), trials=1).__name__
        'serial'
    """
    if min(cores(), trials) < 2 or device_of(task) != "cpu":
        return serial
    try:
        packed(task)
    except TypeError:
        return serial
    return Processes(min(cores(), trials))


def facts_of(task: Startable, steps: int) -> dict[str, Any]:
    """The common part of a sweep's trials, as plain data: the task's name, recipe and facts, and their length.

    Args:
        task: whose trials they are.
        steps: length of a trial.

    Example:
        >>> from stepsize.sweeps._run import facts_of
        >>> from stepsize.task import task_named
        >>> facts_of(task_named("quadratic"), 100)["task"]
        'quadratic'
    """
    own = {name: getattr(task, name) for name in FACTS if hasattr(task, name)}
    own |= {"plan": str(task.plan)} if isinstance(task, Task) and task.plan is not None else {}
    return {**getattr(task, "facts", {}), "task": task.name, "steps": steps, **own}


def _warn_of_change(store: Store, task: Startable) -> None:
    """Say when the task's own code is not what it was when the sweep was begun."""
    now = sources_of(task)
    differ = changes(store.first("made_of", now), now)
    if differ:
        warnings.warn(
            f"{', '.join(differ[:5])} since the sweep in {store.folder} was begun, so that its trials may be of "
            "different tasks; choose another folder unless the change makes no difference",
            TaskChangedWarning,
            stacklevel=4,
        )


class _Sweeping:
    """Rung after rung, until nothing is left that this or another process could do."""

    def __init__(
        self,
        task: Startable,
        trials: Mapping[str, Trial],
        store: Store,
        engine: Engine,
        stop: Halving | None,
        on_result: Callable[[Result], None] | None,
        progress: Progress | None,
    ) -> None:
        self.task, self.trials, self.store, self.engine, self.stop = task, trials, store, engine, stop
        self.on_result = on_result
        self.progress = progress
        self.total = next(iter(trials.values())).steps

    def to_end(self) -> None:
        self.measure_starts()
        rungs = [] if self.stop is None else self.stop.steps(self.total)
        for rung in [*rungs, self.total]:
            self.up_to(rung)
            if self.stop is not None and rung < self.total:
                losers = self.stop.stopped(self.trials, self.store.rung(rung))
                self.store.stop(losers)
                for key in losers:
                    self.kept(key).unlink(missing_ok=True)

    def measure_starts(self) -> None:
        first = {trial.seed: trial for trial in reversed(list(self.trials.values()))}
        missing = [Leg(first[seed], 0) for seed in sorted(first.keys() - self.store.starts().keys())]
        for result in serial(self.task, missing):
            self.store.record_start(result.trial.seed, result.score)

    def up_to(self, rung: int) -> None:
        self.say()
        while self.waiting(rung):
            for result in self.engine(self.task, _Claims(self, rung)):
                self.store.record(result)
                if self.on_result is not None:
                    self.on_result(result)
                self.say(result)
            if self.waiting(rung):  # another process is at work on what is left
                if claims := self.store.claims(self.trials):
                    self.tell(WAITING + " and ".join(map(str, claims)))
                time.sleep(PAUSE)

    def claimed(self, rung: int) -> Iterator[Trial | Leg]:
        while (trial := self.store.claim(self.trials, rung)) is not None:
            yield trial if self.stop is None else Leg(trial, rung, self.kept(trial.key))

    def waiting(self, rung: int) -> int:
        return self.store.waiting(self.trials, rung)

    def kept(self, key: str) -> Path:
        """The folder of a trial's state from one rung to the next."""
        return self.store.folder / "waiting" / f"{key}.pt"

    def say(self, result: Result | None = None) -> None:
        if result is None:
            return self.tell("")
        others = [str(value) for axis, value in result.trial.settings.items() if axis != "lr"]
        what = "diverged" if result.diverged else f"loss {result.score:.3g}"
        rate = f"rate {result.trial.settings['lr']:.3g}"
        return self.tell(", ".join([rate, *others, f"seed {result.trial.seed}: {what}"]))

    def tell(self, note: str) -> None:
        if self.progress is not None:
            self.progress(len(self.trials) - self.waiting(self.total), len(self.trials), note)


class _Claims:
    """The trials that are claimed one by one; an engine may ask how many there could be."""

    def __init__(self, sweeping: _Sweeping, rung: int) -> None:
        self.sweeping, self.rung = sweeping, rung

    def __iter__(self) -> Iterator[Trial | Leg]:
        return self.sweeping.claimed(self.rung)

    def __length_hint__(self) -> int:
        return self.sweeping.waiting(self.rung)
