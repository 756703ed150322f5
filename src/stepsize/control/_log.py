"""What happened to a run beside its steps: changes by hand, decisions of feedback, foreign writes."""

from collections import deque
from collections.abc import Iterable
from typing import Any, NamedTuple

from stepsize.control._observer import Observer

LONGEST = 1_000  # the oldest entries are dropped, so that a state stays small


class Event(NamedTuple):
    """One entry of ``control.log``.

    Attributes:
        step: how many steps had been done.
        position: the run's clock.
        what: ``scale``, ``set``, ``release``, ``rebase``, ``feedback``, ``foreign``, ``extend``, ``resume``,
            ``skipped`` or ``idle`` (something without an effect, as ``reason`` says).
        value: the number that came with it, such as the factor.
        group: the pattern of the groups concerned.
        reason: why, in words.
    """

    step: int
    position: float
    what: str
    value: float | None = None
    group: str = "*"
    reason: str = ""

    def facts(self) -> dict[str, Any]:
        """What observers are told: what there is, without the step."""
        return {name: value for name, value in self._asdict().items() if value not in (None, "") and name != "step"}


class Log:
    """The last thousand events, told to the observers as they come."""

    def __init__(self, observers: Iterable[Observer]) -> None:
        self.observers = list(observers)
        self.events: deque[Event] = deque(maxlen=LONGEST)

    def add(self, event: Event) -> None:
        """Keep an event and tell it."""
        self.events.append(event)
        for observer in self.observers:
            observer.on_event(event.step, event.facts())

    def state(self) -> list[list[Any]]:
        """Small plain data."""
        return [list(event) for event in self.events]

    def load(self, state: Iterable[Iterable[Any]]) -> None:
        """The inverse of ``state``; observers are not told again."""
        self.events.clear()
        self.events.extend(Event(*event) for event in state)
