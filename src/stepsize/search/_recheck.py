"""The race around a rate that a run has already, as ask and tell: keep it, or change it by which factor."""

import math
import time
from collections.abc import Callable, Generator, Sequence
from typing import Any

from stepsize import _check
from stepsize.search._asking import FORWARD, Ask, Open, Progress
from stepsize.search._finding import Cost, Finding, ShortRun, Stage, Tried
from stepsize.search._judgement import ON_REACH, Judgement, judged
from stepsize.search._rung import Rung

# Why these, and what they were chosen by: docs/decisions/0031-verify.md
CHECKED_AT = 0.25  # of a run that is checked on its way: where forks were measured; later looks changed good rates
SHARE = 0.1  # of a run: what it may cost, and never more
LENGTH = 0.015  # of a run: a fork
SHORTEST = 3  # steps of a fork
PROBE = 3  # batches that forks are scored on at least, and a quarter as many as steps
MOST = 24  # batches that they are scored on at most
STEP = 0.5  # decades between neighbours
LOWEST, HIGHEST = -1.0, 2.5  # exponents of the factors that may be tried
ANEW, TENTH = 0.03, 0.1  # of a run: one begun anew, for comparison; and the factor of its rate
LEAST = 3  # forks without which nothing can be said


def probes(length: int) -> int:
    """Batches that a fork of so many steps is scored on."""
    return max(PROBE, min(MOST, length // 4))


def check_share(share: Any) -> float:
    """A share of a run as a float, or an error that says what it must be.

    Args:
        share: 0 < share <= 1.

    Raises:
        TypeError, ValueError: it is none.

    Example:
        >>> from stepsize.search import check_share
        >>> check_share(1)
        1.0
    """
    if not _check.number("share", share, above=0) <= 1:
        raise ValueError(_check.message("share", share, "a share of the run, at most 1"))
    return float(share)


class Recheck:
    """Whether another rate than the one that a run has would do better from here on: which forks, and what follows.

    Forks at the rate and at ten times it come first, on to a hundred times where more is better; else a short run begun
    anew at a tenth of the rate; then the neighbours, half a decade away, and on from them. Forks have one length. It
    ends when the next would cost more than it may.

    Args:
        rate: that the run has, > 0.
        total: steps of the whole run, >= 1.
        left: steps that it still has, >= 1.
        share: of a run that it may cost, never more, 0 < share <= 1.
        forward: what a batch of the score costs, in steps, >= 0.
        most: batches of the score that there are, >= 1; as many as are wanted when left out.
        begun: gives the loss before any training on so many batches of the score; without it nothing is said of the
            run as a whole where its rate is too high, only from here on.
        anew: trains a run begun anew at a rate, with its whole schedule squeezed into so many steps, and gives the loss
            after it on so many batches of the score, none where it diverged: a rate that is too high shows where that
            gets further than the run has come. Nothing is begun anew without it, or without ``begun``.
        suspected: whether the run's record says that its rate is too low.
        curvature: along the updates of the run, as its record has it, >= 0; forks are weighed with it.
        clock: () -> seconds.
        progress: called with (steps done, steps expected, a note for people).

    Raises:
        TypeError, ValueError: an argument is invalid, or the run is too short.

    Example:
        >>> from stepsize.search import Recheck, Tried
        >>> recheck = Recheck(0.01, total=1000, left=700)
        >>> while asks := recheck.ask():
        ...     for ask in asks:  # here a fork is a formula: gradient descent on x ** 2 / 2, from 1 on
        ...         losses = tuple((1 - ask.rate) ** (2 * step) / 2 for step in range(ask.steps + 1))
        ...         recheck.tell(ask, Tried(ask.rate, ask.steps, losses[-1], losses[:-1]))
        >>> 0.3 < recheck.finding.rate < 3
        True
    """

    def __init__(
        self,
        rate: float,
        total: int,
        left: int,
        share: float = SHARE,
        *,
        forward: float = FORWARD,
        most: int | None = None,
        begun: Callable[[int], Sequence[float]] | None = None,
        anew: Callable[[float, int, int], Sequence[float]] | None = None,
        suspected: bool = False,
        curvature: float | None = None,
        clock: Callable[[], float] = time.perf_counter,
        progress: Progress | None = None,
    ) -> None:
        self.rate = _check.number("rate", rate, above=0)
        self.total = _check.whole("total", total, least=1)
        self.left = _check.whole("left", left, least=1)
        share = check_share(share)
        self._forward = _check.number("forward", forward, least=0)
        self.most = None if most is None else _check.whole("most", most, least=1)
        if not isinstance(suspected, bool):
            raise TypeError(_check.message("suspected", suspected, "True or False"))
        self._curvature = None if curvature is None else _check.number("curvature", curvature, least=0)
        for name, function in (("clock", clock), ("progress", progress), ("begun", begun), ("anew", anew)):
            if not callable(function) and (name == "clock" or function is not None):
                raise TypeError(_check.message(name, function, "a function"))
        self.allowed = share * total
        if left < SHORTEST:
            raise ValueError(f"forks take {SHORTEST} steps or more, and {left} are left of the run; begin them earlier")
        self.length = min(left, max(SHORTEST, math.ceil(LENGTH * total)))
        while self.length > SHORTEST and self._cost(LEAST) > self.allowed:
            self.length -= 1
        if self._cost(LEAST) > self.allowed + 1e-9:
            needed = math.ceil(self._cost(LEAST) / share - 1e-9)
            raise ValueError(
                f"{LEAST} forks of {self.length} steps and their scores cost more than {share:.0%} of a run of {total} "
                f"steps; a run of {needed} or more can be verified"
            )
        self.remark, self._begun, self._suspected = "", begun, suspected
        self._anew = anew
        self.anew: Tried | None = None
        self._clock, self._progress, self._began = clock, progress, clock()
        self._told: list[tuple[Ask, ShortRun]] = []
        self._forwards = 0
        self.rung = Rung(self.length, STEP, (math.nan,), believed=True)
        self._asked = Open(self._run(), "fork")

    def ask(self) -> tuple[Ask, ...]:
        """The next forks, by their rates, which may be done in any order; none when it is over."""
        return self._asked.ask()

    def tell(self, ask: Ask, run: ShortRun) -> None:
        """How a fork went that was asked for.

        Args:
            ask: that was asked for.
            run: how it went.

        Raises:
            TypeError: ask or run is none.
            ValueError: it was not asked for, has been told already, or run is of another rate or length.
        """
        self._asked.close(ask, run)
        self._forwards += len(run.probed)
        if not ask.steps:
            self.rung.initial = tuple(run.probed) or (run.score,)
            return
        self._told.append((ask, run))
        if self._progress is not None:
            note = f"rate {ask.rate:.3g}: loss {run.score:.4g} ({ask.steps} steps)"
            self._progress(round(self.spent), max(1, round(self.allowed)), note)

    @property
    def finding(self) -> Finding:
        """The answer: the rate to go on with, which is the run's own where it should be kept.

        Raises:
            RuntimeError: forks are still asked for.
        """
        return self._asked.finding

    @property
    def spent(self) -> float:
        """Steps taken, a batch of the score as a part of one."""
        return self._steps + self._forward * self._forwards

    @property
    def _steps(self) -> int:
        anew = 0 if self.anew is None else self.anew.steps
        return anew + sum(len(run.losses) or ask.steps for ask, run in self._told)

    def _cost(self, forks: int) -> float:
        score = self._forward * self._probe
        return forks * (self.length + score) + 2 * score

    @property
    def _probe(self) -> int:
        return probes(self.length) if self.most is None else min(self.most, probes(self.length))

    def _run(self) -> Generator[list[Ask], None, Finding]:
        yield [Ask(self.rate, 0, self._probe)]
        if not all(map(math.isfinite, self.rung.initial)):
            raise ValueError("the loss is not finite where the forks begin; go back to an earlier checkpoint")
        begun = [] if self._begun is None else list(self._begun(self._probe))
        self._forwards += len(begun)
        yield from self._fork(0.0, 1.0)
        results = self.rung.results
        while (
            self.rung.best == max(results) and max(results) + 1 <= HIGHEST and (yield from self._fork(max(results) + 1))
        ):
            pass
        start = sum(begun) / len(begun) if begun and all(map(math.isfinite, begun)) else None
        best = self.rung.best
        if best <= 0 and start is not None:
            self._begin_anew()
        yield from self._fork(best - STEP, best + STEP)
        while self.rung.best == min(results) and min(results) > LOWEST and (yield from self._fork(min(results) - STEP)):
            pass
        self.begun = start
        anew = None if self.anew is None else self.anew.score
        return self._concluded(judged(self.rung, start, self._suspected, self._curvature, anew))

    def _begin_anew(self) -> None:
        """A short run begun anew at a tenth of the rate, as long as there is room for, if that is as long as a fork."""
        score = self._forward * self._probe
        steps = min(math.ceil(ANEW * self.total), math.floor(self.allowed - self.spent - score + 1e-9))
        if self._anew is None or steps < self.length:
            return
        rate = self.rate * TENTH
        probed = tuple(self._anew(rate, steps, self._probe))
        self._forwards += len(probed)
        mean = sum(probed) / len(probed) if probed else math.inf
        self.anew = Tried(rate, steps, mean if math.isfinite(mean) else math.inf, (), probed)

    def _fork(self, *exponents: float) -> Generator[list[Ask], None, bool]:
        """Forks at factors by exponent, as far as there is room; whether there was any."""
        results, done = self.rung.results, len(self.rung.results)
        room = math.floor((self.allowed - self.spent) / (self.length + self._forward * self._probe) + 1e-9)
        wanted = [exponent for exponent in exponents if exponent not in results and LOWEST <= exponent <= HIGHEST][
            : max(0, room)
        ]
        asks = {exponent: Ask(self.rate * 10.0**exponent, self.length, self._probe) for exponent in wanted}
        if asks:
            yield list(asks.values())
            told = dict(self._told)
            results |= {exponent: told[ask] for exponent, ask in asks.items()}
        return len(results) > done

    def _concluded(self, judgement: Judgement) -> Finding:
        """What the forks come to."""
        self.judgement = judgement
        cost = Cost(self._steps, self._forwards, self.spent / self.total, self._clock() - self._began)
        rates = tuple(self.rate * 10.0**exponent for exponent in sorted(self.rung.results))
        rate = float(f"{self.rate * 10.0**judgement.onward:.3g}") if judgement.onward else self.rate
        words = judgement.verdict + (f"; {self.remark}" if self.remark else "")
        runs = tuple(run for _, run in self._told)
        low, high = (self.rate * 10.0 ** (judgement.onward + side * ON_REACH) for side in (-1, 1))
        stages = (Stage(self.length, rates, judgement.verdict),)
        return Finding(rate, low, high, words, self.rung.start, runs, cost, stages)
