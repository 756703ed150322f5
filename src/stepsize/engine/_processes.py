"""Several trials at once, each in a process of its own with one thread."""

import multiprocessing
import os
import pickle
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

import torch

from stepsize import _check
from stepsize._origin import WORKER, Origin, mark, origin_of
from stepsize.engine._serial import check_trial, check_work
from stepsize.engine._work import Leg, Result, done
from stepsize.task import Parcel, Startable, TaskFileError, Trial, packed, unpacked

ATTEMPTS = 3  # times that a trial is begun whose worker dies


@dataclass(frozen=True)
class Processes:
    """Train trials in worker processes, as many at once as there are workers; results come as they finish.

    The figures are those of ``serial`` with as many threads, bit for bit. A worker that is killed is replaced and its
    trial begun again. A script that uses this must keep what it does under ``if __name__ == "__main__":``.

    Args:
        workers: how many, >= 1; as many as there are CPU cores for this process when left out.
        threads: CPU threads of each, >= 1.

    Raises:
        TypeError, ValueError: an argument is invalid.

    Example:
        >>> from stepsize import Trial
        >>> from stepsize.engine import Processes
        >>> from stepsize.task import task_named
        >>> trials = [Trial("quadratic", {"lr": lr}, seed=0, steps=10) for lr in (0.001, 0.1)]
        >>> results = list(Processes(2)(task_named("quadratic"), trials))
        >>> sorted(result.trial.settings["lr"] for result in results)
        [0.001, 0.1]
    """

    workers: int | None = None
    threads: int = 1

    def __post_init__(self) -> None:
        if self.workers is not None:
            _check.whole("workers", self.workers, least=1)
        _check.whole("threads", self.threads, least=1)

    @property
    def count(self) -> int:
        """How many workers there are."""
        return cores() if self.workers is None else self.workers

    def __call__(self, task: Startable, trials: Iterable[Trial | Leg]) -> Iterator[Result]:
        """Train the trials.

        Args:
            task: what the trials are of; built in, from ``task_named("file.py:task")``, or one that can be pickled.
            trials: what is to be trained; the next is asked for when a worker is free.

        Raises:
            TypeError: the task cannot be sent to another process.
            RuntimeError: a worker cannot start, or one trial's workers died three times.
        """
        check_work(task, trials)
        return _Pool(packed(task), self.count, self.threads).results(map(check_trial, trials))


def cores() -> int:
    """How many CPU cores this process may use.

    Example:
        >>> from stepsize.engine import cores
        >>> cores() >= 1
        True
    """
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on this system
        return os.cpu_count() or 1


@dataclass(eq=False)
class _Worker:
    process: BaseProcess
    pipe: Connection
    work: Trial | Leg | None = None
    ready: bool = False


@dataclass
class _Pool:
    """The workers, and what each is doing."""

    parcel: Parcel
    count: int
    threads: int
    workers: list[_Worker] = field(default_factory=list)
    again: deque[Trial | Leg] = field(default_factory=deque)
    deaths: dict[str, int] = field(default_factory=dict)

    def results(self, trials: Iterator[Trial | Leg]) -> Iterator[Result]:
        try:
            self.hand_out(trials)
            while self.workers:
                answered = wait([worker.pipe for worker in self.workers])
                for worker in [idle for idle in self.workers if idle.pipe in answered]:
                    result = self.received(worker)
                    if isinstance(result, Result):
                        worker.work = None
                        yield result
                self.hand_out(trials)
        finally:
            for worker in self.workers:
                worker.process.kill()
            for worker in self.workers:
                worker.process.join()
                worker.pipe.close()

    def hand_out(self, trials: Iterator[Trial | Leg]) -> None:
        """Give every free worker a trial, start workers that are missing, let go those that nothing is left for."""
        while len(self.workers) < self.count and (work := self.next_of(trials)) is not None:
            self.hire(work)
        for worker in [free for free in self.workers if free.work is None]:
            work = self.next_of(trials)
            if work is None:
                self.workers.remove(worker)
                worker.pipe.close()  # it ends by itself then
                worker.process.join()
            else:
                worker.work = work
                self.tell(worker)

    def next_of(self, trials: Iterator[Trial | Leg]) -> Trial | Leg | None:
        return self.again.popleft() if self.again else next(trials, None)

    def hire(self, work: Trial | Leg) -> None:
        context = multiprocessing.get_context("spawn")
        near, far = context.Pipe()
        process = context.Process(target=_serve, args=(far, self.parcel, self.threads), daemon=True)
        with _interrupts_held_back():  # until it is among those that are ended with this process
            process.start()
            far.close()
            self.workers.append(_Worker(process, near, work))
        self.tell(self.workers[-1])

    def tell(self, worker: _Worker) -> None:
        try:
            worker.pipe.send(worker.work)
        except OSError:  # it died; its end of the pipe says so when it is listened to
            return

    def received(self, worker: _Worker) -> Any:
        """A worker's answer; one that died is replaced when work is next handed out."""
        try:
            message = worker.pipe.recv()
        except (EOFError, OSError):
            self.bury(worker)
            return None
        if isinstance(message, _Ready):
            if message.threads != self.threads:
                raise RuntimeError(f"a worker has {message.threads} threads instead of {self.threads}")
            worker.ready = True
        if isinstance(message, Failed):
            raise message.raised()
        return message

    def bury(self, worker: _Worker) -> None:
        worker.process.join()
        worker.pipe.close()
        self.workers.remove(worker)
        code, work = worker.process.exitcode, worker.work
        if not worker.ready and code != -signal.SIGKILL:
            raise RuntimeError(
                f"a worker process could not start ({_death(code)}, its own message is above); in a script, keep "
                'what is done under if __name__ == "__main__":, or use engine=serial'
            )
        if work is None:
            return
        key = (work.trial if isinstance(work, Leg) else work).key
        self.deaths[key] = self.deaths.get(key, 0) + 1
        if self.deaths[key] == ATTEMPTS:
            raise RuntimeError(
                f"the worker of {work} died {ATTEMPTS} times ({_death(code)}); use fewer workers where memory is short"
            )
        self.again.append(work)


