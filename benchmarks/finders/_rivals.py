"""Ways to a rate, ours and those of other packages, behind one signature: (entry, seed, options) -> what it suggests.

Each gets the model, the batches and the seed that the training will have. What it computes is counted where it computes
it: losses with a gradient, and without. Settings are those of the packages' own documentation.
"""

import contextlib
import io
import logging
import math
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from itertools import islice
from typing import Any

import torch
from _entry import ONE_CYCLE, WARM, Entry
from oracle import Oracle
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from stepsize.engine import serial
from stepsize.find import find
from stepsize.probe import RateSearch, minimum_tenth, probe_minimum_third, range_test, steepest_by_log_rate, valley
from stepsize.state import RandomState, own_randomness
from stepsize.task import Task, Trial

RANGE = (1e-6, 100.0)  # for searches that need one; that of our own finder


@dataclass
class Count:
    """Batches of which a loss was computed: with its gradient, and without."""

    gradients: float = 0
    forwards: float = 0


@dataclass(frozen=True)
class Suggestion:
    """A rate, or none; what it took, in batches; and the final score of what trains in a way of its own."""

    rate: float | None
    gradients: float
    forwards: float
    score: float | None = None


def counted(entry: Entry) -> tuple[Task, Count]:
    """The task with its losses and scores counted."""
    count, task = Count(), entry.task

    def loss(model: nn.Module, batch: Any) -> Tensor:
        if torch.is_grad_enabled():
            count.gradients += 1
        else:
            count.forwards += 1
        return task.loss(model, batch)

    def score(model: nn.Module) -> float:
        count.forwards += entry.forwards
        return task.score(model)

    return replace(task, loss=loss, score=score), count


def ours(entry: Entry, seed: int, options: dict[str, Any]) -> Suggestion:
    """``stepsize.find`` as it comes, or with options; gradients as it says itself."""
    task, count = counted(entry)
    finding = find(task, seed=seed, **options)
    return Suggestion(finding.rate, finding.cost.steps, count.forwards)


class Loader:
    """A task's batches as people hand them over: a loader that shuffles, and begins with those of the whole run."""

    def __init__(self, entry: Entry, seed: int) -> None:
        self.task, self.generator = entry.task, torch.Generator().manual_seed(seed)
        self.length = len(entry.examples()[0]) // entry.task.batch_size if entry.task.batch_size else 1

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[Any]:
        return islice(self.task.batches(self.generator, self.task.batch_size), self.length)


def our_search(entry: Entry, seed: int, options: dict[str, Any]) -> Suggestion:
    """``stepsize.RateSearch`` in a loop, with options; without any it scores in the loop, so that all are gradients."""
    task = entry.task
    with own_randomness(RandomState.seeded(seed)):
        model = task.model()
        optimizer = entry.recipe.make(model.parameters(), 0.01)
        largest = max(group["lr"] for group in optimizer.param_groups)
        search = RateSearch(
            optimizer,
            model,
            lr=task.schedule,
            clip=task.clip,
            total=task.steps,
            loader=Loader(entry, seed),
            **({"loss": task.loss} if options.pop("loss", False) else {}),
            **options,
        )
        for run in search:
            for batch in run.batches():
                loss = task.loss(model, batch)
                loss.backward()
                run.step(loss)
    finding = search.finding
    rate = None if finding.rate is None else finding.rate * 0.01 / largest
    return Suggestion(rate, finding.cost.steps + finding.cost.forwards, 0)


def default_rate(entry: Entry, seed: int, options: dict[str, Any]) -> Suggestion:  # noqa: ARG001
    """The rate of the optimizer's documentation or of custom: SGD 0.1, Adam 1e-3, RMSprop and Adagrad 1e-2."""
    return Suggestion(entry.recipe.default, 0, 0)


