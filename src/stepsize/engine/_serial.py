"""One trial after the other, in this process."""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from stepsize import _check
from stepsize.task import Startable, Trial

CHUNK = 25  # steps between two looks at whether the loss is still finite


@dataclass(frozen=True)
class Result:
    """A finished trial.

    Attributes:
        trial: what was trained.
        score: loss on the task's fixed set of training data, lower is better; infinite when training diverged.
        losses: training loss of each step done.
        metrics: validation figures by name; empty when training diverged.
        seconds: wall-clock time.
        engine: the name of the engine that did it.
    """

    trial: Trial
    score: float
    losses: tuple[float, ...]
    metrics: dict[str, float]
    seconds: float
    engine: str

    @property
    def diverged(self) -> bool:
        """Whether the training loss or the score was not finite."""
        return not math.isfinite(self.score)


Engine = Callable[[Startable, Iterable[Trial]], Iterator[Result]]


def serial(task: Startable, trials: Iterable[Trial]) -> Iterator[Result]:
    """Train the trials one after the other, and yield each as it finishes.

    Args:
        task: what the trials are of.
        trials: what is to be trained; each is started anew from its own seed.

    Raises:
        TypeError: task is no task, or a trial no trial.

    Example:
        >>> from stepsize import Trial
        >>> from stepsize.engine import serial
        >>> from stepsize.task import task_named
        >>> trials = [Trial("digits", {"lr": lr}, seed=0, steps=10) for lr in (0.001, 0.1)]
        >>> slow, fast = serial(task_named("digits"), trials)
        >>> fast.score < slow.score
        True
    """
    if not isinstance(task, Startable):
        raise TypeError(_check.message("task", task, "a task", 'for example task_named("digits")'))
    if not isinstance(trials, Iterable):
        raise TypeError(_check.message("trials", trials, "several trials"))
    return (_finish(task, trial) for trial in trials)


def _finish(task: Startable, trial: Trial) -> Result:
    if not isinstance(trial, Trial):
        raise TypeError(_check.message("trials", trial, "several trials"))
    began = time.perf_counter()
    run = task.start(trial)
    losses: list[float] = []
    while len(losses) < trial.steps and (not losses or math.isfinite(losses[-1])):
        losses += run.advance(min(CHUNK, trial.steps - len(losses)))
    score = run.score() if math.isfinite(losses[-1]) else math.inf
    score = score if math.isfinite(score) else math.inf
    metrics = run.metrics() if math.isfinite(score) else {}
    return Result(trial, score, tuple(losses), metrics, time.perf_counter() - began, "serial")
