"""Small models on data of scikit-learn, and how one of their runs is trained, whole or with something wrong in it."""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn import datasets
from torch import Tensor, nn

from stepsize import Control, JsonLines, RunFolder
from stepsize.control import DEFAULT

STEPS, EVERY, BATCH, EPOCH = 400, 2, 32, 20
HEALTHY = "warmup(40) >> cosine()"


@dataclass(frozen=True)
class Family:
    """A model on some data, with an optimizer and a rate that suits them."""

    name: str
    data: str
    model: Callable[[int, int], nn.Sequential]
    optimizer: Callable[..., torch.optim.Optimizer]
    rate: float


def dense(inputs: int, outputs: int, unit: type[nn.Module] = nn.ReLU, width: int = 48) -> nn.Sequential:
    """Three layers and a head."""
    sizes = [inputs, width, width, width]
    hidden = [part for a, b in itertools.pairwise(sizes) for part in (nn.Linear(a, b), unit())]
    return nn.Sequential(*hidden, nn.Linear(width, outputs))


def saturating(inputs: int, outputs: int) -> nn.Sequential:
    return dense(inputs, outputs, nn.Tanh)


def convolutions(inputs: int, outputs: int) -> nn.Sequential:
    """Of square images."""
    side = round(math.sqrt(inputs))
    first, second = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 16, 3, padding=1, stride=2)
    last = nn.Linear(16 * ((side + 1) // 2) ** 2, outputs)
    return nn.Sequential(nn.Unflatten(1, (1, side, side)), first, nn.ReLU(), second, nn.ReLU(), nn.Flatten(), last)


def momentum(parameters: Any, lr: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr, momentum=0.9)


FAMILIES = (
    Family("relu-digits", "digits", dense, torch.optim.SGD, 0.1),
    Family("tanh-wine", "wine", saturating, momentum, 0.01),
    Family("convolutions-digits", "digits", convolutions, torch.optim.AdamW, 3e-3),
    Family("relu-cancer", "breast_cancer", dense, torch.optim.AdamW, 1e-3),
    Family("tanh-diabetes", "diabetes", saturating, torch.optim.Adam, 2e-3),
)


def no_change(value: Any, *_: Any) -> Any:
    return value


def nothing(*_: Any) -> None: ...


@dataclass(frozen=True)
class Way:
    """How a run is trained; its defaults are a run that is well."""

    lr: str | None = HEALTHY
    base: float = 1.0  # times the family's rate
    total: int = STEPS
    plan: dict[str, Any] = field(default_factory=dict)
    signals: tuple[str, ...] = DEFAULT
    examples: int | None = None  # of training; all when None
    wrong: float = 0.0  # share of training labels
    prepare: Callable[[nn.Sequential, torch.Generator], None] = nothing
    far_off: float = 1.0  # times the rate, in a group of the second layer's own
    batch: Callable[[Tensor, int], Tensor] = no_change  # inputs of a step
    labels: Callable[[Tensor, torch.Generator, int], Tensor] = no_change
    after: Callable[[nn.Sequential, int], None] = nothing  # the backward pass
    scheduler: Callable[[torch.optim.Optimizer], Any] | None = None  # of torch
    per: int = 1  # steps from one of its steps to the next
    resume: Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]] | None = None  # of what was saved and the start
    validations: bool = True  # whether they are observed


class Data:
    """Standardised, split for training and validation."""

    def __init__(self, name: str, seed: int) -> None:
        x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
        order = np.random.default_rng(seed).permutation(len(x))
        x, y = x[order], y[order]
        self.is_classes = name != "diabetes"
        x = torch.tensor((x - x.mean(0)) / (x.std(0) + 1e-3), dtype=torch.float32)
        y = torch.tensor(y) if self.is_classes else torch.tensor((y - y.mean()) / y.std(), dtype=torch.float32)[:, None]
        self.outputs = int(y.max()) + 1 if self.is_classes else 1
        held = len(x) // 4
        self.train, self.validation = (x[held:], y[held:]), (x[:held], y[:held])

    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        return nn.functional.cross_entropy(outputs, y) if self.is_classes else (outputs - y).square().mean()


def groups(model: nn.Sequential, rate: float, far_off: float, are_named: bool) -> Any:
    """The parameters, with their names or as most loops hand them over."""
    listed = list(model.named_parameters()) if are_named else list(model.parameters())
    if far_off == 1:
        return listed
    return [{"params": listed[:2] + listed[4:]}, {"params": listed[2:4], "lr": rate * far_off}]


def trained(family: Family, way: Way, seed: int, folder: Path) -> None:
    """Train a run and write its folder."""
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    data = Data(family.data, seed)
    x, y = (part[: way.examples] for part in data.train)
    flipped = torch.rand(len(y), generator=generator) < way.wrong
    y = torch.where(flipped.view(-1, *[1] * (y.ndim - 1)), y[torch.randperm(len(y), generator=generator)], y)
    model = family.model(x.shape[1], data.outputs)
    way.prepare(model, generator)
    run = RunFolder(folder)
    resumed = {} if way.resume is None else {"resumed_at": STEPS // 2}
    start = {"model": {name: value.clone() for name, value in model.state_dict().items()}}
    saved: dict[str, Any] = {}
    step = 0
    for until in (STEPS,) if way.resume is None else (STEPS // 2, STEPS):
        rate = family.rate * way.base
        optimizer = family.optimizer(groups(model, rate, way.far_off, seed % 2 == 0), lr=rate)
        loaded = way.resume(saved, start) if step and way.resume else {}
        lines = JsonLines(folder / "metrics.jsonl", EVERY, folder / "validation.jsonl", folder / "events.jsonl",
                          resume_at=step if "control" in loaded else None, signals=way.signals)  # fmt: skip
        control = Control(optimizer, lr=way.lr, total=way.total if way.lr else None, remind=False, watch=lines,
                          foreign="adopt", **way.plan)  # fmt: skip
        scheduler = way.scheduler(optimizer) if way.scheduler else None
        for name, owner in (("model", model), ("optimizer", optimizer), ("control", control)):
            if name in loaded:
                owner.load_state_dict(loaded[name])
        run.write(plan=str(control.plan), steps=STEPS, status="running", **(resumed if step else {}))
        while step < until:
            if way.validations and step % EPOCH == 0:
                with torch.no_grad():
                    control.observe(validation_loss=float(data.loss(model(data.validation[0]), data.validation[1])))
            rows = torch.randint(len(x), (BATCH,), generator=generator)
            loss = data.loss(model(way.batch(x[rows], step)), way.labels(y[rows], generator, step))
            loss.backward()
            way.after(model, step)
            control.step(loss)
            step += 1
            if scheduler and step % way.per == 0:
                scheduler.step()
        saved = {"model": {name: value.clone() for name, value in model.state_dict().items()},
                 "optimizer": optimizer.state_dict(), "control": control.state_dict()}  # fmt: skip
        control.detach()
        lines.close()
    run.write(status="finished", done=STEPS)
