"""Exact capture of what a loop changes, and restoring it in place: the same tensors, with their old bits."""

import copy
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from stepsize import _check
from stepsize.state._loader import has_state, is_loader, loader_parts, own_generator
from stepsize.state._random import RandomState

Undo = Callable[[], None]


class Captured:
    """What was captured; ``restore()`` puts it back, as often as wanted."""

    def __init__(self, undos: list[Undo]) -> None:
        self._undos = undos

    def restore(self) -> None:
        """Put everything back: values to the bit, into the very tensors that were there."""
        with torch.no_grad():
            for undo in self._undos:
                undo()


def capture(*things: Any) -> Captured:
    """Capture models, optimizers, generators and the global random state, to be restored exactly.

    Of a module: parameters, gradients, ``requires_grad``, all buffers and each submodule's training mode. Of an
    optimizer: state and groups, with tensors kept in place and groups added later taken out again. Of a
    ``torch.Generator``: its state. Of a ``GradScaler``: all it knows, also that it has not begun. Of a data loader: the
    generators and epochs of its samplers and data sets, and what of these has a state dict; workers that persist are
    let go when they were started since. Anything else with ``state_dict`` and ``load_state_dict`` goes through these.
    The global generators (Python, numpy, torch, CUDA) are always included. What is elsewhere, such as an open data
    iterator, a worker process or a stream, cannot be put back.

    Args:
        things: modules, optimizers, ``torch.Generator`` objects, gradient scalers, data loaders, or objects with a
            state dict.

    Raises:
        TypeError: a thing is none of these.

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
    random_state = RandomState.now()
    with torch.no_grad():
        undos = [undo for thing in things for undo in _undos(thing)]
        tensors = {id(parameter): parameter for thing in things for parameter in _parameters(thing)}
        undos += [_parameter(parameter) for parameter in tensors.values()]
    return Captured([*undos, random_state.restore])


def _parameters(thing: Any) -> Iterable[Tensor]:
    if isinstance(thing, nn.Module):
        return thing.parameters()
    return [p for group in thing.param_groups for p in group["params"]] if isinstance(thing, Optimizer) else ()


def _undos(thing: Any) -> Iterable[Undo]:
    if isinstance(thing, nn.Module):
        yield from (_module(module) for module in thing.modules())
    elif isinstance(thing, Optimizer):
        yield _optimizer(thing)
    elif isinstance(thing, torch.Generator):
        state = thing.get_state()
        yield lambda: _drop(thing.set_state(state))
    elif isinstance(thing, torch.amp.GradScaler):
        yield _scaler(thing)
    elif is_loader(thing):
        yield from (undo for part in loader_parts(thing) for undo in _loader_part(part))
    elif has_state(thing):
        yield _by_state_dict(thing)
    else:
        rule = (
            "a module, an optimizer, a torch.Generator, a gradient scaler, a data loader or an object with state_dict "
            "and load_state_dict"
        )
        raise TypeError(_check.message("thing", thing, rule))


def _parameter(parameter: Tensor) -> Undo:
    value, needs_gradient = parameter.detach().clone(), parameter.requires_grad
    gradient = parameter.grad
    gradient_value = None if gradient is None else gradient.detach().clone()

    def undo() -> None:
        parameter.detach().copy_(value)
        parameter.requires_grad_(needs_gradient)
        parameter.grad = gradient
        if gradient is not None and gradient_value is not None:
            gradient.detach().copy_(gradient_value)

    return undo


def _module(module: nn.Module) -> Undo:
    training = module.training
    buffers = {name: _keep(buffer) for name, buffer in module._buffers.items()}

    def undo() -> None:
        module.training = training
        for name in set(module._buffers) - set(buffers):
            del module._buffers[name]
        for name, put_back in buffers.items():
            module._buffers[name] = put_back()

    return undo


def _optimizer(optimizer: Optimizer) -> Undo:
    states = {parameter: _keep_items(state) for parameter, state in optimizer.state.items()}
    groups = [(group, _keep_items(group, leave="params"), list(group["params"])) for group in optimizer.param_groups]

    def undo() -> None:
        optimizer.state.clear()
        for parameter, items in states.items():
            optimizer.state[parameter] = {key: put_back() for key, put_back in items.items()}
        optimizer.param_groups[:] = [group for group, _, _ in groups]
        for group, items, members in groups:
            for key in set(group) - set(items) - {"params"}:
                del group[key]
            group.update({key: put_back() for key, put_back in items.items()})
            group["params"][:] = members

    return undo


def _by_state_dict(thing: Any) -> Undo:
    kept = copy.deepcopy(thing.state_dict())
    # load_state_dict may keep what it is given, so each restore gets a copy of its own
    return lambda: _drop(thing.load_state_dict(copy.deepcopy(kept)))


def _scaler(scaler: torch.amp.GradScaler) -> Undo:
    """All attributes: its state dict cannot say that scale and tracker are not made yet."""
    items = _keep_items(vars(scaler))
    return lambda: vars(scaler).update({key: put_back() for key, put_back in items.items()})


def _loader_part(part: Any) -> Iterable[Undo]:
    generator = own_generator(part)
    if generator is not None:
        yield from _undos(generator)
    if has_state(part):
        yield _by_state_dict(part)
    # the epoch is a DistributedSampler's; the iterator is there when workers persist, and part of a state dict
    names = ("epoch",) if has_state(part) else ("epoch", "_iterator")
    items = {name: vars(part)[name] for name in names if name in getattr(part, "__dict__", {})}
    if items:
        yield lambda: vars(part).update(items)


def _keep_items(mapping: dict[str, Any], leave: str = "") -> dict[str, Callable[[], Any]]:
    return {key: _keep(value) for key, value in mapping.items() if key != leave}


def _keep(value: Any) -> Callable[[], Any]:
    """A function that returns the value as it is now; a tensor stays the same tensor, its bits copied back."""
    if isinstance(value, Tensor):
        bits = value.detach().clone()
        return lambda: _refill(value, bits)
    kept = copy.deepcopy(value)
    return lambda: copy.deepcopy(kept)


def _refill(tensor: Tensor, bits: Tensor) -> Tensor:
    tensor.detach().copy_(bits)
    return tensor


def _drop(_: Any) -> None:
    """Drop what a setter returns."""
