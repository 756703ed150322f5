"""An optimizer's parameter groups: their names, their parameters, reading and writing their hyperparameters."""

import inspect
from collections import Counter
from collections.abc import Iterator, Mapping, MutableMapping
from numbers import Real
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from stepsize import _check


def parameters(optimizer: Optimizer) -> Iterator[Tensor]:
    """All parameters of an optimizer, group by group.

    Args:
        optimizer: any torch optimizer.

    Example:
        >>> import torch
        >>> from stepsize.optim import parameters
        >>> layer = torch.nn.Linear(3, 2)
        >>> [tuple(p.shape) for p in parameters(torch.optim.SGD(layer.parameters(), lr=0.1))]
        [(2, 3), (2,)]
    """
    for group in optimizer.param_groups:
        yield from group["params"]


def group_names(optimizer: Optimizer) -> list[str]:
    """A name for each group: its own ``"name"`` entry, or ``group0``, ``group1`` and so on.

    Args:
        optimizer: any torch optimizer.

    Example:
        >>> import torch
        >>> from stepsize.optim import group_names
        >>> layer = torch.nn.Linear(3, 2)
        >>> groups = [{"params": [layer.weight]}, {"params": [layer.bias], "name": "bias"}]
        >>> group_names(torch.optim.SGD(groups, lr=0.1))
        ['group0', 'bias']
    """
    names = [str(group.get("name", f"group{index}")) for index, group in enumerate(optimizer.param_groups)]
    # a name that stands twice gets its place behind it, so that no group hides another
    count = Counter(names)
    return [name if count[name] == 1 else f"{name}#{index}" for index, name in enumerate(names)]


def pair_index(group: Mapping[str, Any], hyperparameter: str) -> int | None:
    """The place of a hyperparameter in a group's ``betas``, or None if it has an entry of its own.

    Args:
        group: one of ``optimizer.param_groups``.
        hyperparameter: as for ``read_value``.

    Example:
        >>> from stepsize.optim import pair_index
        >>> adam = {"lr": 0.1, "betas": (0.9, 0.999)}
        >>> pair_index(adam, "momentum"), pair_index(adam, "beta2"), pair_index(adam, "lr")
        (0, 1, None)
    """
    place = {"momentum": 0, "beta1": 0, "beta2": 1}.get(hyperparameter)
    return None if place is None or "betas" not in group else place


def read_value(group: Mapping[str, Any], hyperparameter: str = "lr") -> float:
    """A group's hyperparameter as a float; reads back from the device when it is a tensor there.

    Args:
        group: one of ``optimizer.param_groups``.
        hyperparameter: ``"lr"``, ``"momentum"`` (beta1 where a group has betas), ``"beta1"``, ``"beta2"``, or any other
            number in the group.

    Raises:
        TypeError, ValueError: the group has no such hyperparameter, or it is no number, or a tensor that cannot hold
            every number.

    Example:
        >>> from stepsize.optim import read_value
        >>> group = {"params": [], "lr": 0.1, "betas": (0.9, 0.999)}
        >>> read_value(group), read_value(group, "momentum")
        (0.1, 0.9)
    """
    place = pair_index(group, hyperparameter)
    value: Any = group.get(hyperparameter) if place is None else group["betas"][place]
    if not has_value(group, hyperparameter):
        known = [
            key for key, entry in group.items() if isinstance(entry, Real | Tensor) and not isinstance(entry, bool)
        ]
        known += ["beta1", "beta2"] if "betas" in group else []
        problem = f"the optimizer has no {hyperparameter!r} in its parameter groups"
        raise ValueError(f"{problem}; {_check.closest(hyperparameter, known)}")
    if isinstance(value, Tensor):
        _check.one_number(hyperparameter, value)
        if not value.is_floating_point():
            remedy = f"write {hyperparameter}=torch.tensor({value.real.item():.1f})"
            raise TypeError(_check.message(hyperparameter, value, "a tensor of floating-point numbers", remedy))
    return float(value)


def has_value(group: Mapping[str, Any], hyperparameter: str = "lr") -> bool:
    """Whether a group has a hyperparameter as a number: some optimizers have no rate, or None for it.

    Args:
        group: one of ``optimizer.param_groups``.
        hyperparameter: as for ``read_value``.

    Example:
        >>> from stepsize.optim import has_value
        >>> has_value({"params": [], "lr": 0.1}), has_value({"params": [], "lr": None}), has_value({"params": []})
        (True, False, False)
    """
    place = pair_index(group, hyperparameter)
    value = group.get(hyperparameter) if place is None else group["betas"][place]
    return isinstance(value, Real | Tensor) and not isinstance(value, bool)


def needs_closure(optimizer: Optimizer) -> bool:
    """Whether an optimizer steps with a closure only, as LBFGS does.

    Args:
        optimizer: any torch optimizer.

    Example:
        >>> import torch
        >>> from stepsize.optim import needs_closure
        >>> needs_closure(torch.optim.LBFGS([torch.zeros(1, requires_grad=True)]))
        True
    """
    parameter = inspect.signature(optimizer.step).parameters.get("closure")
    return parameter is not None and parameter.default is inspect.Parameter.empty


def write_value(group: MutableMapping[str, Any], hyperparameter: str, value: float) -> None:
    """Set a group's hyperparameter; a tensor stays the same tensor, so that nothing compiled is compiled again.

    Args:
        group: one of ``optimizer.param_groups``.
        hyperparameter: as for ``read_value``.
        value: the new value.

    Example:
        >>> from stepsize.optim import write_value
        >>> group = {"params": [], "lr": 0.1, "betas": (0.9, 0.999)}
        >>> write_value(group, "lr", 0.05)
        >>> write_value(group, "momentum", 0.85)
        >>> group["lr"], group["betas"]
        (0.05, (0.85, 0.999))
    """
    place = pair_index(group, hyperparameter)
    held = group[hyperparameter] if place is None else group["betas"][place]
    if isinstance(held, Tensor):
        with torch.no_grad():
            held.fill_(value)
    elif place is None:
        group[hyperparameter] = value
    else:
        betas = group["betas"]
        group["betas"] = (*betas[:place], value, *betas[place + 1 :])
