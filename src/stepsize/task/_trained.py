"""The result of a training."""

import math
from dataclasses import dataclass, field
from typing import Any

from stepsize.task._contract import Trial


@dataclass(frozen=True)
class Trained:
    """A trial trained to its end, or as far as it came.

    Attributes:
        trial: what was trained.
        steps: how many steps were done.
        score: loss on the fixed set of training data at the end; infinite when the training loss was not finite.
        metrics: validation figures at the end, by name.
        losses: training loss of each step.
        history: validation figures along the way, each with its ``step``.
        seconds: of training, those before it was resumed included.
        state: the run's state at the end.
        test: figures on data that nothing was chosen by, at the end, where the task has such.
        remark: one line where the run was validated less often than was meant; empty otherwise.
        ended: why a guard gave the run up; empty otherwise.
        verified: what forks said of the rate on the way: ``words``, whether that was ``applied``, and all that
            ``Verification.plain`` has; None where nothing was suspicious, or nobody asked.
    """

    trial: Trial
    steps: int
    score: float
    metrics: dict[str, float]
    losses: tuple[float, ...]
    history: tuple[dict[str, float], ...]
    seconds: float
    state: dict[str, Any] = field(repr=False, default_factory=dict)
    test: dict[str, float] = field(default_factory=dict)
    remark: str = ""
    ended: str = ""
    verified: dict[str, Any] | None = None

    @property
    def diverged(self) -> bool:
        """Whether the training loss stopped being finite."""
        return not math.isfinite(self.score)

    @property
    def complaint(self) -> str:
        """A fault in its figures and where to look, in one line; empty when there is none."""
        if self.ended:
            return f"diverged: {self.ended}"
        if self.diverged and self.losses and not math.isfinite(self.losses[0]):
            place = "at the first step, before anything was changed"
            return f"the training loss is {self.losses[0]} {place}: look at the data and the model, not at the rate"
        if self.diverged and self.losses and not math.isfinite(self.losses[-1]):
            return f"diverged: the training loss was not finite at step {self.steps}; try a lower rate"
        if self.diverged:
            remedy = "look at the data it is measured on, or try a lower rate"
            return f"the score is not finite, though the training loss is; {remedy}"
        broken = [name for name, value in {**self.metrics, **self.test}.items() if not math.isfinite(value)]
        if broken:
            are = "is" if len(broken) == 1 else "are"
            words = f"{', '.join(broken)} {are} not finite, though the training loss is"
            return f"{words}; look at the data they are measured on"
        return ""


class TrainingInterrupted(KeyboardInterrupt):
    """Ctrl-C in training; ``trained`` holds everything up to the last whole step."""

    def __init__(self, trained: Trained) -> None:
        super().__init__(f"stopped at step {trained.steps} of {trained.trial.steps}")
        self.trained = trained
