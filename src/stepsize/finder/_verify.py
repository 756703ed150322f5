"""``verify``: would another rate do better from here on? Short forks of the run itself, from a checkpoint."""

import math
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stepsize import _check
from stepsize.diagnosis import Symptom
from stepsize.finder._find import live_model
from stepsize.search import Ask, Finding, Progress, Recheck, Tried
from stepsize.state import capture
from stepsize.task import Branches, Probed, Startable, Trial, seed_of

HIGH, LOW = "rate-too-high", "rate-too-low"
ABOUT_THE_RATE = (HIGH, LOW)


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
    """The answer of ``verify``.

    Attributes:
        factor: what to multiply the rate by; 1 where it should be kept.
        low: the lower and
        high: the upper end of an interval for the factor that is best from here on.
        rate: the run's base rate times the factor.
        worth: by which share of it the loss at the end of the forks is lower; 0 where the rate should be kept.
        worth_low: the lower and
        worth_high: the upper end of an interval for that, from the batches that forks are scored on.
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
    rate: float
    worth: float
    worth_low: float
    worth_high: float
    verdict: str
    step: int
    steps: int
    finished: bool
    forks: tuple[Fork, ...]
    cost: float

    @property
    def keep(self) -> bool:
        """Whether the rate should be kept."""
        return self.factor == 1.0

    def __str__(self) -> str:
        answer = "keep the rate" if self.keep else f"rate times {self.factor:.3g}, [{self.low:.2g}, {self.high:.2g}]"
        lower = f", worth {self.worth:.1%} of the loss [{self.worth_low:.1%}, {self.worth_high:.1%}]"
        price = f"{len(self.forks)} forks from step {self.step} of {self.steps}, {self.cost:.1%} of a run"
        return f"{answer}{'' if self.keep else lower}: {self.verdict} ({price})"

    def plain(self) -> dict[str, Any]:
        """All of it as plain data; the score of a fork that diverged is None."""
        forks = [{**vars(fork), "score": fork.score if math.isfinite(fork.score) else None} for fork in self.forks]
        return {**vars(self), "keep": self.keep, "forks": forks}

    def findings(self, passive: tuple[Symptom, ...]) -> tuple[Symptom, ...]:
        """What a record says, as the forks have confirmed or refuted it, the worst first.

        A rate that forks find off is a finding with their factor, whether the record showed it or not. One that they do
        not find off is a remark only.

        Args:
            passive: symptoms of the run, as ``diagnose`` gives them.
        """
        name = None if self.keep else HIGH if self.factor < 1 else LOW
        others = [symptom for symptom in passive if symptom.name not in ABOUT_THE_RATE]
        found = []
        for symptom in passive:
            if symptom.name in ABOUT_THE_RATE and symptom.name != name:
                remedy = f"{self._refuted}; the record alone says: {symptom.remedy}"
                found.append(Symptom(symptom.name, "info", symptom.step, symptom.evidence, remedy, None))
        if name is not None:
            before = next((symptom for symptom in passive if symptom.name == name), None)
            severity = "warning" if before is None else before.severity
            step = self.step if before is None else before.step
            evidence = {**({} if before is None else before.evidence), **self._evidence}
            others.append(Symptom(name, severity, step, evidence, self._remedy, self.factor))
        order = ("error", "warning", "info")
        return tuple(sorted([*others, *found], key=lambda symptom: order.index(symptom.severity)))

    @property
    def _remedy(self) -> str:
        what = "lower" if self.factor < 1 else "raise"
        return f"{what} the rate to about {self.rate:.3g}: forks of the run from step {self.step} end lower there"

    @property
    def _refuted(self) -> str:
        return f"forks of the run from step {self.step} do not end lower at another rate of that kind"

    @property
    def _evidence(self) -> Mapping[str, float]:
        return {"factor_low": self.low, "factor_high": self.high, "worth": self.worth, "cost": self.cost}


def verify(
    task: Startable,
    folder: Path | str,
    trial: Trial | None = None,
    *,
    lr: float | None = None,
    seed: int | None = None,
    steps: int | None = None,
    share: float = 0.1,
    accept_changes: bool = False,
    progress: Progress | None = None,
    **axes: Any,
) -> Verification:
    """Keep a run's rate, or change it by which factor: short forks of the run itself, from its last checkpoint.

    Every fork begins where the checkpoint is, weights, optimizer state, data order and random numbers included, at
    the run's rate times a factor, and has what is left of the schedule squeezed into its steps. Forks see common batches
    and are scored on common ones. Nothing in the folder is changed, and no random generator.

    Args:
        task: the run's.
        folder: of the run, in which ``train(task, ..., folder=folder)`` has kept its checkpoints.
        trial: the run's, instead of rate, seed, steps and axes.
        lr: the run's rate, > 0; needed without a trial.
        seed: the run's; the task's when left out.
        steps: the run's length, >= 1; the task's when left out.
        share: of a run that the forks may cost at most, 0 < share <= 1.
        accept_changes: whether the task may be another than it was, as for ``train``.
        progress: called with (steps done, steps expected, a note for people).
        **axes: what else was set of the run, as for ``train``.

    Raises:
        TypeError, ValueError: an argument is invalid, the folder has no checkpoint from before the run's end, or the
            run is too short for forks.

    Example:
        >>> import tempfile
        >>> from stepsize import Steer, train, verify
        >>> from stepsize.task import task_named
        >>> task = task_named("digits")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Steer(folder).stop()  # as Ctrl-C does
        ...     try:
        ...         _ = train(task, lr=1e-4, folder=folder)
        ...     except KeyboardInterrupt:
        ...         pass
        ...     verify(task, folder, lr=1e-4).factor >= 10
        True
    """
    if not isinstance(task, Startable):
        raise TypeError(_check.message("task", task, "a task", 'for example task_named("digits")'))
    if not isinstance(folder, str | Path):
        raise TypeError(_check.message("folder", folder, "a run's folder"))
    if not isinstance(accept_changes, bool):
        raise TypeError(_check.message("accept_changes", accept_changes, "True or False"))
    trial = _trial_of(task, trial, {"lr": lr, "seed": seed, "steps": steps, **axes})
    with ExitStack() as stack:
        live = live_model(task)
        if live is not None:
            stack.callback(capture(live).restore)
        branches = Branches.of(folder, task, trial, accept_changes)
        race = Recheck(
            float(trial.settings["lr"]), branches.total, branches.left, share, progress=progress
        )
        while asks := race.ask():
            for ask in asks:
                race.tell(ask, _forked(branches, ask, ask.rate / race.rate))
        return _answered(race, branches, race.finding)


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


def _answered(race: Recheck, branches: Branches, finding: Finding) -> Verification:
    judged = race.judged
    forks = tuple(
        Fork(10.0**exponent, race.length, run.score) for exponent, run in sorted(race.rung.results.items())
    )
    return Verification(
        factor=1.0 if judged.keep else float(f"{10.0**judged.exponent:.3g}"),
        low=10.0**judged.low,
        high=10.0**judged.high,
        rate=finding.rate if finding.rate is not None else race.rate,
        worth=judged.worth,
        worth_low=judged.worth_low,
        worth_high=judged.worth_high,
        verdict=finding.verdict,
        step=branches.done,
        steps=branches.total,
        finished=branches.finished,
        forks=forks,
        cost=finding.cost.runs,
    )
