"""Lengths: a number of positions, a share of the whole run (``"5%"``) or epochs (``"3ep"``)."""

import math
import re
from dataclasses import dataclass
from typing import Any

from stepsize import _check

Length = float | str | None
"""A number of positions, ``"5%"`` of the whole run, ``"3ep"`` epochs, or None: the rest of the run."""

SMALLEST = 1e-9  # below it, positions divided by a length may leave the floats
LIMIT = 2.0**53  # above it, neighbouring steps are no longer different floats
REMEDY = 'write a number of steps, a share of the run such as "5%", or epochs such as "3ep"'
_RELATIVE = re.compile(r"\s*([0-9]+\.?[0-9]*(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?)\s*(%|ep)\s*")


@dataclass(frozen=True)
class Horizon:
    """The run a schedule is laid over: its total length and the length of an epoch, in positions."""

    total: float
    per_epoch: float | None


def canonical(name: str, value: object) -> Length:
    """Check a length and bring it to its one written form: a float, ``"5%"``, ``"3ep"`` or None."""
    if value is None:
        return None
    if not isinstance(value, str):
        number = _check.number(name, value, least=0, remedy=REMEDY)
        _check_size(name, value, number)
        return number
    match = _RELATIVE.fullmatch(value)
    if not match:
        raise ValueError(_check.message(name, value, "a length", REMEDY))
    amount, unit = float(match[1]), match[2]
    if unit == "%" and not amount <= 100:
        raise ValueError(_check.message(name, value, "at most 100% of the run", REMEDY))
    _check_size(name, value, amount)
    return format_number(amount) + unit


def _check_size(name: str, value: object, amount: float) -> None:
    if amount != 0 and not SMALLEST <= amount < LIMIT:
        raise ValueError(_check.message(name, value, f"0, or at least {SMALLEST:g} and below {LIMIT:g}", REMEDY))


def resolve(name: str, length: Length, horizon: Horizon) -> float | None:
    """The length in positions on this horizon; None stays None."""
    if not isinstance(length, str):
        return length
    if length.endswith("%"):
        return horizon.total * float(length[:-1]) / 100
    if horizon.per_epoch is None:
        raise ValueError(
            f"{name}={length} counts epochs, and the length of an epoch is not known; "
            "give it: .over(total, per_epoch=...) or Control(..., per_epoch=...)"
        )
    return float(length[:-2]) * horizon.per_epoch


def stretch(length: Length, factor: float) -> Length:
    """A length in positions or epochs times a factor; a share and an open length stay what they are."""
    if length is None or (isinstance(length, str) and length.endswith("%")):
        return length
    if isinstance(length, str):
        return format_number(float(length[:-2]) * factor) + "ep"
    return length * factor


def is_relative(value: object) -> bool:
    """Whether a length, or one of a table of lengths, depends on the run."""
    return any(map(is_relative, value)) if isinstance(value, tuple) else isinstance(value, str)


def format_value(value: Any) -> str:
    """The text of an argument: a number, a length, or a list of these."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(format_value, value))}]"
    return format_number(value) if isinstance(value, float) else str(value)


def format_number(value: float) -> str:
    """The shortest text that reads back as the same float, without a needless ``.0``."""
    if math.isfinite(value) and value == int(value) and abs(value) < LIMIT:
        return str(int(value))
    return repr(value)
