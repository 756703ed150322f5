"""Numbers on a page: ticks of axes, and figures with as many digits as mean something."""

import math
from typing import Any

SMALL, LARGE = 1e-4, 1e6  # between them a number is written in full
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
MINUS, TIMES = "\N{MINUS SIGN}", "\N{MULTIPLICATION SIGN}"
STEPS = (1.0, 2.0, 5.0, 10.0)


def text_of(value: Any, digits: int = 4) -> str:
    """A number in words of a page: 0.154, 1,200, a power of ten; a dash where there is none; other values as text.

    Args:
        value: a number, a text, None.
        digits: that count, >= 1.
    """
    if value is None:
        return "\N{EN DASH}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) and abs(value) < 10**15:
        return f"{value:,}"
    number = _float(value)
    if math.isnan(number):
        return "not finite"
    if math.isinf(number):
        return "∞" if number > 0 else f"{MINUS}∞"
    if number == 0 or SMALL <= abs(number) < LARGE:
        rounded = float(f"{number:.{digits}g}")
        text = f"{number:,.0f}" if abs(rounded) >= 10**digits else f"{rounded:,.{digits}g}"
    else:
        front, _, power = f"{number:.{digits - 1}e}".partition("e")
        front = front.rstrip("0").rstrip(".") if "." in front else front
        raised = f"10{str(int(power)).translate(RAISED)}"
        text = raised if front == "1" else f"{front} {TIMES} {raised}"
    return text.replace("-", MINUS)


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # an int beyond all floats
        return math.inf if value > 0 else -math.inf


def exact(value: Any) -> str:
    """A number as text that gives the same number again; nothing where there is none."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    whole = isinstance(value, float) and value.is_integer() and abs(value) < 1e15
    return str(int(value)) if whole else repr(value)


def short(value: float) -> str:
    """A number of a table, of six digits."""
    if not math.isfinite(value):
        return ""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.6g}"


def ticks(low: float, high: float, log: bool, most: int = 7) -> list[float]:
    """Places of round numbers along an axis.

    Args:
        low: where it begins.
        high: where it ends, above it.
        log: whether it is logarithmic; then both are > 0.
        most: how many there are at most, about.
    """
    if not high > low:
        return [low]
    if log:
        found = _powers(math.log10(low), math.log10(high), most)
        if len(found) >= 2:
            return found
    rough = (high - low) / most
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in STEPS if unit * factor >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def _powers(low: float, high: float, most: int) -> list[float]:
    """Powers of ten, with their double and fivefold where there are few."""
    first, last = math.floor(low), math.ceil(high)
    every = max(1, math.ceil((high - low) / most))
    inner = (1, 2, 5) if high - low <= most / 3 else (1, 3) if high - low <= most / 2 else (1,)
    every = every if len(inner) == 1 else 1
    places = [
        power + math.log10(part) for power in range(first, last + 1) if power % every == 0 for part in inner
    ]  # math.log10(1) is 0
    return [float(f"{10.0**place:.1g}") for place in places if low - 1e-9 <= place <= high + 1e-9 and abs(place) < 300]
