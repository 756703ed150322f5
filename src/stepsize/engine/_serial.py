"""One trial after the other, in this process."""

from collections.abc import Iterable, Iterator

from stepsize import _check
from stepsize.engine._work import Leg, Result, done
from stepsize.task import Startable, Trial


def serial(task: Startable, trials: Iterable[Trial | Leg]) -> Iterator[Result]:
    """Train the trials one after the other, with the threads torch has, and yield each as it finishes.

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
    check_work(task, trials)
    return (done(task, work, "serial") for work in map(check_trial, trials))


def check_work(task: object, trials: object) -> None:
    """Raise unless these are a task and several trials.

    Args:
        task: what the trials are of.
        trials: what is to be trained.
    """
    if not isinstance(task, Startable):
        raise TypeError(_check.message("task", task, "a task", 'for example task_named("digits")'))
    if not isinstance(trials, Iterable):
        raise TypeError(_check.message("trials", trials, "several trials"))


def check_trial(work: Trial | Leg) -> Trial | Leg:
    """The same, if it is a trial or a leg of one.

    Args:
        work: one of several trials.
    """
    if not isinstance(work, Trial | Leg):
        raise TypeError(_check.message("trials", work, "several trials"))
    return work
