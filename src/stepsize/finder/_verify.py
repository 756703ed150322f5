"""``verify``: would another rate do better from here on? Short forks of the run itself, from a checkpoint."""

import math
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stepsize import _check
from stepsize.diagnosis import SEVERITIES, Symptom
from stepsize.finder._find import live_model
from stepsize.search import Ask, Progress, Recheck, Tried, check_share
from stepsize.state import capture
from stepsize.task import Branches, Probed, Startable, Trial, seed_of

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
        price = f"{len(self.forks)} forks from step {self.step} of {self.steps}, {self.cost:.1%} of a run"
        return f"{answer}: {self.verdict} ({price})"

    def plain(self) -> dict[str, Any]:
        """All of it as plain data; the score of a fork that diverged is None."""
        forks = [{**vars(fork), "score": fork.score if math.isfinite(fork.score) else None} for fork in self.forks]
        return {**vars(self), "keep": self.keep, "forks": forks}

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
        return {**parts, "worth": self.worth, "cost": self.cost}


def _speaks_of_whole(step: int, steps: int) -> bool:
    return EARLY * steps <= step <= LATE * steps


def _rounded(decades: float) -> float:
    return float(f"{10.0**decades:.3g}")


def verify(
    task: Startable,
    folder: Path | str,
    trial: Trial | None = None,
    *,
    lr: float | None = None,
    seed: int | None = None,
    steps: int | None = None,
    share: float = 0.1,
    suspected: bool = False,
    accept_changes: bool = False,
    progress: Progress | None = None,
    **axes: Any,
) -> Verification:
    """Keep a run's rate, or change it by which factor: short forks of the run itself, from its last checkpoint.

    Every fork begins where the checkpoint is, weights, optimizer state, data order and random numbers included, at
    the run's rate times a factor, and has what is left of the schedule squeezed into its steps. Forks see common
    batches and are scored on common ones. Nothing in the folder is changed, and no random generator.

    Args:
        task: the run's.
        folder: of the run, in which ``train(task, ..., folder=folder)`` has kept its checkpoints.
        trial: the run's, instead of rate, seed, steps and axes.
        lr: the run's rate, > 0; needed without a trial.
        seed: the run's; the task's when left out.
        steps: the run's length, >= 1; the task's when left out.
        share: of a run that the forks may cost at most, 0 < share <= 1.
        suspected: whether the run's record says that its rate is too low (``diagnose``): then less will confirm it.
        accept_changes: whether the task may be another than it was, as for ``train``.
        progress: called with (steps done, steps expected, a note for people).
        **axes: what else was set of the run, as for ``train``.

    Raises:
        TypeError, ValueError: an argument is invalid, the folder has no checkpoint from before the run's end, or the
            run is too short for forks.

    Example:
        >>> import tempfile
        >>> from dataclasses import replace
        >>> from stepsize import train, verify
        >>> from stepsize.task import task_named
        >>> task = replace(task_named("digits"), metrics=lambda model: {"validation_loss": 1.0})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = train(task, lr=1e-4, steps=200, folder=folder)
        ...     found = verify(task, folder, lr=1e-4, steps=200)  # it is over: from its best checkpoint, here the first
        >>> found.step, found.onward > 3, found.cost <= 0.1
        (0, True, True)
    """
    if not isinstance(task, Startable):
        raise TypeError(_check.message("task", task, "a task", 'for example task_named("digits")'))
    if not isinstance(folder, str | Path):
        raise TypeError(_check.message("folder", folder, "a run's folder"))
    if not isinstance(accept_changes, bool):
        raise TypeError(_check.message("accept_changes", accept_changes, "True or False"))
    if not isinstance(suspected, bool):
        raise TypeError(_check.message("suspected", suspected, "True or False"))
    if progress is not None and not callable(progress):
        raise TypeError(_check.message("progress", progress, "a function"))
    share = check_share(share)
    trial = _trial_of(task, trial, {"lr": lr, "seed": seed, "steps": steps, **axes})
    with ExitStack() as stack:
        live = live_model(task)
        if live is not None:
            stack.callback(capture(live).restore)
        branches = Branches.of(folder, task, trial, accept_changes)
        begin = task.start(trial)
        race = Recheck(
            float(trial.settings["lr"]),
            branches.total,
            branches.left,
            share,
            begun=begin.probe if isinstance(begin, Probed) else None,
            suspected=suspected,
            progress=progress,
        )
        while asks := race.ask():
            for ask in asks:
                race.tell(ask, _forked(branches, ask, ask.rate / race.rate))
        return Verification.of(race, branches.done, branches.finished)


def _trial_of(task: Startable, trial: Trial | None, said: dict[str, Any]) -> Trial:
    said = {name: value for name, value in said.items() if value is not None}
    if trial is not None:
        if not isinstance(trial, Trial):
            raise TypeError(_check.message("trial", trial, "a Trial"))
        if said:
            raise ValueError(f"trial says all that was set, and {', '.join(said)} came beside it; leave that out")
        return trial
    if "lr" not in said:
        raise TypeError(_check.message("lr", None, "the run's rate"))
    steps, seed = said.pop("steps", task.steps), said.pop("seed", None)
    return Trial.of(task, said, seed_of(task, seed), steps)


def _forked(branches: Branches, ask: Ask, factor: float) -> Tried:
    """How a fork went."""
    run = branches.start(factor, ask.steps or None)
    losses = run.advance(ask.steps) if ask.steps else []
    if len(losses) < ask.steps or (losses and not math.isfinite(losses[-1])):
        return Tried(ask.rate, ask.steps, math.inf, tuple(losses))
    probed = run.probe(ask.probe) if isinstance(run, Probed) else ()
    score = sum(probed) / len(probed) if probed else run.score()
    return Tried(ask.rate, ask.steps, score if math.isfinite(score) else math.inf, tuple(losses), tuple(probed))
