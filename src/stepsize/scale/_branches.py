"""Up to which batch more is nearly free: branches of a run from one checkpoint, each at a batch of its own."""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from stepsize import _check
from stepsize.scale._rules import linear_rule, square_root_rule
from stepsize.search import Progress
from stepsize.task import Task, Trial, seed_of

FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
STILL = {"schedule": "constant()", "warmup": 0}
RULES: dict[str, Callable[..., Any]] = {"linear": linear_rule, "sqrt": square_root_rule}


@dataclass(frozen=True)
class Branch:
    """A branch.

    Attributes:
        batch: its batch in examples.
        lr: its rate at its beginning, which falls in a line to zero.
        steps: how many it took.
        loss: the task's score at its end.

    Example:
        >>> from stepsize.scale import Branch
        >>> Branch(32, 0.1, 20, 0.5).batch
        32
    """

    batch: int
    lr: float
    steps: int
    loss: float


@dataclass(frozen=True)
class BatchFinding:
    """The answer of ``find_batch``.

    Attributes:
        batch: the largest batch up to which, from the run's own on, every branch was nearly as good.
        branches: by batch.
        price: of all, in runs; a run's way to the checkpoint is counted.

    Example:
        >>> from stepsize.scale import BatchFinding
        >>> BatchFinding(64, (), 1.0).batch
        64
    """

    batch: int
    branches: tuple[Branch, ...]
    price: float


def find_batch(
    task: Task,
    lr: float,
    *,
    at: float = 0.25,
    share: float = 0.1,
    factors: Sequence[float] = FACTORS,
    rule: str = "sqrt",
    margin: float = 0.01,
    seed: int | None = None,
    steps: int | None = None,
    progress: Progress | None = None,
    **axes: Any,
) -> BatchFinding:
    """Up to which batch more is nearly free, by trying: branches from a checkpoint of a run.

    A run is trained to a share of its length. From there every branch sees equally many examples in batches of its own
    size, from the same weights and optimizer state, at the run's rate scaled by a rule, down in a line to zero. More is
    nearly free as long as the loss at the end is at most a margin above that at the run's own batch. It holds for this
    stage of training: later the batch may be larger.

    Args:
        task: of the supervised builder, with a batch size of its own.
        lr: the run's rate at its own batch, > 0.
        at: where the checkpoint is, as a share of the run, 0 < at < 1.
        share: length of a branch, as a share of the run's examples, 0 < share < 1.
        factors: batches of the branches over the run's own, each > 0; 1 is added. Those larger than the data are left
            out.
        rule: ``"sqrt"`` for Adam's kin, ``"linear"`` for SGD.
        margin: how much more loss is nearly none, as a share of it, > 0.
        seed: of weights and data order, 0 <= seed < 2**32; the task's when left out.
        steps: of a whole run, >= 1; the task's when left out.
        progress: called with (branches done, branches, a note for people).
        **axes: what else is said of every run, as settings of a ``Trial``.

    Raises:
        TypeError, ValueError: an argument is invalid, or the run breaks before its checkpoint.

    Example:
        >>> from stepsize.scale import find_batch
        >>> from stepsize.task import task_named
        >>> found = find_batch(task_named("digits-mlp"), 0.05, steps=200, factors=[2])
        >>> [branch.batch for branch in found.branches], found.batch in (64, 128)
        ([64, 128], True)

    Source: Merrill et al. 2025, "Critical batch size revisited" (arXiv 2505.23971), section 3.
    """
    if not isinstance(task, Task) or (task.batch_size is None and axes.get("batch_size") is None):
        raise TypeError(_check.message("task", task, "a Task with a batch size", 'for example task_named("digits")'))
    lr, at, share = _check.number("lr", lr, above=0), _share("at", at), _share("share", share)
    margin = _check.number("margin", margin, above=0)
    if not isinstance(rule, str) or rule not in RULES:
        raise ValueError(_check.message("rule", rule, "'sqrt' or 'linear'"))
    if progress is not None and not callable(progress):
        raise TypeError(_check.message("progress", progress, "a function"))
    total = task.steps if steps is None else _check.whole("steps", steps, least=1)
    said = {name: value for name, value in axes.items() if value is not None}
    trial = Trial.of(task, {**said, "lr": lr}, seed_of(task, seed), total)
    own = trial.settings.get("batch_size", task.batch_size)
    sizes = _sizes(task, factors, own)
    done = max(1, round(at * total))
    run: Any = task.start(trial)
    losses = run.advance(done)
    if len(losses) < done or not math.isfinite(losses[-1]):
        raise ValueError(_check.message("lr", lr, f"one at which {done} steps do not break", "`find` finds one"))
    state = run.state()
    now = lr * _falls_to(task, trial, run)
    branches = []
    for size in sizes:
        scaled = RULES[rule](now, batch=own, to=size).values["lr"]
        count = max(1, round(share * total * own / size))
        settings = {**trial.settings, **STILL, "lr": scaled, "batch_size": size, "schedule": "linear()"}
        branches.append(_branch(task, Trial.of(task, settings, trial.seed, count), state))
        if progress is not None:
            progress(len(branches), len(sizes), f"batch {size}: loss {branches[-1].loss:.3g}")
    base = next(branch.loss for branch in branches if branch.batch == own)
    best = own
    for branch in branches:
        if branch.batch > own and not branch.loss <= base + margin * abs(base):
            break
        best = max(best, branch.batch)
    return BatchFinding(best, tuple(branches), done / total + share * len(branches))


def _falls_to(task: Task, trial: Trial, run: Any) -> float:
    """The factor of the base that the schedule has come to."""
    still: Any = task.start(Trial.of(task, {**trial.settings, **STILL}, trial.seed, trial.steps))
    return max(float(now / still.control.rates[name]) for name, now in run.control.rates.items())


def _branch(task: Task, trial: Trial, state: Any) -> Branch:
    run: Any = task.start(trial)
    run.model.load_state_dict(state["model"])
    saved = copy.deepcopy(state["optimizer"])
    for name, optimizer in run.optimizers.items():
        held = saved if len(run.optimizers) == 1 else saved[name]
        optimizer.load_state_dict({"state": held["state"], "param_groups": optimizer.state_dict()["param_groups"]})
    losses = run.advance(trial.steps)
    whole = len(losses) == trial.steps and math.isfinite(losses[-1])
    return Branch(trial.settings["batch_size"], trial.settings["lr"], trial.steps, run.score() if whole else math.inf)


def _share(name: str, value: Any) -> float:
    if not _check.number(name, value, above=0) < 1:
        raise ValueError(_check.message(name, value, "a share of the run, below 1"))
    return float(value)


def _sizes(task: Task, factors: Any, own: int) -> list[int]:
    if isinstance(factors, str) or not isinstance(factors, Sequence) or not factors:
        raise TypeError(_check.message("factors", factors, "one or more numbers"))
    numbers = [_check.number("each of factors", factor, above=0) for factor in factors]
    most = math.inf if task.examples is None else task.examples()
    sizes = {own, *(max(1, round(own * number)) for number in numbers)}
    return sorted(size for size in sizes if size <= most)
