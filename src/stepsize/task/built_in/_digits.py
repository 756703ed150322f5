"""scikit-learn's handwritten digits: real data that comes with the package, and a small CNN."""

from collections.abc import Iterable, Iterator
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import SGD, Optimizer

from stepsize import _check, _extras
from stepsize.task._catalogue import CATALOGUE
from stepsize.task._supervised import Task
from stepsize.task.built_in._data import shuffled

BATCH, IMAGES = 64, 1_437  # in a batch, for training


@cache
def data() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Training images and labels (1,437), validation images and labels (360: every fifth image, by index)."""
    sklearn = _extras.load("sklearn.datasets", "tasks", "the task digits")
    images, labels = sklearn.load_digits(return_X_y=True)
    x = torch.tensor(images, dtype=torch.float32).view(-1, 1, 8, 8) / 16  # intensities 0 to 16
    y = torch.tensor(labels, dtype=torch.int64)
    held_out = torch.arange(len(y)) % 5 == 0
    mean, spread = x[~held_out].mean(), x[~held_out].std()
    x = (x - mean) / spread
    return x[~held_out], y[~held_out], x[held_out], y[held_out]


def model() -> nn.Module:
    """Three 3x3 convolutions with batch norm and average pooling, 25,978 parameters."""
    return nn.Sequential(*_block(1, 16), *_block(16, 32), nn.AvgPool2d(2), *_block(32, 64), nn.AvgPool2d(2), *_head())


def _block(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()


def _head() -> tuple[nn.Module, ...]:
    return nn.Flatten(), nn.Linear(256, 10)


def batches(generator: torch.Generator, size: int = BATCH) -> Iterator[tuple[Tensor, Tensor]]:
    """Epoch after epoch of shuffled batches; what is left over of an epoch is passed over."""
    if size > IMAGES:
        raise ValueError(_check.message("batch_size", size, f"at most {IMAGES:,}, the images there are"))
    return shuffled(*data()[:2], generator, size)


def loss(network: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Cross entropy of a batch, in nats."""
    return cross_entropy(network(batch[0]), batch[1])


def optimizer(parameters: Iterable[Tensor], lr: float) -> Optimizer:
    """SGD as in the course: momentum 0.9, weight decay 5e-4."""
    return SGD(parameters, lr=lr, momentum=0.9, weight_decay=5e-4)


def score(network: nn.Module) -> float:
    """Cross entropy on the whole training set."""
    x, y, _, _ = data()
    return float(cross_entropy(network(x), y))


def metrics(network: nn.Module) -> dict[str, float]:
    """Cross entropy and accuracy (0 to 1) on the validation images."""
    _, _, x, y = data()
    output = network(x)
    accuracy = (output.argmax(1) == y).double().mean()
    return {"validation_loss": float(cross_entropy(output, y)), "accuracy": float(accuracy)}


digits = Task(
    name="digits",
    model=model,
    batches=batches,
    loss=loss,
    optimizer=optimizer,
    score=score,
    metrics=metrics,
    steps=400,
    batch_size=BATCH,
    examples=lambda: len(data()[0]),
    example=lambda: data()[0][:1],
    about=CATALOGUE["digits"][1],
)
