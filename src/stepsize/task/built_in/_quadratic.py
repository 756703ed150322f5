"""Gradient descent on a quadratic bowl, where everything about the rate is known: the courses' first example."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from stepsize import _check
from stepsize.task._catalogue import CATALOGUE
from stepsize.task._contract import Trial
from stepsize.task._supervised import Task

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Trajectory:
    """Where gradient descent went on a bowl, at one rate.

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
        directions = _directions(len(self.eigenvalues), self.rotation)
        pull = 1 + self.momentum - self.rate * np.array(self.eigenvalues)
        once = np.array([[[each, -self.momentum], [1.0, 0.0]] for each in pull])
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


def stable_below(eigenvalues: Sequence[float], momentum: float = 0.0) -> float:
    """The rate from which on gradient descent on a bowl no longer converges.

    Formula:
        2 (1 + momentum) / largest eigenvalue

    Args:
        eigenvalues: of the bowl's matrix, one or two, each > 0.
        momentum: 0 or more and below 1.

    Raises:
        TypeError, ValueError: an argument is invalid.

    Example:
        >>> from stepsize.task.built_in._quadratic import stable_below
        >>> stable_below([1.0, 10.0]), stable_below([10.0], momentum=0.5)
        (0.2, 0.3)

    Source: Polyak 1964, "Some methods of speeding up the convergence of iteration methods", theorem 9; Goh 2017,
    "Why momentum really works" (Distill).
    """
    return 2 * (1 + _momentum(momentum)) / max(_eigenvalues(eigenvalues))


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
    directions = _directions(len(matrix), _check.number("rotation", rotation))
    first = directions.sum(1) if start is None else np.array(_numbers("start", start))
    if len(first) != len(matrix):
        raise ValueError(_check.message("start", start, f"as many numbers as eigenvalues, {len(matrix)}"))
    return Task(
        name="quadratic",
        model=partial(_Bowl, matrix, torch.from_numpy(first)),
        batches=_nothing,
        loss=_height,
        optimizer=partial(_descent, momentum=_momentum(momentum)),
        score=_score,
        metrics=_metrics,
        steps=steps,
        evaluate_every="0.5%",
        facts={"eigenvalues": _eigenvalues(eigenvalues), "rotation": float(rotation), "momentum": float(momentum)},
        schedule="constant()",
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
    return {"distance": float(point.norm())} | {f"x{number}": float(each) for number, each in enumerate(point, 1)}


def bowl_matrix(eigenvalues: Sequence[float], rotation: float = 0.0) -> Array:
    """The matrix A of a bowl, from its eigenvalues and the angle of its eigenvectors, in radians."""
    values = _eigenvalues(eigenvalues)
    directions = _directions(len(values), _check.number("rotation", rotation))
    matrix: Array = directions * values @ directions.T
    return matrix


def along(points: Array, eigenvalues: Sequence[float], rotation: float = 0.0) -> Array:
    """Points [count, dimensions] by their coordinates along the eigenvectors, the same shape."""
    coordinates: Array = points @ _directions(len(eigenvalues), rotation)
    return coordinates


def _directions(dimensions: int, rotation: float) -> Array:
    """Eigenvectors as columns."""
    if dimensions == 1:
        return np.ones((1, 1))
    return np.array([[np.cos(rotation), -np.sin(rotation)], [np.sin(rotation), np.cos(rotation)]])


def _numbers(name: str, values: Sequence[float]) -> list[float]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise TypeError(_check.message(name, values, "a sequence of numbers"))
    return [_check.number(f"{name}[{index}]", value) for index, value in enumerate(values)]


def _eigenvalues(values: Sequence[float]) -> list[float]:
    numbers = _numbers("eigenvalues", values)
    if len(numbers) not in (1, 2):
        raise ValueError(_check.message("eigenvalues", values, "one or two numbers > 0"))
    return [_check.number(f"eigenvalues[{index}]", value, above=0) for index, value in enumerate(numbers)]


def _momentum(value: float) -> float:
    momentum = _check.number("momentum", value, least=0)
    if momentum >= 1:
        raise ValueError(_check.message("momentum", value, "below 1"))
    return momentum


quadratic = bowl()
