"""What a signal is: a name, its cost, and what it measures before and after an update."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from torch import Tensor

from stepsize import _check

COSTS = ("free", "reads back", "copies", "again")
OURS = ("step", "position")  # of every record


def _everything(name: str) -> bool:  # noqa: ARG001 - whatever it is called
    """All is wanted."""
    return True


@dataclass
class Update:
    """An update as signals see it; of a value that is not there, None.

    Attributes:
        step: its number; the first is 0.
        position: the clock before it.
        groups: the parameter groups by name.
        wants: whether any observer wants a value of this name, for signals that give several.
        loss: what was handed over or returned by a closure; known after the update.
        rates: the learning rate of each group, with which it was done; known after the update.
        norm: the gradients' global norm before clipping, 0-d; known after the update, where a signal needs it.
        factor: the smallest factor that clipping multiplied an entry of the gradients by, 0-d; known after the update.
        driven: gives the values that are driven beside the rate, by hyperparameter and group.
        skipped: how many updates were left out so far.
        total: the clock's end; None where it is not known.
        memory: what signals of a run keep from one look to the next, by a name of their own; empty after resuming.
        parts: what was heard of the gradients of its parts, where a signal needs it.
        again: evaluates the update's batch once more, where the loop has handed it over (``step(loss, again=...)``).
        shared: what signals of one update share with each other, by a name of their own.
    """

    step: int
    position: float
    groups: Mapping[str, Mapping[str, Any]]
    wants: Callable[[str], bool] = _everything
    loss: Tensor | float | None = None
    rates: Mapping[str, float] = field(default_factory=dict)
    norm: Tensor | None = None
    factor: Tensor | None = None
    driven: Callable[[], Mapping[str, Mapping[str, float]]] = dict
    skipped: int = 0
    total: float | None = None
    memory: dict[str, Any] = field(default_factory=dict)
    parts: Any = None
    again: Any = None
    shared: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def parameters(self) -> dict[str, Tensor]:
        """The parameters by name: their own where the optimizer knows it, else such as ``group0.1``."""
        named: dict[str, Tensor] = {}
        for group_name, group in self.groups.items():
            known = group.get("param_names")
            for index, parameter in enumerate(group["params"]):
                name = known[index] if known else f"{group_name}.{index}"
                named[f"{group_name}/{name}" if name in named else name] = parameter
        return named


@dataclass(frozen=True)
class Signal:
    """Something that can be seen of an update; only computed at steps of which an observer wants it.

    ``before`` sees the weights that are about to change and the gradients as they came, and what it returns is handed
    to ``after``; ``after`` sees the new weights, and the gradients as they were applied, before they are zeroed.

    Args:
        name: under which its value is recorded; several values are recorded as ``name/key``.
        after: called with the ``Update``, and with what ``before`` returned where there is one. Returns a number or a
            tensor of one element; several by key, where the key ``""`` stands for the name alone; or None for nothing.
        before: called with the ``Update`` just before it; nothing when left out.
        cost: ``"free"``, ``"reads back"`` (from the device, once a value), ``"copies"`` (weights, or the like), or
            ``"again"`` (evaluates the batch once more).
        needs_norm: whether it needs ``update.norm``.
        needs_parts: whether it needs ``update.parts``.

    Raises:
        TypeError, ValueError: an argument is invalid.

    Example:
        >>> import torch
        >>> from stepsize import Control, Signal
        >>> weight_norm = Signal("weight_norm", lambda update: sum(p.norm() for p in update.parameters.values()))
        >>> class Printer:
        ...     def wants(self, step):
        ...         return ["rate", weight_norm]
        ...     def begin(self, facts): ...
        ...     def on(self, record):
        ...         print(record.step, record.values)
        ...     def end(self, status): ...
        >>> weight = torch.ones(1, requires_grad=True)
        >>> control = Control(torch.optim.SGD([weight], lr=0.25), watch=Printer())
        >>> weight.square().sum().backward()
        >>> _ = control.step()
        0 {'rate': 0.25, 'weight_norm': 0.5}
    """

    name: str
    after: Callable[..., Any]
    before: Callable[[Update], Any] | None = None
    cost: str = "reads back"
    needs_norm: bool = False
    needs_parts: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name or set(self.name) & set("/*?[]@") or self.name in OURS:
            rule = f"a text without / * ? [ ] @, and none of {', '.join(OURS)}"
            raise ValueError(_check.message("name", self.name, rule))
        if not callable(self.after):
            raise TypeError(_check.message("after", self.after, "a function of an Update"))
        if self.before is not None and not callable(self.before):
            raise TypeError(_check.message("before", self.before, "a function of an Update"))
        if self.cost not in COSTS:
            raise ValueError(_check.message("cost", self.cost, f"one of {', '.join(map(repr, COSTS))}"))
        for name in ("needs_norm", "needs_parts"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(_check.message(name, getattr(self, name), "True or False"))