class LossModel(nn.Module):
    """A model that gives the loss of a batch."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.model, self.task = task.model(), task

    def forward(self, batch: Any) -> Tensor:
        return self.task.loss(self.model, batch)


def started(task: Task, seed: int, lr: float) -> tuple[LossModel, torch.optim.Optimizer, Iterator[Any]]:
    """Model, optimizer and batches as a run of that seed begins with them; clipping, where the task has it, inside."""
    torch.manual_seed(seed)
    model = LossModel(task)
    optimizer = task.optimizer(model.parameters(), lr)
    if task.clip is not None:
        optimizer.register_step_pre_hook(partial(clip_before, list(model.parameters()), task.clip))
    return model, optimizer, task.batches(torch.Generator().manual_seed(seed), task.batch_size)


def clip_before(parameters: list[Tensor], clip: float, *_: Any) -> None:
    clip_grad_norm_(parameters, clip)


def our_range_test(entry: Entry, seed: int, options: dict[str, Any], rule: Any, probes: int = 0) -> Suggestion:
    """``stepsize.range_test`` from 1e-7 to 10 in 100 steps, read by a rule; with a probe of so many batches.

    The probe's batches are drawn by another generator from the same examples: tasks have no held-out part.
    """
    task, count = counted(entry)
    model, optimizer, batches = started(task, seed, 1.0)
    others = task.batches(torch.Generator().manual_seed(1_000_003 + seed), task.batch_size)
    fixed = [next(others) for _ in range(probes)]

    def probe() -> float:
        return sum(float(model(batch)) for batch in fixed) / probes

    with range_test(optimizer, model, probe=probe if probes else None, **options) as test:
        for _ in test:
            loss = model(next(batches))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if not probes:
                test.record(loss)
    rate, largest = test.result.suggest(rule).rate, max(group["lr"] for group in optimizer.param_groups)
    return Suggestion(None if rate is None else rate / largest, count.gradients, count.forwards)


def torch_lr_finder(entry: Entry, seed: int, options: dict[str, Any]) -> Suggestion:  # noqa: ARG001
    """torch-lr-finder as in its README: from 1e-7 to 100 in 100 steps, its plot's suggestion."""
    from matplotlib.figure import Figure
    from torch_lr_finder import LRFinder, TrainDataLoaderIter

    class Batches(TrainDataLoaderIter):
        def inputs_labels_from_batch(self, batch: Any) -> Any:
            return batch, batch[-1]

    task, count = counted(entry)
    model, optimizer, batches = started(task, seed, 1e-7)
    finder = LRFinder(model, optimizer, lambda loss, _: loss, device="cpu")
    with quiet():
        finder.range_test(Batches(batches), end_lr=100, num_iter=100)
        enough = len(finder.history["lr"]) >= 17  # its own rule
        rate = finder.plot(ax=Figure().subplots())[1] if enough else None
    return Suggestion(None if rate is None else float(rate), count.gradients, count.forwards)


