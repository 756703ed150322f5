"""A command to a running job: what it may be, as one line of JSON."""

import json
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from stepsize import _check
from stepsize._json import no_constant, to_json

LONGEST = 2_000  # bytes of a line, its end included
LONGEST_REASON = 500  # characters
LARGEST = 1e18  # of a value: products of two are still numbers in float32
HOW = ("stretch", "keep", "cooldown")
_ID = re.compile(r"[0-9a-f]{16}")


class Verb(NamedTuple):
    """What a verb takes.

    Attributes:
        value: what its number must be, in words; empty where it takes none.
        grouped: whether it takes ``group`` and ``of``.
        by_loop: whether it is the loop around Control that does it.
        about: one line for people.
    """

    value: str
    grouped: bool
    by_loop: bool
    about: str


VERBS: Mapping[str, Verb] = {
    "scale": Verb("a factor >= 0", True, False, "Multiply the rate from now on."),
    "set": Verb("a rate >= 0", True, False, "Hold the rate at a value until it is released."),
    "release": Verb("", True, False, "Let a held rate follow the plan again."),
    "rebase": Verb("a rate >= 0", True, False, "Give the groups another base."),
    "clip": Verb("a gradient norm > 0", False, False, "Clip gradients at another threshold."),
    "cooldown": Verb("steps > 0", False, False, "Let the rate fall to zero over so many steps, and end there."),
    "extend": Verb("steps > 0", False, False, "Make the run so many steps longer."),
    "validate": Verb("", False, True, "Validate after this step."),
    "checkpoint": Verb("", False, True, "Write a checkpoint after this step."),
    "diagnose": Verb("", False, True, "Look for what goes wrong, after this step."),
    "stop": Verb("", False, True, "Stop after this step; nothing is lost."),
}
POSITIVE = ("clip", "cooldown", "extend")


@dataclass(frozen=True)
class Command:
    """One command to a running job.

    Attributes:
        verb: one of ``VERBS``.
        value: the number that belongs to it; None where it takes none.
        group: the parameter groups: a name or a pattern.
        of: the hyperparameter.
        at: the step before whose update it is to take effect; the next one when None.
        how: of ``extend``: ``"stretch"``, ``"keep"`` or ``"cooldown"``.
        reason: for the record.
        id: 16 hexadecimal digits; new ones when left out.
        sent: when, in seconds since 1970; now when left out.

    Raises:
        TypeError, ValueError: a field is invalid, or is not one of this verb's.

    Example:
        >>> from stepsize.control.steering import Command
        >>> command = Command("scale", 0.5, group="head*", reason="noisy")
        >>> Command.parse(command.line()) == command
        True
    """

    verb: str
    value: float | None = None
    group: str = "*"
    of: str = "lr"
    at: int | None = None
    how: str | None = None
    reason: str = ""
    id: str = ""
    sent: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.verb, str):
            raise TypeError(_check.message("verb", self.verb, f"one of {', '.join(VERBS)}"))
        if self.verb not in VERBS:
            raise ValueError(f"there is no verb {self.verb!r}; {_check.closest(self.verb, VERBS)}")
        self._check_value(VERBS[self.verb])
        self._check_groups(VERBS[self.verb])
        if self.at is not None:
            object.__setattr__(self, "at", _check.whole("at", self.at, least=0))
        if self.verb != "extend" and self.how is not None:
            raise ValueError(f"{self.verb} takes no how, got {self.how!r}; leave it out")
        if self.verb == "extend":
            object.__setattr__(self, "how", HOW[0] if self.how is None else self.how)
            if self.how not in HOW:
                raise ValueError(_check.message("how", self.how, f"one of {', '.join(map(repr, HOW))}"))
        if not isinstance(self.reason, str):
            raise TypeError(_check.message("reason", self.reason, "a text"))
        if len(self.reason) > LONGEST_REASON or not self.reason.isprintable():
            raise ValueError(_check.message("reason", self.reason, f"one line of at most {LONGEST_REASON} characters"))
        if self.id and (not isinstance(self.id, str) or not _ID.fullmatch(self.id)):
            raise ValueError(_check.message("id", self.id, "16 hexadecimal digits"))
        object.__setattr__(self, "id", self.id or secrets.token_hex(8))
        object.__setattr__(self, "sent", _check.number("sent", self.sent, least=0) or round(time.time(), 3))

    def _check_value(self, verb: Verb) -> None:
        if not verb.value:
            if self.value is not None:
                raise ValueError(f"{self.verb} takes no value, got {self.value!r}; leave it out")
            return
        if self.value is None:
            raise ValueError(f"{self.verb} needs a value: {verb.value}")
        above, least = (0.0, None) if self.verb in POSITIVE else (None, 0.0)
        value = _check.number(f"value of {self.verb}", self.value, above=above, least=least)
        if value > LARGEST:
            raise ValueError(_check.message(f"value of {self.verb}", value, f"at most {LARGEST:g}"))
        object.__setattr__(self, "value", value)

    def _check_groups(self, verb: Verb) -> None:
        for name in ("group", "of"):
            value, default = getattr(self, name), getattr(Command, name)
            if not isinstance(value, str):
                raise TypeError(_check.message(name, value, "a text"))
            if not value or len(value) > LONGEST_REASON or not value.isprintable():
                raise ValueError(_check.message(name, value, f"one line of at most {LONGEST_REASON} characters"))
            if not verb.grouped and value != default:
                raise ValueError(f"{self.verb} takes no {name}, got {value!r}; leave it out")

    def line(self) -> bytes:
        """The command as one line of a file; ValueError where that would be too long."""
        fields: dict[str, Any] = {"id": self.id, "verb": self.verb}
        for name in ("value", "group", "of", "at", "how", "reason"):
            if getattr(self, name) != getattr(Command, name):
                fields[name] = getattr(self, name)
        text = to_json({**fields, "sent": self.sent}).encode() + b"\n"
        if len(text) > LONGEST:
            raise ValueError(
                f"the command takes {len(text):,} bytes, and {LONGEST:,} is the most; shorten reason or group"
            )
        return text

    @staticmethod
    def parse(line: bytes) -> "Command":
        """Read a line.

        Args:
            line: with or without its end.

        Raises:
            TypeError, ValueError: it is no command, as the message says.
        """
        if len(line) > LONGEST:
            raise ValueError(f"a command is at most {LONGEST:,} bytes, got {len(line):,}")
        try:
            found = json.loads(line.decode("utf-8"), parse_constant=no_constant, object_pairs_hook=_once)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"a command is one JSON object a line: {_check.in_one_line(error, 120)}") from None
        if not isinstance(found, dict):
            raise ValueError(_check.message("a command", found, "a JSON object"))
        unknown = [name for name in found if name not in Command.__dataclass_fields__]
        if unknown:
            raise ValueError(f"a command has no {unknown[0][:40]!r}; {_check.closest(unknown[0][:40], FIELDS)}")
        for name in ("id", "verb", "sent"):
            if not found.get(name):
                raise ValueError(f"a command needs {name}")
        return Command(**found)


FIELDS = tuple(Command.__dataclass_fields__)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice")
    return found
