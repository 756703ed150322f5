"""Who may look at a run under control, and what there is to be seen."""

from collections.abc import Collection, Mapping
from typing import Any, Protocol, runtime_checkable

SIGNALS = frozenset({"gradient_norm", "loss", "rate", "update_ratio"})
"""What an observer may ask for at a step.

``rate`` is the first group's learning rate at the update, with ``rate/NAME`` for every group when there are several;
``gradient_norm`` the global norm before clipping; ``update_ratio`` the norm of the update over the norm of the weights
(needs a copy of the weights during the update).
"""


@runtime_checkable
class Observer(Protocol):
    """Anything that watches a run: four methods, called by Control.

    Nothing is read back from the device at a step for which ``wants`` is empty.

    Example:
        >>> import torch
        >>> from stepsize import Control
        >>> class Printer:
        ...     def wants(self, step):
        ...         return {"rate"} if step % 2 == 0 else ()
        ...     def on_step(self, record):
        ...         print(record)
        ...     def on_observe(self, step, values):
        ...         print(step, values)
        ...     def on_event(self, step, event):
        ...         print(step, event["what"], event["value"])
        >>> weight = torch.ones(1, requires_grad=True)
        >>> control = Control(torch.optim.SGD([weight], lr=0.5), lr="linear()", total=4, watch=Printer())
        >>> for _ in range(4):
        ...     weight.square().sum().backward()
        ...     _ = control.step()
        {'step': 0, 'rate': 0.5}
        {'step': 2, 'rate': 0.25}
        >>> control.observe(validation_loss=0.5)
        4 {'validation_loss': 0.5}
        >>> control.scale(0.5)
        4 scale 0.5
    """

    def wants(self, step: int) -> Collection[str]:
        """The signals wanted of this step, asked before its update; a subset of ``SIGNALS``, empty for none."""

    def on_step(self, record: Mapping[str, float]) -> None:
        """One step's record: ``step`` (the first is 0) and the signals that any observer wanted, as plain numbers."""

    def on_observe(self, step: int, values: Mapping[str, float]) -> None:
        """What was handed to ``Control.observe`` after ``step`` steps, as plain numbers."""

    def on_event(self, step: int, event: Mapping[str, Any]) -> None:
        """What happened beside the steps: ``what``, ``position``, ``group``, and maybe ``value`` and ``reason``."""
