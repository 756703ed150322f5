"""The fields of ``run.json`` and their rules, checked whenever such a file is read."""

import json
import math
import os
import stat
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from stepsize import _check
from stepsize._json import no_constant
from stepsize._schema import Rule, from_to, is_finite, mapping_to, or_none
from stepsize.record._layout import FORMAT

LONGEST = 16 * 2**20  # bytes of a run.json
DEEPEST = 32  # mappings and lists in one another
TRAINING = ("find", "train", "tune")  # the commands whose runs can be resumed
DAMAGED = "the file was damaged or edited; put a copy back, or begin the run anew"


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and not any(
        character == "\0" or "\ud800" <= character <= "\udfff" for character in value
    )


def _or_null(rule: Rule) -> Rule:
    return or_none(rule, "null")


TEXT = Rule("a text", _is_text)
STATUS = Rule("a text", lambda value: isinstance(value, str))  # may hold whatever an error said
TRUTH = Rule("true or false", lambda value: isinstance(value, bool))
NUMBER = Rule("a number", is_finite)
POSITIVE = Rule("a number > 0 and at most 1e30", lambda value: is_finite(value) and 0 < value <= 1e30)
FROM_ZERO = Rule("a number >= 0", lambda value: is_finite(value) and value >= 0)
MAPPING = Rule("a mapping", lambda value: isinstance(value, dict))
THREADS, SEED, STEPS = from_to(1, 4096), from_to(0, 2**32 - 1), from_to(1)

# of every run.json that has the field
FACTS: Mapping[str, Rule] = {
    "format": from_to(1),
    "command": TEXT,
    "line": TEXT,  # the whole command, to be copied
    "task": TEXT,
    "plan": TEXT,
    "rate": _or_null(POSITIVE),
    "seed": SEED,
    "steps": STEPS,
    "said": MAPPING,
    "made_of": mapping_to(TEXT),
    "about_task": MAPPING,
    "done": from_to(0),
    "total": STEPS,  # of a run that a command has made longer than its steps
    "started": TEXT,
    "status": STATUS,
    "versions": mapping_to(TEXT),
    "threads": from_to(1),
    "git": _or_null(MAPPING),
    "resumed_at": _or_null(from_to(0)),
    "trial": TEXT,
    "metrics": mapping_to(_or_null(NUMBER)),
    "seconds": FROM_ZERO,
    "verified": MAPPING,  # what forks said of the rate on the way
    "signature": _or_null(TEXT),
}
# what a run cannot be resumed without; of stepsize 0.1 all but what it is made of
NEEDED = (
    *("command", "task", "plan", "rate", "seed", "steps", "said", "about_task", "done", "started", "status"),
    *("versions", "threads", "git"),
)
# the words of a command line that a run is resumed with, beside settings of its trial
SAID: Mapping[str, Rule] = {
    "task": TEXT,
    "threads": THREADS,
    "seed": SEED,
    "steps": STEPS,
    "set": MAPPING,
    "data": TEXT,
    "device": TEXT,
    "amp": TRUTH,
    "accumulate": from_to(1),
    "deterministic": TRUTH,
    "shard": TRUTH,
    "processes": from_to(1),
    "verify": TRUTH,
    "apply": TRUTH,
}
NEEDED_WORDS = ("task", "threads", "seed", "steps")


def read_facts(file: Path, path: Path) -> dict[str, Any]:
    """The content of a ``run.json``, checked.

    Args:
        file: to read.
        path: of the same, as it is called in an error.

    Raises:
        ValueError: it is not there, no file, not readable, not JSON, of a newer format, or a field breaks its rule.
    """
    facts = _parsed(path, _text_of(file, path))
    if not isinstance(facts, dict):
        raise ValueError(_check.message(f"the content of {path}", facts, "a JSON object", DAMAGED))
    written = facts.get("format", 1)
    if type(written) is int and written > FORMAT:
        raise ValueError(
            f"{path} was written by a newer stepsize (format {written}, this one knows {FORMAT}); update stepsize"
        )
    check_fields(path, facts, FACTS)
    if facts.get("done", 0) > max(facts.get("steps", math.inf), facts.get("total", 0)):
        raise ValueError(_check.message(f"done in {path}", facts["done"], f"at most steps, {facts['steps']}", DAMAGED))
    return facts


