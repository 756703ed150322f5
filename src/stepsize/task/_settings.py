"""What the settings of a trial make of a task's own recipe: its plan and its optimizer."""

from collections.abc import Mapping
from functools import reduce
from operator import rshift
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.optim import Optimizer

from stepsize import _check
from stepsize.control import Plan
from stepsize.optim import group_names, has_value, optimizer, read_value, write_value
from stepsize.schedule import Schedule, warmup
from stepsize.task._contract import AXES, Trial
from stepsize.task._given import optimizers_of

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
    """The plan of a trial: the task's squeezed into the trial's steps, but for what the trial says itself.

    Args:
        task: the trial's.
        trial: its settings may have ``schedule``, ``warmup`` and ``clip``, and numbers for ``momentum`` and
            ``weight_decay``, which then stay as they are.
    """
    said = trial.settings
    plan = task.recipe.changed(lambda _, schedule: schedule.stretch(trial.steps / task.steps))
    lr: Any = Schedule.parse(said["schedule"]) if "schedule" in said else plan.lr
    if "warmup" in said:
        lr = warmed_up(lr, said["warmup"])
    others: dict[str, Any] = {name: course for name, course in plan.courses.items() if name not in ("lr", *said)}
    return Plan(lr, clip=said.get("clip", plan.clip), feedback=plan.feedback, **plan.bounds, **others)


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


def squeezed(settings: Mapping[str, Any], share: float) -> dict[str, Any]:
    """Settings of a whole run for one of a share of its length: schedule and warm-up are squeezed with it.

    Args:
        settings: of a trial.
        share: > 0.

    Raises:
        TypeError, ValueError: share is not that.

    Example:
        >>> from stepsize.task import squeezed
        >>> squeezed({"lr": 0.1, "schedule": "warmup(100) >> cosine()", "warmup": 100}, 0.1)
        {'lr': 0.1, 'schedule': 'warmup(10) >> cosine()', 'warmup': 10.0}
    """
    share = _check.number("share", share, above=0)
    found = dict(settings)
    if "schedule" in found:
        found["schedule"] = str(Schedule.parse(found["schedule"]).stretch(share))
    if found.get("warmup"):
        length = warmup(found["warmup"]).stretch(share).length
        found["warmup"] = length if isinstance(length, float) else str(length)
    return found


def optimizers_of_trial(task: "Task", settings: Mapping[str, Any], model: nn.Module) -> dict[str, Optimizer]:
    """The optimizer of a trial, by the name "", or its several by name, with the trial's weight decay and momentum.

    It is the task's, or one by name over the same groups. That takes over the ratios of their rates; groups that do not
    decay in the task's optimizer do not decay in another, unless none does.

    Args:
        task: whose optimizer it is otherwise.
        settings: of a trial; ``lr``, and perhaps ``optimizer``, ``weight_decay`` and ``momentum``.
        model: the task's.

    Raises:
        TypeError, ValueError: the optimizer has no weight decay or momentum to set, or does not fit the task.
    """
    made = optimizers_of(task, model, settings["lr"])
    if "optimizer" in settings:
        made = {"": _taken_over(made, settings["optimizer"])}
    for axis in ("weight_decay", "momentum"):
        if axis in settings:
            _set(made, axis, settings[axis])
    return made


def _taken_over(before: Mapping[str, Optimizer], text: str) -> Optimizer:
    groups = [
        {"params": group["params"], "lr": read_value(group), "name": f"{which}/{name}" if which else name}
        for which, each in before.items()
        for name, group in zip(group_names(each), each.param_groups, strict=True)
    ]
    made = optimizer(text, groups, lr=groups[0]["lr"])
    former = [group for each in before.values() for group in each.param_groups]
    bare = {id(p) for group in former if not group.get("weight_decay", 0) for p in group["params"]}
    if any(group.get("weight_decay", 0) for group in former):
        for group in made.param_groups:
            if "weight_decay" in group and bare.issuperset(map(id, group["params"])):
                group["weight_decay"] = 0.0
    return made


def _set(made: Mapping[str, Optimizer], axis: str, value: float) -> None:
    """Every group's value, where it has one; the groups without weight decay keep none, unless none has any."""
    every = [group for each in made.values() for group in each.param_groups]
    groups = [group for group in every if has_value(group, axis)] or every
    held = [read_value(group, axis) for group in groups]
    keep = axis == "weight_decay" and any(held)
    for group, before in zip(groups, held, strict=True):
        if before or not keep:
            write_value(group, axis, value)
