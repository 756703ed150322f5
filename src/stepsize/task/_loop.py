"""The loop of ``train``: chunks of steps, and between them the clock, commands, validations and checkpoints."""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from stepsize import _check
from stepsize.control import Bus, Record
from stepsize.diagnosis import diagnose
from stepsize.task._checkpoint import Checkpoints, Reached
from stepsize.task._contract import Steered, Training, Trial
from stepsize.task._distributed import most
from stepsize.task._faces import Guarded, has_ended
from stepsize.task._ranks import leads
from stepsize.task._seldom import has_feedback, settled
from stepsize.task._suspicion import StoppedVerifying, Suspicion
from stepsize.task._trained import Trained, TrainingInterrupted


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


class Loop:
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
        suspicion: Suspicion | None = None,
    ) -> None:
        self.trial, self.run, self.often, self.bus = trial, run, often, bus
        self.may_be_seldom = often.is_open and not has_feedback(run)
        self.checkpoints, self.save_every, self.suspicion = checkpoints, save_every, suspicion
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
            self.suspect(interrupted)
            stop, _ = self.agree(interrupted(), 0.0)
            while self.done < self.total and not stop and not self.diverged:
                started, done = time.perf_counter(), self.done
                until = min(done + chunk, self.total, (done // self.pause + 1) * self.pause, self.next_look)
                self.reached.losses += self.run.advance(until - done)
                self.stepped, self.stepping = self.stepped + self.done - done, self.stepping + _since(started)
                self.settle()
                commanded = self.obey()
                self.save_when_due()
                self.look()
                self.suspect(interrupted)
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

    @property
    def next_look(self) -> int:
        """The step at which the rules are asked next, before forks."""
        return self.total if self.suspicion is None else self.suspicion.next(self.done, self.total)

    def suspect(self, interrupted: Callable[[], bool]) -> None:
        """Verify the rate where it is time to and a rule finds it suspicious; Ctrl-C ends forks, not the run's last."""
        due = self.suspicion is not None and self.suspicion.is_due(self.reached, self.total)
        if not due or self.suspicion is None or self.checkpoints is None or self.diverged or interrupted():
            return

        def progress(_done: int, _total: int, note: str) -> None:
            if interrupted():
                raise StoppedVerifying
            self.tell(f"verifying: {note}")

        if not self.at_a_stop:  # where it was saved before the validation, which must not be observed twice
            self.save(self.checkpoints)
        self.suspicion.look(self.run, self.checkpoints, self.reached, self.bus, progress)

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
            verified=self.reached.verified,
        )


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
