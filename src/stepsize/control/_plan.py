"""Everything Control applies, as one value with a text."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

from stepsize import _check
from stepsize.control._course import BoundLike, Course, CourseLike, as_course, each_changed, schedules_of, to_lines
from stepsize.control.feedback import Feedback, as_feedback
from stepsize.control.guarding import Guard, as_guard
from stepsize.optim import CLIPPERS, Clipper, as_clip
from stepsize.schedule import Schedule, constant

NAMED = ("lr", "momentum", "weight_decay")
BOUNDS = ("floor", "cap")
LOOKING = ("feedback", "guard")  # at the loss
FIELDS = {*NAMED, *BOUNDS, "clip", *LOOKING}
_LINE = re.compile(r"""(?P<indent>\s*)(?P<name>"(?:[^"\\]|\\.)*"|[^:"]+):(?:\s+(?P<value>.*?))?\s*""")


@dataclass(frozen=True, init=False)
class Plan:
    """What Control applies to an optimizer: schedules by hyperparameter, clipping, feedback, a guard and bounds.

    Its text is a small YAML mapping, and ``Plan.parse`` reads it back.

    Args:
        lr: a schedule or its text, a list with one for each parameter group, or a mapping from the groups' names
            (patterns such as ``"*"`` too; the first that fits holds) or indices, where None leaves groups alone;
            constant when left out. Or a plan, as ``from_torch`` gives where a scheduler drives more than the rate,
            which the other arguments complete.
        momentum: the same for the momentum (beta1 for Adam's kin); left alone when left out.
        weight_decay: the same for the weight decay; left alone when left out.
        clip: the largest global gradient norm let through: a number > 0, or a schedule that gives it; or another way of
            clipping, such as ``value_clipping(0.5)`` or its text; no clipping when left out.
        feedback: what looks at the loss, such as ``plateau()`` or its text; none when left out.
        floor: the smallest learning rate: a number, a schedule that gives it, or as for lr; none when left out.
        cap: the largest learning rate, likewise.
        guard: what goes back from a divergence, such as ``guard(returns=3)`` or its text; none when left out.
        others: any other number in the optimizer's groups, such as ``beta2`` or ``eps``, as for lr.

    Raises:
        TypeError, ValueError: what should be a schedule is none, a number is out of its range, or something stands
            both in a plan given as lr and beside it.

    Example:
        >>> from stepsize import Plan
        >>> plan = Plan(lr="warmup(5%) >> cosine()", clip=1, cap=0.5)
        >>> print(plan)
        lr: warmup(5%) >> cosine()
        clip: 1.0
        cap: 0.5
        >>> Plan.parse(str(plan)) == plan
        True
    """

    lr: Course = field(default_factory=constant)
    momentum: Course | None = None
    weight_decay: Course | None = None
    clip: float | Schedule | Clipper | None = None
    feedback: Feedback | None = None
    floor: Course | None = None
    cap: Course | None = None
    guard: Guard | None = None
    others: tuple[tuple[str, Course], ...] = ()

    def __init__(
        self,
        lr: "CourseLike | Plan | None" = None,
        *,
        momentum: CourseLike | None = None,
        weight_decay: CourseLike | None = None,
        clip: float | Schedule | Clipper | str | None = None,
        feedback: Feedback | str | None = None,
        floor: BoundLike | None = None,
        cap: BoundLike | None = None,
        guard: Guard | str | None = None,
        **others: CourseLike,
    ) -> None:
        named = {"momentum": momentum, "weight_decay": weight_decay, "floor": floor, "cap": cap}
        parts: dict[str, Any] = {**named, "clip": clip, "feedback": feedback, "guard": guard, **others}
        if isinstance(lr, Plan):
            lr, parts = lr._completed(parts)
        values = {
            "lr": constant() if lr is None else as_course("lr", lr),
            **{n: None if parts[n] is None else as_course(n, parts[n], numbers=n in BOUNDS) for n in named},
            "clip": as_clip(parts["clip"]),
            "feedback": None if parts["feedback"] is None else as_feedback(parts["feedback"]),
            "guard": None if parts["guard"] is None else as_guard(parts["guard"]),
            "others": tuple((n, as_course(n, part)) for n, part in parts.items() if n not in FIELDS),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)
        low, high = self.floor, self.cap
        if isinstance(low, constant) and isinstance(high, constant) and low.value > high.value:
            raise ValueError(_check.message("cap", high.value, f"at least the floor, {low.value:g}"))

    def _completed(self, beside: Mapping[str, Any]) -> tuple[Course, dict[str, Any]]:
        """The rate's course, and everything else, with what stands beside this plan."""
        fields = {name: getattr(self, name) for name in FIELDS - {"lr"}} | dict(self.others)
        for name, value in beside.items():
            if value is not None and fields.get(name) is not None:
                raise ValueError(f"lr is a plan that has {name} itself, and {name} came beside it; leave one out")
        return self.lr, fields | {name: value for name, value in beside.items() if value is not None}

    def __getstate__(self) -> dict[str, Any]:
        """What copies and pickles carry: the plan itself, without the view of it that is kept for speed."""
        return {name: value for name, value in vars(self).items() if name != "courses"}

    @cached_property
    def courses(self) -> Mapping[str, Course]:
        """What is driven, by hyperparameter."""
        named = {name: getattr(self, name) for name in NAMED}
        return MappingProxyType({n: course for n, course in (named | dict(self.others)).items() if course is not None})

    @property
    def bounds(self) -> dict[str, Course]:
        """``floor`` and ``cap``, as far as there are any."""
        return {name: getattr(self, name) for name in BOUNDS if getattr(self, name) is not None}

    @property
    def schedules(self) -> dict[str, list[Schedule]]:
        """All schedules of what is driven, by hyperparameter."""
        return {name: schedules_of(course) for name, course in self.courses.items()}

    @property
    def functions(self) -> dict[str, Callable[[float], float]]:
        """The Python functions inside, by name: what ``parse`` needs to read this plan's text again."""
        found: dict[str, Callable[[float], float]] = {}
        threshold = _threshold(self.clip)
        clip = [threshold] if isinstance(threshold, Schedule) else []
        for course in (*self.courses.values(), *self.bounds.values(), *clip):
            for schedule in schedules_of(course):
                found |= schedule.functions
        return found

    def __str__(self) -> str:
        lines = [line for name, course in self.courses.items() for line in to_lines(name, course)]
        if self.clip is not None:
            lines.append(f"clip: {self.clip}")
        if self.feedback is not None:
            lines.append(f"feedback: {self.feedback}")
        if self.guard is not None:
            lines.append(f"guard: {self.guard}")
        bounds = [line for name, bound in self.bounds.items() for line in to_lines(name, bound, numbers=True)]
        return "\n".join(lines + bounds)

    def parts(self, change: Callable[[str, Schedule], Schedule]) -> dict[str, Any]:
        """What a plan with every schedule changed is made of, as arguments of ``Plan``.

        Args:
            change: (what it drives, schedule) -> schedule.
        """

        def written(name: str, course: Course | None) -> Any:
            return None if course is None else each_changed(course, lambda schedule: change(name, schedule))

        parts = {name: written(name, getattr(self, name)) for name in (*NAMED, *BOUNDS)}
        clip, threshold = self.clip, _threshold(self.clip)
        if isinstance(threshold, Schedule):
            threshold = change("clip", threshold)
            clip = clip.with_threshold(threshold) if isinstance(clip, Clipper) else threshold
        others = {name: written(name, course) for name, course in self.others}
        return {**parts, "clip": clip, "feedback": self.feedback, "guard": self.guard, **others}

    def changed(self, change: Callable[[str, Schedule], Schedule]) -> "Plan":
        """The plan with every schedule changed.

        Args:
            change: (what it drives, schedule) -> schedule.

        Example:
            >>> from stepsize import Plan
            >>> print(Plan("cosine(100)", clip=1).changed(lambda name, schedule: schedule.stretch(2)))
            lr: cosine(200)
            clip: 1.0
        """
        return Plan(**self.parts(change))

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

        def laid(name: str, schedule: Schedule) -> Schedule:
            if total is not None:
                endless = schedule.length is None and schedule.missing is None
                return schedule if name in BOUNDS and endless else schedule.over(total, per_epoch)
            if schedule.missing is not None:
                problem = f"{name}={schedule} needs the run's length"
                raise ValueError(f"{problem}; give total=, the number of steps to be trained")
            return schedule

        looking = {name: getattr(self, name) for name in LOOKING}
        over = {name: None if part is None else part.over(total, per_epoch) for name, part in looking.items()}
        return Plan(**{**self.parts(laid), **over})

    def replaced(self, **parts: Any) -> "Plan":
        """This plan with other parts.

        Args:
            parts: arguments of ``Plan`` by name; None leaves a part out.

        Example:
            >>> from stepsize import Plan
            >>> print(Plan("cosine(100)", clip=1).replaced(clip=0.5))
            lr: cosine(100)
            clip: 0.5
        """
        return Plan(**{**self.parts(lambda _, schedule: schedule), **parts})

    @staticmethod
    def parse(text: str, functions: Mapping[str, Callable[[float], float]] | None = None) -> "Plan":
        """Read a plan from its text, the inverse of ``str``.

        Args:
            text: lines ``name: value``, as printed by ``str(plan)``; a list has a line ``- value`` for each group, a
                mapping an indented line ``group: value``.
            functions: Python functions by the names that the text calls them.

        Raises:
            TypeError, ValueError: a line has no name, or a value that its name does not take.

        Example:
            >>> from stepsize import Plan
            >>> Plan.parse("lr: cosine()").lr
            cosine()
        """
        if not isinstance(text, str):
            raise TypeError(_check.message("text", text, "a plan's text", 'write for example "lr: cosine()"'))
        values: dict[str, Any] = {}
        last = ""
        for line in filter(str.strip, text.splitlines()):
            if line.lstrip().startswith("- ") and isinstance(values.get(last), list | None) and last:
                values[last] = [*(values[last] or []), line.lstrip()[2:].strip()]
                continue
            indented, name, value = _read(line)
            inside = values.get(last) if indented and last else None
            if indented and isinstance(inside, dict | None) and last and value is not None:
                key: str | int = int(name) if name.isdigit() and '"' not in line.split(":")[0] else name
                values[last] = {**(inside or {}), key: value}
                continue
            if name in values:
                raise ValueError(f"{name} stands twice in the plan; leave one out")
            last, values[name] = name, value
        return Plan(**{name: _value(name, value, functions) for name, value in values.items()})


def _threshold(clip: float | Schedule | Clipper | None) -> Any:
    return clip.threshold if isinstance(clip, Clipper) else clip


def _read(line: str) -> tuple[bool, str, str | None]:
    match = _LINE.fullmatch(line)
    if not match:
        raise ValueError(_check.message("line of a plan", line, "name: value", 'write "lr: cosine()"'))
    name = match["name"].strip()
    return bool(match["indent"]), json.loads(name) if name.startswith('"') else name, match["value"] or None


def _value(name: str, value: Any, functions: Mapping[str, Callable[[float], float]] | None) -> Any:
    if value is None:
        raise ValueError(f"{name} of the plan has no value; write a schedule behind it, or leave it out")
    if isinstance(value, dict):
        return {key: None if item == "none" else _value(name, item, functions) for key, item in value.items()}
    if isinstance(value, list):
        return [_value(name, item, functions) for item in value]
    if name in LOOKING:
        return value
    if name in ("clip", *BOUNDS):
        try:
            return float(value)
        except ValueError:
            pass
    if name == "clip" and value.partition("(")[0].strip() in CLIPPERS:
        return value
    try:
        return Schedule.parse(value, functions=functions)
    except ValueError as error:
        if name in (*NAMED, "clip", *BOUNDS) or not value.replace(".", "").isdigit():
            raise
        known = (*NAMED, "clip", *LOOKING, *BOUNDS)
        raise ValueError(f"a plan has no {name!r} that takes {value}; {_check.closest(name, known)}") from error
