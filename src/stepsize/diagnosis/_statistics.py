"""Robust statistics that several rules use."""

import numpy as np

from stepsize.diagnosis._seen import Array

MOST = 2_000  # values at which a median is taken, and values of a window that it is taken of


def running_median(values: Array, window: int) -> Array:
    """The median of a window around each value; at the ends of what there is of it. Straight between, in long curves.

    Args:
        values: shape (n,).
        window: values in it, >= 1.
    """
    half, count, stride = window // 2, len(values), max(1, window // MOST)
    places = np.arange(count) if count <= MOST else np.linspace(0, count - 1, MOST).round().astype(int)
    medians = [np.median(values[max(0, at - half) : at + half + 1 : stride]) for at in places]
    return np.interp(np.arange(count), places, medians)


def noise(values: Array) -> float:
    """The standard deviation of neighbours' differences over root 2, robustly: what a curve has on top of its trend.

    Args:
        values: shape (n,), n >= 2.
    """
    return float(np.median(np.abs(np.diff(values))) / (0.6745 * np.sqrt(2)))


def window_of(values: Array, share: float = 0.05, least: int = 3) -> int:
    """How many values are a share of them.

    Args:
        values: shape (n,).
        share: of them.
        least: at least so many.
    """
    return max(least, round(share * len(values)))


def start(values: Array) -> float:
    """The level that a curve begins with.

    Args:
        values: shape (n,), n >= 1.
    """
    return float(np.mean(values[:3]))


def end(values: Array, share: float = 0.1) -> float:
    """The level that a curve ends with.

    Args:
        values: shape (n,), n >= 1.
        share: of it that is averaged.
    """
    return float(np.median(values[-window_of(values, share) :]))


def since(flags: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> int:
    """How many flags at the end are all set.

    Args:
        flags: shape (n,).
    """
    unset = np.flatnonzero(~flags)
    return len(flags) - 1 - int(unset[-1]) if len(unset) else len(flags)
