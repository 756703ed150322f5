"""What an entry of the yardstick is: a task, and what is said of it in tables."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import SGD, Adagrad, AdamW, Optimizer, RMSprop

from stepsize import Task
from stepsize.task import Shuffled

Examples = Callable[[], tuple[Tensor, ...]]
Loss = Callable[[nn.Module, tuple[Tensor, ...]], Tensor]

LINEAR = "linear()"
CONSTANT = "constant()"
ONE_CYCLE = "cosine(30%, start=0.04, end=1) >> cosine(end=1.6e-07)"
WARM = "warmup(5%) >> cosine()"
SHAPES = {LINEAR: "linear decay", CONSTANT: "constant", ONE_CYCLE: "one-cycle", WARM: "warm-up, cosine"}


@dataclass(frozen=True)
class Recipe:
    """An optimizer, its name and the rate that people give it without thinking."""

    name: str
    make: Callable[[Iterable[Tensor], float], Optimizer]
    default: float


@dataclass(frozen=True)
class Entry:
    """A task of the yardstick.

    ``scored`` is how many examples its score is measured on: the whole training set, or a fixed large part.
    ``examples`` gives all of them, as tensors of equal length.
    """

    task: Task
    family: str
    data: str
    recipe: Recipe
    scored: int
    examples: Examples

    @property
    def name(self) -> str:
        return self.task.name

    @property
    def forwards(self) -> float:
        """What one score costs, in forward passes of a batch."""
        return self.scored / (self.task.batch_size or self.scored)


def weights_and_biases(parameters: Iterable[Tensor], lr: float) -> Optimizer:
    """Matrices at the rate, vectors at twice the rate, as in Caffe."""
    listed = list(parameters)
    matrices = [each for each in listed if each.ndim > 1]
    vectors = [each for each in listed if each.ndim < 2]
    return SGD([{"params": matrices, "lr": lr}, {"params": vectors, "lr": 2 * lr}], lr=lr, momentum=0.9)


def body_and_head(parameters: Iterable[Tensor], lr: float) -> Optimizer:
    """The last two parameters at ten times the rate."""
    listed = list(parameters)
    return AdamW([{"params": listed[:-2], "lr": lr}, {"params": listed[-2:], "lr": 10 * lr}], lr=lr)


def others_and_first(parameters: Iterable[Tensor], lr: float) -> Optimizer:
    """The first parameter, the embedding, at ten times the rate."""
    first, *others = parameters
    return SGD([{"params": others, "lr": lr}, {"params": [first], "lr": 10 * lr}], lr=lr)


SGD_PLAIN = Recipe("SGD", SGD, 0.1)
MOMENTUM = Recipe("SGD, momentum 0.9", partial(SGD, momentum=0.9), 0.1)
NESTEROV = Recipe("SGD, Nesterov 0.9", partial(SGD, momentum=0.9, nesterov=True, weight_decay=5e-4), 0.1)
ADAMW = Recipe("AdamW", AdamW, 1e-3)
RMSPROP = Recipe("RMSprop", RMSprop, 1e-2)
ADAGRAD = Recipe("Adagrad", Adagrad, 1e-2)
MOMENTUM_GROUPS = Recipe("SGD, momentum 0.9; biases x 2", weights_and_biases, 0.1)
ADAMW_GROUPS = Recipe("AdamW; head x 10", body_and_head, 1e-3)
SGD_GROUPS = Recipe("SGD; embedding x 10", others_and_first, 0.1)


def classify(model: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    """Cross entropy, in nats; over the places too where there are such."""
    output = model(batch[0])
    return cross_entropy(output.flatten(0, -2), batch[1].flatten())


def squared(model: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    """Mean squared error."""
    return (model(batch[0]) - batch[1]).square().mean()


def own(model: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    """The model gives the loss itself."""
    return model(*batch)


def entry(
    name: str,
    family: str,
    data: str,
    model: Callable[[], nn.Module],
    examples: Examples,
    loss: Loss,
    recipe: Recipe,
    *,
    batch: int,
    steps: int,
    schedule: str,
    clip: float | None = None,
    scored: int = 2_000,
    chunk: int = 2_000,
) -> Entry:
    """A task from examples (tensors of equal length) that are shuffled epoch after epoch.

    The score is the loss in eval mode on the first ``scored`` examples, ``chunk`` at a time.
    """

    def batches(generator: torch.Generator, size: int) -> Iterator[tuple[Tensor, ...]]:
        tensors = examples()
        return Shuffled(len(tensors[0]), size, generator, lambda picked, _: tuple(tensor[picked] for tensor in tensors))

    def score(network: nn.Module) -> float:
        parts = [example[:scored].split(chunk) for example in examples()]
        losses = [float(loss(network, part)) * len(part[0]) for part in zip(*parts, strict=True)]
        return sum(losses) / sum(len(part) for part in parts[0])

    task = Task(
        name=name,
        model=model,
        batches=batches,
        loss=loss,
        optimizer=recipe.make,
        score=score,
        metrics=lambda _: {},
        steps=steps,
        schedule=schedule,
        clip=clip,
        batch_size=batch,
        about=f"{family}, {data}, {recipe.name}",
    )
    return Entry(task, family, data, recipe, scored, examples)
