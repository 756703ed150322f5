"""Other packages that find no rate but train in a way of their own: what counts is the score that they end with."""

from dataclasses import replace
from functools import partial
from typing import Any

import torch
from _entry import ONE_CYCLE, WARM, Entry
from _suggestion import Suggestion, counted, started
from torch import Tensor

from stepsize.engine import serial
from stepsize.task import Trial


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


def polling(entry: Entry, seed: int, options: dict[str, Any]) -> Suggestion:
    """Efficient Relative Polling around the task's optimizer, from its default rate or ``lr``, instead of the schedule.

    All else is as the package has it, unless options say otherwise. A poll tries the rate, a tenth and ten times it on
    the batch: three losses without a gradient, which are its cost. The run itself is none, as that of any suggestion.
    """
    from efficient_polling_lr_scheduler import EfficientRelativePollingOptimizer

    task, count = counted(entry)
    settings = dict(options)
    model, optimizer, batches = started(task, seed, settings.pop("lr", entry.recipe.default))
    poller = EfficientRelativePollingOptimizer(optimizer, module=model, **settings)
    for _ in range(task.steps):
        batch = next(batches)

        def closure(batch: Any = batch) -> tuple[Tensor, float]:
            loss = model(batch)
            return loss, -float(loss.detach())

        poller.step(closure)
    forwards = count.forwards
    model.eval()
    with torch.no_grad():
        score = entry.task.score(model.model)
    return Suggestion(None, 0, forwards, score)
