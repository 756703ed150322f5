"""Lightning: short runs in its own loop, at the first batch or as forks of a run, and the trainer is put back."""

import math
from collections.abc import Mapping
from typing import Any

from stepsize.integrations._apart import Apart
from stepsize.integrations._kept import Kept
from stepsize.integrations._lightning_loop import Loop
from stepsize.integrations._searched import factors, searched
from stepsize.schedule import constant
from stepsize.search import Finding


def find_now(trainer: Any, plan: Mapping[str, Any], total: float | None, options: Mapping[str, Any]) -> Finding:
    """Search in a trainer that is about to train on its first batch; it is put back to here.

    Args:
        trainer: in ``on_train_batch_start``.
        plan: schedules by hyperparameter, ``lr`` None for those of the module's schedulers.
        total: updates of the whole run; None for the trainer's estimate.
        options: of the search.
    """
    optimizers = trainer.optimizers
    if not any(optimizer.param_groups for optimizer in optimizers):
        raise ValueError("the module has no optimizer, so there is no rate; return one from configure_optimizers")
    total = trainer.estimated_stepping_batches if total is None else total
    if not 0 < total < math.inf:
        raise ValueError("the length of the run is not known; give total=, or Trainer(max_steps=... or max_epochs=...)")
    kept, loop = Kept(trainer), Loop(trainer, callable(options.get("probe")))
    if plan["lr"] is None:
        plan = {**plan, "lr": _schedules(trainer, len(loop.windows))}
    return _search(trainer, kept, loop, plan, round(total), options, loop.loaders)


def check_forks(trainer: Any) -> None:
    """Raise ValueError where forks of a run could not leave it to the bit as it was.

    Args:
        trainer: in ``on_train_start``.
    """
    from lightning.pytorch.strategies import SingleDeviceStrategy

    if len(trainer.optimizers) != 1 or not trainer.lightning_module.automatic_optimization:
        raise ValueError(
            "verify needs one optimizer that the trainer steps: under manual optimization, or with several, nobody "
            "knows which batch completes an update; leave it out"
        )
    if trainer.world_size > 1 or not isinstance(trainer.strategy, SingleDeviceStrategy):
        name = type(trainer.strategy).__name__
        raise ValueError(
            f"verify trains forks on one device, and the trainer's {name} may spread the model over more; leave it "
            "out, or give Trainer(devices=1, strategy='auto')"
        )
    _apart(trainer)


def fork_now(trainer: Any, plan: Mapping[str, Any], total: int, options: Mapping[str, Any]) -> Finding:
    """Search in forks of a run under way, on the data of its next epoch; it is put back to here.

    Args:
        trainer: in ``on_train_batch_start``, at the first batch of an update.
        plan: schedules by hyperparameter, of the whole run.
        total: updates of the whole run.
        options: of the search.
    """
    kept, apart = Kept(trainer), _apart(trainer)
    loop = Loop(trainer, False, apart)
    return _search(trainer, kept, loop, plan, total, options, [*loop.loaders, *apart.generators])


def _apart(trainer: Any) -> Apart:
    return Apart(trainer.fit_loop._combined_loader.flattened, "verify")


def _search(
    trainer: Any,
    kept: Kept,
    loop: Loop,
    plan: Mapping[str, Any],
    total: int,
    options: Mapping[str, Any],
    also: list[Any],
) -> Finding:
    """Race rates in the trainer's own steps, and put it back.

    Args:
        trainer: about to train on a batch.
        kept: its state.
        loop: that trains on the batches of the search.
        plan: schedules by hyperparameter.
        total: updates of the whole run.
        options: of the search.
        also: what draws the data.
    """
    try:
        trainer.callbacks, trainer.loggers, trainer.strategy.lr_scheduler_configs = [loop.listener], [], []
        loop.started = Kept(trainer)
        return searched(
            {f"optimizer{place}": optimizer for place, optimizer in enumerate(trainer.optimizers)},
            trainer.lightning_module,
            loop.windows,
            train=loop.train,
            loss=loop.loss,
            plan=plan,
            total=total,
            also=[*also, getattr(trainer.precision_plugin, "scaler", None)],
            begin=loop.begin,
            options=options,
        )
    finally:
        kept.restore()


def _schedules(trainer: Any, per_epoch: int) -> Any:
    """The module's schedulers as factors, for each group of each optimizer."""
    lines: list[Any] = []
    for optimizer in trainer.optimizers:
        of = [config for config in trainer.lr_scheduler_configs if config.scheduler.optimizer is optimizer]
        made: Any = [constant()] * len(optimizer.param_groups)
        if of:
            every = of[0].frequency * (per_epoch if of[0].interval == "epoch" else 1)
            made = factors(of[0].scheduler, every)
        lines += made if isinstance(made, list) else [made] * len(optimizer.param_groups)
    return lines
