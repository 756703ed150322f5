"""What a way to a rate says, and what the ways share: losses that are counted, and a training at its start."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from _entry import Entry
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from stepsize.task import Task

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


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the bars, prints and warnings of other packages."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    out, err = contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO())
    with out, err, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
