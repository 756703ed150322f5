"""``find``: which rate, by a race of short real runs."""

import inspect
import weakref
from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor, nn

from stepsize import _check
from stepsize.engine import Engine, Result, serial
from stepsize.finder._race import LIVE, Trials, seconds
from stepsize.finder._words import Words
from stepsize.search import Finding, Progress, Race
from stepsize.state import RandomState, capture, own_randomness
from stepsize.task import AXES, LARGEST, Startable, Task, Trial, model_of, seed_of, table_of


def find(
    task: Startable | None = None,
    *args: Any,
    model: nn.Module | Callable[[], nn.Module] | None = None,
    loader: Any = None,
    loss: Callable[..., Tensor] | None = None,
    optimizer: Callable[..., Any] | str | None = None,
    epochs: float | None = None,
    device: str | None = None,
    schedule: Any = None,
    budget: str | int | None = None,
    low: float = 1e-6,
    high: float = 100.0,
    seed: int | None = None,
    steps: int | None = None,
    settle: bool = False,
    engine: Engine = serial,
    on_result: Callable[[Result], None] | None = None,
    progress: Progress | None = None,
    **axes: Any,
) -> Finding:
    """Find a learning rate by a handful of short real runs with the schedule that will be used.

    Rates a decade apart are trained for a 50th of the budget, three half a decade apart for a 25th, and two around the
    best of these for a quarter, or three for a sixth from 1.5 runs on. Every run starts from the same weights and sees
    the same batches, and is scored on the same fresh ones. Where the best is at the border the race walks on, as far as
    low and high allow; where nothing was learnt the runs get longer. The answer is the vertex of a parabola, a little
    lower where runs break or the last ones were far from a whole one, since too high costs more than too low.

    Where the task's ``model`` gives one live object each time, it is put back before each run and at the end, and the
    verdict says so; then runs are trained one after the other.

    Args:
        task: a built-in task or your own; or else model, loader, optimizer and steps or epochs, by name.
        args: none; further arguments are given by name.
        model: to be trained, or a function without arguments that makes one; neither it nor the loader is changed. This
            and the next words are those of ``Task.of``, and without a task.
        loader: a DataLoader, a list of batches, or anything else that gives its batches anew each time.
        loss: of (outputs, targets) or of (model, batch); none for a model that returns an output with a loss.
        optimizer: (parameters, lr) -> the optimizer; with a task, the text of one instead of the task's.
        epochs: length of the run in passes over the loader, > 0, instead of steps.
        device: where to train; where the model is, when left out.
        schedule: of the whole run, squeezed into the short ones; the task's when left out, which is
            ``warmup(5%) >> cosine()`` unless it says another.
        budget: what to spend, about: ``"0.3x"``, ``"1x"``, ``"2x"`` of a training run, a number of steps >= 1, or a
            time (``"90s"``, ``"10min"``, ``"1h"``); one training run, but at most 600 steps, when left out. A task that
            learns nothing in its first steps takes more, but never more than four times as much, or 100 steps where
            that is more; a loss without its gradient counts as a third of a step.
        low: the lowest rate to try, > 0.
        high: the highest rate to try, > low.
        seed: of weights and data order, 0 <= seed < 2**32; the task's, which is 0 unless it says another, when left
            out.
        steps: length of the run the rate is for, >= 1; the task's when left out.
        settle: whether longer runs follow where the answer is not to be trusted (``finding.doubts``), four times as
            long each time, until it is or they are whole: three at first, six whole runs at most.
        engine: how trials get done.
        on_result: called with each result as it comes.
        progress: called with (steps done, steps expected, a note for people).
        **axes: further settings of every run, as those of a ``Trial``: ``clip``, ``batch_size``,
            ``weight_decay``, ``momentum``, ``warmup``.

    Raises:
        TypeError, ValueError: an argument is invalid.

    Example:
        >>> from stepsize import find
        >>> from stepsize.task import task_named
        >>> finding = find(task_named("digits"), steps=100)
        >>> 0.01 < finding.rate < 1
        True
    """
    check_task(task, args)
    for axis in axes if task is None else ():
        if axis not in AXES:
            raise _no_argument(axis, AXES)
    words = Words(model, loader, loss, optimizer, steps, epochs, schedule, device)
    with words.lent():
        task, own = words.task_or(task)
        return _raced(
            task, seed_of(task, seed), steps, budget, low, high, settle, engine, on_result, progress, {**own, **axes}
        )


