"""Transformers: short runs in a Trainer's own steps, at its beginning or as forks of its run, and it is put back."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from functools import partial
from typing import Any

from torch import Tensor

from stepsize import _check
from stepsize.integrations._apart import Apart
from stepsize.integrations._kept import Kept
from stepsize.integrations._searched import Windows, factors, searched
from stepsize.search import Finding
from stepsize.state import known_length


def inner_of(trainer: Any) -> Any:
    """The optimizer inside what Accelerate has prepared."""
    return getattr(trainer.optimizer, "optimizer", trainer.optimizer)


def find_now(trainer: Any, plan: Mapping[str, Any], options: Mapping[str, Any]) -> Finding:
    """Search in a trainer that has prepared itself and taken no step; it is put back to here.

    Args:
        trainer: in ``on_train_begin``.
        plan: schedules by hyperparameter, ``lr`` None for the trainer's own.
        options: of the search.
    """
    _check_whole(trainer, "a search")
    loader = trainer.callback_handler.train_dataloader
    if plan["lr"] is None:
        plan = {**plan, "lr": factors(trainer.lr_scheduler)}

    def epoch() -> Iterator[Any]:
        if hasattr(loader, "set_epoch"):
            loader.set_epoch(0)
        return iter(loader)

    return _search(trainer, loader, epoch, plan, trainer.state.max_steps, options, [loader])


def check_forks(trainer: Any) -> None:
    """Raise ValueError where forks of a run could not leave it to the bit as it was.

    Args:
        trainer: in ``on_train_begin``.
    """
    _check_whole(trainer, "a fork")
    if trainer.args.world_size > 1:
        raise ValueError("verify trains forks in one process, and several train this model; leave it out")
    _apart(trainer)


def fork_now(trainer: Any, plan: Mapping[str, Any], total: int, options: Mapping[str, Any]) -> Finding:
    """Search in forks of a run under way, on the data of its next epoch; it is put back to here.

    Args:
        trainer: in ``on_step_begin``.
        plan: schedules by hyperparameter, of the whole run.
        total: updates of the whole run.
        options: of the search.
    """
    apart, following = _apart(trainer), int(trainer.state.epoch or 0) + 1
    loader = apart.loaders[0]

    def epoch() -> Iterator[Any]:
        apart.begin(following)
        return iter(loader)

    return _search(trainer, loader, epoch, plan, total, options, [loader, *apart.generators])


def _check_whole(trainer: Any, what: str) -> None:
    if getattr(trainer, "is_deepspeed_enabled", False) or getattr(trainer, "is_fsdp_enabled", False):
        problem = f"trainer shards its model by DeepSpeed or FSDP, and {what} cannot put that back"
        raise ValueError(f"{problem}; train at a rate that was found without")


def _apart(trainer: Any) -> Apart:
    loader = trainer.callback_handler.train_dataloader
    return Apart([getattr(loader, "base_dataloader", loader)], "verify")


def _search(
    trainer: Any,
    loader: Any,
    epoch: Callable[[], Iterator[Any]],
    plan: Mapping[str, Any],
    total: int,
    options: Mapping[str, Any],
    also: list[Any],
) -> Finding:
    """Race rates in the trainer's own steps, and put it back.

    Args:
        trainer: that is in training.
        loader: of which the windows are.
        epoch: gives its batches anew.
        plan: schedules by hyperparameter.
        total: updates of the whole run.
        options: of the search.
        also: what draws the data.
    """
    kept, model, size = Kept(trainer), trainer.model_wrapped, trainer.args.gradient_accumulation_steps
    try:
        return searched(
            {"": inner_of(trainer)},
            trainer.model,
            Windows(_count(loader, size), lambda: _windows(trainer, epoch(), size)),
            train=partial(_train, trainer, model),
            loss=lambda _, window: _loss(trainer, model, window),
            plan=plan,
            total=total,
            also=[*also, trainer.accelerator.scaler],
            begin=kept.restore_trainer,
            options=options,
        )
    finally:
        kept.restore()


def _count(loader: Any, size: int) -> int | None:
    length = known_length(loader)
    return None if length is None else -(-length // size)


def _windows(trainer: Any, batches: Iterator[Any], size: int) -> Iterator[Any]:
    """The batches of each update and what the trainer counts in them."""
    while (window := trainer.get_batch_samples(batches, size, trainer.args.device))[0]:
        yield window


def _train(trainer: Any, model: Any, window: Any) -> Any:
    """One update of the trainer."""
    batches, items = window
    accelerator, losses = trainer.accelerator, []
    trainer.current_gradient_accumulation_steps = len(batches)
    for place, batch in enumerate(batches, 1):
        is_last = place == len(batches)
        accelerator.gradient_state._set_sync_gradients(is_last)
        wait: Callable[[], Any] = nullcontext if is_last else partial(accelerator.no_sync, model=model)
        with wait():
            losses.append(trainer.training_step(model, batch, items))
    if trainer.args.max_grad_norm:
        accelerator.clip_grad_norm_(model.parameters(), trainer.args.max_grad_norm)
    trainer.optimizer.step()
    model.zero_grad()
    return sum(losses)


def _loss(trainer: Any, model: Any, window: Any) -> Any:
    """The mean loss of the batches of an update, as they are, each as if it were alone."""
    losses = []
    for batch in window[0]:
        inputs = trainer._prepare_inputs(batch)
        _, items = trainer.get_batch_samples(iter([inputs]), 1, trainer.args.device)
        with trainer.compute_loss_context_manager():
            loss = trainer.compute_loss(model, inputs, num_items_in_batch=items)
        if not isinstance(loss, Tensor):
            raise TypeError(_check.message("the loss that the trainer's model returns", loss, "a tensor"))
        losses.append(loss.mean())
    return sum(losses) / len(losses)
