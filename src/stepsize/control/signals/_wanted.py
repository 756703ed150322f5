"""What observers say they want: names of signals, patterns of names, signals of one's own."""

import math
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from stepsize import _check
from stepsize.control.signals._signal import Signal

Wanted = Iterable[str | Signal]


def signals_in(wanted: Wanted, known: Mapping[str, Signal]) -> tuple[Signal, ...]:
    """The signals that are wanted, each once.

    Args:
        wanted: names, patterns such as ``"update_ratio/*"``, signals.
        known: those that have a name.

    Raises:
        TypeError, ValueError: something is no signal.
    """
    if isinstance(wanted, str) or not isinstance(wanted, Iterable):
        raise TypeError(_check.message("signals", wanted, "a collection of names, patterns and signals"))
    found: dict[str, Signal] = {}
    for each in wanted:
        if isinstance(each, Signal):
            fitting = {each.name: each}
        elif isinstance(each, str):
            base = _sampled(each)[0].partition("/")[0]
            fitting = {name: signal for name, signal in known.items() if fnmatchcase(name, base)}
            if not fitting:
                raise ValueError(f"signals has {each!r}, which is no signal; {_check.closest(base, known)}")
        else:
            raise TypeError(_check.message("signals", each, "a name, a pattern or a Signal"))
        if hidden := [name for name, signal in fitting.items() if found.get(name, signal) != signal]:
            raise ValueError(f"signals has two of the name {hidden[0]!r}, and one would hide the other; rename one")
        found |= fitting
    return tuple(found.values())


def due(wanted: Wanted, step: int, every: int = 1) -> tuple[str | Signal, ...]:
    """What is wanted of one step, where something is wanted once in so many steps only.

    Args:
        wanted: as an observer was told; ``"curvature@100"`` is wanted at every hundredth step, or where lines are not
            written at each step, at as many lines as are at least a hundred steps apart.
        step: its number.
        every: steps from one line to the next.

    Example:
        >>> from stepsize.control.signals import due
        >>> due(["loss", "curvature@100"], 50, every=10), due(["loss", "curvature@100"], 120, every=40)
        (('loss',), ('loss', 'curvature'))
    """
    line, found = step // every, list[str | Signal]()
    for each in wanted:
        name, steps = _sampled(each) if isinstance(each, str) else (each, 1)
        if steps <= every or line % math.ceil(steps / every) == 0:
            found.append(name)
    return tuple(found)


def _sampled(text: str) -> tuple[str, int]:
    """The name, and once in how many steps it is wanted."""
    name, at, steps = text.partition("@")
    if at and not (steps.isdecimal() and int(steps) >= 1):
        raise ValueError(f"signals has {text!r}, and after @ must come a whole number >= 1, as in '{name}@100'")
    return name, int(steps) if at else 1


def fits(name: str, wanted: Wanted) -> bool:
    """Whether a value is among what is wanted: its name, a pattern that it fits, or the signal that gives it.

    Args:
        name: of the value, such as ``rate/head``.
        wanted: names, patterns, signals.
    """
    for each in wanted:
        if isinstance(each, Signal):
            if each.name == name.partition("/")[0]:
                return True
        elif each == name or fnmatchcase(name, each):
            return True
    return False
