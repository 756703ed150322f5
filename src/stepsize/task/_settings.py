"""Plan and optimizer of a trial: a task's own recipe with the trial's settings."""

from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary, ref

from torch import nn
from torch.optim import Optimizer

from stepsize import _check
from stepsize.control import Plan
from stepsize.task._axes import AXES
from stepsize.task._contract import Trial
from stepsize.task._faces import Supervised
from stepsize.task._given import optimizers_of

_PLANS: "WeakKeyDictionary[Trial, tuple[ref[Supervised], Plan]]" = WeakKeyDictionary()  # of whom, and which


def plan_of(task: Supervised, trial: Trial) -> Plan:
    """The plan of a trial: the task's squeezed into the trial's steps, but for what the trial says itself.

    Args:
        task: the trial's.
        trial: what it sets of ``momentum`` and ``weight_decay`` is a number, which then stays as it is.
    """
    owner, plan = _PLANS.get(trial, (None, None))
    if plan is not None and owner is not None and owner() is task:
        return plan
    parts = task.recipe.parts(lambda _, schedule: schedule.stretch(trial.steps / task.steps))
    for name, axis in AXES.items():
        if axis.plan is not None and name in trial.settings:
            axis.plan(parts, trial.settings[name])
    plan = Plan(**parts)
    _PLANS[trial] = ref(task), plan
    return plan


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
    squeeze = {name: axis.squeeze for name, axis in AXES.items() if axis.squeeze is not None}
    return {name: squeeze[name](value, share) if name in squeeze else value for name, value in settings.items()}


def optimizers_of_trial(task: Supervised, settings: Mapping[str, Any], model: nn.Module) -> dict[str, Optimizer]:
    """The optimizer of a trial, by the name "", or its several by name, with what the trial sets of them.

    Args:
        task: whose optimizer it is otherwise.
        settings: of a trial, with ``lr``.
        model: the task's.

    Raises:
        TypeError, ValueError: the optimizer has no weight decay or momentum to set, or does not fit the task.
    """
    made = optimizers_of(task, model, settings["lr"])
    for name, axis in AXES.items():
        if axis.optimizer is not None and name in settings:
            made = axis.optimizer(made, settings[name])
    return made
