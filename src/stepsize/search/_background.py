"""What a run's record shows up to where its forks begin."""

from dataclasses import dataclass

from stepsize import _check


@dataclass(frozen=True)
class Background:
    """What a run's record shows up to where its forks begin; None is what it does not.

    Attributes:
        curvature: median of abs((g1 - g0) · d / (g0 · d)) along the updates, over the rate's share of its peak, >= 0.
        largest: the largest of them, as it was, >= 0.
        above: by how much the loss lately lies above the loss at the start, as a share of that.
        growth: by how much gradients are larger lately than at first, in decades.

    Raises:
        TypeError, ValueError: a value is invalid.

    Example:
        >>> from stepsize.search import Background
        >>> Background(curvature=0.01).largest is None
        True
    """

    curvature: float | None = None
    largest: float | None = None
    above: float | None = None
    growth: float | None = None

    def __post_init__(self) -> None:
        for name in ("curvature", "largest"):
            if getattr(self, name) is not None:
                _check.number(name, getattr(self, name), least=0)
        for name in ("above", "growth"):
            if getattr(self, name) is not None:
                _check.number(name, getattr(self, name))
