"""The commands of a run as its process reads them: each takes effect before one update, settled once and for all."""

import math
import os
import re
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from heapq import heappop, heappush
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from stepsize import _check, _schema
from stepsize.control.steering._about import About
from stepsize.control.steering._command import VERBS, Command
from stepsize.control.steering._files import COMMANDS, Seen, content, make, seen, set_aside
from stepsize.control.steering._ledger import Due, Ledger, Now, Read, unanswered
from stepsize.control.steering._ranks import Meeting
from stepsize.control.steering._trail import Answer

SHARE = 200  # times as long as a look takes is the time until the next one
LOOKS = 4  # the quickest of so many counts: others may have waited for the processor
SELDOM = 10.0  # seconds between two looks at most
PATIENCE = 1.0  # seconds until the next look at what could not be read
SAID = 20  # complaints at most
STATE = _schema.record(
    {
        "bytes": _schema.whole(0),
        "lines": _schema.whole(0),
        "digest": _schema.text,
        "waiting": _schema.every(_schema.row(_schema.whole(0), _schema.whole(1), _schema.text)),
    }
)


_alive: "WeakValueDictionary[Path, Commands]" = WeakValueDictionary()


class Commands:
    """The commands in a folder, for ``Control(..., steer=...)``.

    A command takes effect before the update that is next when it is read; that step is written down first, so that a
    run that is killed and goes on from an earlier checkpoint takes it at the same step again. What is new then waits
    until the run is where it was. A run that goes on from no state is another one: it does not do again what an earlier
    run was told, whose commands and answers are then renamed (``commands-1.jsonl``), with a warning.

    Args:
        folder: made if missing; a run's own, or any that nothing else is steered by.
        verbs: what the loop around Control does beside: of ``"validate"``, ``"checkpoint"``, ``"diagnose"``,
            ``"stop"``; the loop asks ``control.asked("stop")`` after each step.
        resume: whether the run is the folder's own also where it goes on from no state, as one that was killed before
            its first checkpoint: it then does the commands again, at the same steps.

    Raises:
        TypeError, ValueError: a verb is none of these.
        OSError: the folder cannot be written.

    Example:
        >>> import torch
        >>> from stepsize import Control, Steer
        >>> from stepsize.control import Commands
        >>> weight = torch.ones(1, requires_grad=True)
        >>> control = Control(torch.optim.SGD([weight], lr=0.5), steer=Commands("runs/a", verbs=["stop"]))
        >>> while not control.asked("stop"):
        ...     weight.square().sum().backward()
        ...     if control.step().position == 3:  # from another terminal: stepsize steer runs/a stop
        ...         _ = Steer("runs/a").stop()
        >>> control.position > 3
        True
    """

    def __init__(self, folder: Path | str, verbs: Collection[str] = (), resume: bool = False) -> None:
        if not isinstance(folder, str | Path):
            raise TypeError(_check.message("steer", folder, "a folder, or Commands of one"))
        by_loop = [name for name, verb in VERBS.items() if verb.by_loop]
        if isinstance(verbs, str) or not isinstance(verbs, Collection):
            raise TypeError(_check.message("verbs", verbs, f"a list of {', '.join(by_loop)}"))
        for verb in verbs:
            if verb not in by_loop:
                raise ValueError(f"verbs: no loop does {verb!r}; {_check.closest(str(verb), by_loop)}")
        if not isinstance(resume, bool):
            raise TypeError(_check.message("resume", resume, "True or False"))
        self.folder, self.verbs, self.resume = Path(folder).absolute(), tuple(verbs), resume
        self.meeting = Meeting()
        self.complaints: list[str] = []  # that were not said yet
        self.loaded = False  # whether the run goes on from a state
        self.asked: dict[str, None] = {}  # verbs that the loop has not done yet
        self._path = str(self.folder / COMMANDS)
        self._ledger = Ledger(self.folder)
        self._waiting: list[Due] = []
        self._seen: Seen | None = None
        self._looked = False
        self._ended = 0.0
        self.wake_step, self.wake_time = 0.0, 0.0  # nothing is to be done before the one and the other
        self._took: list[float] = []  # seconds of the last looks
        self._said: set[str] = set()
        self._facts: Now | None = None  # of a run that has begun
        self._process = os.getpid()
        self._old = 0.0  # from when on what was said of the run is old

    def begin(self) -> None:
        """Make the file; ValueError where another run in this process is steered from the same folder."""
        if _alive.get(self.folder, self) is not self:
            remedy = "give each a folder of its own, or detach() the other one"
            raise ValueError(
                _check.message("steer", str(self.folder), "a folder that no other run is steered by", remedy)
            )
        if self.meeting.leads:
            self.folder.mkdir(parents=True, exist_ok=True)
            make(self._path)
        _alive[self.folder] = self

    def first(self, facts: Now) -> About | None:
        """Before the first step: leave what another run was told, and give what this one said, if it goes on.

        Args:
            facts: tells what can be steered.
        """
        self._facts = facts
        if self.loaded or self.resume:
            with suppress(OSError, ValueError):  # nothing may have been kept of its beginning
                return About.read(self.folder)
        elif self.meeting.leads:
            try:
                aside = set_aside(self.folder, partial(unanswered, self.folder))
            except (OSError, ValueError) as error:
                self._complain(error)
                return None
            if aside is not None:
                what = f"of an earlier run, which are not done again and kept as {aside.name}"
                self._complain(ValueError(f"it had commands {what}; to go on with that run, load its state first"))
        return None

    def due(self, step: int, about: Now) -> Sequence[Due]:
        """What is to be done before the update of a step, in order; every process calls it at the same steps.

        Args:
            step: how many updates have been done.
            about: tells what can be steered, where there is something to be checked.
        """
        if self.meeting.is_several:
            self.wake_time = math.inf
            if self.meeting.is_due(step):
                self._meet(step, about)
        elif time.perf_counter() >= self.wake_time:
            self.wake_time = self._look(step, about)[1]
        found = []
        while self._waiting and self._waiting[0].step <= step:
            found.append(heappop(self._waiting))
        self.wake_step = min(self.meeting.next_step, self._waiting[0].step if self._waiting else math.inf)
        return found

    def answer(self, answers: Sequence[Answer]) -> None:
        """Write answers down; what cannot be written now is written with the next ones.

        Args:
            answers: to commands that were due.
        """
        if self.meeting.leads:
            try:
                self._ledger.answer(answers)
            except (OSError, ValueError) as error:
                self._complain(error)

    def write(self) -> None:
        """Say in the folder what can be steered now."""
        if self._facts is not None and self.meeting.leads:
            began = time.perf_counter()
            try:
                self._facts().write(self.folder)
            except (OSError, ValueError) as error:
                self._complain(error)
            ended = time.perf_counter()
            self._old = ended + max(SELDOM, (ended - began) * SHARE)

    @property
    def is_old(self) -> bool:
        """Whether what was said of the run is to be said anew, since it has gone on; known at looks."""
        return self._ended > self._old

    def state(self) -> dict[str, Any]:
        """Small plain data, for the run's state; empty where no command was ever read."""
        if not self._waiting and not self._ledger.read.bytes:
            return {}
        waiting = [[due.step, due.line, due.command.line().decode()] for due in sorted(self._waiting)]
        return {**vars(self._ledger.read), "waiting": waiting}

    def load(self, state: Mapping[str, Any] | None) -> None:
        """Go on from a state; what was read since is read again, and taken at the same steps.

        Args:
            state: from ``state``; None where the run was not steered then.
        """
        self.loaded = True
        self._ledger.go_on(state)
        rows = [] if state is None else state["waiting"]
        self._waiting = [Due(step, line, Command.parse(text.encode())) for step, line, text in rows]
        self._looked, self.wake_step, self.wake_time = False, 0.0, 0.0
        self.asked.clear()
        self.meeting.begin()

    def close(self) -> None:
        """Leave the folder to others, and say in it where the run has ended."""
        facts, self._facts = self._facts, None
        if facts is not None and self.meeting.leads and os.getpid() == self._process:
            with suppress(OSError, ValueError):
                replace(facts(), process=0).write(self.folder)
        if _alive.get(self.folder) is self:
            del _alive[self.folder]

    def _look(self, step: int, about: Now) -> tuple[bool, float]:
        """Read what is new; whether there was any, and when to look again: later, the longer a look takes."""
        began = time.perf_counter()
        found = seen(self._path)
        ended = self._ended = time.perf_counter()
        self._took = [*self._took[1 - LOOKS :], ended - began]
        again = ended + min(SELDOM, min(self._took) * SHARE) if len(self._took) == LOOKS else 0.0
        if self._looked and found == self._seen and not self._ledger.owes:
            return False, again
        try:
            news, more = self._ledger.take(self._content(), step, about)
        except (OSError, ValueError) as error:
            self._complain(error)
            return False, ended + PATIENCE
        if not self._looked:  # what waited in a state may have been answered since
            self._waiting = [due._replace(answered=self._ledger.settled(due.line)) for due in self._waiting]
        self._seen, self._looked = (None if more else found), True
        for due in news:
            heappush(self._waiting, due)
        return bool(news), again

    def _content(self) -> bytes:
        try:
            return content(self._path)
        except FileNotFoundError:
            return b""

    def _meet(self, step: int, about: Now) -> None:
        """Processes that train together: the first one reads, and all wait for the same commands."""
        first = not self.meeting.has_met

        def news() -> dict[str, Any]:
            if not self._look(step, about)[0] and not first:
                return {}
            rows = [[due.step, due.line, due.command.line().decode(), due.answered] for due in sorted(self._waiting)]
            return {"waiting": rows, "read": vars(self._ledger.read)}

        found = self.meeting.hold(step, news)
        if "read" in found and not self.meeting.leads:
            self._ledger.read = Read(**found["read"])
            rows = found["waiting"]
            self._waiting = [Due(at, line, Command.parse(text.encode()), answered) for at, line, text, answered in rows]

    def _complain(self, error: BaseException) -> None:
        """Keep for saying what is wrong with the folder's files, each once."""
        what = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        where = error.filename if isinstance(error, OSError) and error.filename else self._path
        text = f"steering: {what}" if what.startswith(str(where)) else f"steering: {where}: {what}"
        kind = re.sub(r"[\d,]+", "#", text)  # a file that grows is too large once
        if kind not in self._said and len(self._said) < SAID:
            self._said.add(kind)
            self.complaints.append(text)
