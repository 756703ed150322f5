"""Numbers before they are seen: thinned without hiding spikes, noise found and averaged."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stepsize import _check

MOST = 4_000  # points of a series
TURNS = 0.2  # share of the places at which noise turns round


def thinned(values: NDArray[Any], most: int = MOST) -> NDArray[Any]:
    """Indices of the values to keep: of each stretch the lowest and the highest, and both ends; all where they are few.

    Args:
        values: shape (count,).
        most: how many to keep at most, >= 4.

    Raises:
        TypeError, ValueError: the values are no row of numbers, or ``most`` is none >= 4.

    Example:
        >>> import numpy as np
        >>> from stepsize.views import thinned
        >>> values = np.zeros(10_000)
        >>> values[1234] = 7.0
        >>> kept = thinned(values, 100)
        >>> len(kept) <= 100, 1234 in kept
        (True, True)
    """
    values, most = row("values", values), _check.whole("most", most, least=4)
    count = len(values)
    if count <= most:
        return np.arange(count)
    stretches = most // 2 - 1
    edges = np.linspace(0, count, stretches + 1).astype(int)
    width = int(np.diff(edges).max())
    at = np.minimum(edges[:-1, None] + np.arange(width), edges[1:, None] - 1)  # the last ones stand twice
    parts = values[at]
    with np.errstate(invalid="ignore"):
        low, high = np.where(np.isnan(parts), np.inf, parts), np.where(np.isnan(parts), -np.inf, parts)
    rows = np.arange(stretches)
    kept = np.concatenate([[0, count - 1], at[rows, low.argmin(1)], at[rows, high.argmax(1)]])
    return np.unique(kept)


def is_noisy(values: NDArray[Any]) -> bool:
    """Whether values go up and down at more than a fifth of the places, so that their mean shows more than they do.

    Args:
        values: shape (count,).

    Raises:
        TypeError, ValueError: the values are no row of numbers.

    Example:
        >>> import numpy as np
        >>> from stepsize.views import is_noisy
        >>> is_noisy(np.array([3.0, 2.0, 1.0, 0.5])), is_noisy(np.array([3.0, 1.0, 2.0, 0.5]))
        (False, True)
    """
    values = row("values", values)
    ways = np.sign(np.diff(values))
    return bool(len(ways) > 1 and np.mean(ways[1:] * ways[:-1] < 0) > TURNS)


def moving_mean(values: NDArray[Any], width: int) -> NDArray[Any]:
    """The mean of each value and those around it, ``width`` of them, fewer at the ends; the same shape.

    Args:
        values: shape (count,).
        width: >= 1.

    Raises:
        TypeError, ValueError: the values are no row of numbers, or the width is none >= 1.

    Example:
        >>> import numpy as np
        >>> from stepsize.views import moving_mean
        >>> moving_mean(np.array([0.0, 3.0, 6.0, 9.0]), 3).tolist()
        [1.5, 3.0, 6.0, 7.5]
    """
    values, width = row("values", values), _check.whole("width", width, least=1)
    total = np.concatenate([[0.0], np.cumsum(values)])
    at = np.arange(len(values))
    first, last = np.maximum(at - width // 2, 0), np.minimum(at + (width - width // 2), len(values))
    means: NDArray[Any] = (total[last] - total[first]) / (last - first)
    return means


def row(name: str, values: Any) -> NDArray[Any]:
    """Values as a row of numbers; what is none is refused."""
    try:
        numbers = np.asarray(values if isinstance(values, Sequence | np.ndarray) else [*values], float)
    except (TypeError, ValueError):
        raise TypeError(_check.message(name, values, "numbers, one after the other")) from None
    if numbers.ndim != 1:
        raise ValueError(_check.message(f"shape of {name}", numbers.shape, "that of a row of numbers"))
    return numbers
