"""Which schedule drives which group: one for all, one for each, or by the groups' names."""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from numbers import Real
from typing import Any

from stepsize import _check
from stepsize.schedule import Schedule, constant

PLAIN = re.compile(r"[A-Za-z_][\w./-]*")  # a name that YAML reads as text without quotes


@dataclass(frozen=True)
class ByName:
    """Schedules by group: names, patterns of them such as ``"muon/*"``, or indices; the first that fits holds.

    None leaves the groups that it fits alone.
    """

    schedules: tuple[tuple[str | int, Schedule | None], ...]


Course = Schedule | tuple[Schedule, ...] | ByName
"""The driver of a hyperparameter: one schedule, or several."""
CourseLike = Schedule | str | Iterable[Schedule | str] | Mapping[Any, Schedule | str | None] | ByName
BoundLike = float | CourseLike | Iterable[float] | Mapping[Any, float | None]


def as_course(name: str, value: Any, numbers: bool = False) -> Course:
    """A course from schedules or their texts; with ``numbers``, a number is a constant."""

    def one(schedule: Any) -> Any:
        if numbers and isinstance(schedule, Real):
            return constant(value=_check.number(name, schedule, least=0))
        return Schedule.parse(schedule) if isinstance(schedule, str) else schedule

    if isinstance(value, ByName):
        return value
    culprit = value
    if isinstance(value, Mapping):
        pairs = tuple((key, one(part)) for key, part in value.items())
        if pairs and all(isinstance(key, str | int) and isinstance(course, Schedule | None) for key, course in pairs):
            return ByName(pairs)
        culprit = _first_other([course for _, course in pairs], value)
    elif isinstance(schedule := one(value), Schedule):
        return schedule
    elif isinstance(value, Iterable) and getattr(value, "ndim", None) != 0:  # a tensor of one number is no list
        each_group = tuple(map(one, value))
        if each_group and all(isinstance(piece, Schedule) for piece in each_group):
            return each_group
        culprit = _first_other(each_group, value)
    rule = "a schedule or its text, a list with one for each group, or a mapping from the groups' names"
    if numbers:
        rule = f"a number >= 0, or {rule}"
    raise TypeError(_check.message(name, value, rule, _remedy(name, culprit)))


def _first_other(values: Iterable[Any], whole: Any) -> Any:
    """The first of several values that is no schedule."""
    return next((value for value in values if not isinstance(value, Schedule)), whole)


def _remedy(name: str, value: Any) -> str:
    """The remedy for a value that is no schedule."""
    if callable(value) and getattr(value, "__module__", "").startswith(Schedule.__module__.rpartition(".")[0]):
        return f"write {value.__name__}(), with brackets"
    if not isinstance(value, type) and hasattr(value, "last_epoch") and callable(getattr(value, "step", None)):
        plan = hasattr(value, "patience")  # a ReduceLROnPlateau is feedback and bounds, not a schedule
        return f"hand over what the scheduler does: {'plan' if plan else 'lr'}=from_torch(scheduler)"
    if callable(value) and not isinstance(value, type):
        called = getattr(value, "__name__", "")
        called = called if called.isidentifier() else "mine"
        return f'hand over the function: {name}=from_function(..., name="{called}"), a factor of the base'
    return f'write for example {name}=warmup("5%") >> cosine()'


def schedules_of(course: Course) -> list[Schedule]:
    """All schedules of a course."""
    if isinstance(course, Schedule):
        return [course]
    if isinstance(course, tuple):
        return list(course)
    return [schedule for _, schedule in course.schedules if schedule is not None]


def each_changed(course: Course, change: Callable[[Schedule], Schedule]) -> Course:
    """The course with every schedule changed."""
    if isinstance(course, Schedule):
        return change(course)
    if isinstance(course, tuple):
        return tuple(change(schedule) for schedule in course)
    return ByName(tuple((key, schedule and change(schedule)) for key, schedule in course.schedules))


