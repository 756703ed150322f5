"""Arguments of a range test and a search, checked when they are given."""

from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn

from stepsize import _check
from stepsize.optim import parameters
from stepsize.state import can_capture, is_optimizer


def optimizers_by_name(value: Any) -> dict[str, Any]:
    """Optimizers by name: one alone has none, those of a list are numbered."""
    if isinstance(value, Mapping):
        named = {str(name): optimizer for name, optimizer in value.items()}
    elif is_optimizer(value):
        named = {"": value}
    else:
        listed = value if isinstance(value, list | tuple) else []
        named = {f"optimizer{index}": optimizer for index, optimizer in enumerate(listed)}
    if not named or not all(map(is_optimizer, named.values())):
        rule = "a torch.optim.Optimizer, a list of them or a mapping by name"
        raise TypeError(_check.message("optimizer", value, rule))
    if len({id(optimizer) for optimizer in named.values()}) < len(named):
        raise ValueError(_check.message("optimizer", value, "several in which each is there once"))
    return named


def check_model(value: Any, optimizers: Iterable[Any]) -> None:
    """Raise unless it is a module of which the optimizers train something."""
    if not isinstance(value, nn.Module):
        raise TypeError(_check.message("model", value, "a torch.nn.Module"))
    own = {id(parameter) for parameter in value.parameters()}
    if own and not any(id(parameter) in own for optimizer in optimizers for parameter in parameters(optimizer)):
        remedy = "build the optimizer from model.parameters(), after the model was moved or wrapped"
        raise ValueError(
            _check.message("model", type(value).__name__, "one whose parameters the optimizer has", remedy)
        )


def also_of(value: Any) -> list[Any]:
    """Things that are captured besides."""
    if not isinstance(value, Iterable):
        raise TypeError(_check.message("also", value, "a list of what the loop changes besides"))
    things = list(value)
    for thing in things:
        if not can_capture(thing):
            rule = "a list of modules, optimizers, generators, loaders or stateful objects"
            raise TypeError(_check.message("also", thing, rule))
    return things
