"""Training one trial to its end, watched and measured; Ctrl-C stops after a step and loses nothing."""

import io
import math
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from stepsize import _check
from stepsize.control import Observer, Plan
from stepsize.state import write_atomic
from stepsize.task._contract import Run, Startable, Trial


@dataclass(frozen=True)
class Trained:
    """A trial trained to its end, or as far as it came.

    Attributes:
        trial: what was trained.
        steps: how many steps were done.
        score: loss on the fixed set of training data at the end; infinite when the training loss was not finite.
        metrics: validation figures at the end, by name.
        losses: training loss of each step.
        history: validation figures along the way, each with its ``step``.
        seconds: wall-clock time.
        state: the run's state at the end.
    """

    trial: Trial
    steps: int
    score: float
    metrics: dict[str, float]
    losses: tuple[float, ...]
    history: tuple[dict[str, float], ...]
    seconds: float
    state: dict[str, Any] = field(repr=False, default_factory=dict)

    @property
    def diverged(self) -> bool:
        """Whether the training loss stopped being finite."""
        return not math.isfinite(self.score)


class TrainingInterrupted(KeyboardInterrupt):
    """Ctrl-C in training; ``trained`` holds everything up to the last whole step."""

    def __init__(self, trained: Trained) -> None:
        super().__init__(f"stopped at step {trained.steps} of {trained.trial.steps}")
        self.trained = trained


def train(
    task: Startable,
    *,
    lr: float,
    schedule: str | None = None,
    clip: float | None = None,
    seed: int = 0,
    steps: int | None = None,
    watch: Iterable[Observer] = (),
    evaluate_every: int | None = None,
) -> Trained:
    """Train a task to its end at a rate, under control.

    Args:
        task: a built-in task or your own.
        lr: the rate, > 0.
        schedule: a schedule's text; the task's when left out.
        clip: the largest global gradient norm let through, > 0; the task's when left out.
        seed: of weights, data order and everything drawn, 0 <= seed < 2**32.
        steps: length of the run, >= 1; the task's when left out.
        watch: observers; they see each step and each validation.
        evaluate_every: steps from one validation to the next, >= 1; a twentieth of the run when left out.

    Raises:
        TypeError, ValueError: an argument is not what is said above.
        TrainingInterrupted: Ctrl-C; it carries what was trained.

    Example:
        >>> from stepsize import train
        >>> from stepsize.task import task_named
        >>> trained = train(task_named("digits"), lr=0.1, steps=20)
        >>> trained.steps, 0.1 < trained.metrics["accuracy"] <= 1
        (20, True)
    """
    if not isinstance(task, Startable):
        raise TypeError(_check.message("task", task, "a task", 'for example task_named("digits")'))
    total = task.steps if steps is None else _check.whole("steps", steps, least=1)
    pause = max(1, total // 20) if evaluate_every is None else _check.whole("evaluate_every", evaluate_every, least=1)
    plan = Plan(schedule, clip=clip)
    settings: dict[str, Any] = {"lr": _check.number("lr", lr, above=0)}
    settings |= {} if schedule is None else {"schedule": str(plan.lr)}
    settings |= {} if clip is None else {"clip": plan.clip}
    trial = Trial(task.name, settings, seed, total)
    return _Training(trial, task.start(trial, watch=watch), pause).to_end()


def save_state(path: Path | str, state: Mapping[str, Any]) -> None:
    """Write a run's state whole or not at all, for ``torch.load(path, weights_only=True)``.

    Args:
        path: the file.
        state: from ``Run.state()``.

    Raises:
        OSError: it cannot be written; a file that was there is untouched.

    Example:
        >>> import tempfile, torch
        >>> from stepsize.task import save_state
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_state(f"{folder}/last.pt", {"step": 3})
        ...     torch.load(f"{folder}/last.pt", weights_only=True)
        {'step': 3}
    """
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    write_atomic(path, buffer.getvalue())


class _Training:
    """The loop of ``train``: chunks of steps between looks at the clock, the signal and the validation set."""

    def __init__(self, trial: Trial, run: Run, pause: int) -> None:
        self.trial, self.run, self.pause = trial, run, pause
        self.losses: list[float] = []
        self.history: list[dict[str, float]] = []
        self.began = time.perf_counter()

    def to_end(self) -> Trained:
        chunk, total = 1, self.trial.steps
        with _deferred_interrupt() as interrupted:
            self.measure()
            while len(self.losses) < total and not interrupted() and not self.diverged:
                started, done = time.perf_counter(), len(self.losses)
                until = min(done + chunk, total, (done // self.pause + 1) * self.pause)
                self.losses += self.run.advance(until - done)
                if until % self.pause == 0 or until == total:
                    self.measure()
                # a tenth of a second between looks: quick to answer Ctrl-C, few interruptions of the training
                chunk = 2 * chunk if time.perf_counter() - started < 0.05 else max(1, chunk // 2)
            trained = self.result()
        if trained.steps < total and not self.diverged:
            raise TrainingInterrupted(trained)
        return trained

    @property
    def diverged(self) -> bool:
        return bool(self.losses) and not math.isfinite(self.losses[-1])

    def measure(self) -> None:
        values = self.run.metrics()
        self.run.observe(**values)
        self.history.append({"step": len(self.losses), **values})

    def result(self) -> Trained:
        if self.history[-1]["step"] != len(self.losses):
            self.measure()
        metrics = {name: value for name, value in self.history[-1].items() if name != "step"}
        return Trained(
            trial=self.trial,
            steps=len(self.losses),
            score=math.inf if self.diverged else self.run.score(),
            metrics=metrics,
            losses=tuple(self.losses),
            history=tuple(self.history),
            seconds=time.perf_counter() - self.began,
            state=self.run.state(),
        )


@contextmanager
def _deferred_interrupt() -> Iterator[Callable[[], bool]]:
    """Let Ctrl-C be asked for instead of raised, so that no step is cut in half; a second one is raised at once."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set  # only the main thread receives signals
        return
    before = signal.getsignal(signal.SIGINT)

    def ask(*_: Any) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    signal.signal(signal.SIGINT, ask)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)
