"""Training one trial to its end, watched and measured; Ctrl-C stops after a step and loses nothing."""

import inspect
import math
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from stepsize import _check
from stepsize.control import Bus, Commands, Observer, Record
from stepsize.diagnosis import diagnose
from stepsize.task._axes import AXES, table_of
from stepsize.task._checkpoint import Checkpoints, Reached
from stepsize.task._contract import Startable, Steered, Training, Trial, seed_of
from stepsize.task._distributed import locked_by_first, most
from stepsize.task._faces import Guarded, Paced, has_ended
from stepsize.task._pause import pause_of
from stepsize.task._ranks import leads
from stepsize.task._seldom import has_feedback, is_open, settled
from stepsize.task._sources import optimizer_of_run, sources_of
from stepsize.task._trained import Trained, TrainingInterrupted

LOOP = ("validate", "checkpoint", "diagnose", "stop")  # what commands may want of the loop of ``train``


def train(
    task: Startable,
    trial: Trial | None = None,
    *,
    lr: float | None = None,
    seed: int | None = None,
    steps: int | None = None,
    watch: Iterable[Observer] = (),
    evaluate_every: int | None = None,
    folder: Path | str | None = None,
    resume: bool = False,
    accept_changes: bool = False,
    save_every: float = 60.0,
    progress: Callable[[int, int, str], None] | None = None,
    **axes: Any,
) -> Trained:
    """Train a task to its end at a rate, under control.

    With a folder, the run can be steered from it, by ``Steer(folder)`` or ``stepsize steer FOLDER``;
    ``last.pt`` is written at every validation, and ``best.pt`` when the validation loss is the lowest
    so far. Killed at any moment, ``train`` with ``resume=True`` goes on from the last one, and on a CPU the end is that
    of an uninterrupted run, bit for bit.

    Args:
        task: a built-in task or your own.
        trial: what is trained of it, instead of rate, seed, steps and axes.
        lr: the rate, > 0; needed without a trial.
        seed: of weights, data order and everything drawn, 0 <= seed < 2**32; the task's when left out.
        steps: length of the run, >= 1; the task's when left out.
        watch: observers; they see each step and each validation.
        evaluate_every: steps from one validation to the next, >= 1; the task's when left out, or else a twentieth
            of the run, but at least 10, or more where validations on the way would take more than a fifth of the time
            (and more than two seconds), which is settled at the first and said in ``remark``. What is validated does
            not change what is trained; where feedback looks at something, nothing is left out.
        folder: where checkpoints are kept; nowhere when left out.
        resume: whether to go on from the folder's last checkpoint. A task whose code or optimizer is no longer what
            it was is refused; of the program that is run itself, only the task's functions are compared.
        accept_changes: whether to go on with such a task as it is now, its optimizer's settings included, which is
            said in a ``TaskChangedWarning``. Another class of optimizer is refused all the same.
        save_every: seconds after which ``last.pt`` is written also between validations, > 0.
        progress: called with (steps done, steps, a note for people) where something else than a step takes time.
        **axes: what else is set, as the settings of a ``Trial``: ``schedule``, ``clip``, ``batch_size``,
            ``optimizer``, ``warmup``, ``momentum``, ``weight_decay``, ``guard`` (True, a guard, its text), and axes of
            the task's own.

    Raises:
        TypeError, ValueError: an argument is invalid, the folder's checkpoint cannot be used, or another process
            trains in the folder.
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
    trial = _trial(task, trial, lr, seed, steps, axes)
    size = trial.settings.get("batch_size")
    pause = task.pause(trial.steps, size) if isinstance(task, Paced) else pause_of(None, trial.steps, None)
    pause = pause if evaluate_every is None else _check.whole("evaluate_every", evaluate_every, least=1)
    if not isinstance(resume, bool):
        raise TypeError(_check.message("resume", resume, "True or False"))
    if resume and folder is None:
        raise ValueError("resume goes on from a folder's last checkpoint, and no folder was given; give folder=")
    if not isinstance(accept_changes, bool):
        raise TypeError(_check.message("accept_changes", accept_changes, "True or False"))
    save_every = _check.number("save_every", save_every, above=0)
    if progress is not None and not callable(progress):
        raise TypeError(_check.message("progress", progress, "a function"))
    about = {"task": task.name, "settings": dict(trial.settings), "seed": trial.seed, "steps": trial.steps}
    bus = Bus(watch, about)
    often = Often(pause, is_open(task, evaluate_every), progress)
    if folder is None:
        return _announced(bus, lambda: _Loop(task.start(trial, watch=bus), trial, often, None, resume, save_every, bus))
    checkpoints = Checkpoints(folder, trial, bus, accept_changes)
    commands = Commands(folder, verbs=LOOP)

    def begun() -> _Loop:
        if not resume:
            checkpoints.check_free()
        run = task.start(trial, watch=bus)
        checkpoints.made_of = {**sources_of(task), **optimizer_of_run(run)}
        if isinstance(run, Steered):
            run.steer_by(commands)
        return _Loop(run, trial, often, checkpoints, resume, save_every, bus)

    with locked_by_first(folder):
        try:
            return _announced(bus, begun)
        finally:
            commands.close()


def _trial(
    task: Startable, trial: Trial | None, lr: float | None, seed: int | None, steps: int | None, axes: dict[str, Any]
) -> Trial:
    """The trial that is meant, by itself or by its parts."""
    for name in axes:
        if name not in (*AXES, *table_of(task)):
            raise TypeError(f"train has no argument {name!r}; {_check.closest(name, [*KEYWORDS, *table_of(task)])}")
    facts = {
        name: value for name, value in {"lr": lr, "seed": seed, "steps": steps, **axes}.items() if value is not None
    }
    if trial is None:
        if lr is None:
            raise TypeError(_check.message("lr", lr, "the rate", "`find` finds one"))
        settings = {name: value for name, value in facts.items() if name not in ("seed", "steps")}
        return Trial.of(task, settings, seed_of(task, seed), task.steps if steps is None else steps)
    if not isinstance(trial, Trial):
        raise TypeError(_check.message("trial", trial, "a Trial", "give rates and axes by name: train(task, lr=0.1)"))
    if facts:
        raise ValueError(f"trial says all that is set, and {', '.join(facts)} came beside it; leave that out")
    return trial


KEYWORDS = tuple(inspect.signature(train).parameters)[2:-1]


class Often(NamedTuple):
    """The interval of a run's validations, and their observers.

    Attributes:
        pause: steps from one validation to the next.
        is_open: whether it may be more, if validations are slow.
        progress: is told.
    """

    pause: int
    is_open: bool
    progress: Callable[[int, int, str], None] | None


class _Loop:
    """The loop of ``train``: chunks of steps between looks at the clock, the signal and the validation set."""

    def __init__(
        self,
        run: Training,
        trial: Trial,
        often: Often,
        checkpoints: Checkpoints | None,
        resume: bool,
        save_every: float,
        bus: Bus,
    ) -> None:
        self.trial, self.run, self.often, self.bus = trial, run, often, bus
        self.may_be_seldom = often.is_open and not has_feedback(run)
        self.checkpoints, self.save_every = checkpoints, save_every
        self.steered = run if isinstance(run, Steered) else None
        self.reached = Reached()
        if checkpoints is not None and resume:
            self.reached = checkpoints.load(run)
        self.saved = time.perf_counter()
        self.began = self.saved - self.reached.seconds
        self.unsaved = 0.0
        self.stepped, self.stepping = 0, 0.0  # steps in this session, and the seconds that they took

    def to_end(self) -> Trained:
        chunk = 1
        with _deferred_interrupt() as interrupted:
            if self.checkpoints is not None and (not self.done or self.checkpoints.accepted):
                self.save(self.checkpoints)
            self.look()
            stop, _ = self.agree(interrupted(), 0.0)
            while self.done < self.total and not stop and not self.diverged:
                started, done = time.perf_counter(), self.done
                until = min(done + chunk, self.total, (done // self.pause + 1) * self.pause)
                self.reached.losses += self.run.advance(until - done)
                self.stepped, self.stepping = self.stepped + self.done - done, self.stepping + _since(started)
                self.settle()
                commanded = self.obey()
                self.save_when_due()
                self.look()
                # a tenth of a second between looks: quick to answer Ctrl-C, few interruptions of the training
                stop, seconds = self.agree(interrupted() or commanded, time.perf_counter() - started)
                chunk = 2 * chunk if seconds < 0.05 else max(1, chunk // 2)
            # at a stop it was saved before the validation, which comes again and must not be observed twice
            if stop and self.checkpoints is not None and not self.diverged and not self.at_a_stop:
                self.save(self.checkpoints)
            trained = self.result()
        if trained.steps < self.total and not self.diverged:
            raise TrainingInterrupted(trained)
        return trained

    def agree(self, interrupted: bool, seconds: float) -> tuple[bool, float]:
        """Whether to stop and how long the last steps took: of processes that train together, wherever most."""
        stop, seconds, self.unsaved = most(interrupted, seconds, time.perf_counter() - self.saved)
        return stop > 0, seconds

    def obey(self) -> bool:
        """Do what commands want of the loop, and say whether to stop."""
        if self.steered is None or self.checkpoints is None:
            return False
        if self.steered.asked("validate") and not self.at_a_stop and not self.diverged:
            self.measure()
            self.checkpoints.save_if_best(self.run, self.reached)
        if self.steered.asked("checkpoint"):
            self.unsaved = math.inf
        if self.steered.asked("diagnose") and leads():
            self.diagnose(self.checkpoints.folder)
        return self.steered.asked("stop")

    def diagnose(self, folder: Path) -> None:
        """Tell what is wrong with the run so far, by what its folder has of it."""
        try:
            found = [symptom.event for symptom in diagnose(folder)]
            remark = "" if found else "nothing is wrong with the run so far"
        except ValueError as error:  # nothing was written that could be looked at
            found, remark = [], _check.in_one_line(error, 300)
        for values, text in found or [({}, {"what": "diagnose", "group": "*", "reason": remark})]:
            self.bus.send(Record(self.done, float(self.done), "event", values, text))

    @property
    def total(self) -> int:
        """Steps of the run, which commands may change."""
        return self.trial.steps if self.steered is None else self.steered.total

    @property
    def done(self) -> int:
        return len(self.reached.losses)

    @property
    def pause(self) -> int:
        """Steps from one validation to the next."""
        return self.reached.pause if self.may_be_seldom and self.reached.pause else self.often.pause

    def settle(self) -> None:
        """When the first is due after steps, settle how often there is one; it is kept, so resuming changes nothing."""
        if self.may_be_seldom and self.reached.pause is None and self.at_a_stop and self.stepped:
            pace = self.stepping / self.stepped
            pause, meant = self.often.pause, self.trial.steps
            self.reached.pause = settled(pause, meant, self.reached.validation, pace * pause)

    @property
    def remark(self) -> str:
        """The note on a run that was validated less often than intended."""
        if self.pause == self.often.pause:
            return ""
        only = self.pause >= self.total
        found = "at the beginning and the end" if only else f"every {self.pause} steps"
        share = f"instead of every {self.often.pause} steps, so that it takes at most a fifth of the time"
        return f"validated {found} {share}; evaluate_every of the task says otherwise"

    def tell(self, note: str) -> None:
        """Say what is done now."""
        if self.often.progress is not None:
            self.often.progress(self.done, self.total, note)

    @property
    def at_a_stop(self) -> bool:
        return self.done % self.pause == 0 or self.done == self.total

    @property
    def diverged(self) -> bool:
        return has_ended(self.run, self.reached.losses)

    def save_when_due(self) -> None:
        """Before the validation that belongs to a step, so that going on begins with it."""
        due = self.at_a_stop or self.unsaved > self.save_every
        if self.checkpoints is not None and due and not self.diverged:
            self.save(self.checkpoints)
            self.saved, self.unsaved = time.perf_counter(), 0.0

    def save(self, checkpoints: Checkpoints) -> None:
        self.reached.seconds = time.perf_counter() - self.began
        checkpoints.save(self.run, self.reached)

    def look(self) -> None:
        """Validate where it is time to."""
        if self.at_a_stop and not self.diverged:
            self.measure()
            if self.checkpoints is not None:
                self.checkpoints.save_if_best(self.run, self.reached)

    def measure(self) -> None:
        self.tell("validating")
        began = time.perf_counter()
        values = self.run.metrics()
        self.reached.validation = self.reached.validation or _since(began)
        self.run.observe(**values)
        self.reached.history.append({"step": self.done, **values})

    def result(self) -> Trained:
        history = self.reached.history
        if not history or history[-1]["step"] != self.done:
            self.measure()
        metrics = {name: value for name, value in history[-1].items() if name != "step"}
        self.tell("scoring")
        return Trained(
            trial=self.trial,
            steps=self.done,
            score=math.inf if self.diverged else self.run.score(),
            metrics=metrics,
            losses=tuple(self.reached.losses),
            history=tuple(history),
            seconds=time.perf_counter() - self.began,
            state=self.run.state(),
            test=self.run.test() if self.done == self.total and not self.diverged else {},
            remark=self.remark,
            ended=self.run.ended if isinstance(self.run, Guarded) else "",
        )


def _announced(bus: Bus, begun: Callable[[], _Loop]) -> Trained:
    """Train to the end, and tell observers what that was."""
    try:
        training = begun()  # kept here, since a control that is dropped tells its end itself
        trained = training.to_end()
    except TrainingInterrupted:
        bus.end("interrupted")
        raise
    except BaseException as error:
        bus.end(f"failed: {type(error).__name__}")
        raise
    bus.end("diverged" if trained.diverged else "finished")
    return trained


def _since(began: float) -> float:
    return time.perf_counter() - began


@contextmanager
def _deferred_interrupt() -> Iterator[Callable[[], bool]]:
    """Let Ctrl-C be asked for instead of raised, so that no step is cut in half; a second one is raised at once.

    The same holds for SIGTERM where somebody answers it. What is ignored stays so, as Ctrl-C in the background of a
    shell.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set  # only the main thread receives signals
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    answered = {number: handler for number, handler in handlers.items() if callable(handler)}

    def ask(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            answered[signal.Signals(number)](number, frame)
        asked.set()

    for number in answered:
        signal.signal(number, ask)
    try:
        yield asked.is_set
    finally:
        for number, handler in answered.items():
            signal.signal(number, handler)
