"""A whole run's plan, scaled to short runs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from stepsize import _check
from stepsize.control import Plan
from stepsize.optim import has_value
from stepsize.schedule import part


@dataclass(frozen=True)
class Squeeze:
    """The plan of a whole run and where it stands.

    Args:
        plan: of the whole run; its rate is a factor.
        total: updates of it.
        position: those done already.
        per_epoch: updates in an epoch, if that is known.

    Raises:
        TypeError, ValueError: an argument is invalid, or the plan does not fit the total.
    """

    plan: Plan
    total: int
    position: int = 0
    per_epoch: float | None = None

    def __post_init__(self) -> None:
        _check.whole("total", self.total, least=1)
        if _check.whole("position", self.position, least=0) >= self.total:
            raise ValueError(_check.message("position", self.position, f"below the total, {self.total}"))
        if self.per_epoch is not None:
            _check.number("per_epoch", self.per_epoch, above=0)
        for schedule in self.plan.schedules["lr"]:
            if schedule.is_absolute:
                rule = "a factor of the rate that is tried"
                raise ValueError(_check.message("lr", str(schedule), rule, "leave out absolute(...)"))
        self.plan.over(self.total, self.per_epoch)

    @property
    def left(self) -> int:
        """Updates still to be done."""
        return int(self.total) - int(self.position)

    def check_groups(self, groups: Iterable[Mapping[str, Any]]) -> None:
        """Raise ValueError where something is to be driven that no group has."""
        every = list(groups)
        for name in self.plan.courses:
            if not any(has_value(group, name) for group in every):
                known = {key for group in every for key in group if key != "params" and has_value(group, key)}
                hint = _check.closest(name, known)
                raise ValueError(f"no parameter group has {name!r}, which is to be driven; {hint}")

    def plan_for(self, steps: int) -> Plan:
        """The plan of a run of so many steps, >= 1."""
        functions = any(schedule.functions for driven in self.plan.schedules.values() for schedule in driven)
        if not self.position and not functions:  # a function's own positions know of no length
            return self.plan.changed(lambda _, schedule: schedule.stretch(steps / self.total))
        laid, start, speed = self.plan.over(self.total, self.per_epoch), float(self.position), self.left / steps
        return laid.changed(lambda _, schedule: part(schedule, start, float(steps), speed))
