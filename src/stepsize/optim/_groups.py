"""An optimizer's parameter groups: their names, their parameters, and the one place that writes a rate."""

from collections.abc import Iterator, MutableMapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


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
    return [str(group.get("name", f"group{index}")) for index, group in enumerate(optimizer.param_groups)]


def read_rate(group: MutableMapping[str, Any]) -> float:
    """A group's learning rate as a float; reads back from the device when it is a tensor there.

    Args:
        group: one of ``optimizer.param_groups``.

    Raises:
        KeyError: the group has no ``"lr"``.

    Example:
        >>> from stepsize.optim import read_rate
        >>> read_rate({"params": [], "lr": 0.1})
        0.1
    """
    return float(group["lr"])


def write_rate(group: MutableMapping[str, Any], rate: float) -> None:
    """Set a group's learning rate; a tensor rate stays the same tensor, so that nothing compiled is compiled again.

    Args:
        group: one of ``optimizer.param_groups``.
        rate: the new rate.

    Example:
        >>> from stepsize.optim import write_rate
        >>> group = {"params": [], "lr": 0.1}
        >>> write_rate(group, 0.05)
        >>> group["lr"]
        0.05
    """
    if isinstance(group["lr"], Tensor):
        with torch.no_grad():
            group["lr"].fill_(rate)
    else:
        group["lr"] = rate
