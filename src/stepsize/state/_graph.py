"""Python objects that training steps change: containers and attributes, walked from an optimizer or a model."""

import random
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stepsize.state._lent import is_optimizer
from stepsize.state._loader import Undo, by_state_dict, has_state, is_loader
from stepsize.state._tensors import PLAIN, Tensors

FIXED = (bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.device, torch.Size)
CONTAINERS = (dict, list, tuple, set, frozenset, deque)
HOOKS = "_optimizer_"  # of an optimizer: functions and objects that others have put there
OF_MODULES = frozenset(vars(nn.Module()))
KEPT_OF_MODULES = ("_buffers", "_modules", "_non_persistent_buffers_set")
NOT_FOLLOWED = {"torch", "stepsize", "builtins", *sys.stdlib_module_names}


class Graph:
    """All that is reachable from some objects, each captured once; dictionaries, lists and tensors keep their identity.

    Attributes:
        tensors: that were met.
        first: what is undone before everything else, since setters of foreign objects may write to what is met here.
        then: what is undone after it.
        last: what is undone when all tensors are as they were.
        open: names of what cannot be put back.
    """

    def __init__(self) -> None:
        self.tensors = Tensors()
        self.first: list[Undo] = []
        self.then: list[Undo] = []
        self.last: list[Undo] = []
        self.open: list[str] = []
        self._opaque: list[tuple[str, Any, dict[str, Any]]] = []
        self._seen: dict[int, Any] = {}

    def add(self, thing: Any) -> None:
        """Walk from an object; of what belongs to an optimizer helper objects are followed too."""
        todo = [(type(thing).__name__, thing, False)]
        while todo:
            name, value, helpers = todo.pop()
            if isinstance(value, FIXED) or id(value) in self._seen:
                continue
            if is_code(value) and not (helpers and _is_foreign(type(value)) and not isinstance(value, type)):
                continue
            self._seen[id(value)] = value
            todo += self._follow(name, value, helpers)

    def undos(self) -> list[Undo]:
        """Functions that put everything back, in order."""
        return [*self.first, *self.then, self.tensors.restore, *self.last]

    def unrestored(self) -> list[str]:
        """Names of what cannot be put back, and of what was not followed and has other attributes than before."""
        return self.open + [name for name, value, before in self._opaque if not _same(vars(value), before)]

    def _follow(self, name: str, value: Any, helpers: bool) -> Iterable[tuple[str, Any, bool]]:
        """Capture one value, and give what is inside it."""
        if isinstance(value, Tensor):
            self.tensors.add(value)
            return ()
        if isinstance(value, CONTAINERS):
            if (content := _content_undo(value)) is not None:
                self.then.append(content)
            if not isinstance(value, dict):
                return [(name, item, helpers) for item in value if not isinstance(item, FIXED)]
            return [(f"{name}[{key!r}]" if type(key) is str else name, item, helpers) for key, item in value.items()]
        if isinstance(value, nn.Module):
            return self._module(name, value)
        if is_optimizer(value) or isinstance(value, torch.amp.GradScaler):
            return self._object(name, value)
        if (undo := generator_undo(value) or _content_undo(value)) is not None:
            self.then.append(undo)
            return ()
        return self._helper(name, value) if helpers else ()

    def _object(self, name: str, value: Any) -> Iterable[tuple[str, Any, bool]]:
        """The attributes of an object, in its dictionary or its slots."""
        attributes = getattr(value, "__dict__", {})
        self._seen[id(attributes)] = attributes
        self.then.append(_mapping_undo(attributes))
        slots = {key: getattr(value, key) for key in _slots(type(value)) if hasattr(value, key)}
        self.then += [_slot_undo(value, key, item) for key, item in slots.items() if not is_code(item)]
        data = {key: item for key, item in {**attributes, **slots}.items() if not key.startswith(HOOKS)}
        return [(f"{name}.{key}", item, True) for key, item in data.items()]

    def _module(self, name: str, module: nn.Module) -> Iterable[tuple[str, Any, bool]]:
        """A module's mode, its parameters, buffers and submodules; other attributes that are data."""
        attributes, training = vars(module), module.training
        self.then.append(lambda: setattr(module, "training", training))
        inside = [attributes[key] for key in KEPT_OF_MODULES if isinstance(attributes.get(key), dict | set)]
        parameters = attributes.get("_parameters")
        if isinstance(parameters, dict) and all(type(item) in (*PLAIN, type(None)) for item in parameters.values()):
            inside.append(parameters)  # sharded ones come and go with each step
        inside += [*module.parameters(recurse=False), *module.buffers(recurse=False)]
        found = [(name, item, False) for item in inside]
        found += [(f"{name}.{key}", item, False) for key, item in module.named_children()]
        kind = type(module).__module__
        if kind.startswith("torch.") and not kind.startswith("torch.nn.modules"):
            return found  # of wrappers such as FSDP, which keep much beside that is theirs to know
        self.then.append(_mapping_undo(attributes, leave=OF_MODULES))
        return found + [(f"{name}.{key}", item, False) for key, item in attributes.items() if key not in OF_MODULES]

    def _helper(self, name: str, value: Any) -> Iterable[tuple[str, Any, bool]]:
        """An object that an optimizer holds and that is none of the known kinds."""
        if is_loader(value):
            self.open.append(f"{name} (a data loader)")
        elif has_state(value):
            self.first.append(by_state_dict(value))
        elif isinstance(value, Iterator):
            self.open.append(f"{name} (an open iterator)")
        elif _is_foreign(type(value)):
            return self._object(name, value)
        elif isinstance(getattr(value, "__dict__", None), dict):
            self._opaque.append((f"{name} ({type(value).__name__})", value, dict(vars(value))))
        return ()


