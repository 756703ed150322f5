"""Axes of a task's own: their names, and the functions of the task that take their settings."""

import inspect
import keyword
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from stepsize import _check
from stepsize.task._axes import AXES, Axis
from stepsize.task._faces import Supervised
from stepsize.task._given import CALLED_WITH

Kind = TypeVar("Kind", bound=Supervised)
FUNCTIONS = (*CALLED_WITH, "batches")
# what calls and tables say beside settings, so that no axis can be called so
RESERVED = {
    *("accept_changes", "apply", "args", "axes", "batch", "batches", "budget", "device", "done", "engine", "epochs"),
    *("evaluate_every", "folder", "generator", "high", "key", "loader", "loss", "low", "model", "on_result"),
    *("over", "parameters", "progress", "rate", "rates", "resume", "save_every", "score", "seconds", "seed"),
    *("seeds", "set", "settings", "settle", "share", "status", "steps", "stop", "suspected", "task", "trial", "trials"),
    *("verify", "watch"),
}


def check_own(task: Supervised) -> None:
    """Raise unless the axes of a task's own are some.

    Args:
        task: whose ``axes`` they are.

    Raises:
        TypeError, ValueError: one has no name that options and columns can have, is no ``Axis``, or is taken by none
            of the task's functions.
    """
    axes: Any = task.axes
    if not isinstance(axes, Mapping):
        raise TypeError(_check.message("axes", axes, "a mapping by name", 'such as {"width": Axis.whole(least=1)}'))
    for name, axis in axes.items():
        if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
            raise ValueError(_check.message("a name in axes", name, "one that a function's parameter can have"))
        if name in AXES or name in RESERVED:
            raise ValueError(_check.message("a name in axes", name, "one that nothing else has", "choose another"))
        if not isinstance(axis, Axis):
            raise TypeError(_check.message(f"axes[{name!r}]", axis, "an Axis", "write for example Axis.whole(least=1)"))
        _check_taken(task, name)


def _check_taken(task: Supervised, name: str) -> None:
    takers = [function for function in FUNCTIONS if name in _parameters(getattr(task, function))]
    if not takers:
        remedy = f"write for example model=lambda {name}=...: ..."
        raise ValueError(f"axes has {name!r}, which no function of the task takes as a parameter; {remedy}")
    for function in takers:
        if _parameters(getattr(task, function))[name].default is inspect.Parameter.empty:
            rule = "a default, for trials that do not set it"
            raise ValueError(f"{function} of the task {task.name!r} must give its parameter {name!r} {rule}")


def _parameters(function: Callable[..., Any] | None) -> Mapping[str, inspect.Parameter]:
    """The parameters of a function that can be given by name."""
    try:
        parameters = inspect.signature(function).parameters if callable(function) else {}
    except ValueError:  # of something built in that does not say
        return {}
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {name: parameter for name, parameter in parameters.items() if parameter.kind in kinds}


def own_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that are of a task's own axes.

    Args:
        settings: of a trial.

    Example:
        >>> from stepsize.task import own_settings
        >>> own_settings({"lr": 0.1, "width": 256})
        {'width': 256}
    """
    return {name: value for name, value in settings.items() if name not in AXES}


def with_settings(task: Kind, settings: Mapping[str, Any]) -> Kind:
    """A task whose functions are called with the settings of its own axes that they take; itself where there are none.

    Args:
        task: whose trial it is.
        settings: of the trial.
    """
    own = own_settings(settings)
    if not own:
        return task
    changed: dict[str, Any] = {}
    for name in FUNCTIONS:
        function = getattr(task, name)
        taken = {name: own[name] for name in own.keys() & _parameters(function).keys()}
        if taken:
            changed[name] = partial(function, **taken)
    made: Any = task
    return replace(made, **changed)  # type: ignore[no-any-return]
