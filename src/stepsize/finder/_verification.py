"""What forks of a run come to: whether its rate should be kept, and what becomes of the findings of its record."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from stepsize.diagnosis import SEVERITIES, Symptom
from stepsize.search import Recheck

HIGH, LOW, BROKE = "rate-too-high", "rate-too-low", "not-finite"
EARLY, LATE = 0.15, 0.6  # of a run: between them a checkpoint says something of a run begun anew, too


@dataclass(frozen=True)
class Fork:
    """A fork of a run.

    Attributes:
        factor: of the run's rate.
        steps: into which what was left of the schedule was squeezed.
        score: the loss at its end, on batches common to all; infinite where it diverged.
    """

    factor: float
    steps: int
    score: float

    def plain(self) -> dict[str, float | None]:
        """All of it as plain data; the score is None where it diverged."""
        return {**vars(self), "score": self.score if math.isfinite(self.score) else None}


@dataclass(frozen=True)
class Verification:
    """The answer of ``verify``: two factors, since a run that is half over needs another than one that is begun anew.

    Attributes:
        factor: what to multiply the rate by in a run that is begun anew; 1 where it should be kept.
        low: the lower and
        high: the upper end of an interval for it.
        onward: what to multiply it by from here on; 1 where it should be kept.
        rate: the run's base rate times the factor.
        best: the factor at which forks ended lowest, between those tried.
        worth: by which share of it the loss at the end of the forks is lower at ``onward``; 0 where that is 1.
        worth_low: the lower and
        worth_high: the upper end of a 95 % interval for that, from the batches that forks are scored on.
        verdict: one sentence.
        step: of the run, at which the forks began.
        steps: of the whole run.
        finished: whether the run has come to its end since; forks then began at its best checkpoint.
        forks: by factor.
        cost: in runs, a loss without its gradient as a third of a step.
        chance: that the rate is off as ``factor`` says, ten times too low or three times too high, by forks and record
            weighed; None where it should be kept, or there was nothing to weigh them with.
        anew: a short run at a tenth of the rate, begun anew with the whole schedule squeezed into it, if there was one.
    """

    factor: float
    low: float
    high: float
    onward: float
    rate: float
    best: float
    worth: float
    worth_low: float
    worth_high: float
    verdict: str
    step: int
    steps: int
    finished: bool
    forks: tuple[Fork, ...]
    cost: float
    chance: float | None = None
    anew: Fork | None = None

    @staticmethod
    def of(race: Recheck, step: int, finished: bool) -> "Verification":
        """What a race that is over comes to.

        Args:
            race: around the run's rate.
            step: of the run, at which its forks began.
            finished: whether the run has come to its end since.
        """
        judgement, cost = race.judgement, race.finding.cost.runs
        away = judgement.away if _speaks_of_whole(step, race.total) else 0.0
        factor = _rounded(away)
        forks = tuple(Fork(10.0**at, race.length, run.score) for at, run in sorted(race.rung.results.items()))
        return Verification(
            factor=factor,
            low=_rounded(away - judgement.reach),
            high=_rounded(away + judgement.reach),
            onward=_rounded(judgement.onward),
            rate=race.rate if factor == 1 else float(f"{race.rate * factor:.3g}"),
            best=_rounded(judgement.best),
            worth=judgement.worth,
            worth_low=judgement.worth - 2 * judgement.error,
            worth_high=judgement.worth + 2 * judgement.error,
            verdict=race.finding.verdict,
            step=step,
            steps=race.total,
            finished=finished,
            forks=forks,
            cost=cost,
            chance=None if factor == 1 else judgement.chance,
            anew=None if race.anew is None else Fork(race.anew.rate / race.rate, race.anew.steps, race.anew.score),
        )

    @property
    def speaks_of_whole(self) -> bool:
        """Whether forks say something of a run begun anew: near its beginning or its end they do not."""
        return _speaks_of_whole(self.step, self.steps)

    @property
    def keep(self) -> bool:
        """Whether the rate should be kept, from here on and anew."""
        return self.factor == 1.0 == self.onward

    def __str__(self) -> str:
        words = [f"rate times {self.factor:.3g} [{self.low:.2g}, {self.high:.2g}]"] * (self.factor != 1)
        if self.onward != 1:
            worth = f"worth {self.worth:.2g} of the loss [{self.worth_low:.2g}, {self.worth_high:.2g}]"
            words.append(f"times {self.onward:.3g} from here on, {worth}")
        elif words:
            words.append("kept from here on")
        if not self.speaks_of_whole:
            end = "beginning" if self.step < EARLY * self.steps else "end"
            words.append(f"too near its {end} to say more of a run begun anew")
        answer = ", ".join(words if self.factor != 1 or self.onward != 1 else ["keep the rate", *words])
        anew = "" if self.anew is None else f", {self.anew.steps} steps begun anew"
        price = f"{len(self.forks)} forks from step {self.step} of {self.steps}{anew}, {self.cost:.1%} of a run"
        return f"{answer}: {self.verdict} ({price})"

    def plain(self) -> dict[str, Any]:
        """All of it as plain data; the score of a fork that diverged is None."""
        anew = None if self.anew is None else self.anew.plain()
        return {**vars(self), "keep": self.keep, "forks": [fork.plain() for fork in self.forks], "anew": anew}

    def findings(self, passive: Iterable[Symptom]) -> tuple[Symptom, ...]:
        """What a record shows, as the forks have confirmed or refuted it, the worst first.

        A rate that forks find off is a finding with their factor, whether the record showed it or not. What the record
        alone says of the rate is then a remark, but where the run broke after the checkpoint; and it stays as it is
        where the checkpoint is near the run's beginning or end.

        Args:
            passive: symptoms of the run, as ``diagnose`` gives them.
        """
        name = None if self.factor == 1 else HIGH if self.factor < 1 else LOW
        passive = tuple(passive)
        if not self.speaks_of_whole:
            return passive
        broke = any(symptom.name == BROKE for symptom in passive)  # after the checkpoint: forks cannot refute that
        found = [self._looked_at(symptom, broke) for symptom in passive if symptom.name != name]
        if name is not None:
            before = next((symptom for symptom in passive if symptom.name == name), None)
            evidence = {**({} if before is None else before.evidence), **self._evidence}
            severity, step = ("warning", self.step) if before is None else (before.severity, before.step)
            found.append(Symptom(name, severity, step, evidence, self._remedy(name), self.factor))
        return tuple(sorted(found, key=lambda symptom: -SEVERITIES.index(symptom.severity)))

    def _looked_at(self, symptom: Symptom, broke: bool) -> Symptom:
        """A symptom of the record, a remark only where forks have refuted it."""
        if symptom.name not in (HIGH, LOW) or broke:
            return symptom
        remedy = f"forks from step {self.step} do not bear it out; the record alone says: {symptom.remedy}"
        return Symptom(symptom.name, "info", symptom.step, symptom.evidence, remedy, None)

    def _remedy(self, name: str) -> str:
        what = "lower" if name == HIGH else "raise"
        now = "keep it from here on" if self.onward == 1 else f"times {self.onward:.2g} from here on"
        return (
            f"{what} the rate to about {self.rate:.3g} in a run begun anew, {now}: forks from step {self.step} say so"
        )

    @property
    def _evidence(self) -> dict[str, float]:
        parts = {"factor_low": self.low, "factor_high": self.high, "onward": self.onward}
        likely = {} if self.chance is None else {"chance": self.chance}
        return {**parts, "worth": self.worth, "cost": self.cost, **likely}


def _speaks_of_whole(step: int, steps: int) -> bool:
    return EARLY * steps <= step <= LATE * steps


def _rounded(decades: float) -> float:
    return float(f"{10.0**decades:.3g}")
