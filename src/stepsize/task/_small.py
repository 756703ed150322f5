"""Small tasks on data that comes with scikit-learn: a linear regression, and a multilayer perceptron on the digits."""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache, partial

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss
from torch.optim import SGD, Optimizer

from stepsize import _check, _extras
from stepsize.task import _digits
from stepsize.task._supervised import Task

PATIENTS = 353  # for training


@cache
def diabetes() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Features and progression of 353 patients for training, and of 89 held out: every fifth patient, by index.

    Ten features and the target, each with mean 0 and standard deviation 1 on the training patients.

    Source: Efron et al. 2004, "Least angle regression", Annals of Statistics 32.
    """
    sklearn = _extras.load("sklearn.datasets", "tasks", "the task linear-regression")
    features, progression = sklearn.load_diabetes(return_X_y=True)
    x, y = torch.tensor(features), torch.tensor(progression).unsqueeze(1)
    held_out = torch.arange(len(y)) % 5 == 0
    x, y = (_standardised(each, each[~held_out]) for each in (x, y))
    return x[~held_out], y[~held_out], x[held_out], y[held_out]


def _standardised(values: Tensor, training: Tensor) -> Tensor:
    return ((values - training.mean(0)) / training.std(0, correction=0)).float()


def regression(batch: int | None = 32) -> Task:
    """A linear regression on scikit-learn's diabetes data with SGD, the loss the mean squared error.

    Args:
        batch: patients in a batch, 1 to 353; all of them at every step when None, which is gradient descent, and the
            task is then called ``linear-regression-full-batch``.

    Raises:
        TypeError, ValueError: batch is not a whole number in these bounds.

    Example:
        >>> from stepsize import train
        >>> from stepsize.task._small import regression
        >>> trained = train(regression(batch=None), lr=0.1, steps=100)
        >>> 0.45 < trained.metrics["r2"] < 0.6
        True
    """
    size = PATIENTS if batch is None else _check.whole("batch", batch, least=1)
    if size > PATIENTS:
        raise ValueError(_check.message("batch", batch, f"at most {PATIENTS}", "write None for all at every step"))
    return Task(
        name="linear-regression" if batch is not None else "linear-regression-full-batch",
        model=_line,
        batches=_every_patient if batch is None else partial(_some_patients, size=size),
        loss=_squared_error,
        optimizer=_sgd,
        score=_training_error,
        metrics=_validation,
        steps=300,
        per_epoch=PATIENTS // size,
        example=_one_patient,
        about=f"diabetes progression of {PATIENTS} patients from ten features, a line, SGD, {size} patients a step",
    )


def _line() -> nn.Module:
    return nn.Linear(10, 1)


def _every_patient(_: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    x, y, _, _ = diabetes()
    return itertools.repeat((x, y))


def _some_patients(generator: torch.Generator, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    x, y, _, _ = diabetes()
    while True:
        order = torch.randperm(len(y), generator=generator)
        for first in range(0, len(order) - size + 1, size):
            picked = order[first : first + size]
            yield x[picked], y[picked]


def _squared_error(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return mse_loss(model(batch[0]), batch[1])


def _sgd(parameters: Iterable[Tensor], lr: float) -> Optimizer:
    return SGD(parameters, lr=lr)


def _training_error(model: nn.Module) -> float:
    x, y, _, _ = diabetes()
    return float(mse_loss(model(x), y))


def _validation(model: nn.Module) -> dict[str, float]:
    _, _, x, y = diabetes()
    error = float(mse_loss(model(x), y))
    return {"validation_loss": error, "r2": 1 - error / float(y.var(correction=0))}


def _one_patient() -> Tensor:
    return diabetes()[0][:1]


def _perceptron() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))


linear_regression = regression()
full_batch_regression = regression(batch=None)
digits_mlp = replace(
    _digits.digits,
    name="digits-mlp",
    model=_perceptron,
    about="handwritten digits, 1,437 images of 8x8, a perceptron 64-128-10, SGD with momentum, 400 steps",
)
