"""Training one trial to its end, watched and measured; Ctrl-C stops after a step and loses nothing."""

import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from stepsize import _check
from stepsize.control import Bus, Commands, Observer
from stepsize.task._axes import AXES, table_of
from stepsize.task._checkpoint import Checkpoints
from stepsize.task._contract import Startable, Steered, Trial, seed_of
from stepsize.task._distributed import locked_by_first
from stepsize.task._faces import Paced
from stepsize.task._loop import Loop, Often
from stepsize.task._pause import pause_of
from stepsize.task._seldom import is_open
from stepsize.task._sources import optimizer_of_run, sources_of
from stepsize.task._suspicion import Suspicion, Verify, control_of
from stepsize.task._trained import Trained, TrainingInterrupted

LOOP = ("validate", "checkpoint", "diagnose", "stop")  # what commands may want of the loop of ``train``


def train(
    task: Startable,
    trial: Trial | None = None,
    *,
    lr: float | None = None,
    seed: int | None = None,
    steps: int | None = None,
    watch: Iterable[Observer] = (),
    evaluate_every: int | None = None,
    folder: Path | str | None = None,
    resume: bool = False,
    accept_changes: bool = False,
    save_every: float = 60.0,
    verify: Verify | None = None,
    apply: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
    **axes: Any,
) -> Trained:
    """Train a task to its end at a rate, under control.

    With a folder, the run can be steered from it, by ``Steer(folder)`` or ``stepsize steer FOLDER``;
    ``last.pt`` is written at every validation, and ``best.pt`` when the validation loss is the lowest
    so far. Killed at any moment, ``train`` with ``resume=True`` goes on from the last one, and on a CPU the end is that
    of an uninterrupted run, bit for bit.

    Args:
        task: a built-in task or your own.
        trial: what is trained of it, instead of rate, seed, steps and axes.
        lr: the rate, > 0; needed without a trial.
        seed: of weights, data order and everything drawn, 0 <= seed < 2**32; the task's when left out.
        steps: length of the run, >= 1; the task's when left out.
        watch: observers; they see each step and each validation.
        evaluate_every: steps from one validation to the next, >= 1; the task's when left out, or else a twentieth
            of the run, but at least 10, or more where validations on the way would take more than a fifth of the time
            (and more than two seconds), which is settled at the first and said in ``remark``. What is validated does
            not change what is trained; where feedback looks at something, nothing is left out.
        folder: where checkpoints are kept; nowhere when left out.
        resume: whether to go on from the folder's last checkpoint. A task whose code or optimizer is no longer what
            it was is refused; of the program that is run itself, only the task's functions are compared.
        accept_changes: whether to go on with such a task as it is now, its optimizer's settings included, which is
            said in a ``TaskChangedWarning``. Another class of optimizer is refused all the same.
        save_every: seconds after which ``last.pt`` is written also between validations, > 0.
        verify: the function ``stepsize.verify``: at a quarter of the run, if its record is suspicious, short forks from
            there try other rates, for a tenth of a run at most. What they say is an event and stands in ``verified``;
            the run goes on as it would have. It needs a folder; the record is what ``JsonLines`` writes there, or
            the losses alone.
        apply: whether to go on at the rate that forks prefer, as ``Control.scale`` does.
        progress: called with (steps done, steps, a note for people) where something else than a step takes time.
        **axes: what else is set, as the settings of a ``Trial``: ``schedule``, ``clip``, ``batch_size``,
            ``optimizer``, ``warmup``, ``momentum``, ``weight_decay``, ``guard`` (True, a guard, its text), and axes of
            the task's own.

    Raises:
        TypeError, ValueError: an argument is invalid, the folder's checkpoint cannot be used, or another process
            trains in the folder.
        TrainingInterrupted: Ctrl-C; it carries what was trained.

    Example:
        >>> from stepsize import train
        >>> from stepsize.task import task_named
        >>> trained = train(task_named("digits"), lr=0.1, steps=20)
        >>> trained.steps, 0.1 < trained.metrics["accuracy"] <= 1
        (20, True)
    """
    if not isinstance(task, Startable):
        raise TypeError(_check.message("task", task, "a task", 'for example task_named("digits")'))
    trial = _trial(task, trial, lr, seed, steps, axes)
    size = trial.settings.get("batch_size")
    pause = task.pause(trial.steps, size) if isinstance(task, Paced) else pause_of(None, trial.steps, None)
    pause = pause if evaluate_every is None else _check.whole("evaluate_every", evaluate_every, least=1)
    if not isinstance(resume, bool):
        raise TypeError(_check.message("resume", resume, "True or False"))
    if resume and folder is None:
        raise ValueError("resume goes on from a folder's last checkpoint, and no folder was given; give folder=")
    if not isinstance(accept_changes, bool):
        raise TypeError(_check.message("accept_changes", accept_changes, "True or False"))
    save_every = _check.number("save_every", save_every, above=0)
    if progress is not None and not callable(progress):
        raise TypeError(_check.message("progress", progress, "a function"))
    suspicion = _suspicion(verify, apply, folder, task, trial)
    about = {"task": task.name, "settings": dict(trial.settings), "seed": trial.seed, "steps": trial.steps}
    bus = Bus(watch, about)
    often = Often(pause, is_open(task, evaluate_every), progress)
    if folder is None:
        return _announced(bus, lambda: Loop(task.start(trial, watch=bus), trial, often, None, resume, save_every, bus))
    checkpoints = Checkpoints(folder, trial, bus, accept_changes)
    commands = Commands(folder, verbs=LOOP)

    def begun() -> Loop:
        if not resume:
            checkpoints.check_free()
        run = task.start(trial, watch=bus)
        checkpoints.made_of = {**sources_of(task), **optimizer_of_run(run)}
        if suspicion is not None:
            control_of(run)
        if isinstance(run, Steered):
            run.steer_by(commands)
        return Loop(run, trial, often, checkpoints, resume, save_every, bus, suspicion)

    with locked_by_first(folder):
        try:
            return _announced(bus, begun)
        finally:
            commands.close()


