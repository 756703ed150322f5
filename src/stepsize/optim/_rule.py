"""The base of our update rules: groups, gradients and states are checked before anything is changed."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim import Optimizer

from stepsize import _check
from stepsize.optim._norms import is_dense, is_shard, local, squared_norms

Group = dict[str, Any]
Part = tuple[Group, list[Tensor], list[Tensor]]
"""A group, and its weights that have gradients, with these."""


class Rule(Optimizer, ABC):
    """An update rule with trust ratios: each tensor is a layer, unless its group says ``"adapt": False``."""

    BUFFERS: ClassVar[frozenset[str]]  # what is kept for each tensor

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        if not isinstance(params, Iterable) or isinstance(params, str | Tensor):
            raise TypeError(_check.message("params", params, "parameters or groups, such as model.parameters()"))
        super().__init__(params, {**defaults, "adapt": True})

    @abstractmethod
    def _check_values(self, group: Mapping[str, Any]) -> None:
        """Raise unless the group's hyperparameters are in their ranges."""

    @abstractmethod
    def _update(self, parts: list[Part]) -> None:
        """One update of all weights that have gradients."""

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group, for example of a part of the model that is trained from now on.

        Args:
            param_group: ``params`` and what differs from the defaults; ``"adapt": False`` for ratios of 1.

        Raises:
            TypeError, ValueError: it is empty, a value is out of its range, or a tensor cannot be trained by this rule.
        """
        if not isinstance(param_group, dict) or "params" not in param_group:
            raise TypeError(_check.message("param_group", param_group, "a dict with params"))
        params = param_group["params"]
        if not isinstance(params, Iterable) or isinstance(params, set):
            raise TypeError(_check.message("params", params, "a tensor or several in an order that stays"))
        listed = [params] if isinstance(params, Tensor) else list(params)
        group = {**self.defaults, **param_group, "params": listed}
        name = str(group.get("name", f"group{len(self.param_groups)}"))
        if not listed:
            raise ValueError(f"params of {name} is empty; leave the group out, or look at how it is picked")
        if not isinstance(group["adapt"], bool):
            raise TypeError(_check.message(f"adapt of {name}", group["adapt"], "True or False"))
        positive_or_tensor("lr", group["lr"])
        self._check_values(group)
        tensors = [entry[1] if isinstance(entry, tuple) else entry for entry in listed]
        for index, tensor in enumerate(tensors):
            _check_weight(f"parameter {index} of {name}", tensor)
        if len({id(tensor) for tensor in tensors}) < len(tensors):
            raise ValueError(f"params of {name} has a parameter twice; give each once")
        if group["adapt"]:
            _check_not_zero(name, tensors)
        super().add_param_group({**param_group, "params": listed})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the weights that have gradients.

        Args:
            closure: computes the gradients again and returns the loss; may be missing.

        Raises:
            TypeError, ValueError: a gradient is sparse, or has another dtype, device or distribution than its weight;
                nothing is changed then.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        parts = [part for part in map(_with_gradients, self.param_groups) if part[1]]
        self._update(parts)
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state of the same rule.

        Args:
            state_dict: from ``state_dict`` of the same class, over parameters of the same shapes.

        Raises:
            TypeError, ValueError: it is no such state; nothing is changed then.
        """
        self._check_state(state_dict)
        super().load_state_dict(state_dict)

    def _check_state(self, state: Any) -> None:
        own = type(self).__name__
        if not isinstance(state, Mapping) or not {"state", "param_groups"} <= set(state):
            raise TypeError(_check.message("state_dict", state, "a mapping from state_dict() of an optimizer"))
        lacks = sorted({key for group in state["param_groups"] for key in self.defaults if key not in group})
        if lacks:
            raise ValueError(f"state_dict is of another optimizer than {own}: its groups lack {', '.join(lacks)}")
        weights = [weight for group in self.param_groups for weight in group["params"]]
        numbers = [number for group in state["param_groups"] for number in group["params"]]
        if len(weights) != len(numbers):
            raise ValueError(f"state_dict is of {len(numbers)} parameters, and this {own} has {len(weights)}")
        for weight, number in zip(weights, numbers, strict=True):
            kept = state["state"].get(number, {})
            if kept and set(kept) != self.BUFFERS:
                problem = (
                    f"it keeps {', '.join(sorted(kept))} for a parameter, and not {', '.join(sorted(self.BUFFERS))}"
                )
                raise ValueError(f"state_dict is of another optimizer than {own}: {problem}")
            for key, value in kept.items():
                if key != "step" and value.shape != weight.shape:
                    rule = f"{tuple(weight.shape)}, that of its parameter"
                    raise ValueError(_check.message(f"shape of {key} in state_dict", tuple(value.shape), rule))

    def _kept(self, weights: Iterable[Tensor], key: str) -> list[Tensor]:
        """The tensors kept under a key, made of zeros where there are none yet."""
        kept = []
        for weight in weights:
            state = self.state[weight]
            if key not in state:
                state[key] = torch.zeros_like(weight, memory_format=torch.preserve_format)
            kept.append(state[key])
        return kept


