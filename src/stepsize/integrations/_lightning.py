"""Lightning: a callback that drives the trainer's optimizers by a plan."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from stepsize import _extras
from stepsize.integrations._given import check
from stepsize.integrations._lightning_hooks import Hooks


def lightning_callback(
    total: float | None = None,
    per_epoch: float | None = None,
    resume: Mapping[str, str] | None = None,
    **plan: Any,
) -> Any:
    """A Lightning callback that drives the rates of the trainer's optimizers: ``Trainer(callbacks=[...])``.

    The module's ``configure_optimizers`` gives optimizers only, no schedulers. The clock is each optimizer's real
    updates; the run's length is the trainer's ``estimated_stepping_batches``. Feedback gets what the module logs, after
    each validation, or each epoch where there is none: ``feedback=plateau(of="val_loss")`` looks at what it logs as
    ``val_loss``. The state is in the trainer's checkpoints.

    Args:
        total: the updates of each optimizer in the whole run, > 0; the trainer's own estimate when left out, which
            under manual optimization is right for one update a batch.
        per_epoch: updates in an epoch, > 0; needed by lengths such as ``"3ep"``.
        resume: choices for a checkpoint that differs, as of ``Scheduler.load_state_dict``: ``{"extend": "stretch"}``
            for a run that shall now be longer.
        plan: as of ``Scheduler``: ``lr``, ``momentum``, ``weight_decay``, ``feedback``, ``floor``, ``cap``. Clipping is
            the trainer's own ``gradient_clip_val``.

    Raises:
        TypeError, ValueError: an argument is not what is said above; when training starts: the module has schedulers
            of its own, the length is not known, or the checkpoint differs; later: what feedback looks at is not logged.
        ImportError: Lightning is not installed.

    Example:
        >>> import warnings
        >>> import torch
        >>> from lightning.pytorch import Trainer
        >>> from lightning.pytorch.demos.boring_classes import BoringModel
        >>> from stepsize.integrations import lightning_callback
        >>> warnings.simplefilter("ignore")  # Lightning's, about the number of workers
        >>> class Model(BoringModel):
        ...     def configure_optimizers(self):
        ...         return torch.optim.SGD(self.parameters(), lr=0.5)
        >>> callback = lightning_callback(lr="linear()")
        >>> Trainer(max_steps=4, accelerator="cpu", barebones=True, callbacks=[callback]).fit(Model())
        >>> callback.schedulers[0].position, callback.schedulers[0].get_last_lr()
        (4.0, [0.0])

    Source: ``lightning.pytorch.callbacks.Callback``.
    """
    given = check(plan, resume, "use Trainer(gradient_clip_val=...)", total=total, per_epoch=per_epoch)
    return _make(given, dict(resume or {}))


def _make(given: dict[str, Any], resume: dict[str, str]) -> Any:
    return _callback_type()(given, resume)


@cache
def _callback_type() -> Any:
    """The class, made when Lightning is there."""
    base = _extras.load("lightning.pytorch", "lightning", "lightning_callback(...)").Callback

    def reduce(callback: Hooks) -> tuple[Any, ...]:
        return _make, (callback.given, callback.resume)  # for processes that are spawned

    return type("RateCallback", (Hooks, base), {"__reduce__": reduce})
