"""Checks of what a caller hands in; every message names the argument, the rule, the value and the remedy."""

import difflib
import math
from collections.abc import Collection, Iterable
from numbers import Real
from typing import Any


def number(
    name: str,
    value: object,
    *,
    least: float | None = None,
    above: float | None = None,
    remedy: str = "",
) -> float:
    """Return ``value`` as a finite float within the bounds, or raise TypeError or ValueError."""
    rule = "a finite number"
    if least is not None:
        rule += f" >= {least:g}"
    if above is not None:
        rule += f" > {above:g}"
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(message(name, value, rule, remedy))
    result = _float(value)
    inside = math.isfinite(result) and (least is None or result >= least) and (above is None or result > above)
    if not inside:
        raise ValueError(message(name, value, rule, remedy))
    return result


def whole(name: str, value: object, *, least: int, remedy: str = "") -> int:
    """Return ``value`` as an int of at least ``least``, or raise TypeError or ValueError."""
    rule = f"a whole number >= {least}"
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(message(name, value, rule, remedy))
    result = _float(value)
    if not abs(result) < 2**53 or result != int(result) or result < least:
        raise ValueError(message(name, value, rule, remedy))
    return int(result)


def _float(value: Real) -> float:
    try:
        return float(value)
    except OverflowError:  # an int beyond all floats
        return math.inf


def one_number(name: str, value: Any) -> None:
    """Raise unless ``value`` is a real number or a tensor of one element. Nothing is read back from a device."""
    if type(value) is float:
        return
    dtype = str(getattr(value, "dtype", ""))
    if "complex" in dtype:
        raise TypeError(message(f"dtype of {name}", value.dtype, "real", "take its real part or its absolute value"))
    if "bool" in dtype:
        raise TypeError(message(f"dtype of {name}", value.dtype, "that of a number", "hand over the loss itself"))
    if callable(getattr(value, "numel", None)):
        if value.numel() != 1:
            raise ValueError(
                message(f"shape of {name}", tuple(value.shape), "one number", "take its mean or sum first")
            )
    elif isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(message(name, value, "one number"))


def message(name: str, value: object, rule: str, remedy: str = "") -> str:
    """One line: name, rule, received value, remedy."""
    shown = " ".join(map(str.strip, repr(value).splitlines()))  # that of a tensor has several lines
    if len(shown) > 80:
        shown = shown[:77] + "..."
    return f"{name} must be {rule}, got {shown}" + (f"; {remedy}" if remedy else "")


def in_one_line(error: BaseException, longest: int | None = 200) -> str:
    """An error's message in one line of so many characters, all of it for None; its class where there is none."""
    return " ".join(str(error).split())[:longest] or type(error).__name__


def with_class(error: BaseException, longest: int = 200) -> str:
    """An error's class and message, in one line."""
    return f"{type(error).__name__}: {in_one_line(error, longest)}"


def printable(text: str, otherwise: str = " ", kept: Collection[str] = "") -> str:
    """A text with its unprintable characters, on which a terminal may act, replaced by another; those kept stay."""
    return "".join(letter if letter.isprintable() or letter in kept else otherwise for letter in text)


def closest(word: str, options: Iterable[str]) -> str:
    """``did you mean 'cosine'?`` for a near miss, or the list of what there is."""
    known = sorted(options)
    by_letters = {name.lower(): name for name in known}
    cutoff = 0.5 if len(word) <= 3 else 0.55  # of two letters one may be wrong
    near = difflib.get_close_matches(word.lower(), by_letters, n=3, cutoff=cutoff)
    if near:
        likeness = [difflib.SequenceMatcher(None, name, word.lower()).ratio() for name in near]
        best = [name for name, alike in zip(near, likeness, strict=True) if alike > likeness[0] - 0.15]
        return "did you mean " + " or ".join(repr(by_letters[name]) for name in best) + "?"
    return "there is " + ", ".join(known)
