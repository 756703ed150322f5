"""Observers that touch their files only once a run is under way."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from stepsize.control import SIGNALS, Observer


class Later:
    """Observers that are made when the first word comes, so that a resumed run that is refused loses nothing.

    Args:
        make: makes them.
        every: steps from one to the next at which they want every signal.
    """

    def __init__(self, make: Callable[[], list[Any]], every: int) -> None:
        self._make, self._every = make, every
        self._made: list[Any] | None = None

    def _all(self) -> list[Observer]:
        if self._made is None:
            self._made = self._make()
        return self._made

    def wants(self, step: int) -> Collection[str]:
        """Every signal, each ``every`` steps; asked before a run begins, it makes nothing."""
        return SIGNALS if step % self._every == 0 else ()

    def on_step(self, record: Mapping[str, float]) -> None:
        """Hand it on."""
        for each in self._all():
            each.on_step(record)

    def on_observe(self, step: int, values: Mapping[str, float]) -> None:
        """Hand it on."""
        for each in self._all():
            each.on_observe(step, values)

    def on_event(self, step: int, event: Mapping[str, Any]) -> None:
        """Hand it on."""
        for each in self._all():
            each.on_event(step, event)

    def sync(self) -> None:
        """Hand it on to those that have been made and can."""
        for each in self._made or ():
            if hasattr(each, "sync"):
                each.sync()

    def close(self) -> None:
        """Close those that have been made."""
        for each in self._made or ():
            each.close()
