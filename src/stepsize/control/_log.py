"""What happened to a run beside its steps: changes by hand, decisions of feedback, foreign writes."""

from collections import deque
from collections.abc import Iterable
from typing import Any, NamedTuple

from stepsize.control._bus import Bus
from stepsize.control._observer import Record

LONGEST = 1_000  # the oldest entries are dropped, so that a state stays small


class Event(NamedTuple):
    """One entry of ``control.log``.

    Attributes:
        step: how many steps had been done.
        position: the run's clock.
        what: ``scale``, ``set``, ``release``, ``rebase``, ``clip``, ``feedback``, ``foreign``, ``extend``,
            ``cooldown``, ``resume``, ``skipped``, ``steer`` (commands that cannot be taken), a command of the loop,
            such as ``validate``, or ``idle`` (something without an effect, as ``reason`` says).
        value: the number that came with it, such as the factor.
        group: the pattern of the groups concerned.
        reason: why, in words.
        before: the value that the first of these groups had before a change by hand, such as its rate; or the run's
            total, or the clipping threshold.
        after: the same after it.
    """

    step: int
    position: float
    what: str
    value: float | None = None
    group: str = "*"
    reason: str = ""
    before: float | None = None
    after: float | None = None

    def record(self) -> Record:
        """The record for observers."""
        text = {"what": self.what, "group": self.group, **({"reason": self.reason} if self.reason else {})}
        numbers = {"value": self.value, "before": self.before, "after": self.after}
        values = {name: number for name, number in numbers.items() if number is not None}
        return Record(self.step, self.position, "event", values, text)


class Log:
    """The last thousand events, told to the observers as they come."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.events: deque[Event] = deque(maxlen=LONGEST)

    def add(self, event: Event) -> None:
        """Keep an event and tell it."""
        self.events.append(event)
        self.bus.send(event.record())

    def state(self) -> list[list[Any]]:
        """Small plain data."""
        return [list(event) for event in self.events]

    def load(self, state: Iterable[Iterable[Any]]) -> None:
        """The inverse of ``state``; observers are not told again."""
        self.events.clear()
        self.events.extend(Event(*event) for event in state)
