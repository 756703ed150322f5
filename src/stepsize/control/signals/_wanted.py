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
    for item in wanted:
        if isinstance(item, Signal):
            fitting = {item.name: item}
        elif isinstance(item, str):
            base = _sampled(item)[0].partition("/")[0]
            fitting = {name: signal for name, signal in known.items() if fnmatchcase(name, base)}
            if not fitting:
                raise ValueError(f"signals has {item!r}, which is not a signal; {_check.closest(base, known)}")
        else:
            raise TypeError(_check.message("signals", item, "a name, a pattern or a Signal"))
        if hidden := [name for name, signal in fitting.items() if found.get(name, signal) != signal]:
            raise ValueError(f"signals has two of the name {hidden[0]!r}, and one would hide the other; rename one")
        found |= fitting
    return tuple(found.values())


def due(wanted: Wanted, step: int, every: int = 1) -> tuple[str | Signal, ...]:
    """What is wanted of one step, where something is wanted once in so many steps only.

    Of ``"curvature@100"`` the intervals begin with 10, 10, 20, 20, 30, 30 steps and stay at 100 from step 900 on: ten
    looks more than at equal intervals, so that short runs are seen too. They depend on the step and not on a clock: a
    run that is resumed, and each of several processes, looks at the same steps.

    Args:
        wanted: as an observer was told; ``"curvature@100"`` is wanted once in a hundred steps, in the end.
        step: its number.
        every: steps from one line to the next; the first line after a look is due has it.

    Example:
        >>> from stepsize.control.signals import due
        >>> [step for step in range(1100) if "curvature" in due(["loss", "curvature@100"], step)]
        [0, 10, 20, 40, 60, 90, 120, 160, 200, 250, 300, 360, 420, 490, 560, 640, 720, 810, 900, 1000]
    """
    found = list[str | Signal]()
    for item in wanted:
        name, steps = _sampled(item) if isinstance(item, str) else (item, 1)
        if steps <= every or step == 0 or _looks(step, steps) > _looks(step - every, steps):
            found.append(name)
    return tuple(found)


def _looks(step: int, steps: int) -> int:
    """How many looks are due up to a step: at 0, then after 1, 1, 2, 2, ... 9, 9, 10, 10, 10 tenths of ``steps``."""
    level = min((1 + math.isqrt(1 + 4 * (10 * step // steps))) // 2, 10)  # it begins at level * (level - 1) tenths
    return 2 * level - 1 + (10 * step - steps * level * (level - 1)) // (steps * level)


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
    for item in wanted:
        if isinstance(item, Signal):
            if item.name == name.partition("/")[0]:
                return True
        elif item == name or fnmatchcase(name, item):
            return True
    return False
