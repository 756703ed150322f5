"""What the settings of a trial make of a task's own recipe: its plan and its optimizer."""

from collections.abc import Iterable, Mapping
from functools import reduce
from operator import rshift
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.optim import Optimizer

from stepsize.control import Plan
from stepsize.optim import group_names, optimizer, read_value, write_value
from stepsize.schedule import Schedule, warmup
from stepsize.task._contract import AXES, Trial

if TYPE_CHECKING:
    from stepsize.task._supervised import Task


def axes_of(task: Any) -> tuple[str, ...]:
    """The axes along which trials of a task may differ: what it says itself, or all.

    Args:
        task: a task; its attribute ``axes``, if it has one, holds their names.

    Example:
        >>> from stepsize.task import axes_of, task_named
        >>> axes_of(task_named("frozenlake"))
        ('lr', 'schedule')
    """
    return tuple(getattr(task, "axes", AXES))


def plan_of(task: "Task", trial: Trial) -> Plan:
    """The plan of a trial: its own schedule, or the task's squeezed into the trial's steps; warm-up and clipping.

    Args:
        task: the trial's.
        trial: its settings may have ``schedule``, ``warmup`` and ``clip``.
    """
    said = trial.settings
    schedule = Schedule.parse(said.get("schedule", task.schedule))
    if "schedule" not in said:
        schedule = schedule.stretch(trial.steps / task.steps)
    if "warmup" in said:
        schedule = warmed_up(schedule, said["warmup"])
    return Plan(schedule, clip=said.get("clip", task.clip), feedback=task.feedback)


def warmed_up(schedule: Schedule, length: float | str) -> Schedule:
    """A schedule with a warm-up of the given length in front, instead of the one it begins with, if it does.

    Args:
        schedule: a schedule.
        length: of the warm-up: steps, a share or epochs; 0 for none.

    Example:
        >>> from stepsize.schedule import Schedule
        >>> from stepsize.task._settings import warmed_up
        >>> print(warmed_up(Schedule.parse("warmup(5%) >> cosine()"), 100))
        warmup(100) >> cosine()
        >>> print(warmed_up(Schedule.parse("warmup(5%) >> cosine()"), 0))
        cosine()
    """
    parts: tuple[Schedule, ...] = getattr(schedule, "parts", (schedule,))
    first, *rest = parts[1:] if len(parts) > 1 and isinstance(parts[0], warmup) else parts
    cold = reduce(rshift, rest, first)
    return cold if length == 0 else warmup(length) >> cold


def optimizer_of(task: "Task", settings: Mapping[str, Any], own: Iterable[Tensor]) -> Optimizer:
    """The optimizer of a trial: the task's, or one by name over the same groups, with the trial's weight decay.

    Another optimizer takes over the task's groups with the ratios of their rates; groups that do not decay in the
    task's optimizer do not decay in another, unless none does.

    Args:
        task: whose optimizer it is otherwise.
        settings: of a trial; ``lr``, and perhaps ``optimizer``, ``weight_decay`` and ``momentum``.
        own: the model's parameters.

    Raises:
        ValueError: the optimizer has no weight decay or momentum to set.
    """
    made = task.optimizer(own, settings["lr"])
    if "optimizer" in settings:
        made = _taken_over(made, settings["optimizer"])
    for axis in ("weight_decay", "momentum"):
        if axis in settings:
            _set(made, axis, settings[axis])
    return made


def _taken_over(before: Optimizer, text: str) -> Optimizer:
    names = group_names(before)
    groups = [
        {"params": group["params"], "lr": read_value(group), "name": name}
        for name, group in zip(names, before.param_groups, strict=True)
    ]
    made = optimizer(text, groups, lr=groups[0]["lr"])
    decays = [group.get("weight_decay", 0) for group in before.param_groups]
    if any(decays):
        for group, decay in zip(made.param_groups, decays, strict=True):
            if decay == 0 and "weight_decay" in group:
                group["weight_decay"] = 0.0
    return made


def _set(made: Optimizer, axis: str, value: float) -> None:
    """Every group's value; the groups without weight decay keep none, unless none has any."""
    held = [read_value(group, axis) for group in made.param_groups]
    keep = axis == "weight_decay" and any(held)
    for group, before in zip(made.param_groups, held, strict=True):
        if before or not keep:
            write_value(group, axis, value)
