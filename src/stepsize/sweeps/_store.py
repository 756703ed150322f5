"""The store of a sweep: its trials, the processes at work on them, and their results."""

import json
import math
import os
import socket
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stepsize.engine import Result
from stepsize.sweeps._database import SweepFileError, connected, explained, path_of, writing
from stepsize.sweeps._schema import POINTS
from stepsize.task import Trial

BEAT, SILENT = 5.0, 30.0  # seconds between two signs of life, and until one that gives none is taken for dead


@dataclass(frozen=True)
class Claim:
    """Trials that another process has claimed.

    Attributes:
        host: where the process is,
        pid: and its number there.
        trials: how many.
        silent: seconds since a sign of life was seen.
    """

    host: str
    pid: int
    trials: int
    silent: float

    def __str__(self) -> str:
        what = f"{self.trials} trial{'s' * (self.trials > 1)} claimed by process {self.pid} on {self.host}"
        silent = f", silent for {self.silent:.0f} s and" if self.silent > 2 * BEAT else ","
        return f"{what}{silent} taken over after {SILENT:.0f} s without a sign of life"


class Store:
    """The file of a sweep, open for writing; several processes may have it open.

    Args:
        folder: the sweep's; made if it is not there.
        facts: what all its trials share, as plain data; a sweep that was there must have the same.

    Raises:
        SweepFileError: the file cannot be used, or is of another task or length.
    """

    def __init__(self, folder: Path | str, facts: Mapping[str, Any]) -> None:
        self.folder = Path(folder).absolute()  # a task's own code may change the working directory
        self.path = path_of(self.folder)
        self._db = connected(folder, writing=True)
        self._over = threading.Event()
        self._beats: dict[int, tuple[float, float]] = {}  # by owner its last beat, and when that was first seen here
        try:
            with explained(self.path), writing(self._db):
                self._agree(dict(facts))
                me = (socket.gethostname(), os.getpid(), time.time())
                self._owner = self._db.execute("INSERT INTO owners (host, pid, beat) VALUES (?, ?, ?)", me).lastrowid
        except BaseException:
            self._db.close()
            raise
        self._heart = threading.Thread(target=self._beat, daemon=True)
        self._heart.start()

    def close(self) -> None:
        """Give back what is not done, and close the file."""
        self._over.set()
        self._heart.join()
        try:
            with explained(self.path), writing(self._db):
                self._db.execute("UPDATE trials SET owner = NULL WHERE owner = ?", (self._owner,))
                self._db.execute("DELETE FROM owners WHERE id = ?", (self._owner,))
        finally:
            self._db.close()

    def add(self, trials: Iterable[Trial]) -> None:
        """Note what is to be trained; trials that are known already stay as they are."""
        with explained(self.path), writing(self._db):
            first = self._db.execute("SELECT coalesce(max(place), -1) + 1 FROM trials").fetchone()[0]
            rows = [
                (trial.key, first + place, json.dumps(dict(trial.settings)), trial.seed, trial.steps)
                for place, trial in enumerate(trials)
            ]
            self._db.executemany(
                "INSERT OR IGNORE INTO trials (key, place, settings, seed, steps) VALUES (?, ?, ?, ?, ?)", rows
            )

    def claim(self, trials: Mapping[str, Trial], until: int) -> Trial | None:
        """The first of the trials, by key, that is not trained up to a step and nobody is at work on, or None."""
        with explained(self.path), writing(self._db):
            self._bury()
            free = "SELECT key FROM trials WHERE status = 'open' AND done < ? AND owner IS NULL ORDER BY place"
            key = next((key for (key,) in self._db.execute(free, (until,)) if key in trials), None)
            if key is None:
                return None
            self._db.execute("UPDATE trials SET owner = ? WHERE key = ?", (self._owner, key))
        return trials[key]

    def record(self, result: Result) -> None:
        """Write down the result of a claimed trial, and give it back."""
        done, steps = len(result.losses), result.trial.steps
        status = "diverged" if result.diverged else "finished" if done == steps else "open"
        score = result.score if math.isfinite(result.score) else None
        with explained(self.path), writing(self._db):
            self._db.execute(
                "UPDATE trials SET status = ?, done = ?, score = ?, metrics = ?, losses = ?, seconds = ?, engine = ?, "
                "threads = ?, owner = NULL WHERE key = ? AND owner = ?",
                (
                    *(status, done, score, json.dumps(_finite(result.metrics)), thinned(result.losses).tobytes()),
                    *(result.seconds, result.engine, result.threads, result.trial.key, self._owner),
                ),
            )
            self._db.execute("INSERT OR REPLACE INTO rungs VALUES (?, ?, ?)", (result.trial.key, done, score))

    def waiting(self, trials: Mapping[str, Trial], until: int) -> int:
        """How many of the trials, by key, are not yet trained up to a step."""
        with explained(self.path):
            rows = self._db.execute("SELECT key FROM trials WHERE status = 'open' AND done < ?", (until,))
            return sum(key in trials for (key,) in rows)

    def claims(self, trials: Mapping[str, Trial]) -> list[Claim]:
        """The trials that other processes are at work on, by key."""
        at_work = (
            "SELECT trials.key, owners.id, host, pid, beat FROM trials JOIN owners ON owner = owners.id "
            "WHERE status = 'open' AND owners.id != ?"
        )
        with explained(self.path):
            rows = self._db.execute(at_work, (self._owner,)).fetchall()
        counts = Counter(tuple(owner) for key, *owner in rows if key in trials)
        return [
            Claim(host, pid, count, self._silence(owner, beat)) for (owner, host, pid, beat), count in counts.items()
        ]

    def rung(self, until: int) -> dict[str, float]:
        """The scores, by key, of all trials that were trained up to a step; infinite for those that diverged before."""
        broken = "SELECT key FROM trials WHERE status = 'diverged' AND done <= ?"
        with explained(self.path):
            rows = self._db.execute("SELECT key, score FROM rungs WHERE done = ?", (until,)).fetchall()
            lost = self._db.execute(broken, (until,)).fetchall()
        return {key: math.inf if score is None else score for key, score in rows} | {key: math.inf for (key,) in lost}

    def stop(self, keys: Iterable[str]) -> None:
        """Note that the trials go no further."""
        stopped = "UPDATE trials SET status = 'stopped' WHERE key = ? AND status = 'open'"
        with explained(self.path), writing(self._db):
            self._db.executemany(stopped, [(key,) for key in keys])

    def reopen(self, keys: Iterable[str]) -> None:
        """Let trials that were stopped early be trained to the end after all."""
        stopped = "UPDATE trials SET status = 'open', done = 0 WHERE key = ? AND status = 'stopped'"
        with explained(self.path), writing(self._db):
            self._db.executemany(stopped, [(key,) for key in keys])

    def first(self, name: str, value: Any) -> Any:
        """The first value under a name, as plain data: this one, unless there was one before."""
        with explained(self.path), writing(self._db):
            self._db.execute("INSERT OR IGNORE INTO sweep VALUES (?, ?)", (name, json.dumps(value)))
            return json.loads(self._db.execute("SELECT value FROM sweep WHERE name = ?", (name,)).fetchone()[0])

    def starts(self) -> dict[int, float]:
        """The score before any training, by seed."""
        with explained(self.path):
            return dict(self._db.execute("SELECT seed, score FROM starts").fetchall())

    def record_start(self, seed: int, score: float) -> None:
        """Write down the score of a seed before any training."""
        with explained(self.path), writing(self._db):
            self._db.execute("INSERT OR REPLACE INTO starts VALUES (?, ?)", (seed, score))

    def _agree(self, facts: dict[str, Any]) -> None:
        before = dict(self._db.execute("SELECT name, value FROM sweep").fetchall())
        if not before:
            stored = [(name, json.dumps(value)) for name, value in facts.items()]
            self._db.executemany("INSERT INTO sweep VALUES (?, ?)", stored)
            return
        for name, value in facts.items():
            was, now = json.loads(before.get(name, "null")), json.loads(json.dumps(value))
            if name in before and was != now:
                raise SweepFileError(
                    f"{self.folder} holds a sweep with {name} {was!r}, and this one has {now!r}; choose another folder"
                )

    def _bury(self) -> None:
        """Free what processes had claimed that are no longer there."""
        owners = self._db.execute("SELECT id, host, pid, beat FROM owners WHERE id != ?", (self._owner,)).fetchall()
        for owner, host, pid, beat in owners:
            if self._silence(owner, beat) > SILENT or (host == socket.gethostname() and not _is_alive(pid)):
                self._db.execute("UPDATE trials SET owner = NULL WHERE owner = ?", (owner,))
                self._db.execute("DELETE FROM owners WHERE id = ?", (owner,))
        # what was claimed by one that was taken for dead while it slept, and that has died since
        lost = "UPDATE trials SET owner = NULL WHERE owner != ? AND owner NOT IN (SELECT id FROM owners)"
        self._db.execute(lost, (self._owner,))

    def _silence(self, owner: int, beat: float) -> float:
        """Seconds since another process's beat has changed, by this one's clock: another host's may be wrong."""
        now = time.monotonic()
        if self._beats.get(owner, (None, now))[0] != beat:
            self._beats[owner] = beat, now
        return now - self._beats[owner][1]

    def _beat(self) -> None:
        """A sign of life every few seconds, on a connection of its own; a beat that is missed does no harm."""
        while not self._over.wait(BEAT):
            try:
                # never made anew where the folder was moved away
                where = f"{self.path.as_uri()}?mode=rw"
                connection = sqlite3.connect(where, timeout=BEAT, isolation_level=None, uri=True)
                me = (self._owner, socket.gethostname(), os.getpid(), time.time())
                connection.execute("INSERT OR REPLACE INTO owners (id, host, pid, beat) VALUES (?, ?, ?, ?)", me)
                connection.close()
            except sqlite3.Error:
                continue


def thinned(losses: Iterable[float]) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """A curve of at most 512 points: the losses themselves, or the means of equal stretches of them.

    Args:
        losses: one for each step.
    """
    values = np.asarray(tuple(losses), dtype=np.float64)
    stride = max(1, math.ceil(len(values) / POINTS))
    if stride == 1:
        return values
    starts = np.arange(0, len(values), stride)
    counts = np.diff([*starts, len(values)])
    return np.asarray(np.add.reduceat(values, starts) / counts, dtype=np.float64)


def _finite(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if math.isfinite(value)}


def _is_alive(pid: int) -> bool:
    if os.name != "posix":  # elsewhere signal 0 is no question; silence decides
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
