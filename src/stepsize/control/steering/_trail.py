"""What became of commands: a line when a run takes one, and a line when it has taken effect or was refused."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stepsize import _schema
from stepsize._json import to_json
from stepsize.control.steering._command import Command
from stepsize.control.steering._files import ANSWERS, LARGEST_ANSWERS, appending, content

TAKEN, DONE, REFUSED = "taken", "done", "refused"
_SIDES = _schema.table(_schema.maybe(_schema.finite()))
_SCHEMA = _schema.record(
    {"line": _schema.whole(1), "state": _schema.text, "step": _schema.whole(0), "position": _schema.finite(least=0)},
    {
        "id": _schema.text,
        "reason": _schema.text,
        "before": _SIDES,
        "after": _SIDES,
        "command": _schema.of_type(dict, "a mapping"),
        "seen": _schema.whole(0),
    },
)


@dataclass(frozen=True)
class Answer:
    """What became of a command.

    Attributes:
        line: of the command in its file, from 1 on.
        state: ``"taken"``: it will take effect before the update of ``step``; ``"done"``: it has; ``"refused"``.
        step: how many updates had been done.
        position: the clock.
        id: of the command; empty where the line was none.
        reason: why it was refused.
        before: the values concerned by name, such as the groups' rates.
        after: the same with the command in effect.
        command: as it was taken.
        seen: of one that is taken: how many updates had been done when it was read.
    """

    line: int
    state: str
    step: int
    position: float
    id: str = ""
    reason: str = ""
    before: Mapping[str, float | None] = field(default_factory=dict)
    after: Mapping[str, float | None] = field(default_factory=dict)
    command: Mapping[str, Any] = field(default_factory=dict)
    seen: int | None = None

    @property
    def reached(self) -> int:
        """How far the run was when this was answered: that far its past is settled."""
        return self.step if self.seen is None else self.seen

    def plain(self) -> dict[str, Any]:
        """As plain data, without what is empty."""
        return {name: value for name, value in vars(self).items() if value not in ("", {}, None)}


def read_answers(folder: Path | str) -> list[Answer]:
    """All answers in a folder, in the order in which they were given; what is not whole is left out.

    Args:
        folder: of a run.

    Raises:
        OSError, ValueError: the file is a link, another user's, or too large.
    """
    try:
        found = content(Path(folder) / ANSWERS, LARGEST_ANSWERS)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [answer for line in found.split(b"\n") if (answer := _parsed(line)) is not None]


def write_answers(folder: Path | str, answers: Iterable[Answer]) -> None:
    """Append answers, and wait until they would survive a power cut.

    Args:
        folder: of a run.
        answers: to append.

    Raises:
        OSError, ValueError: the file is a link, another user's, too large, or cannot be written.
    """
    lines = b"".join(to_json(answer.plain()).encode() + b"\n" for answer in answers)
    if lines:
        with appending(Path(folder) / ANSWERS, LARGEST_ANSWERS) as file:
            file.write(lines)


def latest(answers: Iterable[Answer]) -> dict[str, Answer]:
    """The last answer to each command that has an id."""
    return {answer.id: answer for answer in answers if answer.id}


def _parsed(line: bytes) -> Answer | None:
    try:
        found = json.loads(line.decode("utf-8"))
        _SCHEMA("an answer", found)
        if found.get("command"):
            Command.parse(json.dumps(found["command"]).encode())
    except (ValueError, TypeError, RecursionError):
        return None
    known = {name: found[name] for name in Answer.__dataclass_fields__ if name in found}
    return Answer(**known) if found["state"] in (TAKEN, DONE, REFUSED) else None