def biases_apart(params: Iterable[Any]) -> list[Group]:
    """Parameters or groups as groups of which those with biases and norms, zero or not, do not adapt.

    What has fewer than two dimensions counts as such. Groups that say ``adapt`` themselves stay as they are.
    """
    entries = list(params)
    whole = [entry if isinstance(entry, dict) else None for entry in entries]
    groups = [entry for entry in whole if entry is not None] if all(whole) else [{"params": entries}]
    adapting: list[Group] = []
    others: list[Group] = []
    for group in groups:
        held = group.get("params")
        if "adapt" in group or not isinstance(held, Iterable):
            adapting.append(group)
            continue
        listed = [held] if isinstance(held, Tensor) else list(held)
        small = [getattr(entry[1] if isinstance(entry, tuple) else entry, "ndim", 2) < 2 for entry in listed]
        for into, is_small in ((adapting, False), (others, True)):
            members = [entry for entry, is_this in zip(listed, small, strict=True) if is_this == is_small]
            names = [str(group.get("name"))] * ("name" in group) + ["no_adapt"] * is_small
            if members:
                name = {"name": "/".join(names)} if names else {}
                into.append({**group, **name, "adapt": not is_small, "params": members})
    return adapting + others


def positive_or_tensor(name: str, value: Any) -> None:
    """Raise unless it is a number >= 0 or a tensor of one element, which is not read."""
    if isinstance(value, Tensor):
        _check.one_number(name, value)
    else:
        _check.number(name, value, least=0)


def below_one(name: str, value: Any) -> None:
    """Raise unless it is a number >= 0 and < 1."""
    if not _check.number(name, value, least=0) < 1:
        raise ValueError(_check.message(name, value, "a finite number >= 0 and < 1"))


def fits_fused(weight: Tensor, *others: Tensor) -> bool:
    """Whether torch's fused updates are right for tensors on the CPU: they take all memory to be laid out alike."""
    if weight.is_contiguous():
        return all(other.is_contiguous() for other in others)
    return is_dense(weight) and all(other.stride() == weight.stride() for other in others)


def known_here(tensor: Tensor) -> bool:
    """Whether numbers can be had of a tensor as they are needed: it is whole, on the CPU, and nothing is compiled."""
    return tensor.is_cpu and not is_shard(tensor) and not torch.compiler.is_compiling()


def by_device(members: Iterable[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    """Tuples whose second entry is a tensor, device by device."""
    found: dict[torch.device, list[tuple[Any, ...]]] = {}
    for member in members:
        found.setdefault(local(member[1]).device, []).append(member)
    yield from found.values()


def add(target: Tensor, tensor: Tensor, factor: float | Tensor) -> None:
    """``target <- target + factor tensor``; a factor that only the device knows stays there."""
    if isinstance(factor, Tensor):
        target.addcmul_(tensor, factor.to(target.dtype))
    else:
        target.add_(tensor, alpha=factor)


def quotient(above: Any, below: Any) -> Any:
    """One norm by another, numbers or tensors; 0 where the lower one is 0, and with it all that it is of."""
    if isinstance(below, Tensor):
        return torch.where(below == 0, 0.0, above / below)
    return 0.0 if below == 0 else above / below


def _with_gradients(group: Group) -> Part:
    weights, gradients = [], []
    for weight in group["params"]:
        gradient = weight.grad
        if gradient is None:
            continue
        if gradient.layout is not torch.strided:
            rule = "dense: trust ratios need whole tensors"
            raise TypeError(_check.message("layout of a gradient", gradient.layout, rule, "use sparse=False"))
        if gradient.dtype is not weight.dtype or gradient.device != weight.device:
            found, rule = (gradient.dtype, gradient.device), f"those of its weight, {weight.dtype} and {weight.device}"
            raise TypeError(_check.message("dtype and device of a gradient", found, rule))
        if is_shard(weight) and getattr(gradient, "placements", None) != weight.placements:
            rule = f"as its weight, by {weight.placements}"
            raise TypeError(_check.message("distribution of a gradient", getattr(gradient, "placements", None), rule))
        weights.append(weight)
        gradients.append(gradient)
    return group, weights, gradients


def _check_weight(name: str, weight: Any) -> None:
    if not isinstance(weight, Tensor):
        raise TypeError(_check.message(name, weight, "a tensor"))
    if not weight.is_floating_point() or weight.layout is not torch.strided:
        rule = "dense and of real floating-point numbers"
        remedy = "leave it to another optimizer" if weight.is_complex() else ""
        raise TypeError(_check.message(name, f"{weight.dtype}, {weight.layout}", rule, remedy))


def _check_not_zero(name: str, weights: list[Tensor]) -> None:
    there = [weight for weight in weights if not weight.is_meta]
    for members in by_device((None, weight.detach()) for weight in there):
        squares = squared_norms([weight for _, weight in members])
        if not bool((squares == 0).any()):
            continue
        shapes = [str(tuple(w.shape)) for (_, w), s in zip(members, squares.tolist(), strict=True) if s == 0]
        raise ValueError(
            f"{name} has weights that are all zero, of shape {', '.join(shapes[:3])}: their trust ratio is 0, "
            'so that they would never move; put them into a group with "adapt": False, as '
            "no_decay(model, adapt=False) does with biases and norms"
        )
