"""Torch's optimizers on stacked parameters: the optimizer's own step at the rate 1, and each member's share of it.

    w_k <- w_k + rate_k * (step(w_k, g_k; rate 1) - w_k)

This is the optimizer's own update where that goes entry by entry and is linear in the rate. Whether it does is tried,
not looked up: on small pieces of the real parameters, in float64, over some steps of changing rates.
"""

import inspect
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from stepsize import _check

TRIED = ((0.5, 0.03), (0.1, 0.4), (0.0, 0.2), (0.3, 0.01))  # rates of two members at four steps
EQUAL = 1e-10  # relative distance, in float64, of what ought to be equal


def copied(optimizer: Optimizer, tensors: Mapping[int, Tensor], state: Mapping[int, Mapping[str, Any]]) -> Optimizer:
    """The same optimizer over other tensors, at the rate 1.

    Args:
        optimizer: the one to be copied; it stays as it is.
        tensors: by the identity of its parameters, what takes their place; parameters without are left out.
        state: by the identity of its parameters, their state there.
    """
    made: Optimizer = object.__new__(type(optimizer))
    made.__dict__.update(optimizer.__dict__)
    made.param_groups = [
        {**group, "params": [tensors[id(p)] for p in group["params"] if id(p) in tensors], "lr": 1.0}
        for group in optimizer.param_groups
    ]
    made.state = defaultdict(
        dict, {tensors[key]: dict(entry) for key, entry in state.items() if entry and key in tensors}
    )
    return made


def stacked_state(states: Sequence[Mapping[str, Any]], shape: torch.Size) -> dict[str, Any]:
    """The state of several members' parameters as one: what has their shape is stacked, all else must be equal.

    Args:
        states: of one parameter, by member.
        shape: the parameter's.

    Raises:
        ValueError: something else is not equal.
    """
    found: dict[str, Any] = {}
    for name, first in states[0].items():
        values = [state[name] for state in states]
        if isinstance(first, Tensor) and first.shape == shape and name != "step":
            found[name] = torch.stack(values)
        elif all(bool(torch.equal(value, first) if isinstance(first, Tensor) else value == first) for value in values):
            found[name] = first.clone() if isinstance(first, Tensor) else first
        else:
            raise ValueError(f"members differ in the optimizer's {name}")
    return found


def one_state(state: Mapping[str, Any], index: int, shape: torch.Size) -> dict[str, Any]:
    """One member's part of a stacked state.

    Args:
        state: of one stacked parameter.
        index: the member's place.
        shape: of the stacked parameter.
    """
    return {name: _one(name, value, index, shape) for name, value in state.items()}


def _one(name: str, value: Any, index: int, shape: torch.Size) -> Any:
    if not isinstance(value, Tensor):
        return value
    if name == "step":  # torch's own optimizers keep it so
        return value.to(torch.get_default_dtype() if value.dtype == torch.float64 else value.dtype, copy=True)
    return (value[index] if value.shape == shape else value).clone()


def update(optimizer: Optimizer, tensors: Sequence[Tensor], rates: Sequence[Tensor]) -> None:
    """One step, from the tensors' ``grad``.

    Args:
        optimizer: of ``copied``, over the tensors.
        tensors: stacked parameters.
        rates: for each of them, a shape that multiplies it.
    """
    before = [tensor.clone() for tensor in tensors]
    bare_step(optimizer)
    for tensor, old, rate in zip(tensors, before, rates, strict=True):
        tensor.copy_(old + rate * (tensor - old))


def bare_step(optimizer: Optimizer) -> None:
    """The optimizer's step without what torch wraps around it for profilers and hooks, which cannot be compiled."""
    inspect.unwrap(type(optimizer).step)(optimizer)


def wide(values: Tensor, like: Tensor) -> Tensor:
    """Values by member in a shape that multiplies stacked parameters.

    Args:
        values: shape (members,).
        like: stacked parameters.
    """
    return values.view(-1, *[1] * (like.ndim - 1))


def why_not_linear(optimizer: Optimizer) -> str:
    """Why an optimizer's steps cannot be scaled member by member; empty if they can.

    Args:
        optimizer: of one member; it stays as it is.
    """
    name = type(optimizer).__name__
    try:
        with torch.no_grad():
            distance = _distance(optimizer)
    except Exception as error:
        return f"the optimizer {name} does not step on stacked parameters ({_check.with_class(error, 160)})"
    if distance <= EQUAL:
        return ""
    return f"the steps of the optimizer {name} are not entry by entry and linear in the rate (off by {distance:.1g})"


def _distance(optimizer: Optimizer) -> float:
    """The distance of two members, stepped together, from the same two stepped one after the other."""
    generator = torch.Generator().manual_seed(0)
    own = [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
    cut = {id(p): _piece(p) for p in own}

    def draw() -> list[dict[int, Tensor]]:
        return [
            {
                key: torch.randn(piece.shape, generator=generator, dtype=torch.float64).to(piece.device)
                for key, piece in cut.items()
            }
            for _ in range(2)
        ]

    state = {
        id(p): {
            name: _piece(value) if isinstance(value, Tensor) and name != "step" else value
            for name, value in entry.items()
        }
        for p, entry in optimizer.state.items()
    }
    alone = draw()
    stacked = {key: torch.stack([part[key] for part in alone]) for key in cut}
    singles = [copied(optimizer, part, _cloned(state)) for part in alone]
    shapes = {key: piece.shape for key, piece in cut.items()}
    both = copied(
        optimizer, stacked, {key: stacked_state([entry, entry], shapes[key]) for key, entry in _cloned(state).items()}
    )
    for rates in TRIED:
        gradients = draw()
        for key in cut:
            stacked[key].grad = torch.stack([gradient[key] for gradient in gradients])
        places = [(key, 1.0 + place) for place, group in enumerate(both.param_groups) for key in _keys(group, stacked)]
        rate = torch.tensor(rates, dtype=torch.float64)
        scaled = [wide((rate / share).to(stacked[key].device), stacked[key]) for key, share in places]
        update(both, [stacked[key] for key, _ in places], scaled)
        for single, tensors, gradient, own_rate in zip(singles, alone, gradients, rates, strict=True):
            for place, group in enumerate(single.param_groups):
                group["lr"] = own_rate / (1.0 + place)
            for key, tensor in tensors.items():
                tensor.grad = gradient[key]
            single.step()
    apart = [(stacked[key][place] - part[key]).abs().max() for place, part in enumerate(alone) for key in cut]
    worst = float(torch.stack(apart).max())
    return worst if worst == worst else float("inf")  # NaN is far


def _keys(group: Mapping[str, Any], tensors: Mapping[int, Tensor]) -> list[int]:
    names = {id(tensor): key for key, tensor in tensors.items()}
    return [names[id(p)] for p in group["params"]]


def _piece(tensor: Tensor) -> Tensor:
    """A small piece in float64."""
    piece = tensor.detach()[tuple(slice(0, 3) for _ in tensor.shape)]
    return piece.to(torch.float64 if piece.is_floating_point() else piece.dtype).clone()


def _cloned(state: Mapping[int, Mapping[str, Any]]) -> dict[int, dict[str, Any]]:
    return {
        key: {name: value.clone() if isinstance(value, Tensor) else value for name, value in item.items()}
        for key, item in state.items()
    }
