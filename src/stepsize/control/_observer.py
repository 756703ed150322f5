"""Observers of a run, and the records they receive."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from stepsize.control.signals import Signal


@dataclass(frozen=True)
class Record:
    """One record of a run.

    Attributes:
        step: of an update its number, from 0; else how many updates had been done.
        position: the clock: before the update, or as it stood.
        kind: ``"step"``; ``"observed"``, from ``Control.observe``; or ``"event"``, such as a change by hand.
        values: plain numbers by name: signals, what was observed, or an event's ``value``, and of a change
            by hand what was ``before`` and ``after`` it.
        text: an event's ``what``, ``group`` and maybe ``reason``.

    Example:
        >>> from stepsize import Record
        >>> Record(3, 3.0, values={"loss": 0.5}).line()
        {'step': 3, 'position': 3.0, 'loss': 0.5}
    """

    step: int
    position: float
    kind: Literal["step", "observed", "event"] = "step"
    values: Mapping[str, float] = field(default_factory=dict)
    text: Mapping[str, str] = field(default_factory=dict)

    def line(self) -> dict[str, Any]:
        """All of it as one flat mapping, as it stands in a file."""
        return {"step": self.step, **self.text, "position": self.position, **self.values}


@runtime_checkable
class Observer(Protocol):
    """Anything that watches a run: four methods, called by Control.

    Nothing is read back from the device at a step of which no observer wants anything.

    Example:
        >>> import torch
        >>> from stepsize import Control
        >>> class Printer:
        ...     def wants(self, step):
        ...         return {"rate"} if step % 2 == 0 else ()
        ...     def begin(self, facts):
        ...         print(facts["plan"])
        ...     def on(self, record):
        ...         print(record.kind, record.line())
        ...     def end(self, status):
        ...         print(status)
        >>> weight = torch.ones(1, requires_grad=True)
        >>> control = Control(torch.optim.SGD([weight], lr=0.5), lr="linear()", total=4, watch=Printer())
        >>> for _ in range(4):
        ...     weight.square().sum().backward()
        ...     _ = control.step()
        lr: linear(4)
        step {'step': 0, 'position': 0.0, 'rate': 0.5}
        step {'step': 2, 'position': 2.0, 'rate': 0.25}
        >>> control.observe(validation_loss=0.5)
        observed {'step': 4, 'position': 4.0, 'validation_loss': 0.5}
        >>> control.scale(0.5)
        event {'step': 4, 'what': 'scale', 'group': '*', 'position': 4.0, 'value': 0.5, 'before': 0.0, 'after': 0.0}
        >>> control.detach()
        finished
    """

    def wants(self, step: int) -> Collection[str | Signal]:
        """The signals wanted of this update, asked before it: names, patterns such as ``"rate/*"``, or signals."""

    def begin(self, facts: Mapping[str, Any]) -> None:
        """Called first, with the facts: ``plan``, ``total``, ``position``, ``groups``, and more of a task's run."""

    def on(self, record: Record) -> None:
        """An update with the signals that were wanted of it, what was observed, or an event."""

    def end(self, status: str) -> None:
        """When control ends: ``"finished"``, ``"stopped"`` before the total, or what ``train`` came to."""
