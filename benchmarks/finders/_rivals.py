"""Ways to a rate, ours and those of other packages, behind one signature: (entry, seed, options) -> what it suggests.

Each gets the model, the batches and the seed that the training will have. What it computes is counted where it computes
it: losses with a gradient, and without. Settings are those of the packages' own documentation.
"""

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from itertools import islice
from typing import Any

import torch
from _entry import Entry
from _searches import asha, priorband
from _suggestion import Suggestion, counted, quiet, started
from _trainers import polling, prodigy
from oracle import Oracle
from torch import Tensor

from stepsize.finder import find
from stepsize.probe import RateSearch, minimum_tenth, probe_minimum_third, range_test, steepest_by_log_rate, valley
from stepsize.state import RandomState, own_randomness


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


Finder = Callable[[Entry, int, dict[str, Any]], Suggestion]


def other_seeds(entry: Entry, seed: int, options: dict[str, Any]) -> Suggestion:  # noqa: ARG001
    """What whole grids of the two other seeds say: the rate with the lowest mean regret there. A limit, no method."""
    oracle, others = Oracle(), [each for each in range(3) if each != seed]
    grids = [oracle.scores(entry.name, other) for other in others]

    def missed(rate: float) -> float:
        return sum(oracle.regret(entry.name, other, grid[rate]) for other, grid in zip(others, grids, strict=True))

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
    "priorband": (priorband, "neps"),
    "prodigy": (prodigy, "prodigyopt"),
    "polling": (polling, "efficient_polling_lr_scheduler"),
    "other-seeds": (other_seeds, "torch"),
}


def installed(name: str) -> bool:
    return find_spec(FINDERS[name][1]) is not None
