"""LARS: each layer moves by a share of its own weights' norm."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from stepsize import _check
from stepsize.optim._norms import HALVES, local, squared_norm, squared_norms
from stepsize.optim._rule import Group, Part, Rule, add, below_one, by_device, fits_fused, known_here, quotient

PLACES = ("inside", "outside")


class LARS(Rule):
    """Layer-wise adaptive rate scaling: SGD with momentum in which each tensor has a trust ratio of its own.

    Formula, for each tensor w with gradient g:
        ratio = trust_coefficient ||w|| / (||g|| + weight_decay ||w||)
        v <- momentum v + lr ratio (g + weight_decay w),   w <- w - v

    There is no epsilon. A tensor without gradient norm decays (its ratio is trust_coefficient / weight_decay); one
    without a norm of its own has the ratio 0 and stays, which is refused when it is added. In groups with
    ``"adapt": False``, the place of biases and norms, the ratio is 1: SGD. Gradients are never written to.

    On the CPU a step is little more than two norms and torch's fused SGD; elsewhere nothing is read back from the
    device. DTensors (FSDP2) get the norms of whole tensors, so every rank must step. Sparse and complex are refused.

    Args:
        params: parameters or groups, which may set each of the following for themselves.
        lr: the rate, >= 0.
        momentum: >= 0 and < 1.
        weight_decay: >= 0, also part of the ratio.
        trust_coefficient: > 0, how much of its norm a layer may change by at a rate of 1.
        rate: where the rate stands: ``"inside"`` the momentum, as in the paper, or ``"outside"``, as in most libraries:
            ``v <- momentum v + ratio (...)``, ``w <- w - lr v``. The same while the rate is constant.

    Raises:
        TypeError, ValueError: an argument is invalid, or a group is empty or has a tensor twice.

    Example:
        >>> import torch
        >>> from stepsize.optim import LARS, no_decay
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 2))
        >>> optimizer = LARS(no_decay(model, adapt=False), lr=2.0)
        >>> before = model[0].weight.detach().clone()
        >>> model(torch.randn(16, 4)).square().mean().backward()
        >>> optimizer.step()
        >>> moved = (model[0].weight - before).norm() / before.norm()
        >>> round(moved.item(), 5)  # lr * trust_coefficient
        0.002

    Source: You, Gitman and Ginsburg 2017, "Large batch training of convolutional networks" (arXiv 1708.03888),
    algorithm 1 and equation 6.
    """

    BUFFERS: ClassVar[frozenset[str]] = frozenset({"momentum_buffer"})

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor,
        momentum: float = 0.9,
        weight_decay: float = 1e-4,
        trust_coefficient: float = 1e-3,
        *,
        rate: str = "inside",
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "trust_coefficient": trust_coefficient,
            "rate": rate,
        }
        super().__init__(params, defaults)

    def _check_values(self, group: Mapping[str, Any]) -> None:
        below_one("momentum", group["momentum"])
        _check.number("weight_decay", group["weight_decay"], least=0)
        _check.number("trust_coefficient", group["trust_coefficient"], above=0)
        if group["rate"] not in PLACES:
            raise ValueError(_check.message("rate", group["rate"], "'inside' or 'outside' the momentum"))

    def _update(self, parts: list[Part]) -> None:
        later = []
        for group, weights, gradients in parts:
            kept = self._kept(weights, "momentum_buffer")
            if not group["adapt"]:
                _move(group, weights, gradients, kept, [1.0] * len(weights))
                continue
            for weight, gradient, momentum in zip(weights, gradients, kept, strict=True):
                if known_here(weight):
                    # norms and update tensor by tensor, while it is in the processor's cache
                    ratio = _ratio(group, math.sqrt(squared_norm(weight)), math.sqrt(squared_norm(gradient)))
                    _move(group, [weight], [gradient], [momentum], [ratio])
                else:
                    later.append((group, weight, gradient, momentum))
        for members in by_device(later):
            _move_together(members)


def _move_together(members: Sequence[tuple[Any, ...]]) -> None:
    """Update tensors of one device whose norms are had all at once: distributed ones, and those of accelerators."""
    _, weights, gradients, _ = zip(*members, strict=True)
    norms = squared_norms([*weights, *gradients]).sqrt()
    found: Any = norms if norms.device.type != "cpu" or torch.compiler.is_compiling() else norms.tolist()
    groups = {id(group): group for group, *_ in members}
    for key, group in groups.items():
        chosen = [index for index, member in enumerate(members) if id(member[0]) == key]
        ratios = [_ratio(group, found[index], found[len(members) + index]) for index in chosen]
        own, moments, kept = ([members[index][column] for index in chosen] for column in (1, 2, 3))
        _move(group, own, moments, kept, ratios)


def _ratio(group: Group, weight: Any, gradient: Any) -> Any:
    """Equation 6, from two norms: numbers, or tensors where only the device knows them."""
    return quotient(group["trust_coefficient"] * weight, gradient + group["weight_decay"] * weight)


def _move(
    group: Group, weights: Sequence[Tensor], gradients: Sequence[Tensor], kept: Sequence[Tensor], ratios: Sequence[Any]
) -> None:
    """Momentum and weights, from the ratios; the one place that writes."""
    rate = group["lr"]
    compiling = torch.compiler.is_compiling()
    if isinstance(rate, Tensor) and rate.is_cpu and not compiling:
        rate = float(rate)
    inside = group["rate"] == "inside"
    after = 1.0 if inside else rate
    fast: dict[float, list[tuple[Tensor, ...]]] = {}
    for whole in zip(weights, gradients, kept, ratios, strict=True):
        weight, gradient, momentum = members = tuple(map(local, whole[:3]))
        scale = rate * whole[3] if inside else whole[3]
        # torch's fused SGD on the CPU has a wrong momentum in half precision (2.13)
        known = weight.is_cpu and not compiling and weight.dtype not in HALVES
        if known and isinstance(scale, float) and isinstance(after, float) and fits_fused(*members):
            fast.setdefault(scale, []).append(members)
            continue
        momentum.mul_(group["momentum"])
        add(momentum, gradient, scale)
        add(momentum, weight, scale * group["weight_decay"])
        add(weight, momentum, -after)
    for scale, alike in fast.items():
        _fused(group, alike, scale, after)


def _fused(group: Group, members: Sequence[tuple[Tensor, ...]], scale: float, after: float) -> None:
    """The same in torch's fused SGD, whose dampening can multiply the gradient on its way into the momentum."""
    weights, gradients, kept = map(list, zip(*members, strict=True))
    share = group["momentum"]
    if share == 0:  # for which fused SGD leaves the momentum out, and its dampening with it
        for momentum in kept:
            momentum.zero_()
        share = 1.0
    torch._fused_sgd_(
        weights,
        gradients,
        kept,
        weight_decay=group["weight_decay"],
        momentum=share,
        lr=after,
        dampening=1.0 - scale,
        nesterov=False,
        maximize=False,
        is_first_step=False,
    )
