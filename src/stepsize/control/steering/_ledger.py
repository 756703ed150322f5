"""What a run has read of its commands: each line is taken for a step once and for all, or refused with the reason."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from stepsize import _check
from stepsize.control.steering._about import About
from stepsize.control.steering._command import Command
from stepsize.control.steering._trail import REFUSED, TAKEN, Answer, read_answers, write_answers

MOST_LINES = 20_000  # of the file
AT_ONCE = 200  # lines taken at one look
Now = Callable[[], About]


class Due(NamedTuple):
    """A command with the step before whose update it takes effect.

    Attributes:
        step: of the run.
        line: of the command in its file: what comes first is done first.
        command: what is to be done.
        answered: ``"done"`` or ``"refused"`` where that was answered before the run was stopped and went on.
    """

    step: int
    line: int
    command: Command
    answered: str = ""


@dataclass
class Read:
    """How much of the file was read."""

    bytes: int = 0
    lines: int = 0
    digest: str = hashlib.sha256(b"").hexdigest()


class Ledger:
    """Reads the lines of one folder's commands, each once, and writes down what becomes of them.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path) -> None:
        self.read = Read()
        self._folder = folder
        self._ids: dict[str, int] | None = None  # of lines read, with the line; None: to be read again
        self._trail: dict[int, Answer] = {}  # the last answer to each line
        self._steps: dict[int, Answer] = {}  # of those that were taken before this process
        self._floor = 0  # how far the run has been: what is new is not taken for an earlier step
        self._unsent: list[Answer] = []

    @property
    def owes(self) -> bool:
        """Whether answers could not be written yet."""
        return bool(self._unsent)

    def go_on(self, state: Mapping[str, Any] | None) -> None:
        """Begin again where a state was."""
        self.read = Read() if state is None else Read(*(state[name] for name in Read.__dataclass_fields__))
        self._ids = None

    def answer(self, answers: Iterable[Answer]) -> None:
        """Write answers down; what cannot be written now is written with the next ones."""
        self._unsent += answers
        write_answers(self._folder, self._unsent)
        self._trail |= {unsent.line: unsent for unsent in self._unsent}
        self._unsent = []

    def settled(self, line: int) -> str:
        """What was answered to a line at last: ``"done"``, ``"refused"``, or nothing."""
        state = self._trail[line].state if line in self._trail else TAKEN
        return "" if state == TAKEN else state

    def take(self, content: bytes, step: int, about: Now) -> tuple[list[Due], bool]:
        """The commands of lines that were not read yet, and whether there are more; all or none of it happens.

        Args:
            content: of the whole file.
            step: how many updates have been done.
            about: tells what can be steered, where there is something to be checked.

        Raises:
            OSError, ValueError: it is another file than before, has too many lines, or answers cannot be written.
        """
        if hashlib.sha256(content[: self.read.bytes]).hexdigest() != self.read.digest:
            raise ValueError("its beginning differs from what was read before; nothing is taken from it")
        if content.count(b"\n") > MOST_LINES:
            raise ValueError(f"it has more than {MOST_LINES:,} lines; nothing is taken from it")
        ids = self._begun(content) if self._ids is None else dict(self._ids)
        every = content[self.read.bytes :].split(b"\n")[:-1]  # half a line waits for its other half
        lines = every[:AT_ONCE]
        now = about() if any(map(bytes.strip, lines)) else None
        dues, answers = [], []
        for number, line in enumerate(lines, self.read.lines + 1):
            if now is None or not line.strip():
                continue
            due, answer = self._taken(number, line, step, now, ids)
            dues += [] if due is None else [due]
            answers += [] if answer is None else [answer]
        self.answer(answers)
        self._ids = ids
        if lines:
            end = self.read.bytes + sum(len(line) + 1 for line in lines)
            self.read = Read(end, self.read.lines + len(lines), hashlib.sha256(content[:end]).hexdigest())
        return dues, len(every) > AT_ONCE

    def _begun(self, content: bytes) -> dict[str, int]:
        """Read what was answered before this process; the ids of the commands that were read."""
        trail = read_answers(self._folder)
        self._trail = {answer.line: answer for answer in trail}
        self._steps = {answer.line: answer for answer in trail if answer.state == TAKEN}
        self._floor = max((answer.reached for answer in trail), default=0)
        ids: dict[str, int] = {}
        for number, line in enumerate(content[: self.read.bytes].split(b"\n"), 1):
            try:
                ids.setdefault(Command.parse(line).id, number)
            except (TypeError, ValueError):
                continue
        return ids

    def _taken(
        self, number: int, line: bytes, step: int, about: About, ids: dict[str, int]
    ) -> tuple[Due | None, Answer | None]:
        """One line: the command that is taken, and what is answered."""
        before, name, reached = self._trail.get(number), "", max(step, self._floor)
        try:
            command = Command.parse(line)
            name = command.id
            _check_new(name, number, ids)
            taken = self._steps.get(number)
            if taken is not None and taken.id == name:
                return Due(taken.step, number, command, self.settled(number)), None
            if before is None or before.id != name:
                about.check(command)
                _check_ahead(command, reached)
        except (TypeError, ValueError) as error:
            refused = Answer(number, REFUSED, step, about.position, name, _check.in_one_line(error, None))
            return None, None if before is not None and before.state == REFUSED else refused
        if before is not None and before.id == name:
            return None, None  # refused when it was read, which holds
        at = reached if command.at is None else command.at
        fields = json.loads(command.line())
        return Due(at, number, command), Answer(number, TAKEN, at, about.position, name, command=fields, seen=step)


def unanswered(folder: Path, content: bytes) -> bytes:
    """The lines of a command file that nothing was answered to.

    Args:
        folder: with the answers.
        content: of the whole file.
    """
    answers = {answer.line: answer.id for answer in read_answers(folder)}
    lines = enumerate(content.split(b"\n"), 1)
    left = [line for number, line in lines if number not in answers or answers[number] not in ("", _id(line))]
    return b"\n".join(left)


def _id(line: bytes) -> str:
    try:
        return Command.parse(line).id
    except (TypeError, ValueError):
        return ""


def _check_new(name: str, number: int, ids: dict[str, int]) -> None:
    if name in ids:
        raise ValueError(f"the same command was read before, in line {ids[name]}")
    ids[name] = number


def _check_ahead(command: Command, reached: int) -> None:
    if command.at is not None and command.at < reached:
        raise ValueError(_check.message("at", command.at, f"a step to come; the run has done {reached}"))
