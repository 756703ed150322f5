"""Changing a run's length midway, and what its plan becomes."""

import math
from typing import Any

import numpy as np

from stepsize import _check
from stepsize.control._plan import Plan
from stepsize.schedule import Schedule, absolute, constant, linear, part

HOW = ("keep", "stretch", "cooldown")
MOST = 300  # characters that the past may take beside its longest piece; what is older becomes a straight line
ROUNDING = 1e-12
POINTS = 101  # at which two curves are compared


def extended(plan: Plan, position: float, old: float | None, total: float, how: str | Schedule) -> Plan:
    """The plan of a run that is at ``position`` of ``old`` and shall now end at ``total``.

    What was done stays as it was, and the text does not grow with the number of extensions: a stretch of a stretch is
    one stretch; only of a past that takes long to tell, the oldest pieces become one straight line.

    Args:
        plan: laid over the old total.
        position: where the run is.
        old: its total so far, or None.
        total: its new one, > position; with the old one, nothing is kept, stretched, or cooled down a second time.
        how: ``"keep"``: the schedules stay and hold their ends; ``"stretch"``: what is left of them is stretched or
            squeezed to the new end; ``"cooldown"``: the rate goes down in a line from where it is to zero at the new
            end; a schedule: it goes on like that, as a factor of what it is now.
    """
    how = check_how("how", how)
    if how in ("keep", "stretch") and total == old:
        return plan
    if isinstance(how, Schedule) or how == "cooldown":
        shape = how if isinstance(how, Schedule) else linear()
        return plan.changed(
            lambda name, schedule: _cooled(schedule, position, total, shape) if name == "lr" else schedule
        )
    _check_ahead(position, total)
    if how == "keep":
        return plan
    if old is None or not old > position:
        rule = "'keep' or 'cooldown' here: nothing is left to be stretched"
        raise ValueError(_check.message("how", how, rule, f"the run is at {position:g} of {old and f'{old:g}'}"))
    speed = (old - position) / (total - position)
    return plan.changed(lambda _, schedule: _stretched(schedule, position, total - position, speed))


def check_how(name: str, how: Any) -> str | Schedule:
    """One of the words, or a schedule, which may be given as a text; or an error that says so."""
    if isinstance(how, str) and how not in HOW and "(" in how:
        how = Schedule.parse(how)
    if not isinstance(how, Schedule) and how not in HOW:
        raise ValueError(_check.message(name, how, f"one of {', '.join(map(repr, HOW))}, or a schedule"))
    return how  # type: ignore[no-any-return]


def _check_ahead(position: float, total: float) -> None:
    if not total > position:
        raise ValueError(_check.message("total", total, f"above the present position, {position:g}"))


def _stretched(schedule: Schedule, position: float, left: float, speed: float) -> Schedule:
    """The rest of each piece at another speed, for the rest of the run; then the end is held."""
    if isinstance(schedule, constant):
        return schedule
    tail: Schedule | None = None
    done = 0.0
    for start, piece in zip(_starts(schedule), schedule.pieces, strict=True):
        inside = max(0.0, position - start)
        length = left if piece.length is None else (float(piece.length) - inside) / speed
        if not length > 0 or not done < left:
            continue
        if length >= (left - done) * (1 - ROUNDING):
            length = left - done
        rest = _part(piece, inside, None if piece.length is None else length, speed)
        tail, done = rest if tail is None else tail >> rest, done + length
    return schedule if tail is None else _behind(schedule, position, tail)


def _cooled(schedule: Schedule, position: float, total: float, shape: Schedule) -> Schedule:
    if _cools(schedule, position, total, shape):
        return schedule
    _check_ahead(position, total)
    tail = schedule(position) * shape.over(total - position)
    return _behind(schedule, position, absolute(tail) if schedule.is_absolute else tail)


def _cools(schedule: Schedule, position: float, total: float, shape: Schedule) -> bool:
    """Whether the schedule is in such a cool-down to this total already, as after loading it a second time."""
    for start in _starts(schedule):
        if start <= position and start < total:
            at = np.linspace(0, total - start, POINTS)[:-1]
            try:
                tail = schedule(start) * shape.over(total - start)
            except ValueError:  # the shape is longer than what follows here
                continue
            if np.allclose(schedule(start + at), tail(at), rtol=1e-9, atol=1e-12 * schedule(start)):
                return True
    return False


def _behind(schedule: Schedule, position: float, tail: Schedule) -> Schedule:
    """The schedule up to a position, then the tail."""
    if position == 0:
        return tail
    starts = _starts(schedule)
    past = []
    for index, (start, piece) in enumerate(zip(starts, schedule.pieces, strict=True)):
        stop = starts[index + 1] if index + 1 < len(starts) else math.inf
        if start < position:
            past.append(piece if stop <= position else _part(piece, 0.0, position - start, 1.0))
    for piece in reversed(_shortened(past)):
        tail = piece >> tail
    return tail


def _shortened(past: list[Schedule]) -> list[Schedule]:
    """The pieces, the oldest of them as one straight line where all take long to tell."""
    sizes = [len(str(piece)) for piece in past]
    most = MOST + max(sizes)
    while sum(sizes) > most:
        past[:2] = [_line(past[:2])]
        sizes[:2] = [len(str(past[0]))]
    return past


def _part(schedule: Schedule, start: float, length: float | None, speed: float) -> Schedule:
    """``part(...)`` in its shortest form: a part of a part is one part."""
    if isinstance(schedule, constant):
        return constant(length, value=schedule.value)
    if start == 0 and speed == 1 and length == schedule.length:
        return schedule
    if isinstance(schedule, part) and _is_within(start, length, speed, schedule):
        begin = float(schedule.start or 0) + schedule.speed * start
        return _part(schedule.schedule, begin, length, schedule.speed * speed)
    return part(schedule, start, length, speed)


def part_of(schedule: Schedule, start: float, length: float | None) -> Schedule:
    """A stretch of a schedule in its shortest form.

    Args:
        schedule: laid over a run.
        start: where it begins.
        length: positions; to its end when None.
    """
    return _part(schedule, start, length, 1.0)


def _is_within(start: float, length: float | None, speed: float, whole: Schedule) -> bool:
    """Whether a part ends before the whole does, which holds its end from there on."""
    if length is None or not isinstance(whole.length, float):
        return whole.length is None
    return (start + speed * length) * (1 - ROUNDING) <= whole.length


def _line(pieces: list[Schedule]) -> Schedule:
    length = sum(piece.length for piece in pieces if isinstance(piece.length, float))
    line = linear(length, start=pieces[0](0.0), end=pieces[-1].end)
    return absolute(line) if pieces[0].is_absolute else line


def _starts(schedule: Schedule) -> list[float]:
    """Where each piece of a schedule that can be called begins."""
    starts = [0.0]
    for piece in schedule.pieces[:-1]:
        starts.append(starts[-1] + (piece.length if isinstance(piece.length, float) else math.nan))
    return starts
