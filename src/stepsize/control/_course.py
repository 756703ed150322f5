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
    """Schedules by group: names, patterns of them such as ``"muon/*"``, or indices; the first that fits holds."""

    schedules: tuple[tuple[str | int, Schedule], ...]


Course = Schedule | tuple[Schedule, ...] | ByName
"""What drives a hyperparameter."""
CourseLike = Schedule | str | Iterable[Schedule | str] | Mapping[Any, Schedule | str] | ByName
BoundLike = float | CourseLike | Iterable[float] | Mapping[Any, float]


def as_course(name: str, value: Any, numbers: bool = False) -> Course:
    """A course from schedules or their texts; with ``numbers``, a number is a constant."""

    def one(each: Any) -> Any:
        if numbers and isinstance(each, Real):
            return constant(value=_check.number(name, each, least=0))
        return Schedule.parse(each) if isinstance(each, str) else each

    if isinstance(value, ByName):
        return value
    culprit = value
    if isinstance(value, Mapping):
        pairs = tuple((key, one(each)) for key, each in value.items())
        if pairs and all(isinstance(key, str | int) and isinstance(each, Schedule) for key, each in pairs):
            return ByName(pairs)
        culprit = _first_other([each for _, each in pairs], value)
    elif isinstance(schedule := one(value), Schedule):
        return schedule
    elif isinstance(value, Iterable) and getattr(value, "ndim", None) != 0:  # a tensor of one number is no list
        each_group = tuple(map(one, value))
        if each_group and all(isinstance(each, Schedule) for each in each_group):
            return each_group
        culprit = _first_other(each_group, value)
    rule = "a schedule or its text, a list with one for each group, or a mapping from the groups' names"
    if numbers:
        rule = f"a number >= 0, or {rule}"
    raise TypeError(_check.message(name, value, rule, _remedy(name, culprit)))


def _first_other(values: Iterable[Any], whole: Any) -> Any:
    """The first of several values that is no schedule."""
    return next((each for each in values if not isinstance(each, Schedule)), whole)


def _remedy(name: str, value: Any) -> str:
    """What to write instead of a value that is no schedule."""
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
    return list(course) if isinstance(course, tuple) else [schedule for _, schedule in course.schedules]


def each_changed(course: Course, change: Callable[[Schedule], Schedule]) -> Course:
    """The course with every schedule changed."""
    if isinstance(course, Schedule):
        return change(course)
    if isinstance(course, tuple):
        return tuple(change(schedule) for schedule in course)
    return ByName(tuple((key, change(schedule)) for key, schedule in course.schedules))


def schedule_for(name: str, course: Course, index: int, groups: Sequence[str]) -> Schedule:
    """The schedule of one group.

    Raises:
        ValueError: a list has another length than there are groups, or no name fits.
    """
    if isinstance(course, Schedule):
        return course
    if isinstance(course, tuple):
        if len(course) != len(groups):
            raise ValueError(
                f"{name} has {len(course)} schedules and the optimizer {len(groups)} parameter groups; give one for "
                "each, or one for all"
            )
        return course[index]
    for key, schedule in course.schedules:
        if key in (index, groups[index]) or (isinstance(key, str) and fnmatchcase(groups[index], key)):
            return schedule
    raise ValueError(f'{name} says nothing of the parameter group {groups[index]!r}; add it, or "*" for all others')


def check_names(name: str, course: Course, groups: Sequence[str]) -> None:
    """Raise unless every name of a course fits a group."""
    for key, _ in course.schedules if isinstance(course, ByName) else ():
        fits = 0 <= key < len(groups) if isinstance(key, int) else matching(key, groups)
        if not fits and key != "*":
            hint = _check.closest(str(key), groups)
            raise ValueError(f"{name} has a schedule for {key!r}, and there is no such parameter group; {hint}")


def matching(pattern: str, groups: Sequence[str]) -> list[int]:
    """The groups that a pattern of names fits."""
    return [index for index, group in enumerate(groups) if pattern == group or fnmatchcase(group, pattern)]


def to_lines(name: str, course: Course, numbers: bool = False) -> list[str]:
    """The course as lines of YAML."""

    def text(schedule: Schedule) -> str:
        plain = numbers and isinstance(schedule, constant) and schedule.length is None
        return repr(schedule.value) if plain else str(schedule)  # type: ignore[attr-defined]

    if isinstance(course, Schedule):
        return [f"{name}: {text(course)}"]
    if isinstance(course, tuple):
        return [f"{name}:", *(f"- {text(schedule)}" for schedule in course)]
    keys = [key if isinstance(key, str) and PLAIN.fullmatch(key) else json.dumps(key) for key, _ in course.schedules]
    return [f"{name}:", *(f"  {key}: {text(s)}" for key, (_, s) in zip(keys, course.schedules, strict=True))]
