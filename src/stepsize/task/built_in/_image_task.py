"""A task that classifies images: a network, how images are changed in training, a recipe."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from stepsize.task._batches import Shuffled
from stepsize.task._supervised import Task
from stepsize.task.built_in import _figures
from stepsize.task.built_in._data import Source, evenly
from stepsize.task.built_in._images import Images, final_images, image_data

SCORED = 5_000  # training images
CHUNK = 500  # images measured at once

Network = Callable[[tuple[int, int, int], int], nn.Module]
Change = Callable[[Tensor, torch.Generator], Tensor]


def image_task(
    source: Source,
    network: Network,
    optimizer: Callable[[Iterable[Tensor], float], Optimizer],
    change: Change | None = None,
    **recipe: Any,
) -> Task:
    """A task over a set of images.

    Args:
        source: the data set.
        network: ((channels, height, width), classes) -> the model, from [count, channels, height, width] to
            [count, classes].
        optimizer: (parameters, lr) -> the optimizer.
        change: (pixels uint8 [count, height, width, channels], generator) -> the same, as they are trained on.
        recipe: the task's name, steps, batch size and so on.
    """

    def model() -> nn.Module:
        data = image_data(source)
        return network(data.shape, data.classes)

    def batches(generator: torch.Generator, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        data = image_data(source)

        def make(picked: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
            pixels = data.train.pixels[picked]
            return data.inputs(pixels if change is None else change(pixels, generator)), data.train.labels[picked]

        return Shuffled(len(data.train), size, generator, make)

    def measure(model: nn.Module, images: Images, picked: Tensor) -> tuple[float, float]:
        inputs = image_data(source).inputs
        chunks = _figures.chunked(picked, CHUNK, lambda chunk: (inputs(images.pixels[chunk]), images.labels[chunk]))
        return _figures.loss_and_accuracy(model, chunks)

    def score(model: nn.Module) -> float:
        train = image_data(source).train
        return measure(model, train, evenly(len(train), SCORED))[0]

    def metrics(model: nn.Module) -> dict[str, float]:
        images = image_data(source).validation
        loss, accuracy = measure(model, images, torch.arange(len(images)))
        return {"validation_loss": loss, "accuracy": accuracy}

    def test(model: nn.Module) -> dict[str, float]:
        images = final_images(source)
        loss, accuracy = measure(model, images, torch.arange(len(images)))
        return {"test_loss": loss, "test_accuracy": accuracy}

    return Task(
        model=model,
        batches=batches,
        loss=_figures.loss,
        optimizer=optimizer,
        score=score,
        metrics=metrics,
        test=test,
        examples=lambda: len(image_data(source).train),
        example=lambda: image_data(source).inputs(image_data(source).train.pixels[:1]),
        **recipe,
    )