def _is_foreign(kind: type) -> bool:
    """Whether a class is none of Python's, torch's or ours."""
    return kind.__module__.split(".")[0] not in NOT_FOLLOWED


def is_code(value: Any) -> bool:
    """Whether a value is a function, a class, a hook: it is no data, and stays as it is."""
    return callable(value) and not isinstance(value, nn.Module | Tensor) and not is_optimizer(value)


def generator_undo(value: Any) -> Undo | None:
    """A function that restores a random generator; None for anything else."""
    if isinstance(value, torch.Generator):
        state = value.get_state()
        return lambda: value.set_state(state)
    if isinstance(value, random.Random) and not isinstance(value, random.SystemRandom):
        place = value.getstate()
        return lambda: value.setstate(place)
    if isinstance(value, np.random.RandomState):
        old = value.get_state()
        return lambda: value.set_state(old)
    if isinstance(value, np.random.Generator):
        bits = value.bit_generator
        now = bits.state
        return lambda: setattr(bits, "state", now)
    return None


def is_generator(thing: Any) -> bool:
    """Whether something draws random numbers from a state that can be put back: of torch, NumPy or Python.

    Args:
        thing: anything.

    Example:
        >>> import random
        >>> from stepsize.state import is_generator
        >>> is_generator(random.Random(0)), is_generator([0])
        (True, False)
    """
    return generator_undo(thing) is not None


def _content_undo(value: Any) -> Undo | None:
    """A function that restores a container's content, by identity; None for anything else."""
    if isinstance(value, dict):
        return _mapping_undo(value)
    if isinstance(value, list | deque):
        return _sequence_undo(value)
    if isinstance(value, set):
        return _set_undo(value)
    if isinstance(value, np.ndarray) and value.flags.writeable:
        numbers = value.copy()
        return lambda: np.copyto(value, numbers)
    return None


def _set_undo(value: set[Any]) -> Undo:
    members = set(value)

    def undo() -> None:
        value.clear()
        value.update(members)

    return undo


def _sequence_undo(value: Any) -> Undo:
    items = list(value)

    def undo() -> None:
        if len(value) != len(items) or any(now is not before for now, before in zip(value, items, strict=True)):
            value.clear()
            value.extend(items)

    return undo


def _mapping_undo(mapping: dict[Any, Any], leave: frozenset[str] = frozenset()) -> Undo:
    """Put the data of a dictionary back; keys in ``leave``, and code such as hooks, stay as they are."""

    def data() -> dict[Any, Any]:
        return {key: value for key, value in mapping.items() if key not in leave and not is_code(value)}

    before = data()

    def undo() -> None:
        now = data()
        if _same(now, before):
            return
        for key in now:
            del mapping[key]
        mapping.update(before)

    return undo


def _same(now: dict[Any, Any], before: dict[Any, Any]) -> bool:
    """Whether two dictionaries hold the same objects under the same keys, in the same order."""
    pairs = zip(now.items(), before.items(), strict=False)
    alike = all((key is kept or (type(key) is str and key == kept)) and a is b for (key, a), (kept, b) in pairs)
    return len(now) == len(before) and alike


def _slots(kind: type) -> list[str]:
    named = [getattr(base, "__slots__", ()) for base in kind.__mro__]
    every = [slot for slots in named for slot in ([slots] if isinstance(slots, str) else slots)]
    return [slot for slot in every if slot not in ("__dict__", "__weakref__")]


def _slot_undo(value: Any, key: str, before: Any) -> Undo:
    return lambda: object.__setattr__(value, key, before)
