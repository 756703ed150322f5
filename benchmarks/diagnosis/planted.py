"""Faults planted in short trainings: how often the rule that each is for finds it, and where rules speak else.

    python benchmarks/diagnosis/planted.py [--quick]

Every rule but those of a rate that is too high or too low (``measure.py`` has these). Five families of models on data of
scikit-learn, two seeds; 400 steps, a line for every other one, as the commands write. A fault is planted in two ways
where there are two, one a seed. Each planted run has a healthy twin: the same seed, and the fault mended. All are
trained by ``Control``, written by ``JsonLines`` into a run's folder with the signals that the rule needs, and read back by
``diagnose``. ``warmup-missing`` is planted at the rate at which the warm-up matters most to the loss of the first
quarter, of those at which both runs end well. A rule that speaks of another fault's run counts as wrong, though many
are right there: a loss that broke has often diverged before.

Written down before the first run: recall of 95 % for what is in rates and plans (``rate-zero``, ``schedule-too-short``,
``schedule-cut-off``, ``stepped-per-batch``, ``clipping-always``, ``blind-feedback``) and for ``not-finite``; 85 % for
``stepped-per-epoch``, ``never-learnt``, ``frozen-parameters``, ``layer-far-off``, ``resume-jump``; 70 % for ``diverging`` and
``overfitting``; 50 % for ``spikes``, ``dead-gradients`` and ``warmup-missing``. Anything on healthy twins: 3 %.
"""

import math
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[1]))

from _common import arguments, conclude, progress
from sklearn import datasets

from stepsize import Control, JsonLines, RunFolder
from stepsize.control import DEFAULT
from stepsize.diagnosis import Symptom, diagnose

STEPS, EVERY, BATCH, EPOCH = 400, 2, 32, 20
HEALTHY = "warmup(40) >> cosine()"
RATES = (2.0, 4.0, 8.0, 16.0, 32.0, 64.0)  # times a family's, for the fault that is a missing warm-up
WIDE = ("update_ratio/*", *DEFAULT)


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
    hidden = [part for a, b in zip(sizes, sizes[1:], strict=False) for part in (nn.Linear(a, b), unit())]
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
    labels: Callable[[Tensor, torch.Generator], Tensor] = no_change
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
        optimizer = family.optimizer(groups(model, rate, way.far_off, seed == 0), lr=rate)
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
            loss = data.loss(model(way.batch(x[rows], step)), way.labels(y[rows], generator))
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
    """ReLU behind the head, and a bias that leaves it dark from step 100 on or so."""
    model.append(nn.ReLU())


def killed(all_layers: bool) -> Callable[[nn.Sequential, int], None]:
    """One huge update, as of a broken batch: biases far below zero, of the head too or of hidden layers."""

    def kill(model: nn.Sequential, step: int) -> None:
        if step == 120:
            with torch.no_grad():
                for layer in layers(model) if all_layers else layers(model)[:-1]:
                    layer.bias.fill_(-1e4)

    return kill


def relu(family: Family) -> Family:
    """With ReLU instead of tanh."""
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
    return lambda x, step: x * times if step > STEPS // 5 and step % every == 0 else x


def any_label(y: Tensor, generator: torch.Generator) -> Tensor:
    """Those of other examples."""
    return y[torch.randint(len(y), (len(y),), generator=generator)]


def shuffled_classes(y: Tensor, generator: torch.Generator) -> Tensor:
    """One class after another, at random."""
    return torch.randint(int(y.max()) + 1, y.shape, generator=generator)


def small(times: float) -> Callable[[nn.Sequential, torch.Generator], None]:
    """The second layer is initialised so many times as large."""

    def scale(model: nn.Sequential, _: torch.Generator) -> None:
        with torch.no_grad():
            layers(model)[1].weight.mul_(times)

    return scale


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
          (Way(prepare=clamped), TWIN), change=relu).signals(),
    Fault("never-learnt", (Way(labels=any_label), Way(labels=shuffled_classes)), fits=has_classes),
    Fault("spikes", (Way(batch=bad_batches(30, 30)), Way(batch=bad_batches(30, 30), labels=TODO))),
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


@dataclass(frozen=True)
class Told:
    """What the rules said of a run."""

    fault: str
    family: str
    seed: int
    is_planted: bool
    symptoms: tuple[Symptom, ...]

    @property
    def names(self) -> set[str]:
        return {symptom.name for symptom in self.symptoms}


def losses(folder: Path) -> np.ndarray:
    from stepsize.record import Run

    return Run.open(folder).column("loss")


def where_warmup_matters(family: Family, ways: tuple[Way, Way], seed: int, folder: Path) -> float | None:
    """How many times the family's rate; None if a missing warm-up does no harm from which a run comes back."""
    found = {}
    for times in RATES:
        curves = []
        for way in ways:
            place = folder / f"{times}-{len(curves)}"
            trained(family, replace(way, base=times), seed, place)
            curves.append(losses(place))
        began = float(np.mean(curves[1][:3]))
        ends = [float(np.median(curve[-20:])) for curve in curves]
        if all(end < 0.7 * began for end in ends):  # not so of what is not finite
            first = [float(np.mean(curve[: len(curve) // 10])) for curve in curves]
            if first[0] > began > first[1]:
                found[times] = first[0] - first[1]
    return max(found, key=found.__getitem__, default=None)


def ends_above(family: Family, way: Way, seed: int, folder: Path) -> bool:
    """Whether the last fifth of the losses has a mean of 1.5 times the loss before training."""
    trained(family, way, seed, folder)
    curve = losses(folder)
    return float(np.mean(curve[-len(curve) // 5 :])) > 1.5 * float(np.mean(curve[:3]))


def told(quick: bool) -> Iterator[Told]:
    for family in FAMILIES[:1] if quick else FAMILIES:
        for fault in FAULTS:
            if not fault.fits(family):
                continue
            for seed in (0,) if quick else (0, 1):
                with tempfile.TemporaryDirectory() as root:
                    ways = [fault.planted[seed], fault.healthy[seed]]
                    if fault.rule == "warmup-missing":
                        times = where_warmup_matters(family, (ways[0], ways[1]), seed, Path(root))
                        if times is None:
                            progress(f"{family.name}, seed {seed}: no rate at which a missing warm-up is a fault")
                            continue
                        ways = [replace(way, base=times) for way in ways]
                    if fault.rule == "diverging" and not ends_above(family, ways[0], seed, Path(root, "tried")):
                        progress(f"{family.name}, seed {seed}: at this rate the loss does not end above its start")
                        continue
                    for is_planted, way in zip((True, False), ways, strict=True):
                        folder = Path(root, "planted" if is_planted else "healthy")
                        trained(fault.change(family), way, seed, folder)
                        yield Told(fault.rule, family.name, seed, is_planted, diagnose(folder))
