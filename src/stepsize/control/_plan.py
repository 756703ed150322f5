"""Everything Control applies, as one value with a text."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

from stepsize import _check
from stepsize.schedule import Schedule, constant

DRIVEN = ("lr", "momentum", "weight_decay")
Course = Schedule | tuple[Schedule, ...]
"""What drives a hyperparameter: one schedule for all groups, or one for each."""
CourseLike = Schedule | str | Iterable[Schedule | str]


@dataclass(frozen=True, init=False)
class Plan:
    """What Control applies to an optimizer: schedules by hyperparameter, and a clipping threshold.

    Its text is a small YAML mapping, and ``Plan.parse`` reads it back.

    Args:
        lr: a schedule or its text, or a list with one for each parameter group; constant when left out.
        momentum: the same for the momentum (beta1 for Adam's kin); left alone when left out.
        weight_decay: the same for the weight decay; left alone when left out.
        clip: the largest global gradient norm let through, > 0; no clipping when left out.

    Raises:
        TypeError, ValueError: what should be a schedule is none, or clip is not a finite number > 0.

    Example:
        >>> from stepsize import Plan
        >>> plan = Plan(lr="warmup(5%) >> cosine()", clip=1)
        >>> print(plan)
        lr: warmup(5%) >> cosine()
        clip: 1.0
        >>> Plan.parse(str(plan)) == plan
        True
    """

    lr: Course = field(default_factory=constant)
    momentum: Course | None = None
    weight_decay: Course | None = None
    clip: float | None = None

    def __init__(
        self,
        lr: CourseLike | None = None,
        *,
        momentum: CourseLike | None = None,
        weight_decay: CourseLike | None = None,
        clip: float | None = None,
    ) -> None:
        object.__setattr__(self, "lr", constant() if lr is None else as_course("lr", lr))
        for name, value in (("momentum", momentum), ("weight_decay", weight_decay)):
            object.__setattr__(self, name, None if value is None else as_course(name, value))
        object.__setattr__(self, "clip", None if clip is None else _check.number("clip", clip, above=0))

    @cached_property
    def courses(self) -> Mapping[str, Course]:
        """What is driven, by hyperparameter."""
        courses = {name: getattr(self, name) for name in DRIVEN}
        return MappingProxyType({name: course for name, course in courses.items() if course is not None})

    def __str__(self) -> str:
        lines = []
        for name, course in self.courses.items():
            lines += (
                [f"{name}: {course}"] if isinstance(course, Schedule) else [f"{name}:", *(f"- {s}" for s in course)]
            )
        return "\n".join(lines if self.clip is None else [*lines, f"clip: {self.clip!r}"])

    def over(self, total: float | None, per_epoch: float | None = None) -> "Plan":
        """This plan on a run of ``total`` positions; without a total, itself, if its schedules can do without.

        Args:
            total: the run's length in positions (steps), > 0, or None.
            per_epoch: positions in an epoch, > 0.

        Raises:
            ValueError: a schedule does not fit the total, or needs one.

        Example:
            >>> from stepsize import Plan
            >>> print(Plan("warmup(5%) >> cosine()").over(100))
            lr: warmup(5) >> cosine(95)
        """
        laid: dict[str, Course] = {}
        for name, course in self.courses.items():
            for schedule in [course] if isinstance(course, Schedule) else course:
                if total is None and schedule.missing is not None:
                    problem = f"{name}={schedule} needs the run's length"
                    raise ValueError(f"{problem}; give total=, the number of steps to be trained")
            if total is None:
                laid[name] = course
            elif isinstance(course, Schedule):
                laid[name] = course.over(total, per_epoch)
            else:
                laid[name] = tuple(schedule.over(total, per_epoch) for schedule in course)
        return Plan(**laid, clip=self.clip)

    @staticmethod
    def parse(text: str) -> "Plan":
        """Read a plan from its text, the inverse of ``str``.

        Args:
            text: lines ``name: value``, as printed by ``str(plan)``; a list has a line ``- value`` for each group.

        Raises:
            TypeError, ValueError: a line has no name, an unknown name, or a value that its name does not take.

        Example:
            >>> from stepsize import Plan
            >>> Plan.parse("lr: cosine()").lr
            cosine()
        """
        if not isinstance(text, str):
            raise TypeError(_check.message("text", text, "a plan's text", 'write for example "lr: cosine()"'))
        values: dict[str, str | list[str]] = {}
        last = ""
        for line in filter(str.strip, text.splitlines()):
            if line.strip().startswith("- ") and isinstance(values.get(last), list):
                values[last].append(line.strip()[2:])  # type: ignore[union-attr]
                continue
            last, value = _name_and_value(line)
            if last in values:
                raise ValueError(f"{last} stands twice in the plan; leave one out")
            values[last] = value or []
        try:
            clip = float(values.pop("clip")) if "clip" in values else None  # type: ignore[arg-type]
        except (TypeError, ValueError):
            raise ValueError(_check.message("clip", text, "a finite number > 0")) from None
        return Plan(**values, clip=clip)


def _name_and_value(line: str) -> tuple[str, str]:
    name, colon, value = (part.strip() for part in line.partition(":"))
    if not colon:
        raise ValueError(_check.message("line of a plan", line, "name: value", 'write "lr: cosine()"'))
    if name not in (*DRIVEN, "clip"):
        raise ValueError(f"a plan has no {name!r}; {_check.closest(name, (*DRIVEN, 'clip'))}")
    return name, value


def as_course(name: str, value: CourseLike) -> Course:
    """A schedule or one for each group, from schedules or their texts."""
    if isinstance(value, str):
        return Schedule.parse(value)
    if isinstance(value, Schedule):
        return value
    if isinstance(value, Iterable):
        schedules = tuple(Schedule.parse(each) if isinstance(each, str) else each for each in value)
        if schedules and all(isinstance(each, Schedule) for each in schedules):
            return schedules
    rule = "a schedule or its text, or a list with one for each group"
    raise TypeError(_check.message(name, value, rule, f'write for example {name}=warmup("5%") >> cosine()'))