def _suspicion(
    verify: Verify | None, apply: bool, folder: Path | str | None, task: Startable, trial: Trial
) -> Suspicion | None:
    """What verifies the rate on the way, if it is asked for."""
    if not isinstance(apply, bool):
        raise TypeError(_check.message("apply", apply, "True or False"))
    if verify is None:
        if apply:
            raise ValueError("apply goes on at the rate that verify says, and verify was not given; give verify=verify")
        return None
    if not callable(verify):
        raise TypeError(_check.message("verify", verify, "the function stepsize.verify"))
    if folder is None:
        raise ValueError("verify begins forks at a folder's checkpoint, and no folder was given; give folder=")
    return Suspicion(verify, apply, task, trial)


def _trial(
    task: Startable, trial: Trial | None, lr: float | None, seed: int | None, steps: int | None, axes: dict[str, Any]
) -> Trial:
    """The trial that is meant, by itself or by its parts."""
    for name in axes:
        if name not in (*AXES, *table_of(task)):
            raise TypeError(f"train has no argument {name!r}; {_check.closest(name, [*KEYWORDS, *table_of(task)])}")
    facts = {
        name: value for name, value in {"lr": lr, "seed": seed, "steps": steps, **axes}.items() if value is not None
    }
    if trial is None:
        if lr is None:
            raise TypeError(_check.message("lr", lr, "the rate", "`find` finds one"))
        settings = {name: value for name, value in facts.items() if name not in ("seed", "steps")}
        return Trial.of(task, settings, seed_of(task, seed), task.steps if steps is None else steps)
    if not isinstance(trial, Trial):
        raise TypeError(_check.message("trial", trial, "a Trial", "give rates and axes by name: train(task, lr=0.1)"))
    if facts:
        raise ValueError(f"trial says all that is set, and {', '.join(facts)} came beside it; leave that out")
    return trial


KEYWORDS = tuple(inspect.signature(train).parameters)[2:-1]


def _announced(bus: Bus, begun: Callable[[], Loop]) -> Trained:
    """Train to the end, and tell observers what that was."""
    try:
        training = begun()  # kept here, since a control that is dropped tells its end itself
        trained = training.to_end()
    except TrainingInterrupted:
        bus.end("interrupted")
        raise
    except BaseException as error:
        bus.end(f"failed: {type(error).__name__}")
        raise
    bus.end("diverged" if trained.diverged else "finished")
    return trained
