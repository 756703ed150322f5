"""Which optimizers are on loan: what they do now is rolled back, so that no clock may count it."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

_LENT: dict[int, list[Any]] = {}  # by identity: the optimizer, kept alive, and how often it is on loan
_DATA = {"state", "param_groups", "defaults"}  # of an optimizer, in which there are no optimizers


def is_optimizer(thing: Any) -> bool:
    """Whether a thing is a torch optimizer or looks like one, with parameter groups, state and ``step``.

    Args:
        thing: anything.

    Example:
        >>> import torch
        >>> from stepsize.state import is_optimizer
        >>> is_optimizer(torch.optim.SGD([torch.ones(1)])), is_optimizer(torch.optim.SGD)
        (True, False)
    """
    if isinstance(thing, Optimizer):
        return True
    looks = isinstance(getattr(thing, "param_groups", None), list) and hasattr(thing, "state")
    return looks and callable(getattr(thing, "step", None)) and not isinstance(thing, type)


def optimizers_in(thing: Any) -> list[Any]:
    """An optimizer and those inside it, each once, the outermost first.

    They are looked for in its attributes, and in the lists, tuples and mappings there: in ``SAM``, ``Lookahead``,
    ``ZeroRedundancyOptimizer``, ``AcceleratedOptimizer`` and their kin.

    Args:
        thing: an optimizer, or a list, tuple or mapping of them.

    Example:
        >>> import torch
        >>> from stepsize.state import optimizers_in
        >>> inner = torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=0.1)
        >>> outer = torch.optim.SGD(inner.param_groups, lr=0.1)
        >>> outer.wrapped = [inner]
        >>> [leaf is inner for leaf in optimizers_in(outer)]
        [False, True]
    """
    todo, seen, found = [thing], dict[int, Any](), list[Any]()
    while todo:
        optimizer = todo.pop(0)
        if id(optimizer) in seen or isinstance(optimizer, Tensor):
            continue
        seen[id(optimizer)] = optimizer
        if is_optimizer(optimizer):
            found.append(optimizer)
            todo += [value for name, value in getattr(optimizer, "__dict__", {}).items() if name not in _DATA]
        elif isinstance(optimizer, Mapping):
            todo += optimizer.values()
        elif isinstance(optimizer, list | tuple):
            todo += optimizer
    return found


@contextmanager
def lent(optimizers: Iterable[Any]) -> Iterator[None]:
    """Mark optimizers, and those inside them, as on loan for a block whose updates are rolled back at its end.

    Args:
        optimizers: any number of them.

    Example:
        >>> import torch
        >>> from stepsize.state import lent, on_loan
        >>> optimizer = torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=0.1)
        >>> with lent([optimizer]):
        ...     on_loan(optimizer)
        True
        >>> on_loan(optimizer)
        False
    """
    marked = optimizers_in(list(optimizers))
    for optimizer in marked:
        _LENT.setdefault(id(optimizer), [optimizer, 0])[1] += 1
    try:
        yield
    finally:
        for optimizer in marked:
            _LENT[id(optimizer)][1] -= 1
            if _LENT[id(optimizer)][1] == 0:
                del _LENT[id(optimizer)]


def on_loan(optimizer: Any) -> bool:
    """Whether an optimizer, or one inside it, is on loan now, as during a range test: its updates will be rolled back.

    Costs nothing while none is.

    Args:
        optimizer: any optimizer.

    Example:
        >>> import torch
        >>> from stepsize import range_test
        >>> from stepsize.state import on_loan
        >>> model = torch.nn.Linear(2, 1)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> with range_test(optimizer, model, steps=2) as test:
        ...     on_loan(optimizer)
        True
        >>> on_loan(optimizer)
        False
    """
    return bool(_LENT) and any(id(part) in _LENT for part in optimizers_in(optimizer))
