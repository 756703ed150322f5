"""Canonical forms, by which values of axes are checked: (what an error calls it, value) -> the value as it is kept."""

from typing import Any

from stepsize import _check
from stepsize.control import as_guard, guard
from stepsize.schedule import Schedule, warmup

LARGEST = 1e30  # the largest rate that float32 weights can use


def whole_of(least: int, name: str, value: Any) -> int:
    """A whole number from ``least`` on."""
    return _check.whole(name, value, least=least)


def number_of(least: float | None, below: float, name: str, value: Any) -> float:
    """A number from ``least`` on and below ``below``."""
    number = _check.number(name, value, least=least)
    if number >= below:
        raise ValueError(_check.message(name, value, f"below {below:g}"))
    return number


def one_of(values: tuple[Any, ...], name: str, value: Any) -> Any:
    """One of a few values."""
    for entry in values:  # 1 and True are equal, and the text of a number is read as one
        if (type(entry) is type(value) and entry == value) or (isinstance(entry, str) and entry == str(value)):
            return entry
    raise ValueError(_check.message(name, value, f"one of {', '.join(map(str, values))}"))


def rate_of(name: str, value: Any) -> float:
    """A learning rate."""
    rate = _check.number(name, value, above=0)
    if rate > LARGEST:
        raise ValueError(_check.message(name, rate, f"at most {LARGEST:g}"))
    return rate


def schedule_of(name: str, value: Any) -> str:
    """The text of a schedule that is a factor of the rate."""
    schedule = Schedule.parse(value)
    if schedule.is_absolute:
        remedy = "leave out absolute(...): the rate is the trial's lr"
        raise ValueError(_check.message(name, value, "a factor of lr", remedy))
    return str(schedule)


def length_of(name: str, value: Any) -> float | str:
    """A length of a warm-up: steps, or a text."""
    if value is None:  # which a piece of a schedule takes for the rest of the run
        raise TypeError(_check.message(name, value, "a length", 'such as 100 or "5%"'))
    if value in (0, 0.0) and not isinstance(value, bool):
        return 0.0
    length = warmup(value).length
    return length if isinstance(length, float) else str(length)


def clip_of(name: str, value: Any) -> float | str:
    """A norm, or the text of a schedule that gives it."""
    return str(Schedule.parse(value)) if isinstance(value, str) else _check.number(name, value, above=0)


OFF = "off"  # of a guard


def guard_of(name: str, value: Any) -> str:
    """The text of a guard: one as it is for on, none for off."""
    if value is True or value == "on":
        return str(guard())
    if value is False or value == OFF:
        return OFF
    try:
        return str(as_guard(value))
    except (TypeError, ValueError) as error:
        why = _check.in_one_line(error)
        rule = "on, off, or a guard's text such as guard(returns=3)"
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{_check.message(name, value, rule)}: {why}") from None


def optimizer_of(_: str, value: Any) -> str:
    """The text of an optimizer."""
    from stepsize.optim import check_choice  # of torch's, where the table of axes is read without

    return check_choice(value)


def shorter_schedule(text: str, share: float) -> str:
    """A schedule in a run of a share of the length."""
    return str(Schedule.parse(text).stretch(share))


def shorter_warmup(length: float | str, share: float) -> float | str:
    """A warm-up in a run of a share of the length."""
    return length_of("", warmup(length).stretch(share).length) if length else length
