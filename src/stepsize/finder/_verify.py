"""``verify``: would another rate do better from here on? Short forks of the run itself, from a checkpoint."""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from stepsize import _check
from stepsize.finder._find import live_model
from stepsize.finder._recorded import curvature_in
from stepsize.finder._verification import Verification
from stepsize.search import Ask, Progress, Recheck, Tried, check_share
from stepsize.state import capture
from stepsize.task import Branches, Probed, Startable, Training, Trial, seed_of

SELDOM = 0.2  # seconds, about, from one report of how far a fork is to the next


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
    batches and are scored on common ones. Where no higher rate ends lower, a short run is begun anew at a tenth of the
    rate: one that gets further than the run has come says that its rate is too high. Where the folder's record has the
    curvature along the updates, a rate that is too low is told by that and forks together. Nothing in the folder is
    changed, and no random generator.

    Args:
        task: the run's.
        folder: of the run, in which ``train(task, ..., folder=folder)`` has kept its checkpoints.
        trial: the run's, instead of rate, seed, steps and axes.
        lr: the run's rate, > 0; needed without a trial.
        seed: the run's; the task's when left out.
        steps: the run's length, >= 1; the task's when left out.
        share: of a run that the forks may cost at most, 0 < share <= 1.
        suspected: whether the run's record says that its rate is too low (``diagnose``): then less will confirm it.
            Nothing comes of it where the folder has the record itself, with its curvature: that is weighed with forks.
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
        race = Recheck(
            float(trial.settings["lr"]),
            branches.total,
            branches.left,
            share,
            begun=lambda count: _begun(task, trial, count),
            anew=lambda rate, steps, count: _begun_anew(branches, rate, steps, count, tell),
            suspected=suspected,
            curvature=curvature_in(Path(folder), branches.done),
            progress=progress,
        )
        tell = _told(progress, race)
        while asks := race.ask():
            for ask in asks:
                race.tell(ask, _forked(branches, ask, ask.rate / race.rate, tell))
        return Verification.of(race, branches.done, branches.finished)


def _begun(task: Startable, trial: Trial, count: int) -> tuple[float, ...]:
    """The loss before any training on so many batches of the score; none of a task that cannot be probed."""
    run = task.start(trial)
    return run.probe(count) if isinstance(run, Probed) else ()


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


def _told(progress: Progress | None, race: Recheck) -> Callable[[int, float], None]:
    """Tell how far a short run is, which may take long; what is raised at that ends it."""

    def tell(steps: int, rate: float) -> None:
        if progress is not None:
            progress(round(race.spent) + steps, max(1, round(race.allowed)), f"rate {rate:.3g}, step {steps}")

    return tell


def _begun_anew(
    branches: Branches, rate: float, steps: int, count: int, tell: Callable[[int, float], None]
) -> tuple[float, ...]:
    """The loss on so many batches after a short run begun anew; none where it diverged."""
    run = branches.anew(rate / branches.trial.settings["lr"], steps)
    if not _is_whole(_advanced(run, steps, rate, tell), steps):
        return ()
    return tuple(run.probe(count)) if isinstance(run, Probed) else (run.score(),)


def _forked(branches: Branches, ask: Ask, factor: float, tell: Callable[[int, float], None]) -> Tried:
    """How a fork went."""
    run = branches.start(factor, ask.steps or None)
    losses = tuple(_advanced(run, ask.steps, ask.rate, tell))
    if not _is_whole(losses, ask.steps):
        return Tried(ask.rate, ask.steps, math.inf, losses)
    probed = run.probe(ask.probe) if isinstance(run, Probed) else ()
    score = sum(probed) / len(probed) if probed else run.score()
    return Tried(ask.rate, ask.steps, score if math.isfinite(score) else math.inf, losses, tuple(probed))


def _advanced(run: Training, steps: int, rate: float, tell: Callable[[int, float], None]) -> list[float]:
    """The losses of a short run, which ends where they break; long ones tell how far they are."""
    losses: list[float] = []
    chunk, told = 1, time.perf_counter()
    while len(losses) < steps and _is_whole(losses, len(losses)):
        wanted = min(chunk, steps - len(losses))
        new = run.advance(wanted)
        losses += new
        if len(new) < wanted:
            break
        if time.perf_counter() - told > SELDOM:
            tell(len(losses), rate)
            told = time.perf_counter()
        else:
            chunk *= 2
    return losses


def _is_whole(losses: Sequence[float], steps: int) -> bool:
    """Whether a short run came to its end."""
    return len(losses) == steps and (not losses or math.isfinite(losses[-1]))
