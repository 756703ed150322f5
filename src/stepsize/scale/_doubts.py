"""What speaks against trusting a prediction, in words."""

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from stepsize.scale._exponents import axis_role

if TYPE_CHECKING:
    from stepsize.scale._law import RateLaw

BORDER, BENT, WIDE, FAR = 0.5, 0.95, 30.0, 32.0


def doubts_of(law: "RateLaw", at: Mapping[str, float], ratio: float) -> Iterator[str]:
    """The doubts about a prediction.

    Args:
        law: that made it.
        at: the target, by axis.
        ratio: of the interval's ends.
    """
    places = [law.place_of(point) for point in law.points]
    for axis in law.axes:
        yield from _of_axis(axis, [place[axis] for place in places], at[axis], axis in law.linear)
    border = sum(point.at_border for point in law.points)
    if border > BORDER * len(law.points):
        yield f"at {border} of {len(law.points)} points the best rate is at the border of those tried: try more"
    few = sum(len(point.logs) < 3 for point in law.points)
    if few > BORDER * len(law.points):
        yield f"at {few} of {len(law.points)} points fewer than three rates ended: three show where the best one is"
    if law.bent() > BENT and _is_outside(law, places, at):
        yield "the law bends: no straight line between logarithms fits the runs, and beyond them it may go on otherwise"
    if ratio > WIDE:
        yield f"the interval spans a factor of {ratio:.0f}: this target is too far from these runs"


def _of_axis(axis: str, values: list[float], target: float, linear: bool) -> Iterator[str]:
    low, high = min(values), max(values)
    if math.isclose(low, high):
        if not math.isclose(target, low):
            known = "its exponent is the literature's" if axis_role(axis) else "nothing is known of it"
            yield f"all runs have {axis} {low:g}: how the rate depends on it they do not say, {known}"
    elif not linear and target > FAR * high:
        yield f"{axis} {target:g} is {target / high:.0f} times the largest of the runs, {high:g}"
    elif not linear and target < 0.999 * low:
        yield f"{axis} {target:g} is below all the runs, the smallest of which has {low:g}"


def _is_outside(law: "RateLaw", places: list[dict[str, float]], at: Mapping[str, float]) -> bool:
    for axis in law.axes:
        values = [place[axis] for place in places]
        near = 1e-9 * max(map(abs, values))
        if not min(values) - near <= at[axis] <= max(values) + near:
            return True
    return False
