"""Engines by name."""

from collections.abc import Callable

from stepsize import _check
from stepsize.engine._auto import Auto
from stepsize.engine._batched import Batched
from stepsize.engine._processes import Processes
from stepsize.engine._ray import Ray
from stepsize.engine._serial import serial
from stepsize.engine._work import Engine

ENGINES: dict[str, Callable[[int | None], Engine]] = {
    "auto": Auto,
    "batched": Batched,
    "batched-compiled": lambda members: Batched(members, compiled=True),
    "processes": Processes,
    "ray": lambda workers: Ray(workers=workers),
    "serial": lambda workers: serial,  # noqa: ARG005 - there is one process whatever was asked
}


def engine_named(name: str, workers: int | None = None, address: str | None = None) -> Engine:
    """An engine by name.

    Args:
        name: ``"serial"``, ``"processes"``, ``"ray"``, ``"batched"``, ``"batched-compiled"``, or ``"auto"``, which
            chooses.
        workers: how many processes, >= 1, as many as there are cores when left out; of the batched engines, how many
            trials at once.
        address: of a Ray cluster, with ``"ray"``; this machine when left out.

    Raises:
        TypeError, ValueError: there is none of that name, or an argument is invalid.

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
    if address is not None:
        if name != "ray":
            raise ValueError(f"address goes with the engine ray, and this is {name!r}; leave it out, or take ray")
        return Ray(address, workers)
    return ENGINES[name](workers)
