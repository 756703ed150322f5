"""Observers as one: what they want is asked once, computed once, and told to those who wanted it."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from torch import Tensor

from stepsize import _check
from stepsize.control._earlier import Earlier, is_earlier
from stepsize.control._observer import Observer, Record
from stepsize.control._records import read
from stepsize.control.signals import SIGNALS, Signal, Update, due, fits, signals_of

Wants = list[tuple[Observer, tuple[str | Signal, ...]]]
NOTHING: frozenset[str] = frozenset()


class Bus:
    """Sends records to observers, for ``Control`` and for runs without one; given as ``watch``, it is used as it is.

    Args:
        watch: an observer or several; none when left out.
        facts: what is known of the run beforehand, handed to ``begin`` beside Control's own.

    Raises:
        TypeError, ValueError: something is no observer, or wants what is no signal.

    Example:
        >>> from pathlib import Path
        >>> from stepsize import JsonLines
        >>> from stepsize.control import Bus, Record
        >>> bus = Bus([JsonLines("metrics.jsonl")])
        >>> look = bus.look(0, 0.0)
        >>> look.measure(loss=0.5, rates={"alpha": 0.1})
        >>> look.tell()
        >>> bus.send(Record(1, 1.0, "observed", {"success": 0.7}))
        >>> print(Path("metrics.jsonl").read_text().strip())
        {"step": 0, "position": 0.0, "loss": 0.5, "rate": 0.1}
        {"step": 1, "position": 1.0, "success": 0.7}
    """

    def __init__(
        self, watch: Observer | Iterable[Observer] | None = None, facts: Mapping[str, Any] | None = None
    ) -> None:
        if facts is not None and not isinstance(facts, Mapping):
            raise TypeError(_check.message("facts", facts, "a mapping"))
        listed = [] if watch is None else list(watch) if isinstance(watch, Iterable) else [watch]
        checked = list(map(_checked, listed))
        self.observers = [observer for observer, _ in checked]
        self._given = listed
        for member in self.observers:
            if callable(use_bus := getattr(member, "use_bus", None)):  # one that itself has something to tell
                use_bus(self)
        self._facts = dict(facts or {})
        self._more: Callable[[], Mapping[str, Any]] | None = None
        self._begun = self._ended = False
        self._ahead: tuple[int, Wants] | None = None  # a step, and what is wanted of it
        self._hears = any(
            hears for _, hears in checked
        )  # whether a signal that hears an update's parts was ever wanted
        self._memory: dict[str, Any] = {}

    def __iter__(self) -> Iterator[Any]:
        """The observers as they were given."""
        return iter(self._given)

    def about(self, facts: Callable[[], Mapping[str, Any]]) -> None:
        """Set the source of further facts for the first record.

        Args:
            facts: called once.
        """
        self._more = facts

    def look(
        self,
        step: int,
        position: float,
        groups: Callable[[], Mapping[str, Any]] = dict,
        **known: Any,
    ) -> "Look | None":
        """The signals wanted of the next update; None where there are none.

        Args:
            step: its number.
            position: the clock.
            groups: gives the parameter groups by name; none when left out.
            **known: what else an ``Update`` has, such as ``again``.
        """
        wants = self._asked(step)
        self._ahead = None
        parts = known.get("parts")
        if not wants and known.get("again") is None and (parts is None or not parts.together):
            return None
        self._begin()
        look = Look(Update(step, position, groups(), memory=self._memory, **known), wants)
        self._hears = self._hears or look.needs_parts
        return look

    def wants_parts(self, step: int) -> bool:
        """Whether a signal is wanted of a step that hears the gradients of its parts; not known before the first one.

        Args:
            step: its number.
        """
        return self._hears and any(signal.needs_parts for signal in signals_of(_names(self._asked(step))))

    def wants_again(self, step: int) -> frozenset[str]:
        """The names of the signals wanted of a step that evaluate its batch once more.

        Args:
            step: its number.
        """
        wanted = _names(self._asked(step))
        return frozenset(signal.name for signal in signals_of(wanted) if signal.cost == "again") if wanted else NOTHING

    def _asked(self, step: int) -> Wants:
        """Each observer's wants for a step; each is asked once, also where the loop asks ahead."""
        if self._ahead is None or self._ahead[0] != step:
            wants = [(observer, due(observer.wants(step), step)) for observer in self.observers]
            self._ahead = step, [(observer, wanted) for observer, wanted in wants if wanted]
        return self._ahead[1]

    def send(self, record: Record) -> None:
        """Tell every observer.

        Args:
            record: an event, or what was observed.
        """
        if self.observers:
            self._begin()
            for observer in self.observers:
                observer.on(record)

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            facts = {**(self._more() if self._more is not None else {}), **self._facts}
            for observer in self.observers:
                observer.begin(facts)

    def end(self, status: str) -> None:
        """Tell the end, once, if anything was told.

        Args:
            status: in a word.
        """
        if self._begun and not self._ended:
            self._ended = True
            for observer in self.observers:
                observer.end(status)


