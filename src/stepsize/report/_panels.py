"""Panels of a run's picture for the courses' tasks: a path on a bowl beside theory, success on the frozen lake."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stepsize.report._bowl import COLOURS, GREY, RED, bound_named, path
from stepsize.task import AXES
from stepsize.task.built_in._bowl_sweep import amplitudes
from stepsize.task.built_in._quadratic import along, stable_below

Panel = Callable[[Any], None]
Lines = Sequence[Mapping[str, Any]]
ORANGE = COLOURS[1]
SMALLEST = 1e-16  # of what is left along a direction, in a picture
TURNS = 0.2  # share of the places at which noise turns round
MOST = 1_000_000  # steps of which theory is drawn
SMOOTHED = 10  # looks at the policy that are averaged


class Bowl:
    """What theory says of a descent on a bowl, from the facts of its run.

    Args:
        facts: from ``run.json``: ``about_task`` with ``eigenvalues``, ``rotation`` and ``momentum``.
    """

    def __init__(self, facts: Mapping[str, Any]) -> None:
        about = facts["about_task"]
        self.eigenvalues: list[float] = about["eigenvalues"]
        self.rotation, self.momentum = float(about["rotation"]), float(about["momentum"])

    @staticmethod
    def of(facts: Mapping[str, Any]) -> "Bowl | None":
        """The bowl of a run's facts, if it is one and descended by plain SGD."""
        about, said = facts.get("about_task") or {}, facts.get("said") or {}
        changed = [name for name, axis in AXES.items() if axis.applies != "rate" and said.get(name) is not None]
        return Bowl(facts) if "eigenvalues" in about and not changed else None

    @property
    def bound(self) -> float:
        """The rate from which on descent diverges."""
        return stable_below(self.eigenvalues, self.momentum)

    def mark_rate(self, ax: Any) -> None:
        """Theory's bound across a panel of rates by step."""
        name = bound_named(self.eigenvalues, self.momentum)
        ax.axhline(self.bound, color=RED, linewidth=1.5, label=f"theory: converges below {name}")
        ax.set_ylim(0, max(ax.get_ylim()[1], 1.25 * self.bound))
        ax.legend(fontsize=8)

    def mark_evidence(self, ax: Any) -> None:
        """Theory's bound on a panel of losses by rate."""
        name = bound_named(self.eigenvalues, self.momentum)
        ax.axvline(self.bound, color=RED, linewidth=1.5, label=f"theory: converges below {name}")
        ax.legend(fontsize=8)

    def panels(self, lines: Lines) -> list[Panel]:
        """The path, and each direction's distance from the bottom beside theory's."""
        names = [f"x{number}" for number in range(1, len(self.eigenvalues) + 1)]
        seen = [line for line in lines if all(line.get(name) is not None for name in names)]
        if len(seen) < 2:
            return []
        at = np.array([line["step"] for line in seen])
        points = np.array([[line[name] for name in names] for line in seen], dtype=float)
        rates = {line["step"]: line["rate"] for line in lines if "rate" in line}
        constant = next(iter(rates.values())) if len(set(rates.values())) == 1 else None
        every = [rates.get(step, constant) for step in range(min(int(at[-1]), MOST))]
        panels: list[Panel] = [lambda ax: self._path(ax, at, points)]
        expected = (
            None
            if None in every or at[-1] > MOST
            else amplitudes(np.array(every, float), self.eigenvalues, self.momentum)
        )
        return [*panels, lambda ax: self._directions(ax, at, points, expected)]

    def _path(self, ax: Any, at: NDArray[Any], points: NDArray[Any]) -> None:
        path(ax, points, self.eigenvalues, self.rotation)
        ax.set_title(f"The path, {at[-1]:,} steps, on the bowl's contours", fontsize=10)

    def _directions(self, ax: Any, at: NDArray[Any], points: NDArray[Any], expected: NDArray[Any] | None) -> None:
        measured = np.abs(along(points, self.eigenvalues, self.rotation))
        for number, value in enumerate(self.eigenvalues):
            start, colour = measured[0, number], COLOURS[number]
            if expected is not None:
                left = start * np.abs(expected[:, number])
                ax.plot(np.arange(len(left)), _visible(left), color=colour, linewidth=1, alpha=0.6)
            shown = _visible(measured[:, number])
            ax.plot(at, shown, "o", color=colour, markersize=3, label=f"along curvature {value:g}")
        ax.plot([], [], color=GREY, label="lines: theory" if expected is not None else "theory needs every step's rate")
        ax.set(yscale="log", xlabel="step", ylabel="distance from the bottom")
        ax.set_title("Each direction by itself; dots: measured", fontsize=10)
        ax.legend(fontsize=8)


def _visible(values: NDArray[Any]) -> NDArray[Any]:
    return np.where(values >= SMALLEST, values, np.nan)


def success(ax: Any, lines: Lines) -> None:
    """The greedy policy's success, each look and their moving mean, the best policy's as a line.

    Args:
        ax: matplotlib axes.
        lines: of a run, some with ``success``, and ``optimum``.
    """
    seen = [line for line in lines if line.get("success") is not None]
    at, values = np.array([line["step"] for line in seen]), np.array([line["success"] for line in seen])
    ax.plot(at, values, "o", color=ORANGE, markersize=2.5, alpha=0.4, label="greedy policy, exact")
    width = min(SMOOTHED, len(values))
    if width > 2:
        ax.plot(at, moving_mean(values, width), color=ORANGE, linewidth=2, label=f"mean of {width} looks")
    if seen[-1].get("optimum") is not None:
        optimum = seen[-1]["optimum"]
        ax.axhline(optimum, color="black", linewidth=1, linestyle="--", label=f"best policy: {optimum:.3f}")
    ax.set(xlabel="step", ylabel="probability of success", ylim=(0, None))
    ax.set_title(f"Success, {values[-1]:.3f} at the end", fontsize=10)
    ax.legend(fontsize=8, loc="lower right")


def is_noisy(values: NDArray[Any]) -> bool:
    """Whether values go up and down at more than a fifth of the places, so that their mean shows more than they do.

    Args:
        values: shape (count,).

    Example:
        >>> import numpy as np
        >>> from stepsize.report._panels import is_noisy
        >>> is_noisy(np.array([3.0, 2.0, 1.0, 0.5])), is_noisy(np.array([3.0, 1.0, 2.0, 0.5]))
        (False, True)
    """
    ways = np.sign(np.diff(values))
    return bool(len(ways) > 1 and np.mean(ways[1:] * ways[:-1] < 0) > TURNS)


def moving_mean(values: NDArray[Any], width: int) -> NDArray[Any]:
    """The mean of each value and those around it, ``width`` of them, fewer at the ends; the same shape.

    Args:
        values: shape (count,).
        width: >= 1.

    Example:
        >>> import numpy as np
        >>> from stepsize.report._panels import moving_mean
        >>> moving_mean(np.array([0.0, 3.0, 6.0, 9.0]), 3).tolist()
        [1.5, 3.0, 6.0, 7.5]
    """
    total = np.concatenate([[0.0], np.cumsum(values)])
    at = np.arange(len(values))
    first, last = np.maximum(at - width // 2, 0), np.minimum(at + (width - width // 2), len(values))
    means: NDArray[Any] = (total[last] - total[first]) / (last - first)
    return means
