"""Exact capture of what a loop changes, and restoring it in place: the same objects, with their old bits."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from stepsize import _check
from stepsize.state._graph import Graph, generator_undo
from stepsize.state._lent import is_optimizer
from stepsize.state._loader import (
    by_state_dict,
    has_state,
    is_loader,
    loader_part_undos,
    loader_parts,
    own_generator,
    streams,
)
from stepsize.state._random import RandomState

KINDS = "a module, an optimizer, a random generator, a gradient scaler, a data loader or an object with a state dict"


class Captured:
    """Captured state; ``restore()`` puts it back, as often as wanted."""

    def __init__(self, undos: list[Callable[[], object]], changed: Callable[[], list[str]]) -> None:
        self._undos = undos
        self._changed = changed

    @property
    def unrestored(self) -> tuple[str, ...]:
        """Parts that cannot be put back, by name: open iterators, streams, and changes inside foreign objects."""
        return tuple(self._changed())

    def restore(self) -> None:
        """Put everything back, bit for bit, into the very objects and tensors that were there.

        What raises while it is put back keeps nothing else from it; the first such exception is raised at the end.
        """
        errors = []
        with torch.no_grad():
            for undo in self._undos:
                try:
                    undo()
                except Exception as error:
                    errors.append(error)
        if errors:
            raise errors[0]


def can_capture(thing: Any) -> bool:
    """Whether ``capture`` takes a thing.

    Args:
        thing: anything.

    Example:
        >>> import torch
        >>> from stepsize.state import can_capture
        >>> can_capture(torch.Generator()), can_capture(iter([1]))
        (True, False)
    """
    known = isinstance(thing, nn.Module | torch.amp.GradScaler) or is_optimizer(thing)
    return known or is_loader(thing) or has_state(thing) or generator_undo(thing) is not None


def capture(*things: Any, randomness: bool = True) -> Captured:
    """Capture models, optimizers, generators and the global random state, to be restored exactly.

    Tensors are put back in place, bit for bit; dictionaries, lists and groups stay the same objects, and what was added
    meanwhile is taken out again.

    - Of a module: parameters, gradients, ``requires_grad``, buffers, each submodule's mode, and other attributes of
      your own classes that are numbers, tensors, arrays or containers of them.
    - Of an optimizer: groups, state, and all its attributes, also those of optimizers, modules and helper objects
      inside it, as in SAM, Lookahead or ``ZeroRedundancyOptimizer``.
    - Of a generator (torch's, numpy's, Python's): its state. Of a ``GradScaler``: all it knows.
    - Of a data loader: the generators and epochs of its samplers and data sets, and what of these has a state dict;
      workers that persist are let go when they were started since.
    - Of anything else: what ``load_state_dict`` puts back of its ``state_dict``.

    The global generators (Python, numpy, torch, CUDA) are included. Functions and hooks stay as they are. What
    cannot be put back, such as an open iterator or a stream, is in ``unrestored``.

    Args:
        things: modules, optimizers, generators, gradient scalers, data loaders, or objects with a state dict.
        randomness: whether the global generators are put back too.

    Raises:
        TypeError: a thing is none of these, or randomness is not True or False.
        ValueError: a parameter is lazy and not initialised yet.

    Example:
        >>> import torch
        >>> from stepsize.state import capture
        >>> layer = torch.nn.Linear(2, 2)
        >>> before, kept = layer.weight.clone(), capture(layer)
        >>> _ = torch.nn.init.zeros_(layer.weight)
        >>> kept.restore()
        >>> torch.equal(before, layer.weight)
        True
    """
    if not isinstance(randomness, bool):
        raise TypeError(_check.message("randomness", randomness, "True or False"))
    last, graph = [RandomState.now().restore] if randomness else [], Graph()
    with torch.no_grad():
        for thing in things:
            _add(graph, thing)
    return Captured([*graph.undos(), *last], graph.unrestored)


def _add(graph: Graph, thing: Any) -> None:
    if not can_capture(thing):
        raise TypeError(_check.message("thing", thing, KINDS))
    if isinstance(thing, nn.Module | torch.amp.GradScaler) or is_optimizer(thing) or generator_undo(thing) is not None:
        graph.add(thing)
    elif is_loader(thing):
        graph.open += streams(thing)
        for part in loader_parts(thing):
            graph.add(own_generator(part))
            graph.last += loader_part_undos(part)
    else:
        graph.first.append(by_state_dict(thing))
