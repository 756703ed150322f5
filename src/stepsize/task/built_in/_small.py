"""Small tasks on data that comes with scikit-learn: a linear regression, and a multilayer perceptron on the digits."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss
from torch.optim import SGD, Optimizer

from stepsize import _check, _extras
from stepsize.task._catalogue import CATALOGUE
from stepsize.task._supervised import Task
from stepsize.task.built_in._data import shuffled
from stepsize.task.built_in._digits import digits

Batch = tuple[Tensor, Tensor]
PATIENTS = 353  # for training


@cache
def diabetes() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Features and progression of 353 patients for training, and of 89 held out: every fifth patient, by index.

    Ten features and the target, each with mean 0 and standard deviation 1 on the training patients.

    Source: Efron et al. 2004, "Least angle regression", Annals of Statistics 32, section 1.
    """
    sklearn = _extras.load("sklearn.datasets", "tasks", "the task linear-regression")
    features, progression = sklearn.load_diabetes(return_X_y=True)
    held_out = torch.arange(len(progression)) % 5 == 0
    x = _standardised(torch.tensor(features), held_out)
    y = _standardised(torch.tensor(progression).unsqueeze(1), held_out)
    return x[~held_out], y[~held_out], x[held_out], y[held_out]


def _standardised(values: Tensor, held_out: Tensor) -> Tensor:
    training = values[~held_out]
    return ((values - training.mean(0)) / training.std(0, correction=0)).float()


def line() -> nn.Module:
    """A line from ten features: eleven parameters."""
    return nn.Linear(10, 1)


def batches(generator: torch.Generator, size: int) -> Iterator[Batch]:
    """Epoch after epoch of shuffled batches, what is left over of an epoch passed over; 353 is gradient descent."""
    if size > PATIENTS:
        remedy = f"{PATIENTS} takes all of them at every step"
        raise ValueError(_check.message("batch_size", size, f"at most {PATIENTS}, the patients there are", remedy))
    return shuffled(*diabetes()[:2], generator, size)


def loss(model: nn.Module, batch: Batch) -> Tensor:
    """Mean squared error of a batch; 1 is what predicting the mean gives."""
    return mse_loss(model(batch[0]), batch[1])


def optimizer(parameters: Iterable[Tensor], lr: float) -> Optimizer:
    """SGD with nothing else to it."""
    return SGD(parameters, lr=lr)


def score(model: nn.Module) -> float:
    """Mean squared error on all training patients."""
    x, y, _, _ = diabetes()
    return float(mse_loss(model(x), y))


def metrics(model: nn.Module) -> dict[str, float]:
    """Mean squared error on the patients held out, and the share of their variance that is explained."""
    _, _, x, y = diabetes()
    error = float(mse_loss(model(x), y))
    return {"validation_loss": error, "r2": 1 - error / float(y.var(correction=0))}


def perceptron() -> nn.Module:
    """64-128-10 with ReLU, 9,610 parameters."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))


linear_regression = Task(
    name="linear-regression",
    model=line,
    batches=batches,
    loss=loss,
    optimizer=optimizer,
    score=score,
    metrics=metrics,
    steps=300,
    batch_size=32,
    examples=lambda: len(diabetes()[0]),
    example=lambda: diabetes()[0][:1],
    about=CATALOGUE["linear-regression"][1],
)

digits_mlp = replace(
    digits,
    name="digits-mlp",
    model=perceptron,
    about=CATALOGUE["digits-mlp"][1],
)
