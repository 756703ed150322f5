"""What plain data from a file must look like: small checks put together; the first fault is raised in one line.

A check is called with the name of a value, for the message, and the value; it raises ValueError or returns nothing. A
rule is a check that can also be asked, with the words for what it wants: of files that are read field by field.
"""

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any, NamedTuple

from stepsize import _check

Check = Callable[[str, Any], None]
LARGEST_WHOLE = 2**53  # up to which every whole number is a float


class Rule(NamedTuple):
    """What a value must be, in words and as a test; called as any check."""

    words: str
    holds: Callable[[Any], bool]

    def __call__(self, name: str, value: Any, remedy: str = "") -> None:
        if not self.holds(value):
            raise ValueError(_check.message(name, value, self.words, remedy))


def from_to(least: int, most: int = LARGEST_WHOLE, words: str = "") -> Rule:
    """A whole number from ``least`` to ``most``, no float."""
    words = words or f"a whole number from {least:,} to {most:,}"
    return Rule(words, lambda value: type(value) is int and least <= value <= most)


def or_none(rule: Rule, none: str) -> Rule:
    """What a rule lets through, or None, which a file calls ``none``."""
    return Rule(f"{rule.words}, or {none}", lambda value: value is None or rule.holds(value))


def mapping_to(rule: Rule, words: str = "") -> Rule:
    """A mapping whose values keep a rule."""

    def holds(value: Any) -> bool:
        return isinstance(value, dict) and all(map(rule.holds, value.values()))

    return Rule(words or f"a mapping, each value {rule.words}", holds)


def is_finite(value: Any, least: float = -math.inf) -> bool:
    """Whether a value is a number that a float can be, and no truth value."""
    return type(value) in (int, float) and abs(value) <= sys.float_info.max and value >= least


def finite(least: float | None = None, above: float | None = None, most: float = math.inf) -> Check:
    """A finite number within bounds."""

    def check(name: str, value: Any) -> None:
        _as_value_error(lambda: _check.number(name, value, least=least, above=above))
        if value > most:
            raise ValueError(_check.message(name, value, f"at most {most:g}"))

    return check


def whole(least: int = 0, most: float = math.inf) -> Check:
    """A whole number from ``least`` to ``most``."""

    def check(name: str, value: Any) -> None:
        _as_value_error(lambda: _check.whole(name, value, least=least))
        if value > most:
            raise ValueError(_check.message(name, value, f"at most {most:,}"))

    return check


def real(name: str, value: Any) -> None:
    """Any number, also one that is not finite."""
    if isinstance(value, bool) or not isinstance(value, Real) or (isinstance(value, int) and abs(value) > 1e300):
        raise ValueError(_check.message(name, value, "a number"))


def anything(name: str, value: Any) -> None:
    """Whatever it is: it is checked where it is used."""


def of_type(kind: type, what: str) -> Check:
    """An instance of a type, called ``what`` in the message."""

    def check(name: str, value: Any) -> None:
        if not isinstance(value, kind):
            raise ValueError(_check.message(name, value, what))

    return check


text = of_type(str, "a text")


def maybe(check: Check) -> Check:
    """None, or what another check lets through."""
    return lambda name, value: None if value is None else check(name, value)


def row(*checks: Check) -> Check:
    """A list of so many entries, each with a check of its own."""

    def check(name: str, value: Any) -> None:
        _is_list(name, value)
        if len(value) != len(checks):
            raise ValueError(_check.message(f"length of {name}", len(value), str(len(checks))))
        for number, (check_entry, entry) in enumerate(zip(checks, value, strict=True)):
            check_entry(f"entry {number} of {name}", entry)

    return check


def every(check_entry: Check) -> Check:
    """A list of any length."""

    def check(name: str, value: Any) -> None:
        _is_list(name, value)
        for number, entry in enumerate(value):
            check_entry(f"entry {number} of {name}", entry)

    return check


def table(check_entry: Check) -> Check:
    """A mapping from texts."""

    def check(name: str, value: Any) -> None:
        _is_mapping(name, value)
        for key, entry in value.items():
            text(f"a key of {name}", key)
            check_entry(f"{key} of {name}", entry)

    return check


def record(required: Mapping[str, Check], optional: Mapping[str, Check] | None = None) -> Check:
    """A mapping with fields by name; others may stand beside them."""

    def check(name: str, value: Any) -> None:
        _is_mapping(name, value)
        missing = [field for field in required if field not in value]
        if missing:
            raise ValueError(f"{name} is incomplete: it lacks {', '.join(missing)}")
        for field, check_field in {**required, **(optional or {})}.items():
            if field in value:
                check_field(f"{field} of {name}", value[field])

    return check


def _is_list(name: str, value: Any) -> None:
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        raise ValueError(_check.message(name, value, "a list"))


def _is_mapping(name: str, value: Any) -> None:
    if not isinstance(value, Mapping):
        raise ValueError(_check.message(name, value, "a mapping"))


def _as_value_error(check: Callable[[], object]) -> None:
    try:
        check()
    except TypeError as error:  # of data, the type is a value like any other
        raise ValueError(str(error)) from None