def _no_argument(name: str, axes: Iterable[str]) -> TypeError:
    """The remedy for an unknown argument: those like it."""
    own = [parameter for parameter in inspect.signature(find).parameters if parameter not in ("task", "args", "axes")]
    return TypeError(f"find has no argument {name!r}; {_check.closest(name, dict.fromkeys([*own, *axes]))}")


def _raced(
    task: Startable,
    seed: int,
    steps: int | None,
    budget: str | int | None,
    low: float,
    high: float,
    settle: bool,
    engine: Engine,
    on_result: Callable[[Result], None] | None,
    progress: Progress | None,
    axes: dict[str, Any],
) -> Finding:
    """The result of a race of a task's rates; all arguments are checked before any training."""
    settings, total = checked(task, seed, steps, engine, axes)
    low, high = check_range(low, high)
    race = Race(total, low, high, budget, clock=seconds, settle=settle, progress=progress)
    if on_result is not None and not callable(on_result):
        raise TypeError(_check.message("on_result", on_result, "a function"))
    live = live_model(task)
    kept = None if live is None else capture(live)
    race.remark = "" if kept is None else LIVE
    return Trials(task, settings, seed, engine, kept, on_result).run(race)


def check_task(task: object, args: tuple[object, ...]) -> None:
    """Raise TypeError, with the way, where a model, its batches and its loss are given instead of a task.

    Args:
        task: what was given for it.
        args: what was given after it.
    """
    if isinstance(task, nn.Module) or args:
        kinds = ", ".join(type(value).__name__ for value in (task, *args))
        raise TypeError(
            f"find takes one task and options by name, got {kinds}; write find(model=..., loader=..., loss=..., "
            "optimizer=..., steps=...), or find(Task(...)), or use RateSearch in your own loop"
        )


def live_model(task: Startable) -> nn.Module | None:
    """The model of a task that gives the same object each time, if it is such a task.

    Args:
        task: a built-in task or your own.
    """
    if not isinstance(task, Task):
        return None
    with own_randomness(RandomState.seeded(0)):
        held = weakref.ref(model_of(task))
        return held() if held() is not None and held() is model_of(task) else None


def checked(
    task: Startable, seed: int, steps: int | None, engine: Engine, axes: dict[str, Any]
) -> tuple[dict[str, Any], int]:
    """Canonical settings and the steps of a whole run, or an error, before anything is trained.

    Args:
        task: a built-in task or your own.
        seed: of weights and data order, 0 <= seed < 2**32.
        steps: length of the run the rate is for, >= 1; the task's when left out.
        engine: how trials get done.
        axes: settings of every run; those that are None are left out.

    Raises:
        TypeError, ValueError: an argument is invalid.
    """
    if not isinstance(task, Startable):
        raise TypeError(_check.message("task", task, "a task", 'for example task_named("digits")'))
    if not callable(engine):
        raise TypeError(_check.message("engine", engine, "an engine", "for example stepsize.engine.serial"))
    total = task.steps if steps is None else _check.whole("steps", steps, least=1)
    takes = tuple(axis for axis in table_of(task) if axis != "lr")
    for axis in axes:
        if axis not in (*AXES, *takes) or axis == "lr":
            raise _no_argument(axis, takes)
    settings = {axis: value for axis, value in axes.items() if value is not None}
    if settings.get("guard", "off") not in ("off", False):
        rule = "left out: rates are compared without one, which would hide that they are too high"
        raise ValueError(_check.message("guard", settings["guard"], rule, "give it to train, or to stepsize tune"))
    if "guard" in takes and isinstance(task, Task) and task.recipe.guard is not None:
        settings["guard"] = "off"
    return dict(Trial.of(task, settings, seed, total).settings), total


def check_range(low: float, high: float) -> tuple[float, float]:
    """The range of rates as floats, or an error that says which bound is off.

    Args:
        low: the lowest rate, > 0.
        high: the highest rate, > low.

    Raises:
        TypeError, ValueError: an argument is invalid.

    Example:
        >>> from stepsize.finder import check_range
        >>> check_range(1e-3, 1)
        (0.001, 1.0)
    """
    low = _check.number("low", low, above=0)
    high = _check.number("high", high, above=low, remedy="rates are tried from low to high")
    if high > LARGEST:
        raise ValueError(_check.message("high", high, f"at most {LARGEST:g}"))
    return low, high
