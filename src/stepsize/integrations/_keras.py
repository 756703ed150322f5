"""Keras 3 on torch: a ``LearningRateSchedule``."""

from functools import cache
from typing import Any

from stepsize import _check, _extras
from stepsize.integrations._given import as_schedule
from stepsize.schedule import Schedule


def keras_schedule(schedule: Schedule | str, lr: float, total: float, per_epoch: float | None = None) -> Any:
    """A Keras ``LearningRateSchedule``, for ``keras.optimizers.SGD(learning_rate=...)`` on Keras' torch backend.

    Models are saved with it. Call this once before one is loaded, so that Keras knows the class.

    Args:
        schedule: a schedule or its text.
        lr: the base, > 0.
        total: the run's updates, > 0.
        per_epoch: updates in an epoch, > 0; needed by lengths such as ``"3ep"``.

    Raises:
        TypeError, ValueError: an argument is invalid, or Keras runs on another backend.
        ImportError: Keras is not installed.

    Example:
        >>> import keras  # doctest: +SKIP
        >>> from stepsize.integrations import keras_schedule
        >>> optimizer = keras.optimizers.SGD(keras_schedule("linear()", lr=0.5, total=4))  # doctest: +SKIP
        >>> optimizer.learning_rate  # doctest: +SKIP
        0.5

    Source: ``keras.optimizers.schedules.LearningRateSchedule``.
    """
    base = _check.number("lr", lr, above=0)
    laid = as_schedule("schedule", schedule).over(total, per_epoch)
    return _schedule_type()(laid, base)


@cache
def _schedule_type() -> Any:
    """The class, made and made known to Keras when it is there."""
    keras = _extras.load("keras", "keras", "keras_schedule(...)")
    if keras.backend.backend() != "torch":
        raise ValueError(
            _check.message("Keras' backend", keras.backend.backend(), "'torch'", "set KERAS_BACKEND=torch")
        )

    def begin(rate: Any, schedule: Schedule | str, lr: float) -> None:
        rate.schedule, rate.lr = as_schedule("schedule", schedule), lr

    def call(rate: Any, step: Any) -> float:
        factor = rate.schedule(int(step))  # the updates before this one
        value: float = factor if rate.schedule.is_absolute else rate.lr * factor
        return value

    def get_config(rate: Any) -> dict[str, Any]:
        return {"schedule": str(rate.schedule), "lr": rate.lr}

    members = {"__init__": begin, "__call__": call, "get_config": get_config}
    made = type("RateSchedule", (keras.optimizers.schedules.LearningRateSchedule,), members)
    return keras.saving.register_keras_serializable("stepsize")(made)
