"""What a search for a rate answers: a rate, an interval, the evidence and the price, or plainly none."""

from dataclasses import dataclass

from stepsize.engine import Result


@dataclass(frozen=True)
class Cost:
    """What a search took.

    Attributes:
        steps: gradients computed, over all trials.
        forwards: batches of which only the loss was computed.
        runs: both in whole training runs of the task, a loss without its gradient as a third of a step.
        seconds: wall-clock time.
    """

    steps: int
    forwards: int
    runs: float
    seconds: float


@dataclass(frozen=True)
class Stage:
    """What a search did at one length of runs.

    Attributes:
        length: steps of each run.
        rates: that were tried, in order.
        concluded: from their scores.
    """

    length: int
    rates: tuple[float, ...]
    concluded: str


@dataclass(frozen=True)
class Finding:
    """The answer of ``find``.

    Attributes:
        rate: the rate to train with; None where there is no usable one.
        low: the lower and
        high: the upper end of an interval for the rate that is best on average over fresh seeds; None without a rate.
            Its width was chosen so that it holds that rate, of a grid of four in a decade, in 85 % of the yardstick's
            tuning tasks.
        verdict: one sentence: what was concluded and why.
        initial: the score before any training.
        results: every trial that was trained, in order, with its curve.
        cost: what it took.
        stages: what was tried and concluded at each length of runs.
    """

    rate: float | None
    low: float | None
    high: float | None
    verdict: str
    initial: float
    results: tuple[Result, ...]
    cost: Cost
    stages: tuple[Stage, ...] = ()

    def __str__(self) -> str:
        price = f"{len(self.results)} short runs, {self.cost.runs:.1f} of a whole one, {self.cost.seconds:.1f} s"
        if self.rate is None:
            return f"no usable rate: {self.verdict} ({price})"
        return f"rate {self.rate:.3g}, good between {self.low:.3g} and {self.high:.3g}: {self.verdict} ({price})"
