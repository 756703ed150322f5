"""The effect of single settings on a task's own recipe: its schedule, and its optimizers' groups."""

from collections.abc import Mapping
from functools import reduce
from operator import rshift
from typing import TYPE_CHECKING

from stepsize.schedule import Schedule, warmup

if TYPE_CHECKING:  # the table of axes is read where there is no torch yet
    from torch.optim import Optimizer


def warmed_up(schedule: Schedule, length: float | str) -> Schedule:
    """A schedule with a warm-up of the given length in front, instead of the one it begins with, if it does.

    Args:
        schedule: a schedule.
        length: of the warm-up: steps, a share or epochs; 0 for none.

    Example:
        >>> from stepsize.schedule import Schedule
        >>> from stepsize.task._effects import warmed_up
        >>> print(warmed_up(Schedule.parse("warmup(5%) >> cosine()"), 100))
        warmup(100) >> cosine()
        >>> print(warmed_up(Schedule.parse("warmup(5%) >> cosine()"), 0))
        cosine()
    """
    parts: tuple[Schedule, ...] = getattr(schedule, "parts", (schedule,))
    first, *rest = parts[1:] if len(parts) > 1 and isinstance(parts[0], warmup) else parts
    cold = reduce(rshift, rest, first)
    return cold if length == 0 else warmup(length) >> cold


def another(before: "Mapping[str, Optimizer]", text: str) -> "dict[str, Optimizer]":
    """An optimizer by name over the groups of a task's own.

    It takes over the ratios of their rates; groups that do not decay in the task's optimizer do not decay in the other,
    unless none does.

    Args:
        before: the task's, by name.
        text: as ``stepsize.optim.optimizer`` takes it.

    Raises:
        TypeError, ValueError: it does not fit the task.
    """
    from stepsize.optim import group_names, optimizer, read_value

    groups = [
        {"params": group["params"], "lr": read_value(group), "name": f"{which}/{name}" if which else name}
        for which, old in before.items()
        for name, group in zip(group_names(old), old.param_groups, strict=True)
    ]
    made = optimizer(text, groups, lr=groups[0]["lr"])
    former = [group for earlier in before.values() for group in earlier.param_groups]
    bare = {id(p) for group in former if not group.get("weight_decay", 0) for p in group["params"]}
    if any(group.get("weight_decay", 0) for group in former):
        for group in made.param_groups:
            if "weight_decay" in group and bare.issuperset(map(id, group["params"])):
                group["weight_decay"] = 0.0
    return {"": made}


def with_value(made: "dict[str, Optimizer]", name: str, value: float) -> "dict[str, Optimizer]":
    """The same optimizers with a value in every group that has it.

    Groups without weight decay keep none, unless none has any.

    Args:
        made: by name.
        name: ``"weight_decay"`` or ``"momentum"``.
        value: >= 0.

    Raises:
        ValueError: there is none to set.
    """
    from stepsize.optim import has_value, read_value, write_value

    every = [group for optimizer in made.values() for group in optimizer.param_groups]
    groups = [group for group in every if has_value(group, name)] or every
    held = [read_value(group, name) for group in groups]
    keep = name == "weight_decay" and any(held)
    for group, before in zip(groups, held, strict=True):
        if before or not keep:
            write_value(group, name, value)
    return made
