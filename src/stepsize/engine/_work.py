"""The work of engines: trials, or legs of trials, and their results."""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from stepsize import _check, _schema
from stepsize.task import Probed, Startable, Training, Trial, has_ended, read_state, save_state

CHUNK = 25  # steps between two looks at whether the loss is still finite


@dataclass(frozen=True)
class Leg:
    """A trial up to a step, to go on from there later or not.

    Args:
        trial: what is trained.
        until: the step to stop before, 0 <= until <= trial.steps; 0 only measures the start.
        keep: a file in which the run's state waits for the next leg: read if it is there, written at the leg's end
            unless that is the trial's, and removed then. None to begin at the trial's start and keep nothing.
        metrics: whether validation figures are measured at the leg's end.
        probe: score on so many training batches drawn anew, in eval mode, the same for all trials of a seed, instead of
            on the task's set; 0 for that. Runs that have no ``probe`` score as ever.

    Raises:
        TypeError, ValueError: an argument is invalid.

    Example:
        >>> from stepsize import Trial
        >>> from stepsize.engine import Leg
        >>> Leg(Trial("digits", {"lr": 0.1}, steps=40), until=10).until
        10
    """

    trial: Trial
    until: int
    keep: Path | None = None
    metrics: bool = True
    probe: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.trial, Trial):
            raise TypeError(_check.message("trial", self.trial, "a trial"))
        until = _check.whole("until", self.until, least=0)
        if until > self.trial.steps:
            raise ValueError(_check.message("until", until, f"at most the trial's {self.trial.steps} steps"))
        if not isinstance(self.keep, Path | None):
            raise TypeError(_check.message("keep", self.keep, "a pathlib.Path"))
        if not isinstance(self.metrics, bool):
            raise TypeError(_check.message("metrics", self.metrics, "True or False"))
        _check.whole("probe", self.probe, least=0)


@dataclass(frozen=True)
class Result:
    """A trial that was trained to its end, or to the end of its leg.

    Attributes:
        trial: what was trained.
        score: loss on the task's fixed set of training data, lower is better; infinite when training diverged.
        losses: training loss of each step done, from the trial's start.
        metrics: validation figures by name; empty when training diverged or they were not asked for.
        seconds: wall-clock time, over all legs.
        engine: the name of the engine that did it.
        threads: how many CPU threads it had.
        probed: the loss on each batch of the probe, whose mean is the score; empty where there was none.
    """

    trial: Trial
    score: float
    losses: tuple[float, ...]
    metrics: dict[str, float]
    seconds: float
    engine: str
    threads: int = 1
    probed: tuple[float, ...] = ()

    @property
    def rate(self) -> float | None:
        """The rate it was trained at; None where the trial has none."""
        return self.trial.settings.get("lr")

    @property
    def steps(self) -> int:
        """Of the whole trial."""
        return self.trial.steps

    @property
    def diverged(self) -> bool:
        """Whether the training loss or the score was not finite."""
        return not math.isfinite(self.score)


Engine = Callable[[Startable, Iterable[Trial | Leg]], Iterator[Result]]


def done(task: Startable, work: Trial | Leg, engine: str) -> Result:
    """Train a trial, or a leg of one, in this process and thread.

    Args:
        task: whose trial it is.
        work: the trial or leg.
        engine: the name for the result.
    """
    leg = leg_of(work)
    began = time.perf_counter()
    run = task.start(leg.trial)
    losses, before = resumed(run, leg)
    while len(losses) < leg.until and not has_ended(run, losses):
        losses += run.advance(min(CHUNK, leg.until - len(losses)))
    return concluded(run, leg, losses, before + time.perf_counter() - began, engine)


def leg_of(work: Trial | Leg) -> Leg:
    """A trial as the leg that is all of it; a leg itself.

    Args:
        work: the trial or leg.
    """
    return work if isinstance(work, Leg) else Leg(work, work.steps)


def concluded(run: Training, leg: Leg, losses: list[float], seconds: float, engine: str) -> Result:
    """The result of a finished leg: its scores, and its state kept where it will go on.

    Args:
        run: at the leg's end, unless its loss is no longer finite.
        leg: that it did.
        losses: of each step.
        seconds: that its steps took.
        engine: the name for the result.
    """
    began = time.perf_counter()
    alive = not has_ended(run, losses)
    probed = run.probe(leg.probe) if leg.probe and alive and isinstance(run, Probed) else ()
    score = (sum(probed) / len(probed) if probed else run.score()) if alive else math.inf
    score = score if math.isfinite(score) else math.inf
    metrics = run.metrics() if leg.metrics and math.isfinite(score) else {}
    seconds += time.perf_counter() - began
    _keep(run, leg, losses, seconds, over=not math.isfinite(score) or leg.until == leg.trial.steps)
    return Result(leg.trial, score, tuple(losses), metrics, seconds, engine, torch.get_num_threads(), probed)


def resumed(run: Training, leg: Leg) -> tuple[list[float], float]:
    """Losses and seconds of the legs before, the run put where they ended."""
    if leg.keep is None or not leg.keep.exists():
        return [], 0.0
    kept = read_state(leg.keep)
    KEPT(str(leg.keep), kept)
    if kept["trial"] != leg.trial.key or len(kept["losses"]) > leg.until:
        raise ValueError(f"{leg.keep} is not of an earlier leg of this trial; remove it to train the trial again")
    run.load_state(kept["run"])
    return kept["losses"].tolist(), kept["seconds"]


KEPT = _schema.record(
    {
        "trial": _schema.text,
        "losses": _schema.of_type(torch.Tensor, "a tensor"),
        "seconds": _schema.finite(least=0),
        "run": _schema.of_type(dict, "a mapping"),
    }
)


def _keep(run: Training, leg: Leg, losses: list[float], seconds: float, *, over: bool) -> None:
    if leg.keep is None:
        return
    if over:
        leg.keep.unlink(missing_ok=True)
        return
    leg.keep.parent.mkdir(parents=True, exist_ok=True)
    state = {"trial": leg.trial.key, "losses": torch.tensor(losses, dtype=torch.float64), "seconds": seconds}
    save_state(leg.keep, {**state, "run": run.state()})