def lightning(entry: Entry, seed: int, options: dict[str, Any]) -> Suggestion:  # noqa: ARG001
    """Lightning's ``Tuner.lr_find`` with its defaults: from 1e-8 to 1 in 100 steps."""
    from lightning.pytorch import LightningModule, Trainer
    from lightning.pytorch.tuner import Tuner

    task, count = counted(entry)
    model, optimizer, batches = started(task, seed, 1e-3)

    class Module(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.lr, self.inner = 1e-3, model

        def training_step(self, batch: Any, _: int) -> Tensor:
            return self.inner(batch)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return optimizer

    class Endless(torch.utils.data.IterableDataset):
        def __iter__(self) -> Iterator[Any]:
            return iter(batches)

    with quiet(), tempfile.TemporaryDirectory() as folder:
        off = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
        trainer = Trainer(accelerator="cpu", max_steps=task.steps, default_root_dir=folder, **off)
        loader = torch.utils.data.DataLoader(Endless(), batch_size=None)
        found = Tuner(trainer).lr_find(Module(), train_dataloaders=loader)
        rate = found.suggestion()
    return Suggestion(rate, count.gradients, count.forwards)


def asha(entry: Entry, seed: int, options: dict[str, Any]) -> Suggestion:
    """Optuna: TPE with successive halving (rungs of 1/64, 1/16, 1/4 of the run and the whole), budget of ten runs."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    task, count = counted(entry)
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=4)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed), pruner=pruner)
    while count.gradients < options.get("runs", 10) * task.steps:
        trial = study.ask()
        run = task.start(Trial(task.name, {"lr": trial.suggest_float("lr", *RANGE, log=True)}, seed, task.steps))
        done, score = 0, math.inf
        for resource in (1, 4, 16, 64):
            until = math.ceil(task.steps * resource / 64)
            losses = run.advance(until - done)
            done, score = until, run.score() if losses and math.isfinite(losses[-1]) else math.inf
            if math.isfinite(score):
                trial.report(score, resource)
            if not math.isfinite(score) or (resource < 64 and trial.should_prune()):
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                break
        else:
            study.tell(trial, score)
    whole = [trial for trial in study.trials if trial.state == optuna.trial.TrialState.COMPLETE]
    return Suggestion(study.best_params["lr"] if whole else None, count.gradients, count.forwards)


def prodigy(entry: Entry, seed: int, options: dict[str, Any]) -> Suggestion:  # noqa: ARG001
    """Prodigy instead of the task's optimizer, at its rate of 1 with the task's schedule; warm-ups are safeguarded."""
    from prodigyopt import Prodigy

    task = entry.task
    rising = task.schedule.startswith((WARM.split()[0], ONE_CYCLE.split(" >>")[0]))
    changed = replace(task, optimizer=partial(make_prodigy, Prodigy, rising))
    result = next(serial(changed, [Trial(task.name, {"lr": 1.0}, seed, task.steps)]))
    return Suggestion(None, 0, 0, result.score)


def make_prodigy(kind: Any, rising: bool, parameters: Any, lr: float) -> torch.optim.Optimizer:
    return kind(parameters, lr=lr, safeguard_warmup=rising)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the bars, prints and warnings of other packages."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    out, err = contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO())
    with out, err, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


Finder = Callable[[Entry, int, dict[str, Any]], Suggestion]


def other_seeds(entry: Entry, seed: int, options: dict[str, Any]) -> Suggestion:  # noqa: ARG001
    """What whole grids of the two other seeds say: the rate with the lowest mean regret there. A limit, no method."""
    oracle, others = Oracle(), [each for each in range(3) if each != seed]
    grids = [oracle.scores(entry.name, each) for each in others]

    def missed(rate: float) -> float:
        return sum(oracle.regret(entry.name, each, grid[rate]) for each, grid in zip(others, grids, strict=True))

    both = [rate for rate in grids[0] if rate in grids[1]]
    runs = sum(len(grid) for grid in grids)
    return Suggestion(min(both, key=missed), runs * entry.task.steps, runs * entry.forwards)


FINDERS: dict[str, tuple[Finder, str]] = {  # and the module it needs
    "stepsize": (ours, "stepsize"),
    "search": (our_search, "stepsize"),
    "default": (default_rate, "torch"),
    "range-steepest": (partial(our_range_test, rule=steepest_by_log_rate), "stepsize"),
    "range-valley": (partial(our_range_test, rule=valley), "stepsize"),
    "range-minimum-tenth": (partial(our_range_test, rule=minimum_tenth), "stepsize"),
    "range-probe": (partial(our_range_test, rule=probe_minimum_third, probes=3), "stepsize"),
    "torch-lr-finder": (torch_lr_finder, "torch_lr_finder"),
    "lightning": (lightning, "lightning"),
    "asha": (asha, "optuna"),
    "prodigy": (prodigy, "prodigyopt"),
    "other-seeds": (other_seeds, "torch"),
}


def installed(name: str) -> bool:
    return find_spec(FINDERS[name][1]) is not None
