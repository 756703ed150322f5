"""Lightning: a callback that drives the trainer's optimizers by a plan."""

from collections.abc import Mapping, Sequence
from functools import cache
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepsize import _check, _extras
from stepsize.control import Plan
from stepsize.integrations._given import by_optimizer, check, check_resume, parts_of
from stepsize.integrations._lightning_hooks import Given, Hooks
from stepsize.integrations._searched import check_options
from stepsize.integrations._steered import check_steer
from stepsize.integrations._verified import check_verify

if TYPE_CHECKING:  # LightningCLI, which reads the annotations, has it installed
    from lightning.pytorch import Callback

CLIPPING = "use Trainer(gradient_clip_val=...)"
Numbers = float | Sequence[float | None] | Mapping[int, float]
Plans = Sequence[Plan | str | None] | Mapping[int, Plan | str]


def lightning_callback(
    total: Numbers | None = None,
    per_epoch: Numbers | None = None,
    resume: Mapping[str, str] | None = None,
    plans: Plans | None = None,
    find: bool | Mapping[str, Any] = False,
    steer: Path | str | None = None,
    verify: bool | str = False,
    **plan: Any,
) -> "Callback":
    """A Lightning callback that drives the rates of the trainer's optimizers: ``Trainer(callbacks=[...])``.

    The module's ``configure_optimizers`` gives optimizers only, no schedulers. The clock is each optimizer's real
    updates; the run's length is the trainer's ``estimated_stepping_batches``. Feedback gets what the module logs, after
    each validation, or each epoch where it is logged in training: ``feedback=plateau(of="val_loss")`` looks at what it
    logs as ``val_loss``. The state is in the trainer's checkpoints.

    Args:
        total: the updates of each optimizer in the whole run, > 0; the trainer's own estimate when left out, which
            under manual optimization is right for one update a batch. A list has one for each optimizer of
            ``configure_optimizers``, a mapping one by their places.
        per_epoch: updates in an epoch, > 0; needed by lengths such as ``"3ep"``; or a list or mapping.
        resume: choices for a checkpoint that differs, as of ``Scheduler.load_state_dict``: ``{"extend": "stretch"}``
            for a run that shall now be longer.
        plans: of several optimizers, a plan or its text for each: a list, where None leaves an optimizer alone, or a
            mapping from their places, such as ``{0: Plan("cosine()"), 1: "lr: linear()"}``.
        find: whether to find the rate just before the first batch, as ``find_in_module`` does; or its options, such as
            ``{"budget": "0.3x"}``. A run that goes on from a checkpoint keeps its rate. All optimizers need one plan
            and length, and keep their ratio. The finding is logged, and in ``callback.finding``.
        steer: the folder from which the run can be steered while it trains, by ``stepsize steer FOLDER scale 0.5`` or
            ``Steer(folder)``: all that ``Control`` does but ``clip`` and ``extend``, and ``checkpoint`` and ``stop``,
            which write ``steered-step=N.ckpt`` beside the trainer's checkpoints. Several optimizers have a folder each
            in it: ``optimizer0`` and so on.
        verify: whether to try at a quarter of the run, by short forks of it, if another rate would do better for the
            rest; ``"apply"`` goes on at that rate. Forks train by Lightning's own loop on the next epoch's data and
            cost a tenth of the run at most; then all is put back to the bit, in mid-epoch too. The finding, whose rate
            is the run's own where that should be kept, is logged as ``verified_rate``, and in ``callback.verified``.
        plan: the plan of all optimizers, as of ``Scheduler``: ``lr``, ``momentum``, ``weight_decay``, ``feedback``,
            ``floor``, ``cap``. Clipping is the trainer's own ``gradient_clip_val``.

    Raises:
        TypeError, ValueError: an argument is invalid; when training starts: the module has schedulers of its own, or
            other optimizers than the plans are for, the length is not known, or the checkpoint differs, the run is too
            short for ``verify``, or its forks could not be put back exactly, since it has several optimizers, devices
            or a stream; later: what feedback looks at is not logged.
        RuntimeError: when training starts: no usable rate was found.
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
    options = check_options(find)
    choices, folder = check_resume(resume, found=options is not None), check_steer(steer)
    verify = check_verify(verify)
    lengths = {"total": _lengths("total", total), "per_epoch": _lengths("per_epoch", per_epoch)}
    if plans is None:
        return _make(Given({None: check(plan, CLIPPING)}, lengths), choices, options, folder, verify)
    if options is not None:
        raise ValueError(_check.message("find", find, "left out beside plans: one schedule is searched with"))
    if verify:
        raise ValueError(_check.message("verify", verify, "left out beside plans: it looks at one optimizer"))
    if plan:
        names = ", ".join(plan)
        raise ValueError(f"plans has the plan of each optimizer, and {names} came beside it; put it into each plan")
    rule = "a list with a plan for each optimizer, or a mapping from their places"
    listed = by_optimizer("plans", plans, rule)
    parts: dict[int | None, Any] = {
        place: parts_of(_plan(part), CLIPPING) for place, part in listed.items() if part is not None
    }
    count = None if isinstance(plans, Mapping) else len(listed)
    return _make(Given(parts, lengths, count), choices, None, folder, verify)


def _plan(value: Any) -> Plan:
    if isinstance(value, str):
        return Plan.parse(value)
    if not isinstance(value, Plan):
        raise TypeError(_check.message("plan of plans", value, "a Plan or its text"))
    return value


def _lengths(name: str, value: Any) -> dict[int | None, float]:
    """Lengths by optimizer, or one under None for all."""
    if value is None:
        return {}
    if isinstance(value, Real | str):
        return {None: _check.number(name, value, above=0)}
    rule = "a number > 0, a list with one for each optimizer, or a mapping from their places"
    values = by_optimizer(name, value, rule)
    return {place: _check.number(name, number, above=0) for place, number in values.items() if number is not None}


def _make(
    given: Given, resume: dict[str, str], find: dict[str, Any] | None, steer: Path | None, verify: bool | str
) -> "Callback":
    callback: Callback = _callback_type()(given, resume, find, steer, verify)
    return callback


@cache
def _callback_type() -> Any:
    """The class, made when Lightning is there."""
    base = _extras.load("lightning.pytorch", "lightning", "lightning_callback(...)").Callback

    def reduce(callback: Hooks) -> tuple[Any, ...]:
        every = callback.given, callback.resume, callback.find, callback.steer, callback.verify
        return _make, every  # for processes that are spawned

    return type("RateCallback", (Hooks, base), {"__reduce__": reduce})
