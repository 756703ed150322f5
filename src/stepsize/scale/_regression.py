"""A law through likelihoods: Gaussian linear regression whose observations are curves, by expectation propagation."""

import math
from dataclasses import dataclass

import numpy as np

from stepsize.scale._points import Array

SWEEPS, DAMPING, ENOUGH = 40, 0.7, 1e-4


@dataclass(frozen=True)
class Sites:
    """What stands for the likelihoods: for each point a Gaussian.

    Attributes:
        precision: [points].
        shift: precision times mean, [points].
        evidence: logarithm of the probability of all the runs.
    """

    precision: Array
    shift: Array
    evidence: float


def propagate(mean: Array, covariance: Array, places: Array, likelihoods: Array) -> Sites:
    """Gaussians that stand for the likelihoods of latent values with a Gaussian prior.

    Args:
        mean: of the prior, [points].
        covariance: of the prior, [points, points].
        places: evenly spaced, [places].
        likelihoods: logarithms, [points, places].

    Source: Minka 2001, "Expectation propagation for approximate Bayesian inference"; Rasmussen and Williams 2006,
    "Gaussian processes for machine learning", section 3.6.
    """
    precision, shift = np.full(len(mean), 1e-6), 1e-6 * mean
    evidence = -math.inf
    for _ in range(SWEEPS):
        at, spread = posterior(mean, covariance, precision, shift)
        variance = np.diag(spread)
        cavity = np.maximum(1 / variance - precision, 1e-8)
        centre = (at / variance - shift) / cavity
        logs, tilted, width = _moments(centre, 1 / cavity, places, likelihoods)
        new = np.clip(1 / width - cavity, 1e-6, 1e8)
        wanted = (cavity + new) * tilted - cavity * centre
        moved = float(np.max(np.abs(wanted / new - shift / precision) * np.sqrt(cavity)))
        precision = (1 - DAMPING) * precision + DAMPING * new
        shift = (1 - DAMPING) * shift + DAMPING * wanted
        if moved < ENOUGH:
            break
    evidence = _evidence(mean, covariance, precision, shift, logs, centre, cavity)
    return Sites(precision, shift, evidence)


def posterior(mean: Array, covariance: Array, precision: Array, shift: Array) -> tuple[Array, Array]:
    """Mean and covariance of the latent values.

    Args:
        mean: of the prior.
        covariance: of the prior.
        precision: of the sites.
        shift: of the sites.
    """
    root = np.sqrt(precision)
    inner = np.eye(len(mean)) + root[:, None] * covariance * root
    solved = np.linalg.solve(inner, root[:, None] * covariance)
    spread = covariance - (covariance * root) @ solved
    at = mean + spread @ (shift - precision * mean)
    return at, spread


def _moments(centre: Array, variance: Array, places: Array, likelihoods: Array) -> tuple[Array, Array, Array]:
    """Of each cavity times its likelihood: logarithm of the mass, mean, variance."""
    step = places[1] - places[0]
    logs = likelihoods - 0.5 * (places - centre[:, None]) ** 2 / variance[:, None]
    top = logs.max(1, keepdims=True)
    mass = np.exp(logs - top)
    total = mass.sum(1)
    at = (mass * places).sum(1) / total
    width = (mass * (places - at[:, None]) ** 2).sum(1) / total + step**2 / 12
    return np.log(total * step) + top[:, 0] - 0.5 * np.log(2 * math.pi * variance), at, width


def _evidence(
    mean: Array, covariance: Array, precision: Array, shift: Array, logs: Array, centre: Array, cavity: Array
) -> float:
    """The marginal likelihood that the sites stand for: that of Gaussians, with each one's mass put right."""
    at, variance = shift / precision, 1 / precision
    between = variance + 1 / cavity
    masses = logs + 0.5 * np.log(2 * math.pi * between) + 0.5 * (centre - at) ** 2 / between
    total = covariance + np.diag(variance)
    off = at - mean
    _, determinant = np.linalg.slogdet(total)
    gaussian = -0.5 * (off @ np.linalg.solve(total, off) + determinant + len(mean) * math.log(2 * math.pi))
    return float(masses.sum() + gaussian)