@dataclass(frozen=True)
class _Ready:
    threads: int


def _death(code: int | None) -> str:
    """How a process ended, in words."""
    if code is None or code >= 0:
        return f"exit code {code}"
    names = {number.value: number.name for number in signal.Signals}
    return f"killed by {names.get(-code, f'signal {-code}')}"


@dataclass(frozen=True)
class Failed:
    error: BaseException | None
    name: str
    text: str
    origin: Origin

    @staticmethod
    def of(error: BaseException) -> "Failed":
        """An error as it is sent: itself where it can be pickled, else its message."""
        text, name = "".join(traceback.format_exception(error)), type(error).__name__
        origin = origin_of(_told_by(error))
        try:
            pickle.loads(pickle.dumps(error))  # noqa: S301 - what this process has just made
        except Exception:
            return Failed(None, f"{name}: {error}", text, origin)
        return Failed(error, name, text, origin)

    def raised(self) -> BaseException:
        """The error, for the process that began the worker to raise."""
        error = RuntimeError(f"a worker raised {self.name}") if self.error is None else self.error
        error.add_note(f"{WORKER}\n{self.text}")
        mark(_told_by(error), self.origin)
        return error


def _told_by(error: BaseException) -> BaseException:
    """The error that says what went wrong: of a task's file that cannot be read, what was raised in it."""
    return error.__cause__ or error if isinstance(error, TaskFileError) else error


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Hold Ctrl-C back for a moment, and in a process that is begun meanwhile for good: it must not die of it."""
    if not hasattr(signal, "pthread_sigmask"):  # not on this system
        yield
        return
    resource_tracker.ensure_running()  # begun with the first process otherwise, it would let Ctrl-C through again
    came = threading.Event()
    handler, is_main = signal.getsignal(signal.SIGINT), threading.current_thread() is threading.main_thread()
    held = is_main and callable(handler)
    if held:  # a mask is of one thread: what another one receives, such as that of a progress bar, comes here, too
        signal.signal(signal.SIGINT, lambda *_: came.set())
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if held:
            signal.signal(signal.SIGINT, handler)
        if came.is_set():
            signal.raise_signal(signal.SIGINT)


def _serve(pipe: Connection, parcel: Parcel, threads: int) -> None:
    """A worker's life: trials come, results go, until the pipe is closed or the process that began it is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is answered by the process that began it
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    try:
        task = unpacked(parcel)
        torch.set_num_threads(threads)  # after the task's file, which may have set another number
        pipe.send(_Ready(torch.get_num_threads()))
        while True:
            try:
                work = pipe.recv()
            except EOFError:
                return
            pipe.send(done(task, work, "processes"))
    except (Exception, SystemExit) as error:
        with suppress(OSError):  # the process that began it may be gone
            pipe.send(Failed.of(error))


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    while parent is not None and parent.is_alive():
        parent.join(1.0)
        time.sleep(0)
    os._exit(1)
