"""The engine that chooses one: a few steps of each way are timed, and the shortest total is taken."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from operator import length_hint
from pathlib import Path
from typing import Any

from stepsize import _check
from stepsize.engine._batched import Batched
from stepsize.engine._choice import FILE, Choice
from stepsize.engine._compiled import compiler
from stepsize.engine._declined import DeclinedError, check_task
from stepsize.engine._measured import LITTLE, Measured, alone, timed, together
from stepsize.engine._processes import cores
from stepsize.engine._serial import check_trial, check_work, serial
from stepsize.engine._work import Leg, Result, leg_of
from stepsize.task import AXES, Startable, Trial, device_of, packed


@dataclass(frozen=True)
class Auto:
    """Time a few steps one after the other and batched, predict totals, and train with the engine of the shortest.

    Choosing takes a second or two. What compiling costs is predicted, and it is tried only where the total stays near
    serial's even if it gains nothing. The choice is made once, from the first trials, and kept: in a sweep's folder,
    beside its database, so that the sweep goes on with the same engine. Trials that the batched engine declines are
    trained one after the other.

    Args:
        workers: how many processes may be used, >= 1; as many as there are cores when left out.
        keep: the file of the choice: obeyed if it is there, written otherwise; none when left out.

    Raises:
        TypeError, ValueError: an argument is invalid.

    Example:
        >>> from stepsize import Trial
        >>> from stepsize.engine import Auto
        >>> from stepsize.task import task_named
        >>> trials = [Trial("linear-regression", {"lr": lr}, seed=0, steps=20) for lr in (0.01, 0.1)]
        >>> engine = Auto(workers=1)
        >>> results = list(engine(task_named("linear-regression"), trials))
        >>> results[0].engine == engine.choice.name
        True
    """

    workers: int | None = None
    keep: Path | None = None
    _chosen: list[Any] = field(default_factory=list, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.workers is not None:
            _check.whole("workers", self.workers, least=1)
        if not isinstance(self.keep, Path | None):
            raise TypeError(_check.message("keep", self.keep, "a pathlib.Path"))

    @property
    def choice(self) -> Choice | None:
        """The engine that was chosen; None before the first trials."""
        return self._chosen[0] if self._chosen else None

    def kept_in(self, folder: Path) -> "Auto":
        """The same with its choice kept in a folder, unless it is kept elsewhere.

        Args:
            folder: a sweep's.
        """
        return self if self.keep is not None else replace(self, keep=folder / FILE)

    def __call__(self, task: Startable, trials: Iterable[Trial | Leg]) -> Iterator[Result]:
        """Train the trials.

        Args:
            task: what the trials are of.
            trials: what is to be trained; if it knows its length, that is how many the choice is made for.

        Raises:
            TypeError: task is no task, or a trial no trial.
            ValueError: the file of the choice holds none.
        """
        check_work(task, trials)
        if not self._chosen and self.keep is not None and self.keep.exists():
            self.obey(Choice.read(self.keep))
        return self._results(task, length_hint(trials), map(check_trial, trials))

    def _results(self, task: Startable, count: int, trials: Iterator[Trial | Leg]) -> Iterator[Result]:
        window = list(islice(trials, Batched().count(task)))
        if window and not self._chosen:
            self.choose(task, window, max(count, len(window)))
        if not window:
            return
        _, engine = self._chosen
        if not isinstance(engine, Batched):
            yield from engine(task, chain(window, trials))
            return
        while window:
            for alike in _by_axes(window):  # what is declined is declined before any of it is trained
                yield from _batched_if_it_can(engine, task, alike)
            window = list(islice(trials, engine.count(task)))

    def choose(self, task: Startable, window: list[Trial | Leg], count: int) -> None:
        """Measure, choose, and write the choice down."""
        legs = [leg_of(work) for work in max(_by_axes(window), key=len)]
        measured = Measured(count, legs[0].until, *alone(task, legs[0]))
        if measured.serial() < LITTLE:
            what = f"{count} trials of {measured.steps} steps"
            self.obey(Choice("serial", f"serial: {what}, less than {LITTLE:g} s", {}))
        else:
            measured = replace(measured, workers=self._processes(task))
            choice, engine = _compared(task, legs, measured)
            self.obey(choice, engine)
        if self.keep is not None and self.choice is not None:
            self.choice.write(self.keep)

    def obey(self, choice: Choice, engine: Any = None) -> None:
        """Use what was chosen from now on."""
        self._chosen[:] = [choice, engine or choice.engine(self.workers)]

    def _processes(self, task: Startable) -> int:
        """How many processes could be used."""
        count = cores() if self.workers is None else self.workers
        if count < 2 or device_of(task) != "cpu":
            return 1
        try:
            packed(task)
        except TypeError:
            return 1
        return count


def _by_axes(works: Iterable[Trial | Leg]) -> list[list[Trial | Leg]]:
    """Trials together that differ only in what costs no time: in the course of the rate and in numbers of a step."""
    found: dict[Any, list[Trial | Leg]] = {}
    for work in works:
        settings = leg_of(work).trial.settings.items()
        cheap = {name for name, axis in AXES.items() if axis.applies in ("rate", "step")}
        found.setdefault(tuple(setting for setting in settings if setting[0] not in cheap), []).append(work)
    return list(found.values())


def _batched_if_it_can(engine: Batched, task: Startable, works: list[Trial | Leg]) -> Iterator[Result]:
    try:
        results = engine(task, works)
        first = next(results)
    except DeclinedError:
        yield from serial(task, works)
        return
    yield first
    yield from results


def _compared(task: Startable, legs: list[Leg], measured: Measured) -> tuple[Choice, Any]:
    """The choice among all ways, with the engine where it has compiled something already."""
    try:
        check_task(task)
        measured = together(task, legs, measured)
    except DeclinedError as error:
        measured = replace(measured, why_not=error.why)
    predicted = measured.predicted()
    if not measured.compiling_pays():
        return Choice.of(measured, predicted), None
    if why := compiler():
        return Choice.of(replace(measured, why_not=f"not compiled, since {why}"), predicted), None
    engine, began = Batched(compiled=True), time.perf_counter()
    try:
        step, _ = timed(engine.bench(task), task, legs[: engine.count(task)])
    except DeclinedError as error:
        return Choice.of(replace(measured, why_not=error.why), predicted), None
    spent = time.perf_counter() - began  # is spent, whichever is chosen now
    predicted["batched-compiled"] = measured.trials * (measured.start + measured.steps * step)
    choice = Choice.of(replace(measured, why_not=f"compiling took {spent:.1f} s"), predicted)
    return choice, engine if choice.name == "batched-compiled" else None
