"""Descents of one bowl at many rates: which of them converge, measured, and what theory says of each."""

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from stepsize import _check
from stepsize.task.built_in._bowl_theory import Array, amplitudes, stable_below
from stepsize.task.built_in._quadratic import Trajectory, bowl, trajectory

LOWEST, HIGHEST = 1 / 50, 1.6  # rates of a sweep, as shares of theory's bound
CLOSE = 1.001  # ratio of the two rates between which divergence begins
SHARES = (0.1, 0.5, 0.95, 1.03)  # of theory's bound: slow, quick, to and fro, diverging


def rate_sweep(
    eigenvalues: Sequence[float] = (1.0, 10.0),
    *,
    rates: int = 40,
    paths: Iterable[float] | None = None,
    steps: int = 50,
    rotation: float = 0.0,
    momentum: float = 0.0,
    progress: Callable[[int, int, str], None] | None = None,
) -> tuple[tuple[Trajectory, ...], tuple[Trajectory, ...]]:
    """Descend a bowl at many rates, and then, by halving, at more where divergence begins.

    Args:
        eigenvalues: of the bowl's matrix, one or two, each > 0.
        rates: how many, evenly spread on a log scale from a fiftieth of theory's bound to 1.6 of it, >= 2.
        paths: rates to keep for a picture of the paths; 0.1, 0.5, 0.95 and 1.03 of theory's bound when left out.
        steps: of each descent, >= 1.
        rotation: of the eigenvectors against the axes, in radians.
        momentum: 0 or more and below 1.
        progress: called with (descents done, descents expected, a note for people).

    Returns:
        The descents at the rates of ``paths``, and all others in the order of their rates.

    Raises:
        TypeError, ValueError: an argument is invalid.

    Example:
        >>> from stepsize.task.built_in._bowl_sweep import measured_threshold, rate_sweep
        >>> shown, sweep = rate_sweep([10.0], rates=10)
        >>> low, high = measured_threshold(sweep)
        >>> 0.199 < low < high < 0.201, high / low < 1.001
        (True, True)
    """
    rates = _check.whole("rates", rates, least=2)
    bowl(eigenvalues, rotation=rotation, momentum=momentum, steps=steps)  # refuses the rest before any descent
    bound = stable_below(eigenvalues, momentum)
    chosen = [share * bound for share in SHARES] if paths is None else [_check.number("lr", r, above=0) for r in paths]
    spread = [float(rate) for rate in np.geomspace(LOWEST * bound, HIGHEST * bound, rates)]
    expected = len(chosen) + rates + math.ceil(math.log2(math.log(spread[1] / spread[0]) / math.log(CLOSE)))
    done: list[Trajectory] = []

    def descend(rate: float) -> Trajectory:
        done.append(trajectory(rate, eigenvalues, steps=steps, rotation=rotation, momentum=momentum))
        if progress is not None:
            ratio = done[-1].losses[-1] / done[-1].losses[0]
            progress(len(done), max(expected, len(done)), f"rate {rate:.4g}: last / first loss {ratio:.3g}")
        return done[-1]

    shown = tuple(descend(rate) for rate in chosen)
    sweep = [descend(rate) for rate in spread]
    low, high = measured_threshold(sweep)
    while 0 < low < math.inf and high < math.inf and high / low > CLOSE:
        sweep.append(descend(math.sqrt(low * high)))
        low, high = measured_threshold(sweep)
    return shown, tuple(sorted(sweep, key=lambda descent: descent.rate))


def measured_threshold(sweep: Sequence[Trajectory]) -> tuple[float, float]:
    """Between which two rates of a sweep descent begins to diverge: the last loss above the first.

    Args:
        sweep: descents of one bowl at two or more rates.

    Returns:
        The largest rate below which all converge, and the next one; infinite where none diverges, 0 where all do.

    Example:
        >>> from stepsize.task.built_in._bowl_sweep import measured_threshold
        >>> from stepsize.task.built_in._quadratic import trajectory
        >>> measured_threshold([trajectory(rate, [10.0]) for rate in (0.1, 0.19, 0.21, 0.3)])
        (0.19, 0.21)
    """
    in_order = sorted(sweep, key=lambda descent: descent.rate)
    rates = [0.0, *(descent.rate for descent in in_order), np.inf]
    diverges = [not descent.losses[-1] <= descent.losses[0] for descent in in_order]
    first = diverges.index(True) if True in diverges else len(diverges)
    return rates[first], rates[first + 1]


def expected_ratios(rates: Array, like: Trajectory) -> Array:
    """By theory, the last loss over the first at each rate, for descents that are otherwise like one.

    Args:
        rates: shape (R,).
        like: whose bowl, start, momentum and number of steps it is.

    Example:
        >>> import numpy as np
        >>> from stepsize.task.built_in._bowl_sweep import expected_ratios
        >>> from stepsize.task.built_in._quadratic import trajectory
        >>> expected_ratios(np.array([0.5, 1.5]), trajectory(0.1, [1.0], steps=2)).tolist()
        [0.0625, 0.0625]
    """
    values = np.array(like.eigenvalues)
    weights = values * like.along()[0] ** 2
    steps = len(like.points) - 1
    left = np.stack([amplitudes(np.full(steps, rate), like.eigenvalues, like.momentum)[-1] for rate in rates])
    with np.errstate(over="ignore", invalid="ignore"):
        ratios: Array = left**2 @ (weights / weights.sum())
    return ratios
