"""LAMB: Adam whose step is a share of each layer's own norm."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from stepsize import _check
from stepsize.optim._norms import is_shard, local, over_ranks, squared_norm, squares_here
from stepsize.optim._rule import Group, Part, Rule, add, below_one, by_device, fits_fused, known_here, quotient


class LAMB(Rule):
    """Layer-wise adaptive moments: AdamW in which each tensor has a trust ratio of its own.

    Formula, for each tensor w with gradient g, at its update number t:
        m <- beta1 m + (1 - beta1) g,   v <- beta2 v + (1 - beta2) g^2
        u = (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps) + weight_decay w
        w <- w - lr (||w|| / ||u||) u

    The paper's phi is the identity; unlike some libraries, it never clips silently. A tensor without a
    norm has the ratio 0 and stays, which is refused when it is added. In groups with ``"adapt": False``, the place of
    biases and norms, the ratio is 1: AdamW. Gradients are never written to.

    On the CPU a step takes one scratch tensor as large as the largest weight, which is kept; elsewhere nothing is read
    back from the device. DTensors (FSDP2) get the norms of whole tensors, so every rank must step. Sparse and complex
    are refused.

    Args:
        params: parameters or groups, which may set each of the following for themselves.
        lr: the rate, >= 0: the share of its norm that a layer moves by.
        betas: two numbers >= 0 and < 1.
        eps: > 0.
        weight_decay: >= 0; decoupled, and part of what the ratio is taken of.

    Raises:
        TypeError, ValueError: an argument is invalid, or a group is empty or has a tensor twice.

    Example:
        >>> import torch
        >>> from stepsize.optim import LAMB, no_decay
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.LayerNorm(8), torch.nn.Linear(8, 2))
        >>> optimizer = LAMB(no_decay(model, adapt=False), lr=0.01)
        >>> before = model[0].weight.detach().clone()
        >>> model(torch.randn(16, 4)).square().mean().backward()
        >>> optimizer.step()
        >>> round(((model[0].weight - before).norm() / before.norm()).item(), 4)  # lr
        0.01

    Source: You et al. 2019, "Large batch optimization for deep learning: training BERT in 76 minutes"
    (arXiv 1904.00962), algorithm 2.
    """

    BUFFERS: ClassVar[frozenset[str]] = frozenset({"step", "exp_avg", "exp_avg_sq"})
    _scratch: Tensor | None = None

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    def _check_values(self, group: Mapping[str, Any]) -> None:
        betas = group["betas"]
        if not isinstance(betas, tuple | list) or len(betas) != 2:
            raise TypeError(_check.message("betas", betas, "two numbers >= 0 and < 1"))
        for beta in betas:
            below_one("betas", beta)
        _check.number("eps", group["eps"], above=0)
        _check.number("weight_decay", group["weight_decay"], least=0)

    def _update(self, parts: list[Part]) -> None:
        later = []
        for group, weights, gradients in parts:
            first, second = self._kept(weights, "exp_avg"), self._kept(weights, "exp_avg_sq")
            steps = self._counted(weights)
            members = list(zip(weights, gradients, first, second, steps, strict=True))
            fast = []
            for member in members:
                if known_here(member[0]) and fits_fused(*member[:4]):
                    fast.append(member)
                else:
                    later.append((group, *member))
            if fast and not group["adapt"]:
                _fused(torch._fused_adamw_, group, fast, float(group["lr"]), group["weight_decay"])
                continue
            for member in fast:
                self._move(group, member)
        for members in by_device(later):
            _move_together(members)

    def _move(self, group: Group, member: tuple[Tensor, ...]) -> None:
        """Torch's fused Adam, into a scratch that begins as the decay: it ends as minus the paper's step."""
        weight, gradient, first, second, step = member
        scratch = self._room(weight)
        torch.mul(weight, -group["weight_decay"], out=scratch)
        _fused(torch._fused_adam_, group, [(scratch, gradient, first, second, step)], 1.0, 0.0)
        norms = math.sqrt(squared_norm(weight)), math.sqrt(squared_norm(scratch))
        weight.add_(scratch, alpha=float(group["lr"]) * quotient(*norms))

    def _room(self, weight: Tensor) -> Tensor:
        """Scratch memory laid out as a weight."""
        held = self._scratch
        if held is None or held.numel() < weight.numel() or held.dtype is not weight.dtype:
            sizes = [w.numel() for g in self.param_groups if g["adapt"] for w in g["params"] if w.dtype is weight.dtype]
            self._scratch = held = None  # let go of the old before the new is made
            self._scratch = held = torch.empty(max(*sizes, weight.numel()), dtype=weight.dtype)
        return held.as_strided(weight.size(), weight.stride())

    def _counted(self, weights: Iterable[Tensor]) -> list[Tensor]:
        """The numbers of these updates, on the CPU as torch's Adam has them."""
        steps = []
        for weight in weights:
            state = self.state[weight]
            if "step" not in state:
                state["step"] = torch.tensor(0.0)
            steps.append(state["step"])
        torch._foreach_add_(steps, 1)
        return steps


def _move_together(members: Sequence[tuple[Any, ...]]) -> None:
    """Update tensors of one device by plain operations: distributed ones, and those of accelerators.

    With shards, all norms are summed over the ranks at once, and each step is computed a second time after that, which
    needs less memory than to keep them all.
    """
    for group, _, gradient, first, second, _ in members:
        beta1, beta2 = group["betas"]
        shard = local(gradient)
        local(first).lerp_(shard, 1 - beta1)
        local(second).mul_(beta2).addcmul_(shard, shard, value=1 - beta2)
    shards = [member for member in members if member[0]["adapt"] and is_shard(member[1])]
    ratios: dict[int, Any] = {}
    if shards:
        pairs = torch.stack([squares_here([local(member[1]), _step(*member)]) for member in shards], dim=1)
        norms = over_ranks(pairs, [member[1] for member in shards]).sqrt()
        ratios = {id(m[1]): quotient(*pair) for m, pair in zip(shards, norms.unbind(1), strict=True)}
    for member in members:
        group, weight = member[:2]
        step, ratio = _step(*member), ratios.get(id(weight), 1.0)
        if group["adapt"] and not is_shard(weight):
            ratio = quotient(*squares_here([weight, step]).sqrt())
        add(local(weight), step, -group["lr"] * ratio)


def _step(group: Group, weight: Tensor, _: Tensor, first: Tensor, second: Tensor, count: Tensor) -> Tensor:
    """The paper's ``r + lambda w`` of what this process holds."""
    beta1, beta2 = group["betas"]
    number = count.double()  # stays a tensor: reading it would break a compiled step in two
    below = local(second).sqrt().div_((1 - beta2**number).sqrt()).add_(group["eps"])
    step = torch.div(local(first), below, out=below).div_(1 - beta1**number)
    return step.add_(local(weight), alpha=group["weight_decay"])


def _fused(call: Any, group: Group, members: Sequence[tuple[Tensor, ...]], rate: float, decay: float) -> None:
    weights, gradients, first, second, steps = map(list, zip(*members, strict=True))
    beta1, beta2 = group["betas"]
    call(
        weights,
        gradients,
        first,
        second,
        [],
        steps,
        lr=rate,
        beta1=beta1,
        beta2=beta2,
        weight_decay=decay,
        eps=group["eps"],
        amsgrad=False,
        maximize=False,
    )
