"""Lightning: a callback that drives the trainer's optimizers by a plan."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from stepsize import _check, _extras
from stepsize.control import Plan, Scheduler


def lightning_callback(total: float | None = None, per_epoch: float | None = None, **plan: Any) -> Any:
    """A Lightning callback that drives the rates of the trainer's optimizers: ``Trainer(callbacks=[...])``.

    The module's ``configure_optimizers`` gives optimizers only, no schedulers. The clock is each optimizer's real
    updates; the run's length is the trainer's ``estimated_stepping_batches``. Feedback gets the trainer's logged metrics
    after each validation, so that ``feedback=plateau(of="val_loss")`` looks at what the module logs as ``val_loss``. The
    state is in the trainer's checkpoints.

    Args:
        total: the run's updates, > 0; the trainer's own estimate when left out.
        per_epoch: updates in an epoch, > 0; needed by lengths such as ``"3ep"``.
        plan: what ``Plan`` takes: ``lr``, ``momentum``, ``weight_decay``, ``feedback``, ``floor``, ``cap``. Clipping is the
            trainer's own ``gradient_clip_val``.

    Raises:
        TypeError, ValueError: an argument is not what is said above; when training starts: the module has schedulers
            of its own, or the length is not known.
        ImportError: Lightning is not installed.

    Example:
        >>> from stepsize import warmup, cosine
        >>> from stepsize.integrations import lightning_callback
        >>> callback = lightning_callback(lr=warmup("5%") >> cosine())  # doctest: +SKIP

    Source: ``lightning.pytorch.callbacks.Callback``.
    """
    if plan.get("clip") is not None:
        raise ValueError(_check.message("clip", plan["clip"], "left to Trainer(gradient_clip_val=...)"))
    Plan(**plan)  # what is wrong with it is said now, not when training starts
    total = None if total is None else _check.number("total", total, above=0)
    per_epoch = None if per_epoch is None else _check.number("per_epoch", per_epoch, above=0)
    return _callback_type()(plan, total, per_epoch)


@cache
def _callback_type() -> Any:
    """The class, made when Lightning is there."""
    base = _extras.load("lightning.pytorch", "lightning", "lightning_callback(...)").Callback

    class RateCallback(base):  # type: ignore[misc]
        """Drives the trainer's optimizers."""

        def __init__(self, plan: dict[str, Any], total: float | None, per_epoch: float | None) -> None:
            self.plan, self.total, self.per_epoch = plan, total, per_epoch
            self.schedulers: list[Scheduler] = []
            self._saved: list[Any] = []

        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            if trainer.lr_scheduler_configs:
                name = type(trainer.lr_scheduler_configs[0].scheduler).__name__
                raise ValueError(f"the module has a scheduler of its own, {name}; return the optimizer alone")
            total = self.total or trainer.estimated_stepping_batches
            total = None if total in (-1, float("inf")) else total
            for scheduler in self.schedulers:
                scheduler.detach()
            self.schedulers = [
                Scheduler(
                    optimizer, self.plan.get("lr", "constant()"), total, per_epoch=self.per_epoch, **self._others()
                )
                for optimizer in trainer.optimizers
            ]
            for scheduler, state in zip(self.schedulers, self._saved, strict=False):
                scheduler.load_state_dict(state)
            self._saved = []

        def _others(self) -> dict[str, Any]:
            return {name: value for name, value in self.plan.items() if name != "lr"}

        def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            for scheduler in self.schedulers:
                scheduler.step()

        def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
            if trainer.sanity_checking:
                return
            for scheduler in self.schedulers:
                feedback = scheduler.plan.feedback
                if feedback is not None and feedback.of in trainer.callback_metrics:
                    scheduler.observe(**{feedback.of: trainer.callback_metrics[feedback.of]})

        def state_dict(self) -> dict[str, Any]:
            return {"schedulers": [scheduler.state_dict() for scheduler in self.schedulers]}

        def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
            self._saved = list(state_dict["schedulers"])

    return RateCallback
