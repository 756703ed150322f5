"""The state of what is sharded over processes as one process would have it, and back again."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from stepsize.task._ranks import leads, ranks


def whole(state: Any) -> Any:
    """A state dict with whole tensors on the first process; where nothing is sharded, itself.

    Args:
        state: of a model or an optimizer; the same on all processes. The others get an empty one.
    """
    if not ranks().shard:
        return state
    found = _gathered(state)
    return found if leads() else {}


def _gathered(value: Any) -> Any:
    if isinstance(value, Tensor) and hasattr(value, "full_tensor"):
        full = value.full_tensor()
        return full.cpu() if leads() else None
    if isinstance(value, Mapping):
        return {name: _gathered(item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(_gathered(item) for item in value)
    return value


def model_parts(state: Mapping[str, Tensor], model: nn.Module) -> Mapping[str, Any]:
    """A model's whole state dict, sharded as the model is.

    Args:
        state: from ``whole``.
        model: from ``placed``.
    """
    if not ranks().shard:
        return state
    own = model.state_dict()
    return {name: _like(item, own.get(name)) for name, item in state.items()}


def optimizer_parts(state: dict[str, Any], optimizer: Optimizer) -> dict[str, Any]:
    """An optimizer's whole state dict, sharded as its parameters are.

    Args:
        state: from ``whole``.
        optimizer: of the parameters of a model from ``placed``.
    """
    if not ranks().shard:
        return state
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    parts = {
        index: {name: _like(entry, parameters[index]) for name, entry in entries.items()}
        for index, entries in state["state"].items()
    }
    return {**state, "state": parts}


def _like(value: Any, own: Any) -> Any:
    """A tensor of a sharded one's shape, sharded like it; anything else as it is."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    if not isinstance(own, DTensor) or not isinstance(value, Tensor) or value.shape != own.shape:
        return value
    there = value.to(own.device)
    return distribute_tensor(there, own.device_mesh, own.placements, src_data_rank=None)
