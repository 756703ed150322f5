"""Rules that look at a run while it is under way."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Protocol

from stepsize import _check
from stepsize.control import DEFAULT, Record, Signal, due, signals_of
from stepsize.diagnosis import RULES, Rule, Seen, Symptom, diagnose

FIRST = 40  # lines before the rules are asked for the first time
AGAIN = 1.25  # times as many lines as the last time, when they are asked again: about ten times a decade


class Bus(Protocol):
    """Sends a record to all observers of a run."""

    def send(self, record: Record) -> None:
        """Tell them."""


class Diagnose:
    """An observer that applies the rules of ``diagnose`` during a run; each finding is an event, once by name.

    Events go to all observers beside it, so that they stand in files, in TensorBoard and in trackers. The rules
    are asked anew whenever there are a quarter more lines than the last time, and at the end.

    Args:
        every: steps from one look at the signals to the next, >= 1; a look reads them back from the device.
        signals: what is looked at, as for ``JsonLines``; what ``JsonLines`` writes when left out.
        rules: functions that take a ``Seen`` and return a ``Symptom`` or None; all of ours when left out.
        on_symptom: called with each new symptom; nothing when left out.

    Attributes:
        symptoms: what was found so far, in the order in which it was.

    Raises:
        TypeError, ValueError: an argument is invalid.

    Example:
        >>> import torch
        >>> from stepsize import Control, Diagnose
        >>> watch = Diagnose(every=1)
        >>> weight = torch.ones(1, requires_grad=True)
        >>> control = Control(torch.optim.SGD([weight], lr=1.5), total=60, watch=watch)
        >>> for _ in range(60):
        ...     loss = weight.square().sum()
        ...     loss.backward()
        ...     _ = control.step(loss)
        >>> control.detach()
        >>> "diverging" in [symptom.name for symptom in watch.symptoms]
        True
    """

    def __init__(
        self,
        every: int = 10,
        signals: Collection[str | Signal] = DEFAULT,
        rules: Iterable[Rule] = RULES,
        on_symptom: Callable[[Symptom], object] | None = None,
    ) -> None:
        self.every = _check.whole("every", every, least=1)
        signals_of(signals)
        self.signals = tuple(signals)
        rules = tuple(rules) if isinstance(rules, Iterable) and not isinstance(rules, str) else rules
        diagnose(Seen({}), rules)  # says what is no rule
        self.rules = tuple(rules)
        if on_symptom is not None and not callable(on_symptom):
            raise TypeError(_check.message("on_symptom", on_symptom, "a function of a Symptom"))
        self.on_symptom = on_symptom
        self.symptoms: list[Symptom] = []
        self._facts: dict[str, Any] = {}
        self._lines: dict[str, list[dict[str, Any]]] = {"step": [], "observed": [], "event": []}
        self._due = float(FIRST)
        self._bus: Bus | None = None

    def use_bus(self, bus: Bus) -> None:
        """Tell findings to the observers of a bus.

        Args:
            bus: which hands over itself.
        """
        self._bus = bus

    def wants(self, step: int) -> Collection[str | Signal]:
        """The signals, each ``every`` steps."""
        return due(self.signals, step, self.every) if step % self.every == 0 else ()

    def begin(self, facts: Mapping[str, Any]) -> None:
        """Keep what is known of the run."""
        self._facts = {**facts, "status": "running"}

    def on(self, record: Record) -> None:
        """Keep the record, and apply the rules when they are due."""
        self._lines[record.kind].append(record.line())
        if record.kind == "step" and len(self._lines["step"]) >= self._due:
            self._due = AGAIN * len(self._lines["step"])
            self._ask(record.position)

    def end(self, status: str) -> None:
        """Ask a last time, knowing how the run ended."""
        self._facts["status"] = status
        steps = self._lines["step"]
        self._ask(steps[-1]["position"] if steps else 0.0)

    def _ask(self, position: float) -> None:
        known = {symptom.name for symptom in self.symptoms}
        steps = self._lines["step"]
        seen = Seen.of_lines(steps, self._lines["observed"], self._lines["event"], self._facts)
        for symptom in diagnose(seen, self.rules):
            if symptom.name not in known:
                self.symptoms.append(symptom)
                self._tell(symptom, steps[-1]["step"] if steps else 0, position)

    def _tell(self, symptom: Symptom, step: int, position: float) -> None:
        if self.on_symptom is not None:
            self.on_symptom(symptom)
        if self._bus is not None:
            self._bus.send(Record(step, position, "event", *symptom.event))
