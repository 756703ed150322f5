"""What a rung of a race says: its best rate, between the rates tried; what was learnt; where runs break."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from stepsize.search._broken import is_broken
from stepsize.search._finding import ShortRun

CERTAIN = 3.0  # standard errors that progress must have to be no accident
LEARNT = 0.02  # share of the initial loss that must be gone before a rung is believed
LATER = 0.25  # part of that share which will do after a flat start, if it is no accident
CURVED = 0.4  # share of the progress that is usually lost a decade from the best
BEYOND = 0.5  # distances that the best may lie beyond the rates tried
STEEP = 3.0  # how much steeper one side of a valley may be for a parabola through it


def spread(first: Sequence[float], second: Sequence[float]) -> float:
    """Standard deviation of the differences of losses on common batches; 0 for fewer than two.

    Args:
        first: losses by batch.
        second: the same of another run, or before training.
    """
    differences = [one - other for one, other in zip(first, second, strict=False)]
    return statistics.stdev(differences) if len(differences) > 1 else 0.0


@dataclass
class Rung:
    """Runs of one length from one start on the same batches, by the exponent (base 10) of their rate.

    Args:
        length: steps of each.
        distance: between neighbouring exponents, in decades.
        initial: the loss before training, on each batch of the probe or once.
        believed: whether something was learnt in shorter runs already.
        later: whether nothing was learnt in shorter runs.
        results: what was trained.
    """

    length: int
    distance: float
    initial: tuple[float, ...]
    believed: bool = False
    later: bool = False
    results: dict[float, ShortRun] = field(default_factory=dict)

    @property
    def start(self) -> float:
        """The mean loss before training."""
        return sum(self.initial) / len(self.initial)

    def score(self, exponent: float) -> float:
        """The loss that a rate reached; infinite if it diverged or was not tried."""
        score = self.results[exponent].score if exponent in self.results else math.inf
        return score if math.isfinite(score) else math.inf

    @property
    def best(self) -> float:
        """The exponent of the lowest loss; the lowest of equals."""
        return min(sorted(self.results), key=self.score)

    @property
    def gained(self) -> float:
        """How far the best rate brought the loss down."""
        return self.start - self.score(self.best)

    @property
    def lead(self) -> float:
        """By how much the best rate leads the next best."""
        return [*sorted(map(self.score, self.results)), math.inf][1] - self.score(self.best)

    @property
    def learnt(self) -> bool:
        """Whether the best rate learnt something worth the name.

        How frequent the classes are is soon learnt, and then nothing for long: a plateau is not believed.
        """
        if self.believed:
            return self.gained > 0.0
        enough = LEARNT * (LATER if self.later and self.certain else 1.0) * self.scale
        # below zero the initial loss measures nothing, and what was gained must be no accident
        return self.shown > enough and (self.score(self.best) >= 0.0 or self.certain)

    @property
    def scale(self) -> float:
        """What changes of the loss are measured by: its initial size, but at least its spread over the batches.

        A loss that may be negative, such as a log-likelihood, may begin near zero.
        """
        return max(abs(self.start), spread(self.initial, [0.0] * len(self.initial)))

    @property
    def certain(self) -> bool:
        """Whether the best rate learnt anything that is no accident of the probe's batches."""
        probed = self.results[self.best].probed
        error = spread(self.initial, probed) / math.sqrt(max(1, min(len(probed), len(self.initial))))
        return self.shown > CERTAIN * error and self.shown > 1e-4 * self.scale

    @property
    def shown(self) -> float:
        """What was gained on those batches of the probe of which the loss before training is known.

        A run may be scored on more, and batches that differ must not pass for something learnt.
        """
        probed, count = self.results[self.best].probed, len(self.initial)
        return self.gained if len(probed) <= count else self.start - sum(probed[:count]) / count

    def batches(self, share: float) -> int:
        """How many batches tell the best two rates apart to within a share of the progress, one standard error."""
        first, second = [*sorted(self.results, key=self.score), self.best][:2]
        if not math.isfinite(self.score(second)):
            return 0
        apart = spread(self.results[first].probed, self.results[second].probed)
        return math.ceil((apart / (share * self.gained)) ** 2)

    @property
    def vertex(self) -> float:
        """The exponent of the lowest loss: of the parabola through the best rate and its neighbours.

        With one neighbour it is a parabola as curved as they usually are.
        """
        low, high = self.behind(-1), self.behind(1)
        if low is None or high is None:
            side, gap = (1, high) if low is None else (-1, low)
            if gap is None or not self.gained > 0:
                return self.best
            away = gap / (2 * CURVED * self.gained * self.distance)  # decades from the middle of the two
            return self.best + side * max(self.distance / 2 - away, -BEYOND * self.distance)
        low, high = min(low, STEEP * high), min(high, STEEP * low)
        return self.best + self.distance * (low - high) / (2 * (low + high)) if low + high > 0 else self.best

    def behind(self, side: int) -> float | None:
        """By how much the best rate's neighbour below (-1) or above (1) is behind it; None if there is none."""
        neighbour = self.near(self.best + side * self.distance)
        if neighbour not in self.results:
            return None
        return max(0.0, min(self.score(neighbour), self.start) - self.score(self.best))

    def near(self, exponent: float) -> float:
        """The exponent tried that is this one but for rounding, if there is one."""
        return next((tried for tried in self.results if abs(tried - exponent) < 1e-6), exponent)

    @property
    def hopeless(self) -> list[float]:
        """Exponents that ended above where they began."""
        return [exponent for exponent in self.results if not self.score(exponent) <= self.start + LEARNT * self.scale]

    def broken(self) -> list[float]:
        """Exponents above the best that lost half of its progress."""
        if not self.learnt:
            return []
        best = self.score(self.best)
        return [
            exponent
            for exponent in self.results
            if exponent > self.best and is_broken(self.score(exponent), best, self.start)
        ]

    @property
    def unmoved(self) -> bool:
        """Whether the rate has no effect: several runs, and all the same to the last digit."""
        runs = {(run.score, run.losses, run.probed) for run in self.results.values()}
        return len(self.results) > 2 and len(runs) == 1

    def alike(self, share: float) -> list[float]:
        """Exponents that the probe cannot tell from the best: within two standard errors, and a share of its gain."""
        best = self.results[self.best]
        found = []
        for exponent in sorted(self.results):
            behind = self.score(exponent) - best.score
            probed = self.results[exponent].probed
            error = spread(probed, best.probed) / math.sqrt(max(1, len(probed)))
            if exponent == self.best or behind <= min(2 * error, share * self.gained):
                found.append(exponent)
        return found
