"""Curves in characters: columns of blocks, one row or several."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stepsize.record import Course

BLOCKS, PLAIN = " ▁▂▃▄▅▆▇█", " .:-=+*#@"
WIDE_RANGE = 30.0  # from where on heights are logarithms


def columns_of(course: Course, width: int, low: float, high: float) -> NDArray[np.float64]:
    """The mean of a course in each of so many columns between two positions, [width]; NaN where it has nothing.

    A column between two points has the value of the line through them.

    Args:
        course: positions rising.
        width: of the chart.
        low: position of the left edge.
        high: of the right one.

    Example:
        >>> import numpy as np
        >>> from stepsize.record import Course
        >>> from stepsize.watch._chart import columns_of
        >>> columns_of(Course(np.array([0.0, 1.0]), np.array([4.0, 2.0])), 4, 0.0, 2.0)
        array([ 4.,  3.,  2., nan])
    """
    size = max(high - low, 1e-12) / width
    place = np.clip(((course.steps - low) / size).astype(int), 0, width - 1)
    count = np.bincount(place, minlength=width)
    with np.errstate(invalid="ignore"):
        means = np.bincount(place, course.values, minlength=width) / count
    filled = np.flatnonzero(count)
    between = np.arange(width, dtype=float)
    inside = (between >= filled[0]) & (between <= filled[-1])
    return np.where(inside, np.interp(between, filled, means[filled]), math.nan)


def bars(values: NDArray[np.float64], rows: int = 1, blocks: str = BLOCKS, from_zero: bool = False) -> list[str]:
    """Columns of blocks, the highest row first; blank where a value is not finite.

    Args:
        values: one for each column.
        rows: of characters.
        blocks: a blank, then the characters from low to high.
        from_zero: whether the lowest height stands for 0; else for the smallest value, and heights are logarithms where
            values are far apart.

    Example:
        >>> import numpy as np
        >>> from stepsize.watch._chart import bars
        >>> bars(np.array([1.0, 2.0, 3.0, 2.0]))
        ['▁▅█▅']
    """
    known = values[np.isfinite(values)]
    if not len(known):
        return [" " * len(values)] * rows
    low, high = (0.0, float(known.max())) if from_zero else (float(known.min()), float(known.max()))
    if not from_zero and low > 0 and high > WIDE_RANGE * low:
        values, low, high = np.log(np.where(values > 0, values, math.nan)), math.log(low), math.log(high)
    steps = (len(blocks) - 1) * rows
    span = high - low
    share = (values - low) / span if span > 0 else np.where(np.isfinite(values), 0.0, math.nan)
    heights = [0 if not math.isfinite(height) else 1 + round(height * (steps - 1)) for height in share]
    return [_row(heights, row, blocks) for row in reversed(range(rows))]


def _row(heights: Sequence[int], row: int, blocks: str) -> str:
    full = len(blocks) - 1
    return "".join(blocks[min(max(height - row * full, 0), full)] for height in heights)