def schedules_for(
    name: str, course: Course, groups: Sequence[str], places: Sequence[int] | None = None
) -> list[Schedule | None]:
    """The schedule of each group, None for groups left alone; the time goes with groups and keys, not their product.

    Args:
        name: what is driven, for messages.
        course: what drives it.
        groups: the groups' names.
        places: the index by which a list or mapping knows each group; 0, 1, 2 and so on when left out.

    Raises:
        ValueError: a list has no schedule for a group, or no name fits.
    """
    places = range(len(groups)) if places is None else places
    if isinstance(course, Schedule):
        return [course] * len(groups)
    if isinstance(course, tuple):
        if max(places, default=-1) >= len(course):
            raise ValueError(_lengths(name, course, max(places) + 1))
        return [course[place] for place in places]
    exact: dict[str | int, tuple[int, Schedule | None]] = {}
    patterns = []
    for rank, (key, schedule) in enumerate(course.schedules):
        exact.setdefault(key, (rank, schedule))
        if _is_pattern(key):
            patterns.append((rank, str(key), schedule))
    return [_first_fit(name, exact, patterns, place, group) for place, group in zip(places, groups, strict=True)]


def _first_fit(
    name: str,
    exact: Mapping[str | int, tuple[int, Schedule | None]],
    patterns: Sequence[tuple[int, str, Schedule | None]],
    place: int,
    group: str,
) -> Schedule | None:
    found = [exact[key] for key in (place, group) if key in exact]
    best = min(found, key=lambda pair: pair[0]) if found else None
    for rank, pattern, schedule in patterns:
        if best is not None and best[0] < rank:
            break
        if fnmatchcase(group, pattern):
            return schedule
    if best is None:
        raise ValueError(f'{name} says nothing of the parameter group {group!r}; add it, or "*" for all others')
    return best[1]


def _is_pattern(key: str | int) -> bool:
    return isinstance(key, str) and any(sign in key for sign in "*?[")


def _lengths(name: str, course: tuple[Schedule, ...], groups: int) -> str:
    return (
        f"{name} has {len(course)} schedules and the optimizer {groups} parameter groups; give one for each, or one "
        "for all"
    )


def check_names(name: str, course: Course, groups: Sequence[str]) -> None:
    """Raise unless a list is as long as there are groups, and every name of a mapping fits a group."""
    if isinstance(course, tuple) and len(course) != len(groups):
        raise ValueError(_lengths(name, course, len(groups)))
    known = {*groups, *range(len(groups)), "*"}
    for key, _ in course.schedules if isinstance(course, ByName) else ():
        if key not in known and not (_is_pattern(key) and matching(str(key), groups)):
            hint = _check.closest(str(key), groups)
            raise ValueError(f"{name} has a schedule for {key!r}, and there is no such parameter group; {hint}")


def matching(pattern: str, groups: Sequence[str]) -> list[int]:
    """The groups that a pattern of names fits."""
    return [index for index, group in enumerate(groups) if pattern == group or fnmatchcase(group, pattern)]


def to_lines(name: str, course: Course, numbers: bool = False) -> list[str]:
    """The course as lines of YAML."""

    def text(schedule: Schedule | None) -> str:
        if schedule is None:
            return "none"
        plain = numbers and isinstance(schedule, constant) and schedule.length is None
        return repr(schedule.value) if plain else str(schedule)  # type: ignore[attr-defined]

    if isinstance(course, Schedule):
        return [f"{name}: {text(course)}"]
    if isinstance(course, tuple):
        return [f"{name}:", *(f"- {text(schedule)}" for schedule in course)]
    keys = [key if isinstance(key, str) and PLAIN.fullmatch(key) else json.dumps(key) for key, _ in course.schedules]
    return [f"{name}:", *(f"  {key}: {text(s)}" for key, (_, s) in zip(keys, course.schedules, strict=True))]
