"""What is known of a run beside its forks: by its record up to where they begin, and by its schedule."""

from dataclasses import dataclass

from stepsize import _check


@dataclass(frozen=True)
class Background:
    """What a run's record shows up to where its forks begin, and how its schedule goes.

    Attributes:
        curvature: median of (g1 - g0) · d / abs(g0 · d) along the updates, over the rate's share of its peak; >= 0, and
            None where it was not recorded.
        largest: the largest of them, as it was, >= 0; None likewise.
        above: by how much the loss lately lies above the loss at the start, as a share of that; None where nobody knows.
        growth: how many times larger gradients are lately than at first, in decades; None likewise.
        level: the mean of the schedule over its peak, 0 < level <= 1: a rate that falls may be higher.

    Raises:
        TypeError, ValueError: a value is invalid.

    Example:
        >>> from stepsize.search import Background
        >>> Background(curvature=0.01, level=0.5).largest is None
        True
    """

    curvature: float | None = None
    largest: float | None = None
    above: float | None = None
    growth: float | None = None
    level: float = 1.0

    def __post_init__(self) -> None:
        for name in ("curvature", "largest"):
            if getattr(self, name) is not None:
                _check.number(name, getattr(self, name), least=0)
        for name in ("above", "growth"):
            if getattr(self, name) is not None:
                _check.number(name, getattr(self, name))
        if not _check.number("level", self.level, above=0) <= 1:
            raise ValueError(_check.message("level", self.level, "a share of the schedule's peak, at most 1"))
