"""What speaks against trusting a prediction, in words."""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence

from stepsize.scale._exponents import axis_role
from stepsize.scale._points import Point

BORDER, BENT, WIDE, FAR, SAME = 0.5, 0.95, 30.0, 32.0, 1e-9
Place = Mapping[str, float]


def doubts_of(
    points: Sequence[Point] | None,
    places: Sequence[Place],
    at: Place,
    linear: Collection[str],
    bent: float,
    ratio: float,
) -> Iterator[str]:
    """The doubts about a prediction.

    Args:
        points: that the law was fitted on; None where runs share none.
        places: where they are, by axis.
        at: the target, by axis.
        linear: the axes that are not taken by their logarithm.
        bent: how likely it is that the law is no straight line.
        ratio: of the interval's ends.
    """
    for axis, target in at.items():
        yield from _of_axis(axis, [place[axis] for place in places], target, axis in linear)
    yield from _of_runs(points)
    if bent > BENT and _is_outside(places, at):
        yield "the runs follow no straight line between logarithms, and how the law bends beyond them is uncertain"
    if ratio > WIDE:
        yield f"the interval spans a factor of {ratio:.0f}: this target is too far from these runs"


def _of_runs(points: Sequence[Point] | None) -> Iterator[str]:
    if points is None:
        yield "most runs differ in more than their rate, and what compares them is fitted: rates at equal axes say more"
        return
    border = sum(point.at_border for point in points)
    if border > BORDER * len(points):
        yield f"at {border} of {len(points)} points the lowest or the highest rate was the best: try more rates"
    few = sum(len(point.logs) < 3 for point in points)
    if few > BORDER * len(points):
        yield f"at {few} of {len(points)} points fewer than three rates ended, and three show where the best one is"


def _of_axis(axis: str, values: list[float], target: float, linear: bool) -> Iterator[str]:
    low, high = min(values), max(values)
    if math.isclose(low, high):
        if not math.isclose(target, low):
            known = "the exponent is the literature's" if axis_role(axis) else "nothing is known of it"
            yield f"all runs have {axis} {low:g} and do not show how the rate depends on it; {known}"
    elif not linear and target > FAR * high:
        yield f"{axis} {target:g} is {target / high:.0f} times the largest of the runs, {high:g}"
    elif not linear and target < low * (1 - SAME):
        yield f"{axis} {target:g} is below all the runs, the smallest of which has {low:g}"


def _is_outside(places: Sequence[Place], at: Place) -> bool:
    for axis, target in at.items():
        values = [place[axis] for place in places]
        near = SAME * max(map(abs, values))
        if not min(values) - near <= target <= max(values) + near:
            return True
    return False