def check_resumable(path: Path, facts: Mapping[str, Any], settings: Collection[str]) -> None:
    """Raise unless a ``run.json`` says all that a run is resumed with, and nothing else.

    Args:
        path: the file.
        facts: what it says, from ``read_facts``.
        settings: names of what a trial may set; their values are checked on resuming.

    Raises:
        ValueError: it is no run that was trained, lacks something, or says a word that this stepsize does not know.
    """
    if facts.get("command", TRAINING[0]) not in TRAINING or facts.get("rate", 0) is None:
        raise ValueError(f"{path.parent} is not a run that has begun to train; start it again")
    needed = NEEDED if facts.get("format", 1) == 1 else ("made_of", *NEEDED)
    missing = [name for name in needed if name not in facts]
    missing += [f"said.{name}" for name in NEEDED_WORDS if "said" in facts and name not in facts["said"]]
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing)}; {DAMAGED}")
    unknown = sorted(set(facts["said"]) - {*SAID, *settings})
    if unknown:
        what = ", ".join(map(repr, unknown))[:80]
        raise ValueError(f"said in {path} has {what}, which this stepsize does not know; {DAMAGED}")
    check_fields(path, facts["said"], SAID, "said.")
    for name in ("seed", "steps"):
        stated = facts["said"].get(name, facts.get(name))
        if facts.get(name, stated) != stated:
            raise ValueError(f"{name} in {path} is {facts[name]!r}, and said.{name} is {stated!r}; {DAMAGED}")


def check_fields(
    path: Path, fields: Mapping[str, Any], rules: Mapping[str, Rule], prefix: str = "", remedy: str = DAMAGED
) -> None:
    """Raise unless each field that is there keeps its rule.

    Args:
        path: the file they are of.
        fields: by name.
        rules: by name.
        prefix: of the names in an error.
        remedy: what to do then.

    Raises:
        ValueError: one does not.
    """
    for name, rule in rules.items():
        if name in fields:
            rule(f"{prefix}{name} in {path}", fields[name], remedy)


def _text_of(file: Path, path: Path) -> str:
    try:
        # a pipe or a device would be waited for without an end
        handle = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(
            f"{path.parent} holds no run: there is no {path.name} in it; look in the folder runs"
        ) from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    try:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode):
            raise ValueError(f"{path} is not a regular file but a pipe, a device or a folder; choose another run")
        if about.st_size > LONGEST:
            raise ValueError(f"{path} is larger than {LONGEST:,} bytes, which no run.json is; choose another run")
        with os.fdopen(handle, "rb", closefd=False) as opened:
            content = opened.read()
    finally:
        os.close(handle)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 (byte {error.start}); {DAMAGED}") from None


def _parsed(path: Path, text: str) -> Any:
    try:
        facts = json.loads(text, parse_constant=no_constant)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON (line {error.lineno}: {error.msg}); {DAMAGED}") from None
    except RecursionError:
        raise ValueError(f"{path} is nested more than {DEEPEST} deep; {DAMAGED}") from None
    except ValueError as error:
        raise ValueError(f"{path} is not JSON ({error}); {DAMAGED}") from None
    _check_depth(path, facts)
    return facts


def _check_depth(path: Path, facts: Any) -> None:
    level = [facts]
    for _ in range(DEEPEST):
        inner = [item.values() if isinstance(item, dict) else item for item in level if isinstance(item, dict | list)]
        level = [value for values in inner for value in values]
    if level:
        raise ValueError(f"{path} is nested more than {DEEPEST} deep; {DAMAGED}")
