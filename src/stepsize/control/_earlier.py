"""Observers as stepsize 0.1 had them, with a method for each kind of record, go on as they are."""

from collections.abc import Collection, Mapping
from typing import Any

from stepsize.control._observer import Record
from stepsize.control.signals import Signal

METHODS = ("wants", "on_step", "on_observe", "on_event")


def is_earlier(optimizer: Any) -> bool:
    """Whether something has the methods that an observer had in stepsize 0.1, and not those of today."""
    return not hasattr(optimizer, "on") and all(callable(getattr(optimizer, name, None)) for name in METHODS)


class Earlier:
    """An observer of 0.1 behind today's protocol.

    Args:
        observer: with ``wants``, ``on_step``, ``on_observe`` and ``on_event``.
    """

    def __init__(self, observer: Any) -> None:
        self._observer = observer

    def wants(self, step: int) -> Collection[str | Signal]:
        """What it wants; ``rate`` was the rate of every group."""
        wanted: Collection[str] = self._observer.wants(step)
        return {*wanted, "rate/*"} if "rate" in wanted else wanted

    def begin(self, facts: Mapping[str, Any]) -> None:
        """It was not told."""

    def on(self, record: Record) -> None:
        """Call the method for this kind."""
        if record.kind == "step":
            self._observer.on_step({"step": record.step, **record.values})
        elif record.kind == "observed":
            self._observer.on_observe(record.step, dict(record.values))
        else:
            event = record.line()
            self._observer.on_event(event.pop("step"), event)

    def end(self, status: str) -> None:
        """It was not told."""
