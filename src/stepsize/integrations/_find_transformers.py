"""Transformers: the search for a rate in a Trainer's own steps."""

from collections.abc import Callable
from typing import Any

from stepsize import _check, _extras
from stepsize.control import CourseLike, Plan
from stepsize.integrations._kept import Kept
from stepsize.integrations._search_transformers import find_now, inner_of
from stepsize.integrations._searched import checked, largest_rate, scaled, write_rates
from stepsize.search import Finding, Progress


class _OverError(Exception):
    """Ends ``train()`` when the search in it is over."""


def find_in_trainer(
    trainer: Any,
    lr: CourseLike | None = None,
    *,
    put: bool = True,
    budget: str | int | None = None,
    low: float = 1e-6,
    high: float = 100.0,
    probe: Any = None,
    progress: Progress | None = None,
) -> Finding:
    """Find the learning rate of a Transformers ``Trainer``, also of TRL's, with its own data, loss and optimizer.

    ``trainer.train()`` is begun, and where its first step would be, ``RateSearch`` trains the short runs by the
    trainer's own ``training_step``, with its accumulation, mixed precision and clipping. Then all is as it was before,
    but for the rate. Other callbacks see nothing of it.

    Args:
        trainer: a ``transformers.Trainer`` that has not begun to train.
        lr: the schedule of the whole run or its text, a factor of the rate; that of the trainer's ``lr_scheduler_type``
            and warm-up when left out.
        put: whether the rate is put into ``trainer.args.learning_rate``, and into an optimizer that was handed over.
        budget: what to spend, about, as for ``find``.
        low: the lowest rate to try, > 0.
        high: the highest rate to try, > low.
        probe: a function that returns the loss on held-out data, to score runs on; as for ``RateSearch`` when left out.
        progress: called with (steps done, steps expected, a note for people).

    Returns:
        The finding; without a rate where nothing was learnt, and then nothing is put anywhere.

    Raises:
        TypeError, ValueError: an argument is invalid, the trainer has begun to train, has no training data, or has a
            scheduler of its own.
        ImportError: Transformers is not installed.

    Example:
        >>> import torch
        >>> from transformers import Trainer, TrainingArguments
        >>> from stepsize.integrations import find_in_trainer
        >>> class Model(torch.nn.Linear):
        ...     def forward(self, x):
        ...         return {"loss": (super().forward(x) - x.sum(1, keepdim=True)).square().mean()}
        >>> quiet = dict(report_to="none", disable_tqdm=True, save_strategy="no", use_cpu=True)
        >>> settings = TrainingArguments("run", max_steps=60, optim="sgd", **quiet)
        >>> x = torch.randn(256, 4, generator=torch.Generator().manual_seed(0))
        >>> trainer = Trainer(Model(4, 1), settings, train_dataset=[{"x": row} for row in x])
        >>> finding = find_in_trainer(trainer)
        >>> 0.01 < finding.rate < 10, trainer.args.learning_rate == finding.rate
        (True, True)
    """
    package = _extras.load("transformers", "transformers", "find_in_trainer(...)")
    if not isinstance(trainer, package.Trainer):
        raise TypeError(_check.message("trainer", trainer, "a transformers.Trainer"))
    if not isinstance(put, bool):
        raise TypeError(_check.message("put", put, "True or False"))
    Plan(lr)
    options = checked(budget=budget, low=low, high=high, probe=probe, progress=progress)
    _check_unused(trainer)
    before = trainer.optimizer
    finding, largest = _searched(package, trainer, lambda: find_now(trainer, {"lr": lr}, options))
    if put and finding.rate is not None:
        trainer.args.learning_rate = scaled(trainer.args.learning_rate, finding.rate, largest)
        if before is not None:
            write_rates([before], finding.rate)
    return finding


def _check_unused(trainer: Any) -> None:
    if trainer.is_in_train or trainer.state.global_step:
        problem = f"trainer has begun to train, it is at step {trainer.state.global_step}"
        raise ValueError(f"{problem}; find the rate before train(), or by drive_trainer(trainer, find=True, ...)")
    if trainer.lr_scheduler is not None:
        name = type(trainer.lr_scheduler).__name__
        problem = f"trainer has a scheduler of its own, {name}, which goes on from its own rates"
        raise ValueError(f"{problem}; build it with optimizers=(optimizer, None), and say the schedule by lr=")


def _searched(package: Any, trainer: Any, find: Callable[[], Finding]) -> tuple[Finding, float]:
    """The finding of a search at the beginning of ``train``, and the largest rate there; all else is put back."""
    kept = Kept(trainer)
    found: list[tuple[Finding, float]] = []

    def search() -> None:
        optimizer = inner_of(trainer)
        found.append((find(), largest_rate([optimizer])))
        raise _OverError

    try:
        trainer.callback_handler.callbacks = [
            type("Search", (package.TrainerCallback,), {"on_train_begin": lambda *_, **__: search()})()
        ]
        trainer.train()
    except _OverError:
        pass
    finally:
        kept.restore()
    return found[0]
