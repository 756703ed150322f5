"""What becomes of a plan when the run gets another length on the way."""

import math

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

    Nothing before the position changes, and the text does not grow with the number of extensions: a stretch of a
    stretch is one stretch, and of a past that takes long to tell the oldest pieces become a straight line.

    Args:
        plan: laid over the old total.
        position: where the run is.
        old: its total so far, or None.
        total: its new one, > position; with the old one, nothing is kept, stretched, or cooled down a second time.
        how: ``"keep"``: the schedules stay and hold their ends; ``"stretch"``: what is left of them is stretched or
            squeezed to the new end; ``"cooldown"``: the rate goes down in a line from where it is to zero at the new
            end; a schedule: it goes on like that, as a factor of what it is now.
    """
    if isinstance(how, str) and how not in HOW:
        how = Schedule.parse(how) if "(" in how else how
    if not isinstance(how, Schedule) and how not in HOW:
        rule = f"one of {', '.join(map(repr, HOW))}, or a schedule"
        raise ValueError(_check.message("how", how, rule))
    if how in ("keep", "stretch") and total == old:
        return plan
    if isinstance(how, Schedule) or how == "cooldown":
        shape = how if isinstance(how, Schedule) else linear()
        return plan.changed(lambda name, each: _cooled(each, position, total, shape) if name == "lr" else each)
    _check_ahead(position, total)
    if how == "keep":
        return plan
    if old is None or not old > position:
        rule = "'keep' or 'cooldown' here: nothing is left to be stretched"
        raise ValueError(_check.message("how", how, rule, f"the run is at {position:g} of {old and f'{old:g}'}"))
    speed = (old - position) / (total - position)
    return plan.changed(lambda _, each: _stretched(each, position, total - position, speed))


def _check_ahead(position: float, total: float) -> None:
    if not total > position:
        raise ValueError(_check.message("total", total, f"above the present position, {position:g}"))


def _stretched(schedule: Schedule, position: float, left: float, speed: float) -> Schedule:
    if isinstance(schedule, constant) and schedule.length is None:  # a bound for any run
        return schedule
    return _behind(schedule, position, _rest(schedule, position, left, speed))


def _cooled(schedule: Schedule, position: float, total: float, shape: Schedule) -> Schedule:
    if _cools(schedule, position, total, shape):
        return schedule
    _check_ahead(position, total)
    tail = schedule(position) * shape.over(total - position)
    return _behind(schedule, position, absolute(tail) if schedule.is_absolute else tail)


def _cools(schedule: Schedule, position: float, total: float, shape: Schedule) -> bool:
    """Whether the schedule is in such a cool-down to this total already, as after loading it a second time."""
    for start in (0.0, *schedule.borders):
        if start <= position and start < total:
            at = np.linspace(0, total - start, POINTS)[:-1]
            try:
                tail = schedule(start) * shape.over(total - start)
            except ValueError:  # the shape is longer than what follows this border
                continue
            if np.allclose(schedule(start + at), tail(at), rtol=1e-9, atol=1e-12):
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


def _rest(schedule: Schedule, position: float, length: float, speed: float) -> Schedule:
    """What follows a position, at another speed."""
    starts = _starts(schedule)
    begun = [index for index, start in enumerate(starts) if start <= position]
    rest = schedule.pieces[begun[-1]]
    for piece in schedule.pieces[begun[-1] + 1 :]:
        rest = rest >> piece
    return _part(rest, position - starts[begun[-1]], length, speed)


def _part(schedule: Schedule, start: float, length: float, speed: float) -> Schedule:
    """``part(...)`` in its shortest form: a part of a part is one part."""
    if isinstance(schedule, constant):
        return constant(length, value=schedule.value)
    if start == 0 and speed == 1 and length == schedule.length:
        return schedule
    stop = (start + speed * length) * (1 - ROUNDING)
    if isinstance(schedule, part) and isinstance(schedule.length, float) and stop <= schedule.length:
        begin = float(schedule.start or 0) + schedule.speed * start
        return _rest(schedule.schedule, begin, length, schedule.speed * speed)
    return part(schedule, start, length, speed)


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
