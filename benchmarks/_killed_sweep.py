"""One start of the sweep of sweep_kills.py: it kills itself, or its workers, at the moment it is told, and notes it."""

import json
import math
import multiprocessing.process
import os
import random
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from stepsize import Trial, sweep
from stepsize.engine import Processes
from stepsize.sweeps import _database, _store, logspace

RATES, SEEDS, STEPS = logspace(1e-3, 1e9, 20), 10, 10  # some of the 200 trials diverge
FIRST, COMMIT = 50, 0.003  # transactions among which one is chosen; seconds that a commit may take


class Fit:
    """Gradient descent on a line by hand: workers then need not import what torch's optimizers do, and start sooner."""

    def __init__(self, trial: Trial) -> None:
        self.rate, self.draw = trial.settings["lr"], torch.Generator().manual_seed(trial.seed)
        self.weights = torch.randn(3, 1, generator=self.draw)
        self.kept = self.batch()

    def batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        x = torch.randn(16, 3, generator=self.draw)
        return x, x.sum(1, keepdim=True) + 0.1 * torch.randn(16, 1, generator=self.draw)

    def loss(self, batch: tuple[torch.Tensor, torch.Tensor]) -> float:
        return float((batch[0] @ self.weights - batch[1]).square().mean())

    def advance(self, steps: int) -> list[float]:
        losses: list[float] = []
        while len(losses) < steps and (not losses or math.isfinite(losses[-1])):
            x, y = batch = self.batch()
            losses.append(self.loss(batch))
            self.weights -= self.rate * 2 / len(x) * x.T @ (x @ self.weights - y)
        return losses

    def score(self) -> float:
        return self.loss(self.kept)

    def metrics(self) -> dict[str, float]:
        return {"distance": float((self.weights - 1).norm())}


@dataclass(frozen=True)
class Line:
    """The task that is swept."""

    name: str = "line"
    steps: int = STEPS
    axes: tuple[str, ...] = ("lr",)

    def start(self, trial: Trial, watch: Iterable[Any] = ()) -> Fit:
        return Fit(trial)


class Killer:
    """Where the process is, and what it dies of."""

    def __init__(self, moment: str, seed: int, seconds: float, notes: Path) -> None:
        self.notes, self.draw, self.inside, self.transactions = notes, random.Random(seed), False, 0
        self.chosen = self.draw.randrange(1, FIRST) if moment == "transaction" else 0
        self.statements = self.draw.randrange(1, 4)  # the one after BEGIN, or the next ones, up to COMMIT
        times = {"driver": 1, "worker": 2}.get(moment, 0)
        for _ in range(times):
            self.later(self.draw.uniform(0, seconds), self.die if moment == "driver" else self.kill_a_worker)

    def later(self, seconds: float, what: Any) -> None:
        timer = threading.Timer(seconds, what)
        timer.daemon = True
        timer.start()

    def workers(self) -> list[int]:
        return [child.pid for child in list(multiprocessing.process._children) if child.is_alive()]

    def die(self) -> None:
        self.note("driver", self.inside, self.workers())
        os.kill(os.getpid(), signal.SIGKILL)

    def kill_a_worker(self) -> None:
        pids = self.workers()
        if not pids:  # none was begun yet, or all are gone
            self.later(0.05, self.kill_a_worker)
            return
        self.note("worker", False, [])
        os.kill(self.draw.choice(pids), signal.SIGKILL)

    def note(self, who: str, inside: bool, workers: list[int]) -> None:
        with self.notes.open("a") as file:
            file.write(json.dumps({"who": who, "inside": inside, "workers": workers}) + "\n")

    @contextmanager
    def writing(self, connection: Any) -> Iterator[None]:
        """The sweep's own transaction, with this looking on."""
        self.transactions += 1
        if self.transactions == self.chosen:
            connection.set_trace_callback(self.traced)
        self.inside = True
        try:
            with REAL(connection):
                yield
        finally:
            self.inside = False
            connection.set_trace_callback(None)

    def traced(self, statement: str) -> None:
        """Called before each statement of the chosen transaction; its commit is killed while it is at work."""
        if statement.startswith("COMMIT"):
            self.later(self.draw.uniform(0, COMMIT), self.die)
        elif not statement.startswith("BEGIN"):
            self.statements -= 1
            if self.statements == 0:
                self.die()


REAL = _database.writing


def go_on(folder: Path, moment: str, seed: int, seconds: float, notes: Path) -> None:
    """Go on with the sweep in a folder, until its end or that of this process.

    Args:
        folder: the sweep's.
        moment: ``transaction``, ``driver`` (at any time), ``worker`` (it dies, not this) or ``never``.
        seed: of when it is.
        seconds: what an undisturbed sweep takes.
        notes: a file to which each kill is added, before it is done.
    """
    killer = Killer(moment, seed, seconds, notes)
    _database.writing = _store.writing = killer.writing
    sweep(Line(), RATES, SEEDS, folder=folder, steps=STEPS, engine=Processes(2))
