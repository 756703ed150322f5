"""The courses' two comparisons, computed: rates on a bowl beside theory, and schedules of alpha on the frozen lake."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stepsize import _check
from stepsize.search import Progress
from stepsize.task._contract import Trial
from stepsize.task.built_in._bowl_sweep import HIGHEST, measured_threshold, rate_sweep
from stepsize.task.built_in._course_sheets import NEAR, learning, trajectories
from stepsize.task.built_in._frozenlake_curves import learning_curves, prepared
from stepsize.task.built_in._frozenlake_world import world
from stepsize.task.built_in._quadratic import bowl, stable_below
from stepsize.views import Sheet


@dataclass(frozen=True)
class CourseResult:
    """The result of a comparison.

    Attributes:
        answer: the figures, as plain data.
        lines: the same for people.
        data: what the picture shows, by the name of its JSON file.
        sheet: makes the picture's sheet.
    """

    answer: Mapping[str, Any]
    lines: Sequence[str]
    data: Mapping[str, Mapping[str, Any]]
    sheet: Callable[[], Sheet]


class BowlCourse:
    """Gradient descent on a bowl at many rates: where it begins to diverge, measured and by theory.

    Args:
        eigenvalues: of the bowl's matrix, one or two, each > 0.
        paths: rates whose paths are drawn, as words with commas between; four of our own when None.
        momentum: 0 or more and below 1.
        rotation: of the bowl against the axes, in degrees.
        steps: of each descent, >= 1.
        rates: how many are tried, >= 2.

    Raises:
        TypeError, ValueError: an argument is invalid.

    Example:
        >>> from stepsize.task.built_in import BowlCourse
        >>> course = BowlCourse((4.0,), ["0.1,0.4"], momentum=0.0, rotation=0.0, steps=10, rates=4)
        >>> course.run(None).answer["theory"]
        {'converges_below': 0.5}
    """

    name = "quadratic"

    def __init__(
        self,
        eigenvalues: tuple[float, ...],
        paths: Sequence[str] | None,
        *,
        momentum: float,
        rotation: float,
        steps: int,
        rates: int,
    ) -> None:
        self._bowl: dict[str, Any] = {
            "rotation": math.radians(_check.number("rotation", rotation)),
            "momentum": momentum,
        }
        bowl(eigenvalues, steps=steps, **self._bowl)
        self._paths = None if paths is None else [_rate(word) for words in paths for word in words.split(",")]
        self._bound = stable_below(eigenvalues, momentum)
        for rate in (*(self._paths or ()), HIGHEST * self._bound):
            Trial("quadratic", {"lr": rate})
        self._eigenvalues, self._steps = eigenvalues, steps
        self.work = _check.whole("rates", rates, least=2)

    def settings(self) -> dict[str, Any]:
        """The settings of the comparison, as plain data."""
        return {"eigenvalues": self._eigenvalues, "steps": self._steps, "rates": self.work, **self._bowl}

    def run(self, progress: Progress | None) -> CourseResult:
        """Descend at all rates; ``progress`` is called with (descents done, descents expected, a note)."""
        paths, sweep = rate_sweep(
            self._eigenvalues, rates=self.work, paths=self._paths, steps=self._steps, progress=progress, **self._bowl
        )
        first = sweep[0].losses[0]
        losses = [float(descent.losses[-1] / first) for descent in sweep]
        low, high = measured_threshold(sweep)
        best = min(range(len(sweep)), key=lambda index: losses[index] if losses[index] >= 0 else math.inf)
        answer = {
            "rate": sweep[best].rate,
            "metrics": {"last_over_first_loss": losses[best]},
            "theory": {"converges_below": self._bound},
            "measured": {"converges_up_to": low, "diverges_at": high},
        }
        lines = (
            f"theory    converges below {self._bound:.4g}, which is 2 (1 + momentum) / {max(self._eigenvalues):g}",
            f"measured  converges up to {low:.4g}, diverges at {high:.4g}, in {self._steps} steps",
            f"best      {sweep[best].rate:.4g}: {losses[best]:.2g} of the first loss is left",
        )
        data = {"sweep.json": {"rates": [descent.rate for descent in sweep], "last_over_first_loss": losses}}
        return CourseResult(answer, lines, data, lambda: trajectories(paths, sweep))


class LakeCourse:
    """Q-learning with several schedules of alpha and many seeds: success against the episodes.

    Args:
        alphas: texts of schedules that give alpha itself, over the episodes.
        seeds: how many learners for each schedule, >= 1.
        seed: the first learner's seed; the others' follow.
        episodes: played by each learner, >= 1.

    Raises:
        TypeError, ValueError: an argument is invalid, or a schedule leaves 0 to 1.
        ImportError: Gymnasium is not installed.

    Example:
        >>> from stepsize.task.built_in import LakeCourse
        >>> LakeCourse(["constant(value=0.5)"], seeds=2, seed=0, episodes=50).run(None).answer["alphas"][0]["alpha"]
        'constant(value=0.5)'
    """

    name = "frozenlake"

    def __init__(self, alphas: Sequence[str], *, seeds: int, seed: int, episodes: int) -> None:
        self._alphas = {text: text for text in alphas}
        self._seeds = range(_check.whole("seed", seed, least=0), seed + seeds)
        prepared(self._alphas, self._seeds, episodes)
        world()  # its package is asked for before there is a folder
        self._episodes = episodes
        self.work = episodes * seeds * len(self._alphas)

    def settings(self) -> dict[str, Any]:
        """The settings of the comparison, as plain data."""
        return {"alphas": list(self._alphas), "seeds": list(self._seeds), "episodes": self._episodes}

    def run(self, progress: Progress | None) -> CourseResult:
        """Let all learners play; ``progress`` is called with (episodes played, episodes in all, a note)."""
        curves = learning_curves(self._alphas, self._seeds, self._episodes, progress=progress)
        learners = [
            {
                "alpha": name,
                "success": float(curves.success[name][-1].mean()),
                "gaps": curves.gaps(name).tolist(),
                "near": int(np.sum(curves.gaps(name) <= NEAR)),
            }
            for name in self._alphas
        ]
        lines = [
            f"{learner['alpha']}: success {learner['success']:.3f},"
            f" {learner['near']} of {len(self._seeds)} seeds within {NEAR} of the optimum"
            for learner in learners
        ]
        lines.append(f"optimum   {curves.optimum:.3f}, by value iteration")
        success = {name: values.tolist() for name, values in curves.success.items()}
        data = {"curves.json": {"episodes": curves.at.tolist(), "success": success}}
        answer = {"optimum": curves.optimum, "alphas": learners}
        return CourseResult(answer, lines, data, lambda: learning(curves))


def _rate(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise ValueError(_check.message("lr", word, "a number > 0", "write for example --lr 0.1,0.9")) from None
