"""An optimizer's parameter groups: their names, their parameters, reading and writing their hyperparameters."""

from collections.abc import Iterator, MutableMapping
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
    return [name if names.count(name) == 1 else f"{name}#{index}" for index, name in enumerate(names)]


def read_value(group: MutableMapping[str, Any], hyperparameter: str = "lr") -> float:
    """A group's hyperparameter as a float; reads back from the device when it is a tensor there.

    Args:
        group: one of ``optimizer.param_groups``.
        hyperparameter: ``"lr"``, ``"momentum"`` (beta1 where a group has betas), ``"weight_decay"`` or another entry.

    Raises:
        ValueError: the group has no such hyperparameter.

    Example:
        >>> from stepsize.optim import read_value
        >>> group = {"params": [], "lr": 0.1, "betas": (0.9, 0.999)}
        >>> read_value(group), read_value(group, "momentum")
        (0.1, 0.9)
    """
    if hyperparameter == "momentum" and "betas" in group:
        return float(group["betas"][0])
    if hyperparameter not in group:
        known = sorted(key for key in group if key not in ("params", "name"))
        problem = f"the optimizer has no {hyperparameter!r} in its parameter groups"
        raise ValueError(f"{problem}; {_check.closest(hyperparameter, known)}")
    return float(group[hyperparameter])


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
    if hyperparameter == "momentum" and "betas" in group:
        if isinstance(group["betas"][0], Tensor):
            _fill(group["betas"][0], value)
        else:
            group["betas"] = (value, *group["betas"][1:])
    elif isinstance(group[hyperparameter], Tensor):
        _fill(group[hyperparameter], value)
    else:
        group[hyperparameter] = value


def _fill(tensor: Tensor, value: float) -> None:
    with torch.no_grad():
        tensor.fill_(value)
