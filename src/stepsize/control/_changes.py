"""Changes by hand: what a person, a command or a script does to the shares, the clipping and the length of a run."""

from collections.abc import Callable
from dataclasses import replace

from stepsize import _check
from stepsize.control._driver import Driver
from stepsize.control._extend import extended
from stepsize.control._given import clipping_at
from stepsize.control._line import Share
from stepsize.control._plan import Plan
from stepsize.control.steering import LARGEST
from stepsize.optim import Clipper
from stepsize.schedule import Schedule, constant, linear


def scale(driver: Driver, factor: float, group: str, of: str, reason: str) -> None:
    """``manual <- manual * factor``."""
    factor = _check.number("factor", factor, least=0)
    _change(driver, "scale", factor, group, of, reason, lambda share: replace(share, manual=share.manual * factor))


def ramp(driver: Driver, factor: float, over: float, group: str, of: str) -> None:
    """A factor of the schedules that goes from 1/factor to 1: what is multiplied by the factor now comes gradually."""
    if group != "*":
        raise ValueError(_check.message("over", over, "0 for some groups alone", "leave group out to scale them all"))
    first = 1 / _check.number("factor", factor, above=0)
    driver.shares(of, group)
    at = driver.position
    rise = linear(over, start=first, end=1.0)
    gradual = constant(at, value=first) >> rise if at > 0 else rise
    driver.plan = driver.plan.changed(lambda name, course: course * gradual if name == of else course)
    driver.adopt()


def hold(driver: Driver, value: float | None, group: str, of: str, reason: str) -> None:
    """``value = value`` until it is held at None."""
    value = None if value is None else _check.number("lr" if of == "lr" else "value", value, least=0)
    what = "release" if value is None else "set"
    _change(driver, what, value, group, of, reason, lambda share: replace(share, held=value))


def rebase(driver: Driver, base: float, group: str, of: str, reason: str) -> None:
    """``base <- base``."""
    base = _check.number("lr" if of == "lr" else "base", base, least=0)
    for index, _ in driver.shares(of, group):
        line = driver.lines[of]
        schedule = line.schedules[index]
        if schedule.is_absolute:
            problem = f"{of} of {driver.names[line.members[index]]} follows {schedule}, which gives values itself"
            raise ValueError(f"{problem}, so that its base means nothing; use scale or set")
    _change(driver, "rebase", base, group, of, reason, lambda share: replace(share, base=base))


def clip(driver: Driver, threshold: float, reason: str = "") -> None:
    """Clip gradients at another threshold; by their norm, where nothing was clipped."""
    way = driver.plan.clip
    before = clipping_at(way, driver.position)[0]
    new = way.with_threshold(threshold) if isinstance(way, Clipper) else threshold
    driver.plan = Plan(**{**driver.plan.parts(lambda _, part: part), "clip": new})
    driver.say("clip", threshold, reason=reason, change=(before, threshold))


def extend(driver: Driver, total: float, how: str | Schedule, reason: str = "") -> None:
    """Another length from the present position on."""
    driver.check()
    total = _check.number("total", total, above=0)
    plan, old = extended(driver.plan, driver.position, driver.total, total, how), driver.total
    driver.plan = plan
    driver.adopt()
    driver.write()
    driver.set_total(total)
    before = f"from {'no total' if old is None else f'{old:g}'}"
    verb, how = ("cooldown", "") if how == "cooldown" else ("extend", f"{how}, ")
    driver.say(verb, total, reason=f"{how}{before}" + (f"; {reason}" if reason else ""), change=(old, total))


def _change(
    driver: Driver,
    what: str,
    value: float | None,
    group: str,
    of: str,
    reason: str,
    change: Callable[[Share], Share],
) -> None:
    """Change the shares of groups and log it; nothing is changed where what comes out cannot be applied."""
    if not isinstance(reason, str):
        raise TypeError(_check.message("reason", reason, "a text"))
    found = driver.shares(of, group)
    line = driver.lines[of]
    first, before = found[0][0], line.values[found[0][0]]
    try:
        for index, share in found:
            line.shares[index] = _checked(change(share))
        driver.refresh()
    except ValueError:
        for index, share in found:
            line.shares[index] = share
        driver.refresh()
        raise
    sides = before, driver.lines[of].values[first]
    driver.say(what if of == "lr" else f"{what} {of}", value, group, reason, sides)


def _checked(share: Share) -> Share:
    """A group's own values, if a state that holds them can be loaded again."""
    for name, value in (
        ("manual factor", share.manual),
        ("base", share.base),
        ("rate times factor", share.base * share.manual),
    ):
        if not value <= LARGEST:
            raise ValueError(_check.message(name, value, f"at most {LARGEST:g}"))
    return share
