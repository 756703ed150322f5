"""Which trials: rates, seeds, and a product of named axes."""

import itertools
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from stepsize import _check
from stepsize.task import Axis, Startable, Trial, check_takes, table_of

MOST = 100_000  # trials of one call; a folder takes as many calls as you like
MORE = "give the rest in a further call on the same folder"


def logspace(low: float, high: float, count: int) -> list[float]:
    """Rates from low to high, both included, each the same factor above the one before; 4 digits where that is enough.

    Args:
        low: the lowest, > 0.
        high: the highest, > low.
        count: how many, from 2 to 100,000.

    Raises:
        TypeError, ValueError: an argument is invalid.

    Example:
        >>> from stepsize.sweeps import logspace
        >>> logspace(1e-3, 1, 7)
        [0.001, 0.003162, 0.01, 0.03162, 0.1, 0.3162, 1.0]
    """
    low = _check.number("low", low, above=0)
    high = _check.number("high", high, above=low)
    count = _at_most("count", _check.whole("count", count, least=2))
    exact = np.geomspace(low, high, count)
    short = [float(f"{rate:.4g}") for rate in exact]
    return [low, *(short if len(set(short)) == count else exact.tolist())[1:-1], high]


def seeds_of(seeds: int | Iterable[int]) -> list[int]:
    """Seeds from 0 on, or the ones given.

    Args:
        seeds: how many, from 1 to 100,000, or which.

    Raises:
        TypeError, ValueError: there are none, one stands twice, or one is no seed.

    Example:
        >>> from stepsize.sweeps._axes import seeds_of
        >>> seeds_of(3), seeds_of([5, 7])
        ([0, 1, 2], [5, 7])
    """
    if isinstance(seeds, Iterable) and not isinstance(seeds, str):
        chosen = [_check.whole("seeds", seed, least=0) for seed in _counted("seeds", seeds)]
    else:
        count = _check.whole("seeds", seeds, least=1, remedy="or a list of seeds")
        chosen = list(range(_at_most("seeds", count)))
    if not chosen or len(set(chosen)) < len(chosen):
        raise ValueError(_check.message("seeds", seeds, "different seeds, one or more"))
    return chosen


def settings_of(task: Startable, axes: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The product of the axes: one mapping of settings for each combination, rates running fastest.

    Args:
        task: whose trials they will be.
        axes: by name one value, or several in a list; ``lr`` is among them. None for a value leaves the setting to the
            task.

    Raises:
        TypeError, ValueError: an axis is empty, holds a value twice or one that is none, or is not of this task.

    Example:
        >>> from stepsize.sweeps._axes import settings_of
        >>> from stepsize.task import task_named
        >>> settings_of(task_named("digits"), {"lr": [0.1, 1], "clip": [None, 1.0]})
        [{'lr': 0.1}, {'lr': 1.0}, {'clip': 1.0, 'lr': 0.1}, {'clip': 1.0, 'lr': 1.0}]
    """
    if not isinstance(task, Startable):
        raise TypeError(_check.message("task", task, "a task", 'for example task_named("digits")'))
    check_takes(task, axes)
    table = table_of(task)
    if "lr" not in axes:
        raise ValueError("a sweep needs rates; give for example rates=logspace(1e-4, 1, 13)")
    values = {axis: _values(axis, table[axis], axes[axis]) for axis in [*(axis for axis in axes if axis != "lr"), "lr"]}
    _check_size({"rates" if axis == "lr" else axis: len(several) for axis, several in values.items()})
    product = [dict(zip(values, chosen, strict=True)) for chosen in itertools.product(*values.values())]
    return [{axis: value for axis, value in combination.items() if value is not None} for combination in product]


def _values(name: str, axis: Axis, values: Any) -> list[Any]:
    several = isinstance(values, Iterable) and not isinstance(values, str)
    may_be_left_out, name = name != "lr", "rates" if name == "lr" else name
    chosen: list[Any] = []
    for value in _counted(name, values) if several else [values]:
        chosen.append(None if value is None and may_be_left_out else axis.canonical(name, value))
    if not chosen:
        raise ValueError(_check.message(name, values, "one value or more"))
    seen: set[Any] = set()
    for value in chosen:
        if value in seen:
            raise ValueError(f"{name} holds {value!r} twice; give each value once")
        seen.add(value)
    return chosen


def _counted(name: str, listed: Iterable[Any]) -> list[Any]:
    """The values, if they are not too many to be trained; those after that are not looked at."""
    values = list(itertools.islice(listed, MOST + 1))
    if len(values) > MOST:
        raise ValueError(f"{name} holds more than {MOST:,} values; {MORE}")
    return values


def _at_most(name: str, count: int) -> int:
    if count > MOST:
        raise ValueError(_check.message(name, count, f"at most {MOST:,}", MORE))
    return count


def _check_size(counts: Mapping[str, int]) -> None:
    if math.prod(counts.values()) > MOST:
        product = " x ".join(f"{count:,} {name}" for name, count in counts.items())
        total = math.prod(counts.values())
        raise ValueError(f"the sweep would have {total:,} trials ({product}), and may have {MOST:,}; {MORE}")


def trials_of(task: Startable, axes: Mapping[str, Any], seeds: int | Iterable[int], steps: int) -> list[Trial]:
    """All trials of a sweep, seed by seed, so that what is there first covers all axes once.

    Args:
        task: whose trials they are.
        axes: as for ``settings_of``.
        seeds: how many, or which.
        steps: length of a trial, >= 1.

    Raises:
        TypeError, ValueError: an argument is invalid, or there would be more than 100,000 trials.

    Example:
        >>> from stepsize.sweeps import trials_of
        >>> from stepsize.task import task_named
        >>> trials = trials_of(task_named("digits"), {"lr": [0.1, 1]}, seeds=2, steps=10)
        >>> [(trial.settings["lr"], trial.seed) for trial in trials]
        [(0.1, 0), (1.0, 0), (0.1, 1), (1.0, 1)]
    """
    chosen, several = seeds_of(seeds), settings_of(task, axes)
    _check_size({"settings": len(several), "seeds": len(chosen)})
    return [Trial.of(task, settings, seed, steps) for seed in chosen for settings in several]
