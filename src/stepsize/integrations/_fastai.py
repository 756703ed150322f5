"""fastai: a callback that lays schedules over what ``fit`` trains."""

from functools import cache, partial
from typing import Any

from stepsize import _extras
from stepsize.integrations._given import as_schedule
from stepsize.schedule import Schedule


def fastai_callback(**schedules: Schedule | str) -> Any:
    """A fastai callback whose schedules drive the hyperparameters of the learner: ``learn.fit(5, cbs=callback)``.

    The bases are the learner's, of every parameter group; the run's length is what ``fit`` trains, batch by batch.
    Each fit begins anew.

    Args:
        schedules: by fastai's names (``lr``, ``mom``, ``wd``), each a schedule or its text.

    Raises:
        TypeError, ValueError: there is no schedule, or it is invalid; when ``fit`` begins: the optimizer has no such
            hyperparameter, or the run is too short.
        ImportError: fastai is not installed.

    Example:
        >>> from fastai.basics import *  # doctest: +SKIP
        >>> from stepsize.integrations import fastai_callback
        >>> learn = Learner(dls, model, loss_func=mse, lr=0.5)  # doctest: +SKIP
        >>> learn.fit(5, cbs=fastai_callback(lr="warmup(5%) >> cosine()"))  # doctest: +SKIP

    Source: ``fastai.callback.schedule.ParamScheduler``.
    """
    if not schedules:
        raise ValueError('fastai_callback needs a schedule; write for example fastai_callback(lr="linear()")')
    return _make({name: as_schedule(name, schedule) for name, schedule in schedules.items()})


def _make(schedules: dict[str, Schedule]) -> Any:
    return _callback_type()(schedules)


@cache
def _callback_type() -> Any:
    """The class, made when fastai is there."""
    base: Any = _extras.load("fastai.callback.schedule", "fastai", "fastai_callback(...)").ParamScheduler

    def before_fit(callback: Any) -> None:
        per_epoch = len(callback.dls.train)
        total = callback.n_epoch * per_epoch
        for name, schedule in callback.schedules.items():
            bases = [hypers[name] for hypers in callback.opt.hypers]
            callback.scheds[name] = partial(_values, schedule.over(total, per_epoch), total, bases)
        base.before_fit(callback)

    def begin(callback: Any, schedules: dict[str, Schedule]) -> None:
        base.__init__(callback, {})
        callback.schedules = schedules

    def reduce(callback: Any) -> tuple[Any, ...]:
        return _make, (callback.schedules,)  # for learn.export

    members = {"__init__": begin, "before_fit": before_fit, "__reduce__": reduce}
    return type("RateCallback", (base,), members)


def _values(schedule: Schedule, total: int, bases: list[float], share: float) -> list[float]:
    """The value in each group when a share of the run is done; fastai adds the shares of batches up."""
    factor = schedule(round(share * total))
    return [factor if schedule.is_absolute else base * factor for base in bases]
