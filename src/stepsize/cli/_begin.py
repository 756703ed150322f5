"""From the words of a command line to a job."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from stepsize import _check
from stepsize.cli._job import Job
from stepsize.cli._options import ScaleRate
from stepsize.cli._screen import Screen
from stepsize.cli._words import settings_of
from stepsize.engine import Engine, Ray, engine_named, serial
from stepsize.scale import Rescaled, linear_rule, square_root_rule
from stepsize.task import (
    Ranks,
    Startable,
    Task,
    Trial,
    check_size,
    check_verifiable,
    full_name,
    prepare,
    ranks,
    seed_of,
    table_of,
    takes_data,
    task_named,
    together,
)

WORDS = ("accumulate", "amp", "data", "deterministic", "device", "shard")  # of a command line, beside those of a trial


def job(command: str, words: Mapping[str, Any]) -> Job:
    """A job from the words of a command line, by the names of its options; ``lr`` among them where it is known."""
    found = full_name(words["task"])  # before the file is read, which may change the working directory
    task, chosen = settled_task(words)
    settings, size = settings_of(words, task), None
    if "batch_size" in settings:
        size = table_of(task)["batch_size"].canonical("batch_size", settings["batch_size"])
    if isinstance(task, Task):
        check_size(size or task.batch_size)
    steps = steps_of(task, words, size)
    screen = Screen(words["as_json"])
    if words.get("lr") is not None:
        settings["lr"] = words["lr"]
        if (rule := words.get("scale_rate", ScaleRate.none)) is not ScaleRate.none:
            new = scaled(words["lr"], task, size, rule)
            settings["lr"] = new.values["lr"]
            for doubt in new.doubts:
                screen.say(f"doubt    {doubt}")
    trial = Trial.of(task, settings, seed_of(task, words["seed"]), steps)
    chosen = {"task": found, "threads": words["threads"], **chosen, **_verifying(words, steps)}
    reports = not words.get("no_report", False)
    return Job(command, task, screen, trial, chosen, engine_said(words) or serial, reports=reports)


def _verifying(words: Mapping[str, Any], steps: int) -> dict[str, Any]:
    """The words about verifying the rate on the way, where any were said."""
    wanted = {name: words[name] for name in ("verify", "apply") if words.get(name) is not None}
    if wanted.get("verify"):
        check_verifiable(steps)
    elif wanted.get("apply"):
        raise ValueError("--apply goes on at the rate that --verify says; add --verify, or leave it out")
    return wanted


def scaled(lr: float, task: Startable, size: int | None, rule: ScaleRate) -> Rescaled:
    """The rate for another batch size, by a rule."""
    own = task.batch_size if isinstance(task, Task) else None
    if own is None or size is None:
        raise ValueError("--scale-rate needs --batch-size and a task that has a batch size of its own")
    return (linear_rule if rule is ScaleRate.linear else square_root_rule)(lr, batch=own, to=size)


def engine_said(words: Mapping[str, Any]) -> Engine | None:
    """The engine that the words of a command line name, ready to work; None if they name none."""
    name, workers, address = words.get("engine"), words.get("workers"), words.get("address")
    if name is None and workers is None and address is None:
        return None
    engine = engine_named(name or ("processes" if address is None else "ray"), workers, address)
    if isinstance(engine, Ray):
        engine.connect()  # fails before anything is made if it cannot be reached
    return engine


def settled_task(words: Mapping[str, Any]) -> tuple[Startable, dict[str, Any]]:
    """The task that the words of a command line name, set up as they say, and those of them that did so."""
    options = {name: value for name, value in words.items() if name in WORDS and value is not None}
    torch.set_num_threads(words["threads"])  # the task's file is read with so many
    if options.get("deterministic"):
        torch.use_deterministic_algorithms(True)
    if "data" in options:
        options["data"] = str(Path(options["data"]).resolve())
        os.environ["STEPSIZE_DATA"] = options["data"]
        if not takes_data(words["task"]):
            raise ValueError(f"the task {words['task']!r} reads no data from a folder; leave --data out")
    task = task_named(words["task"])
    torch.set_num_threads(words["threads"])  # the file may have set another number, and the command line decides
    options |= _together(task, words)
    defaults = {"device": "cpu", "amp": False, "accumulate": 1}
    changes = {name: options[name] for name, default in defaults.items() if options.get(name, default) != default}
    if changes and not isinstance(task, Task):
        raise ValueError(f"the task {task.name!r} trains by itself and takes no {', '.join(changes)}; leave that out")
    if changes and isinstance(task, Task):
        task = replace(task, **changes)
    prepare(task)
    return task, options


def alone(command: str, instead: str) -> None:
    """Raise ValueError if this is one of several processes that torchrun has begun.

    Args:
        command: that has its own way of using several.
        instead: what to do for that.
    """
    if ranks().size > 1:
        raise ValueError(f"{command} shares its work among processes by itself: begin it without torchrun, {instead}")


def _together(task: Startable, words: Mapping[str, Any]) -> dict[str, Any]:
    """The note on processes that train together; empty for one process."""
    count, before = ranks().size, words.get("processes", ranks().size)
    if before != count:
        command = f"torchrun --nproc-per-node={before} -m stepsize" if before > 1 else "stepsize"
        raise ValueError(
            f"this run was begun with {Ranks(size=before)}, and here {'is' if count == 1 else 'are'} {ranks()}, which "
            f"would not give the same figures; go on with {command} train --resume ..."
        )
    together(words.get("shard", False))  # refuses what it cannot do
    engines = [name for name in ("engine", "workers", "address") if words.get(name) not in (None, "serial")]
    if count > 1 and engines:
        raise ValueError(f"{ranks()} train each trial together; leave --{engines[0]} out, or begin it without torchrun")
    if count > 1 and not isinstance(task, Task):
        raise ValueError(f"the task {task.name!r} trains by itself, in one process; begin it without torchrun")
    return {"processes": count} if count > 1 else {}


def steps_of(task: Startable, words: Mapping[str, Any], size: int | None) -> int:
    """The length of a run that the words of a command line say, or the task's own."""
    steps, epochs = words.get("steps"), words.get("epochs")
    if steps is not None and epochs is not None:
        raise ValueError("--steps and --epochs both say how long the run is; give one of them")
    if steps is not None:
        return int(steps)
    if epochs is None and size is None:
        return task.steps
    builder = task if isinstance(task, Task) else None
    epoch = None if builder is None else builder.epoch(size)
    if builder is None or epoch is None:
        raise ValueError(f"the length of an epoch of {task.name!r} is not known; give --steps")
    if epochs is not None:
        _check.number("epochs", epochs, above=0)
    else:  # another batch size, as many epochs as ever
        epochs = task.steps / (builder.epoch() or epoch)
    return max(1, round(epochs * epoch))
