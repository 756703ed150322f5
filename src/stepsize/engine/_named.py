"""Engines by name."""

from collections.abc import Callable

from stepsize import _check
from stepsize.engine._processes import Processes
from stepsize.engine._serial import serial
from stepsize.engine._work import Engine

ENGINES: dict[str, Callable[[int | None], Engine]] = {
    "processes": Processes,
    "serial": lambda workers: serial,  # noqa: ARG005 - there is one process whatever was asked
}


def engine_named(name: str, workers: int | None = None) -> Engine:
    """An engine by name.

    Args:
        name: ``"serial"`` or ``"processes"``.
        workers: how many processes, >= 1; as many as there are cores when left out.

    Raises:
        TypeError, ValueError: there is none of that name, or workers is no number of workers.

    Example:
        >>> from stepsize.engine import engine_named
        >>> engine_named("processes", workers=2).count
        2
    """
    if workers is not None:
        workers = _check.whole("workers", workers, least=1)
    if not isinstance(name, str):
        raise TypeError(_check.message("engine", name, "an engine's name"))
    if name not in ENGINES:
        raise ValueError(f"there is no engine {name!r}; {_check.closest(name, ENGINES)}")
    return ENGINES[name](workers)
