"""Whole steps of a stack, compiled: forward, backward, clipping, the optimizer and the rates in one graph.

A graph is kept for one shape of batches; others are stepped plainly. What Python would check before each call of a
compiled function costs as much as a small model's step: of torch's guards only those on what the caller's own code and
the batches are stay; the stack's tensors are the same ones for as long as it lives.
"""

import itertools
import re
import shutil
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.optim import Optimizer

from stepsize import _check
from stepsize.engine._members import Batch

OURS = re.compile(r"__builtins|__import_(torch|stepsize|inspect|contextlib|functools)|__optimizer")
_count = itertools.count()


def compiler() -> str:
    """Why nothing can be compiled here; empty if it can.

    Example:
        >>> from stepsize.engine._compiled import compiler
        >>> isinstance(compiler(), str)
        True
    """
    try:
        from torch._inductor.cpp_builder import get_cpp_compiler

        found = get_cpp_compiler()
    except Exception as error:
        return f"torch finds no C++ compiler ({_check.in_one_line(error, 120)})"
    return "" if shutil.which(found) else f"there is no C++ compiler {found!r}"


class Stepped(Protocol):
    """The compiled part of a stack: its tensors, the optimizer over them, and the step."""

    trained: list[Tensor]
    optimizer: Optimizer

    def plain_step(self, batches: Sequence[Any], dims: Any, rates: Tensor, thresholds: Tensor | None) -> Tensor:
        """One update of every member; the loss of each."""


class Compiled:
    """The compiled steps of a stack.

    Args:
        stack: whose; its tensors must stay the same ones.
    """

    def __init__(self, stack: Stepped) -> None:
        self.stack = stack
        self.kept: dict[tuple[int, str], Tensor] = {}
        self.shape: Any = None
        self.graph: Callable[..., Tensor] | None = None

    def settle(self) -> None:
        """After the first step, which made the optimizer's state: put it into the tensors that the graph knows."""
        for place, tensor in enumerate(self.stack.trained):
            state = self.stack.optimizer.state[tensor]
            for name, value in state.items():
                if isinstance(value, Tensor):
                    if name == "step":  # plain steps count in Python; what a graph makes of it is to be as exact
                        value = value.double()
                    held = self.kept.setdefault((place, name), value)
                    state[name] = held if held is value else held.copy_(value)
                elif isinstance(value, int | float) and not isinstance(value, bool):
                    raise ValueError(f"the optimizer counts its {name} in a Python number")
            gradient = self.kept.setdefault((place, ""), torch.empty_like(tensor))
            tensor.grad = gradient

    def __call__(self, batches: Sequence[Batch], rates: Tensor, thresholds: Tensor | None) -> Tensor:
        values, dims = [batch.value for batch in batches], batches[0].dims
        shape = shapes(values), dims is None, thresholds is None
        if self.graph is None:
            self.shape, self.graph = shape, self._graph(dims)
            with torch._inductor.config.patch(compile_threads=1):
                return self.graph(values, rates, thresholds)
        if shape == self.shape:
            return self.graph(values, rates, thresholds)
        losses = self.stack.plain_step(values, dims, rates, thresholds)
        self.settle()
        return losses

    def _graph(self, dims: Any) -> Callable[..., Tensor]:
        stack = self.stack

        def step(values: list[Any], rates: Tensor, thresholds: Tensor | None) -> Tensor:
            return stack.plain_step(values, dims, rates, thresholds)

        # torch keeps what it compiled by a function's code: with few guards, each stack needs code of its own
        code = step.__code__.replace(co_name=f"step_{next(_count)}")
        own = types.FunctionType(code, step.__globals__, code.co_name, None, step.__closure__)
        return torch.compile(own, fullgraph=True, dynamic=False, options={"guard_filter_fn": _needed})


def _needed(guards: Sequence[Any]) -> list[bool]:
    """Of what torch would check before each call: which batches are one, and plain values that others' code reads."""
    return [
        guard.name.startswith("values")
        if guard.guard_type == "DUPLICATE_INPUT"
        else guard.guard_type in ("CONSTANT_MATCH", "EQUALS_MATCH")
        and (guard.name.startswith("stack.loss") or (guard.name.startswith("G[") and not OURS.search(guard.name)))
        for guard in guards
    ]


def shapes(value: Any) -> Any:
    """The properties of a batch that a graph depends on: shapes, types, structure.

    Args:
        value: a batch, or several.
    """
    if isinstance(value, Tensor):
        return value.shape, value.dtype
    if isinstance(value, Mapping):
        return tuple((name, shapes(item)) for name, item in value.items())
    return tuple(map(shapes, value)) if isinstance(value, tuple | list) else value
