"""The faults: each planted in one or two ways, and the same mended."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from _families import EPOCH, STEPS, Family, Way, dense, no_change, saturating
from torch import Tensor, nn

from stepsize.control import DEFAULT

WIDE = ("update_ratio/*", *DEFAULT)


def layers(model: nn.Sequential) -> list[Any]:
    return [part for part in model if isinstance(part, nn.Linear | nn.Conv2d)]


def detached(model: nn.Sequential, _: torch.Generator) -> None:
    """What the second layer gets gives nothing back to the first."""
    layers(model)[1].register_forward_pre_hook(lambda _, inputs: (inputs[0].detach(),))


def requires_none(model: nn.Sequential, _: torch.Generator) -> None:
    """Frozen for a first phase, and never released."""
    for parameter in layers(model)[1].parameters():
        parameter.requires_grad_(False)


def clamped(model: nn.Sequential, _: torch.Generator) -> None:
    """ReLU behind the head."""
    model.append(nn.ReLU())


def killed(all_layers: bool) -> Callable[[nn.Sequential, int], None]:
    """One huge update, as of a broken batch: biases far below zero, of the head too or of hidden layers."""

    def kill(model: nn.Sequential, step: int) -> None:
        if step == 120:
            with torch.no_grad():
                for layer in layers(model) if all_layers else layers(model)[:-1]:
                    layer.bias.fill_(-1e4)

    return kill


def with_relu(family: Family) -> Family:
    """Without tanh."""
    return replace(family, model=dense) if family.model is saturating else family


def torn(model: nn.Sequential, step: int) -> None:
    """A gradient that overflows, as in half precision without a scaler."""
    if step >= 130:
        layers(model)[0].weight.grad.mul_(math.inf)


def climbing(model: nn.Sequential, _: int) -> None:
    """The loss's sign is wrong for the optimizer, as with ``maximize=True`` left over."""
    for parameter in model.parameters():
        parameter.grad.neg_()


def nan_in_a_batch(x: Tensor, step: int) -> Tensor:
    return torch.where(torch.arange(len(x))[:, None] == 3, math.nan, x) if step == 240 else x


def bad_batches(times: float, every: int) -> Callable[[Tensor, int], Tensor]:
    """Some batches are not scaled, from the second fifth on."""
    return lambda x, step: x * times if is_bad(step, every) else x


def is_bad(step: int, every: int) -> bool:
    return step > STEPS // 5 and step % every == 0


def any_label(y: Tensor, generator: torch.Generator, _: int) -> Tensor:
    """Those of other examples."""
    return y[torch.randint(len(y), (len(y),), generator=generator)]


def wrong_in_bad_batches(every: int) -> Callable[[Tensor, torch.Generator, int], Tensor]:
    """Some batches have the labels of others."""
    return lambda y, generator, step: any_label(y, generator, step) if is_bad(step, every) else y


def shuffled_classes(y: Tensor, generator: torch.Generator, _: int) -> Tensor:
    """Any class, at random."""
    return torch.randint(int(y.max()) + 1, y.shape, generator=generator)


def everything(saved: dict[str, Any], _: dict[str, Any]) -> dict[str, Any]:
    return saved


def model_alone(saved: dict[str, Any], _: dict[str, Any]) -> dict[str, Any]:
    return {"model": saved["model"]}


def all_but_the_model(saved: dict[str, Any], start: dict[str, Any]) -> dict[str, Any]:
    return {**saved, "model": start["model"]}


def in_torch(make: Callable[..., Any], per: int, **settings: Any) -> Way:
    """A scheduler of torch, which the loop steps."""
    return Way(lr=None, scheduler=lambda optimizer: make(optimizer, **settings), per=per)


torch_of = torch.optim.lr_scheduler
TWIN = Way()
STEADY = Way(lr="constant()")
PLATEAU = {"feedback": "plateau(patience=5, of='validation_loss')"}


@dataclass(frozen=True)
class Fault:
    """What is planted, one way a seed, and the same mended."""

    rule: str
    planted: tuple[Way, Way]
    healthy: tuple[Way, Way] = (TWIN, TWIN)
    change: Callable[[Family], Family] = no_change  # of the family, for both
    fits: Callable[[Family], bool] = lambda family: True  # noqa: ARG005

    def signals(self) -> "Fault":
        """With the signals of single layers."""
        wide = tuple(tuple(replace(way, signals=WIDE) for way in ways) for ways in (self.planted, self.healthy))
        return replace(self, planted=wide[0], healthy=wide[1])


def has_classes(family: Family) -> bool:
    return family.data != "diabetes"


WARM_TORCH = partial(in_torch, torch_of.LinearLR)
FAULTS = (
    Fault("warmup-missing", (Way(lr="cosine()"), Way(lr="constant()")), (TWIN, Way(lr="warmup(40) >> constant()"))),
    Fault("diverging", (Way(after=climbing, plan={"clip": 1.0}), Way(lr="constant()", base=300, plan={"clip": 1.0}))),
    Fault("not-finite", (Way(batch=nan_in_a_batch), Way(after=torn))),
    Fault("rate-zero", (Way(base=0), Way(lr="piecewise_constant(at=[200], values=[1, 0])")), (TWIN, STEADY)),
    Fault("frozen-parameters", (Way(prepare=detached), Way(prepare=requires_none))).signals(),
    Fault("dead-gradients", (Way(prepare=clamped, after=killed(True)), Way(after=killed(False))),
          (Way(prepare=clamped), TWIN), change=with_relu).signals(),
    Fault("never-learnt", (Way(labels=any_label), Way(labels=shuffled_classes)), fits=has_classes),
    Fault("spikes", (Way(batch=bad_batches(30, 30), labels=wrong_in_bad_batches(30)),
                     Way(labels=wrong_in_bad_batches(14)))),
    Fault("schedule-too-short", (Way(total=160), Way(lr="warmup(20) >> linear()", total=300)),
          (TWIN, Way(lr="warmup(20) >> linear()"))),
    Fault("schedule-cut-off", (Way(total=800), Way(lr="linear()", total=600)), (TWIN, Way(lr="linear()"))),
    Fault("stepped-per-epoch", (WARM_TORCH(EPOCH, start_factor=0.1, total_iters=5),
                                WARM_TORCH(EPOCH, start_factor=1 / 3, total_iters=8)),
          (WARM_TORCH(1, start_factor=0.1, total_iters=100), WARM_TORCH(1, start_factor=1 / 3, total_iters=160))),
    Fault("stepped-per-batch", (in_torch(torch_of.CosineAnnealingLR, 1, T_max=20),
                                in_torch(torch_of.CosineAnnealingLR, 1, T_max=10)),
          (in_torch(torch_of.CosineAnnealingLR, 1, T_max=400), in_torch(torch_of.CosineAnnealingLR, 20, T_max=20))),
    Fault("resume-jump", (Way(resume=model_alone), Way(resume=all_but_the_model)),
          (Way(resume=everything), Way(resume=everything))),
    Fault("clipping-always", (Way(plan={"clip": 1e-3}), Way(plan={"clip": 1e-2})),
          (Way(plan={"clip": 5.0}), Way(plan={"clip": 1.0}))),
    Fault("layer-far-off", (Way(far_off=1e-3), Way(far_off=300))).signals(),
    Fault("overfitting", (Way(lr="constant()", base=2, examples=40, wrong=0.3),
                          Way(lr="constant()", base=2, examples=80, wrong=0.5))),
    Fault("blind-feedback", (Way(plan=PLATEAU, validations=False),) * 2, (Way(plan=PLATEAU),) * 2),
)  # fmt: skip
