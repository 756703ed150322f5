"""Gradient descent on a quadratic bowl, where everything about the rate is known: the courses' first example."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from stepsize import _check
from stepsize.task._catalogue import CATALOGUE
from stepsize.task._contract import Trial
from stepsize.task._supervised import Task
from stepsize.task.built_in._bowl_theory import (
    Array,
    along,
    bowl_matrix,
    checked_eigenvalues,
    checked_momentum,
    numbers,
)
from stepsize.task.built_in._bowl_theory import directions as axes_of_bowl
from stepsize.task.built_in._bowl_theory import stable_below as stable_below
from stepsize.task.built_in._bowl_views import bowl_views


@dataclass(frozen=True)
class Trajectory:
    """The path of gradient descent on a bowl, at one rate.

    Attributes:
        rate: the learning rate.
        eigenvalues: of the bowl's matrix.
        rotation: of its eigenvectors against the axes, in radians.
        momentum: of the descent.
        points: before the first step and after each, shape (steps + 1, dimensions).
        losses: f at these points, shape (steps + 1,).
    """

    rate: float
    eigenvalues: tuple[float, ...]
    rotation: float
    momentum: float
    points: Array = field(repr=False)
    losses: Array = field(repr=False)

    def along(self) -> Array:
        """The points by their coordinates along the eigenvectors, shape (steps + 1, dimensions)."""
        return along(self.points, self.eigenvalues, self.rotation)

    def expected(self) -> Array:
        """The points by theory, shape (steps + 1, dimensions).

        Formula, for each coordinate c along an eigenvector, with rate r, eigenvalue l and momentum m:
            c_n = (1 - r l)^n c_0 without momentum;
            (c_n, c_(n-1)) = M^n (c_0, c_0), M = [[1 + m - r l, -m], [1, 0]] with it
        """
        directions = axes_of_bowl(len(self.eigenvalues), self.rotation)
        pull = 1 + self.momentum - self.rate * np.array(self.eigenvalues)
        once = np.array([[[strength, -self.momentum], [1.0, 0.0]] for strength in pull])
        powers = np.array([np.linalg.matrix_power(once, step) for step in range(len(self.points))])
        points: Array = powers[:, :, 0].sum(-1) * (self.points[0] @ directions) @ directions.T
        return points


def trajectory(
    rate: float,
    eigenvalues: Sequence[float] = (1.0, 10.0),
    *,
    steps: int = 50,
    start: Sequence[float] | None = None,
    rotation: float = 0.0,
    momentum: float = 0.0,
) -> Trajectory:
    """Descend a bowl at one rate, under control as any task, and keep every point.

    Args:
        rate: the learning rate, > 0.
        eigenvalues: of the bowl's matrix, one or two, each > 0.
        steps: of the descent, >= 1.
        start: the first point; 1 along each eigenvector when left out.
        rotation: of the eigenvectors against the axes, in radians.
        momentum: 0 or more and below 1.

    Raises:
        TypeError, ValueError: an argument is invalid.

    Example:
        >>> from stepsize.task.built_in._quadratic import trajectory
        >>> trajectory(0.5, [1.0], steps=3).points.ravel()
        array([1.   , 0.5  , 0.25 , 0.125])
    """
    task = bowl(eigenvalues, start=start, rotation=rotation, momentum=momentum, steps=steps)
    points: list[Tensor] = []

    def recorded(model: nn.Module, _: None = None) -> Tensor:
        points.append(model.point.detach().clone())  # type: ignore[operator]
        height: Tensor = model()
        return height

    recorder = replace(task, loss=recorded, score=lambda model: float(recorded(model)))
    run = recorder.start(Trial(task.name, {"lr": rate}, seed=0, steps=task.steps))
    run.advance(task.steps)
    run.score()
    visited = torch.stack(points).numpy()
    matrix = bowl_matrix(eigenvalues, rotation)
    with np.errstate(over="ignore", invalid="ignore"):
        losses = ((visited @ matrix) * visited).sum(-1) / 2
    return Trajectory(float(rate), tuple(map(float, eigenvalues)), float(rotation), float(momentum), visited, losses)


def bowl(
    eigenvalues: Sequence[float] = (1.0, 10.0),
    *,
    start: Sequence[float] | None = None,
    rotation: float = 0.0,
    momentum: float = 0.0,
    steps: int = 100,
) -> Task:
    """A task: f(x) = x^T A x / 2 with SGD on the point x, in float64, at a constant rate unless a trial says otherwise.

    Args:
        eigenvalues: of A, one or two, each > 0.
        start: the first point; 1 along each eigenvector when left out.
        rotation: of the eigenvectors against the axes, in radians.
        momentum: of SGD, 0 or more and below 1.
        steps: of a whole run, >= 1.

    Raises:
        TypeError, ValueError: an argument is invalid.

    Example:
        >>> from stepsize import train
        >>> from stepsize.task.built_in._quadratic import bowl
        >>> trained = train(bowl([1.0, 4.0]), lr=0.25, steps=2)  # the second coordinate is there in one step
        >>> trained.losses, trained.score
        ((2.5, 0.28125), 0.158203125)
    """
    matrix = torch.from_numpy(bowl_matrix(eigenvalues, rotation))
    directions = axes_of_bowl(len(matrix), _check.number("rotation", rotation))
    first = directions.sum(1) if start is None else np.array(numbers("start", start))
    if len(first) != len(matrix):
        raise ValueError(_check.message("start", start, f"as many numbers as eigenvalues, {len(matrix)}"))
    return Task(
        name="quadratic",
        model=partial(_Bowl, matrix, torch.from_numpy(first)),
        batches=_nothing,
        loss=_height,
        optimizer=partial(_descent, momentum=checked_momentum(momentum)),
        score=_score,
        metrics=_metrics,
        steps=steps,
        evaluate_every="0.5%",
        facts={
            "eigenvalues": checked_eigenvalues(eigenvalues),
            "rotation": float(rotation),
            "momentum": float(momentum),
        },
        schedule="constant()",
        views=bowl_views,
        about=CATALOGUE["quadratic"][1],
    )


class _Bowl(nn.Module):
    matrix: Tensor

    def __init__(self, matrix: Tensor, first: Tensor) -> None:
        super().__init__()
        self.register_buffer("matrix", matrix.clone())
        self.point = nn.Parameter(first.clone())

    def forward(self) -> Tensor:
        return self.point @ self.matrix @ self.point / 2


def _nothing(_: torch.Generator) -> Iterator[None]:
    return itertools.repeat(None)


def _height(model: nn.Module, _: None) -> Tensor:
    height: Tensor = model()
    return height


def _descent(parameters: Iterable[Tensor], lr: float, momentum: float) -> Optimizer:
    return SGD(parameters, lr=lr, momentum=momentum)


def _score(model: nn.Module) -> float:
    return float(model())


def _metrics(model: nn.Module) -> dict[str, float]:
    point: Tensor = model.point  # type: ignore[assignment]
    return {"distance": float(point.norm())} | {
        f"x{number}": float(coordinate) for number, coordinate in enumerate(point, 1)
    }


quadratic = bowl()
