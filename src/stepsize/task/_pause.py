"""The distance from one validation to the next."""

from typing import Any

from stepsize import _check
from stepsize.schedule import Length, constant

SHARE = 20  # validations in a run, unless its task says otherwise
LEAST = 10  # steps between two of them


def check_pause(value: Any) -> Length:
    """The canonical pause between validations: steps, a share of the run, epochs, or None for a twentieth.

    Raises:
        TypeError, ValueError: it is no such length, or 0.
    """
    if isinstance(value, str):
        length = _named(value)
        if float(length.rstrip("%ep")) > 0:
            return length
    if value is None or not isinstance(value, str):
        return None if value is None else float(_check.whole("evaluate_every", value, least=1))
    raise ValueError(_check.message("evaluate_every", value, "longer than 0"))


def _named(value: str) -> str:
    try:
        return str(constant(value).length)
    except ValueError as error:
        raise ValueError(str(error).replace("length of constant", "evaluate_every")) from None


def pause_of(length: Length, steps: int, per_epoch: float | None) -> int:
    """Whole steps from one validation to the next, at least one.

    Args:
        length: from ``check_pause``.
        steps: of the run.
        per_epoch: steps in an epoch, if that is known.

    Raises:
        ValueError: the length is in epochs, and the length of an epoch is not known.

    Example:
        >>> from stepsize.task._pause import pause_of
        >>> pause_of(None, 100, None), pause_of("0.5ep", 100, 31), pause_of("10%", 100, None)
        (10, 16, 10)
    """
    if length is None:
        return max(min(LEAST, steps), steps // SHARE)
    if isinstance(length, float):
        return int(length)
    if length.endswith("%"):
        return max(1, round(steps * float(length[:-1]) / 100))
    if per_epoch is None:
        raise ValueError(
            f"evaluate_every={length} counts epochs, and the length of an epoch is not known; give the task per_epoch, "
            "or examples and batch_size"
        )
    return max(1, round(float(length[:-2]) * per_epoch))
