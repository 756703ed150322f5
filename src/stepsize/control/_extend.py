"""What becomes of a plan when the run gets another length on the way."""

from stepsize import _check
from stepsize.control._plan import Plan
from stepsize.schedule import Schedule, absolute, linear, part

HOW = ("keep", "stretch", "cooldown")


def extended(plan: Plan, position: float, old: float | None, total: float, how: str | Schedule) -> Plan:
    """The plan of a run that is at ``position`` of ``old`` and shall now end at ``total``; nothing before changes.

    Args:
        plan: laid over the old total.
        position: where the run is.
        old: its total so far, or None.
        total: its new one, > position.
        how: ``"keep"``: the schedules stay and hold their ends; ``"stretch"``: what is left of them is stretched or
            squeezed to the new end; ``"cooldown"``: the rate goes down in a line from where it is to zero at the new
            end; a schedule: it goes on like that, as a factor of what it is now.
    """
    if isinstance(how, str) and how not in HOW:
        how = Schedule.parse(how) if "(" in how else how
    if not isinstance(how, Schedule) and how not in HOW:
        rule = f"one of {', '.join(map(repr, HOW))}, or a schedule"
        raise ValueError(_check.message("how", how, rule))
    if not total > position:
        raise ValueError(_check.message("total", total, f"above the present position, {position:g}"))
    if how == "keep":
        return plan
    if how != "stretch":
        shape = linear() if isinstance(how, str) else how
        return plan.changed(
            lambda name, schedule: _cooled(schedule, position, total, shape) if name == "lr" else schedule
        )
    if old is None or not old > position:
        rule = "'keep' or 'cooldown' here: nothing is left to be stretched"
        raise ValueError(_check.message("how", how, rule, f"the run is at {position:g} of {old and f'{old:g}'}"))
    left, speed = total - position, (old - position) / (total - position)
    return plan.changed(lambda _, each: _behind(each, position, part(each, start=position, length=left, speed=speed)))


def _cooled(schedule: Schedule, position: float, total: float, shape: Schedule) -> Schedule:
    tail = schedule(position) * shape.over(total - position)
    return _behind(schedule, position, absolute(tail) if schedule.is_absolute else tail)


def _behind(schedule: Schedule, position: float, tail: Schedule) -> Schedule:
    return part(schedule, start=0, length=position) >> tail if position > 0 else tail