class Look:
    """One update that observers look at: made just before it, measured just after it, told when the clock has moved.

    Attributes:
        update: as signals see it.
        needs_norm: whether a signal needs the gradients' norm.
        needs_parts: whether a signal needs what was heard of the update's parts.
    """

    def __init__(self, update: Update, wants: Wants) -> None:
        self.update, self._wants = update, wants
        others = set[str]() if update.again is None else set(update.again.wanted)
        if update.parts is not None and update.parts.together:
            others |= {name for name, signal in SIGNALS.items() if signal.needs_parts}
        everything = (*_names(wants), *(other for other in others if other in SIGNALS))
        update.wants = lambda name: fits(name, everything)
        # in one order on all processes, which some exchange numbers in; a set's order is each process's own
        self._signals = sorted(signals_of(everything), key=lambda signal: signal.name)
        self._kept = {signal.name: signal.before(update) for signal in self._signals if signal.before is not None}
        self._values: dict[str, float] = {}
        self.needs_norm = any(signal.needs_norm for signal in self._signals)
        self.needs_parts = any(signal.needs_parts for signal in self._signals)

    def measure(
        self,
        loss: Tensor | float | None = None,
        rates: Mapping[str, float] | None = None,
        norm: Tensor | None = None,
        factor: Tensor | None = None,
    ) -> None:
        """Compute what is wanted; the one place that reads back from the device for observers.

        Args:
            loss: of the update.
            rates: by group.
            norm: of the gradients.
            factor: of clipping.
        """
        update = self.update
        loss = loss.detach() if isinstance(loss, Tensor) else loss
        update.loss, update.rates, update.norm, update.factor = loss, rates or {}, norm, factor
        for signal in self._signals:
            kept = (self._kept.pop(signal.name),) if signal.before is not None else ()
            found = signal.after(update, *kept)
            several = found if isinstance(found, Mapping) else {} if found is None else {"": found}
            for key, value in several.items():
                name = f"{signal.name}/{key}" if key else signal.name
                if update.wants(name):
                    _check.one_number(name, value)
                    self._values[name] = read(value)

    def tell(self) -> None:
        """Tell each observer what it wanted."""
        update = self.update
        for observer, wanted in self._wants:  # in the order it names, whatever others want: lines stay the same
            values = {
                name: value for pattern in wanted for name, value in self._values.items() if fits(name, (pattern,))
            }
            observer.on(Record(update.step, update.position, "step", values))


def bus_of(watch: Observer | Iterable[Observer] | Bus | None) -> Bus:
    """A bus of observers; a bus as it is.

    Args:
        watch: an observer, several, a bus, or None.

    Raises:
        TypeError, ValueError: something is no observer, or wants what is no signal.

    Example:
        >>> from stepsize.control import Bus, bus_of
        >>> bus = Bus()
        >>> bus_of(bus) is bus, bus_of(None).observers
        (True, [])
    """
    return watch if isinstance(watch, Bus) else Bus(watch)


def _names(wants: Wants) -> list[str | Signal]:
    """All that any observer wants."""
    return [name for _, wanted in wants for name in wanted]


def _checked(candidate: Any) -> tuple[Observer, bool]:
    """An observer, and whether it wants to hear of the first update's parts."""
    observer: Observer = Earlier(candidate) if is_earlier(candidate) else candidate
    if not isinstance(observer, Observer):
        rule = "an observer or several: objects with wants, begin, on and end"
        raise TypeError(_check.message("watch", candidate, rule, 'write for example watch=TensorBoard("runs/a")'))
    try:
        hears = any(signal.needs_parts for signal in signals_of(observer.wants(0)))
    except (TypeError, ValueError) as error:
        raise type(error)(f"watch: {error}") from None
    return observer, hears


def facts_of(reference: Callable[[], Any]) -> dict[str, Any]:
    """The facts for a control's observers."""
    driver = reference()
    if driver is None:
        return {}
    return {
        "plan": str(driver.plan),
        "total": driver.total,
        "position": driver.position,
        "groups": list(driver.names),
    }


def end_of(bus: Bus, driver: Any) -> None:
    """Tell observers how a control has ended."""
    broke = sys.exc_info()[0] is not None or hasattr(sys, "last_type")
    short = driver.total is not None and driver.position < driver.total * (1 - 1e-9)
    bus.end("stopped" if broke or short else "finished")
