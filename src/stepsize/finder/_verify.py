"""``verify``: would another rate do better from here on? Short forks of the run itself, from a checkpoint."""

import math
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from stepsize import _check
from stepsize.finder._find import live_model
from stepsize.finder._recorded import curvature_in
from stepsize.finder._verification import Verification
from stepsize.search import Ask, Progress, Recheck, Tried, check_share
from stepsize.state import capture
from stepsize.task import Branches, Probed, Startable, Trial, seed_of


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
        begin = task.start(trial)
        race = Recheck(
            float(trial.settings["lr"]),
            branches.total,
            branches.left,
            share,
            begun=begin.probe if isinstance(begin, Probed) else None,
            anew=(lambda rate, steps, count: _begun_anew(branches, rate / trial.settings["lr"], steps, count)),
            suspected=suspected,
            curvature=curvature_in(Path(folder), branches.done),
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


def _begun_anew(branches: Branches, factor: float, steps: int, count: int) -> tuple[float, ...]:
    """The loss on so many batches after a short run begun anew; none where it diverged."""
    run = branches.anew(factor, steps)
    losses = run.advance(steps)
    if len(losses) < steps or not math.isfinite(losses[-1]):
        return ()
    return tuple(run.probe(count)) if isinstance(run, Probed) else (run.score(),)


def _forked(branches: Branches, ask: Ask, factor: float) -> Tried:
    """How a fork went."""
    run = branches.start(factor, ask.steps or None)
    losses = run.advance(ask.steps) if ask.steps else []
    if len(losses) < ask.steps or (losses and not math.isfinite(losses[-1])):
        return Tried(ask.rate, ask.steps, math.inf, tuple(losses))
    probed = run.probe(ask.probe) if isinstance(run, Probed) else ()
    score = sum(probed) / len(probed) if probed else run.score()
    return Tried(ask.rate, ask.steps, score if math.isfinite(score) else math.inf, tuple(losses), tuple(probed))
