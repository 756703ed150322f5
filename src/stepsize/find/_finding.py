"""What a search for a rate answers: a rate, an interval, the evidence and the price, or plainly none."""

from dataclasses import dataclass

from stepsize.engine import Result


@dataclass(frozen=True)
class Cost:
    """What a search took.

    Attributes:
        steps: gradients computed, over all trials.
        runs: the same in whole training runs of the task.
        seconds: wall-clock time.
    """

    steps: int
    runs: float
    seconds: float


@dataclass(frozen=True)
class Finding:
    """The answer of ``find``.

    Attributes:
        rate: the rate to train with; None where there is no usable one.
        low: the lowest and
        high: the highest of the rate itself and the rates tried in the longest rung whose progress was within 5 % of
            the best one's; None without a rate. It is of one seed: nothing is claimed about others.
        verdict: one sentence: what was concluded and why.
        initial: the score before any training.
        results: every trial that was trained, in order, with its curve.
        cost: what it took.
    """

    rate: float | None
    low: float | None
    high: float | None
    verdict: str
    initial: float
    results: tuple[Result, ...]
    cost: Cost

    def __str__(self) -> str:
        price = f"{len(self.results)} short runs, {self.cost.runs:.1f} of a whole one, {self.cost.seconds:.1f} s"
        if self.rate is None:
            return f"no usable rate: {self.verdict} ({price})"
        return f"rate {self.rate:.3g}, good between {self.low:.3g} and {self.high:.3g}: {self.verdict} ({price})"
