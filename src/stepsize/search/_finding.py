"""What a search for a rate answers: a rate, an interval, the evidence and the price, or plainly none."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from stepsize import _check


class ShortRun(Protocol):
    """How a short run went, as a race looks at it.

    Attributes:
        losses: training loss of each step done; the last is not finite where the run ended early; empty where nobody
            knows them.
        score: the loss at its end, lower is better; infinite where it diverged.
        probed: the loss on each batch whose mean is the score; empty where there are none.
    """

    @property
    def losses(self) -> Sequence[float]: ...

    @property
    def score(self) -> float: ...

    @property
    def probed(self) -> Sequence[float]: ...


@dataclass(frozen=True)
class Tried:
    """A short run that is over.

    Attributes:
        rate: that was tried.
        steps: of the run, had it not diverged.
        score: the loss at its end, lower is better; infinite where it diverged.
        losses: training loss of each step done; none where it is not known, and then all steps count as done.
        probed: the loss on each batch whose mean is the score.
    """

    rate: float
    steps: int
    score: float
    losses: tuple[float, ...] = ()
    probed: tuple[float, ...] = ()


def check_run(rate: float, steps: int, run: Any) -> None:
    """Raise TypeError or ValueError unless this is how a run of a rate and of so many steps went.

    Args:
        rate: that was to be tried.
        steps: of the run.
        run: how it went.
    """
    if not all(hasattr(run, name) for name in ("losses", "score", "probed")):
        raise TypeError(_check.message("run", run, "a Tried, or something with losses, score and probed"))
    _check.one_number("score of run", run.score)
    if isinstance(run, Tried) and (run.rate, run.steps) != (rate, steps):
        rule = f"of the rate {rate:g} and {steps} steps, as was asked for"
        raise ValueError(_check.message("run", f"rate {run.rate:g} and {run.steps} steps", rule))


@dataclass(frozen=True)
class Cost:
    """What a search took.

    Attributes:
        steps: gradients computed, over all trials.
        forwards: batches of which only the loss was computed.
        runs: both in whole training runs, a loss without its gradient as a third of a step.
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
    """The answer of ``find`` and of ``RateSearch``.

    Attributes:
        rate: the rate to train with; None where there is no usable one.
        low: the lower and
        high: the upper end of an interval for the rate that is best on average over fresh seeds; None without a rate.
            Its width was chosen so that it holds that rate, of a grid of four in a decade, in 85 % of the benchmark's
            tuning tasks.
        verdict: one sentence: what was concluded and why.
        initial: the score before any training.
        results: every run that was trained, in order, each with its ``rate``, ``steps``, ``losses``, ``score`` and
            ``probed``: of ``find`` the engine's results, of ``RateSearch`` its own.
        cost: what it took.
        stages: what was tried and concluded at each length of runs.
        doubts: reasons not to trust the rate, each a few words; none where it is to be trusted.
        remedy: what would settle it, and its price; empty without doubts. ``settle=True`` does it.
    """

    rate: float | None
    low: float | None
    high: float | None
    verdict: str
    initial: float
    results: tuple[Any, ...]
    cost: Cost
    stages: tuple[Stage, ...] = ()
    doubts: tuple[str, ...] = ()
    remedy: str = ""

    @property
    def trusted(self) -> bool:
        """Whether there is a rate, and no reason to doubt it."""
        return self.rate is not None and not self.doubts

    def __str__(self) -> str:
        price = f"{len(self.results)} short runs, {self.cost.runs:.1f} of a whole one, {self.cost.seconds:.1f} s"
        if self.rate is None:
            return f"no usable rate: {self.verdict} ({price})"
        words = f"rate {self.rate:.3g}, good between {self.low:.3g} and {self.high:.3g}: {self.verdict} ({price})"
        doubt = f"; not to be trusted yet, since {', and '.join(self.doubts)}: settle it by {self.remedy}"
        return words + doubt if self.doubts else words
