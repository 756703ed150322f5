"""The theory of gradient descent on a quadratic bowl; numbers only."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from stepsize import _check

Array = NDArray[np.float64]


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
        >>> from stepsize.task.built_in._bowl_theory import stable_below
        >>> stable_below([1.0, 10.0]), stable_below([10.0], momentum=0.5)
        (0.2, 0.3)

    Source: Polyak 1964, "Some methods of speeding up the convergence of iteration methods", theorem 9; Goh 2017,
    "Why momentum really works" (Distill).
    """
    return 2 * (1 + checked_momentum(momentum)) / max(checked_eigenvalues(eigenvalues))


def amplitudes(rates: Array | Sequence[float], eigenvalues: Sequence[float], momentum: float = 0.0) -> Array:
    """By theory, what is left of each coordinate along an eigenvector, shape (steps + 1, eigenvalues).

    Formula, with rate r_n at step n, eigenvalue l and momentum m, from a_0 = 1 and v_0 = 0:
        v_(n+1) = m v_n + l a_n;  a_(n+1) = a_n - r_n v_(n+1)

    Args:
        rates: at each step, shape (steps,).
        eigenvalues: of the bowl's matrix.
        momentum: 0 or more and below 1.

    Example:
        >>> from stepsize.task.built_in._bowl_theory import amplitudes
        >>> amplitudes([0.1, 0.1], [1.0, 10.0]).tolist()
        [[1.0, 1.0], [0.9, 0.0], [0.81, 0.0]]
    """
    values = np.asarray(eigenvalues, float)
    left, velocity = [np.ones_like(values)], np.zeros_like(values)
    with np.errstate(over="ignore", invalid="ignore"):
        for rate in np.asarray(rates, float):
            velocity = momentum * velocity + values * left[-1]
            left.append(left[-1] - rate * velocity)
    return np.stack(left)


def bowl_matrix(eigenvalues: Sequence[float], rotation: float = 0.0) -> Array:
    """The matrix A of a bowl, from its eigenvalues and the angle of its eigenvectors, in radians."""
    values = checked_eigenvalues(eigenvalues)
    columns = directions(len(values), _check.number("rotation", rotation))
    matrix: Array = columns * values @ columns.T
    return matrix


def along(points: Array, eigenvalues: Sequence[float], rotation: float = 0.0) -> Array:
    """Points [count, dimensions] by their coordinates along the eigenvectors, the same shape."""
    coordinates: Array = points @ directions(len(eigenvalues), rotation)
    return coordinates


def directions(dimensions: int, rotation: float) -> Array:
    """Eigenvectors as columns."""
    if dimensions == 1:
        return np.ones((1, 1))
    return np.array([[np.cos(rotation), -np.sin(rotation)], [np.sin(rotation), np.cos(rotation)]])


def numbers(name: str, values: Sequence[float]) -> list[float]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise TypeError(_check.message(name, values, "a sequence of numbers"))
    return [_check.number(f"{name}[{index}]", value) for index, value in enumerate(values)]


def checked_eigenvalues(values: Sequence[float]) -> list[float]:
    found = numbers("eigenvalues", values)
    if len(found) not in (1, 2):
        raise ValueError(_check.message("eigenvalues", values, "one or two numbers > 0"))
    return [_check.number(f"eigenvalues[{index}]", value, above=0) for index, value in enumerate(found)]


def checked_momentum(value: float) -> float:
    momentum = _check.number("momentum", value, least=0)
    if momentum >= 1:
        raise ValueError(_check.message("momentum", value, "below 1"))
    return momentum
