"""Stopping early: at rungs fixed in advance, when everybody has arrived, the worse part goes no further."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from stepsize import _check
from stepsize.task import Trial


@dataclass(frozen=True)
class Halving:
    """At each rung the worse rates stop, judged by their mean score over the seeds when all have arrived.

    Rates are compared within the same other settings: no optimizer is stopped by another one's rates. Who arrives first
    makes no difference. A trial's figures up to where it is stopped are those of one that is not.

    Args:
        rungs: shares of the run, rising, each above 0 and below 1.
        keep: the share of the rates that goes on, above 0 and below 1; at least one does.

    Raises:
        TypeError, ValueError: an argument is invalid.

    Example:
        >>> from stepsize.sweeps import Halving
        >>> Halving((0.25, 0.5)).steps(400)
        [100, 200]

    Source: Jamieson and Talwalkar 2016, "Non-stochastic best arm identification and hyperparameter optimization"
    (AISTATS), algorithm 1, successive halving.
    """

    rungs: tuple[float, ...] = (0.125, 0.25, 0.5)
    keep: float = 0.5

    def __post_init__(self) -> None:
        if isinstance(self.rungs, str) or not isinstance(self.rungs, Iterable):
            raise TypeError(_check.message("rungs", self.rungs, "shares of the run, such as (0.25, 0.5)"))
        rungs = tuple(_check.number("rungs", rung, above=0) for rung in self.rungs)
        if not rungs or sorted(set(rungs)) != list(rungs) or rungs[-1] >= 1:
            raise ValueError(_check.message("rungs", self.rungs, "rising shares of the run below 1"))
        if _check.number("keep", self.keep, above=0) >= 1:
            raise ValueError(_check.message("keep", self.keep, "below 1"))
        object.__setattr__(self, "rungs", rungs)

    def steps(self, total: int) -> list[int]:
        """The steps at which trials are compared.

        Args:
            total: length of a whole trial.
        """
        return sorted({min(total - 1, max(1, round(rung * total))) for rung in self.rungs} - {0})

    def stopped(self, trials: Mapping[str, Trial], scores: Mapping[str, float]) -> list[str]:
        """The keys of the trials that go no further.

        Args:
            trials: those that were to arrive, by key; one that is not among the scores was stopped before.
            scores: of those that have arrived, by key; infinite for diverged ones.
        """
        of_setting: dict[tuple[str, float], list[str]] = {}
        for key in trials:
            if key in scores:
                trial = trials[key]
                others = repr(sorted((axis, value) for axis, value in trial.settings.items() if axis != "lr"))
                of_setting.setdefault((others, trial.settings["lr"]), []).append(key)
        means = {name: sum(scores[key] for key in keys) / len(keys) for name, keys in of_setting.items()}
        losers: list[str] = []
        for variant in sorted({others for others, _ in of_setting}):
            rates = sorted((mean, rate) for (others, rate), mean in means.items() if others == variant)
            for _, rate in rates[math.ceil(self.keep * len(rates)) :]:
                losers += of_setting[variant, rate]
        return losers
