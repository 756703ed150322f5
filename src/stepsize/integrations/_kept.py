"""The state of a trainer and its module, noted and put back: nothing of a search is left."""

from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from stepsize.state import capture, is_loader, is_optimizer

Undo = Callable[[], object]
HOUSES = {"accelerate", "lightning", "lightning_fabric", "peft", "pytorch_lightning", "transformers", "trl"}
MANY = 1_000  # elements of a container from which on these are data, and not looked into


class Kept:
    """The noted state of a trainer and its parts; ``restore()`` puts it back.

    Of objects of a trainer's house, and of classes derived from its own: attributes, lists, dictionaries and sets, by
    identity. Of parameters their place in memory and gradient, of loaders what draws their order; and the global random
    generators. The numbers in weights and optimizer states are the search's own to put back.

    Args:
        things: from which all others are reached.
    """

    def __init__(self, *things: Any) -> None:
        self._objects: list[Undo] = []  # of the trainer itself
        self._trained: list[Undo] = []  # of modules and optimizers, and what is inside them
        self._tensors: list[tuple[Tensor, Tensor, Tensor | None]] = []
        loaders, seen = list[Any](), dict[int, Any]()
        todo = [(thing, self._objects) for thing in things]
        while todo:
            thing, undos = todo.pop()
            if id(thing) in seen or isinstance(thing, type):
                continue
            seen[id(thing)] = thing
            if isinstance(thing, nn.Module) or is_optimizer(thing):
                undos = self._trained
            if is_loader(thing) or isinstance(thing, torch.Generator):
                loaders.append(thing)
            todo += [(inner, undos) for inner in self._inside(thing, undos)]
        self._rest = capture(*loaders)

    def _inside(self, thing: Any, undos: list[Undo]) -> Iterator[Any]:
        """Note one object, and give what is inside it."""
        if isinstance(thing, nn.Parameter):
            self._tensors.append((thing, thing.data, thing.grad))
        if isinstance(thing, dict):
            yield from _noted(thing, undos)
        elif isinstance(thing, list | deque | set):
            items = list(thing)
            undos.append(partial(_refill, thing, thing.update if isinstance(thing, set) else thing.extend, items))
            yield from items if len(items) < MANY else ()
        elif isinstance(thing, tuple):
            yield from thing
        if _belongs(thing) and isinstance(getattr(thing, "__dict__", None), dict):
            yield from _noted(vars(thing), undos)

    def restore_trainer(self) -> None:
        """Put back what the trainer keeps, and leave modules, optimizers, loaders and generators as they are."""
        for undo in self._objects:
            undo()

    def restore(self) -> None:
        """Put all back, as often as wanted."""
        for undo in [*self._objects, *self._trained]:
            undo()
        for parameter, data, gradient in self._tensors:
            if parameter.data.data_ptr() != data.data_ptr():
                parameter.data = data
            parameter.grad = gradient
        self._rest.restore()


def _noted(mapping: dict[Any, Any], undos: list[Undo]) -> Iterator[Any]:
    """Note a dictionary, and give its values."""
    items = dict(mapping)
    undos.append(partial(_refill, mapping, mapping.update, items))
    return iter(items.values() if len(items) < MANY else ())


def _refill(container: Any, add: Callable[[Any], object], items: Any) -> None:
    container.clear()
    add(items)


def _belongs(thing: Any) -> bool:
    """Whether a thing is a module, an optimizer or of a trainer's house."""
    houses = {kind.__module__.partition(".")[0] for kind in type(thing).__mro__}
    return isinstance(thing, nn.Module) or is_optimizer(thing) or not houses.isdisjoint(HOUSES)
