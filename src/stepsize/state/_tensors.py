"""Tensors as they are now, and put back in place: the same objects in the same memory, bit for bit."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from stepsize import _check

PLAIN = (Tensor, nn.Parameter, nn.Buffer)


@dataclass(slots=True)
class _Kept:
    """One tensor: its memory, its bits, and what belongs to a leaf of the autograd graph."""

    tensor: Tensor
    memory: Tensor
    bits: Tensor
    version: int
    leaf: bool
    needs_gradient: bool
    gradient: Tensor | None


class Tensors:
    """A set of tensors with their gradients, each captured once."""

    def __init__(self) -> None:
        self._kept: dict[int, _Kept] = {}

    def add(self, tensor: Tensor) -> None:
        """Capture a tensor and, of a leaf, its gradient."""
        if torch.nn.parameter.is_lazy(tensor):
            rule = "initialised before it can be put back"
            raise ValueError(_check.message("a lazy parameter", tensor, rule, "run one batch through the model first"))
        if id(tensor) in self._kept or tensor.is_meta or tensor.is_inference():  # which no training step can change
            return
        leaf = tensor.is_leaf
        gradient = tensor.grad if leaf else None
        memory = tensor.detach()
        bits = _once(memory).clone()
        kept = _Kept(tensor, memory, bits, tensor._version, leaf, tensor.requires_grad, gradient)
        self._kept[id(tensor)] = kept
        if gradient is not None:
            self.add(gradient)

    def restore(self) -> None:
        """Put them all back; copies run together where they can."""
        together: dict[Any, tuple[list[Tensor], list[Tensor]]] = defaultdict(lambda: ([], []))
        for kept in self._kept.values():
            tensor = kept.tensor
            if not kept.leaf and tensor._version == kept.version and _in_place(kept):
                continue  # within a graph that may still be run backward, which a copy would forbid
            if kept.leaf and not tensor.is_leaf:
                tensor.detach_()
            if not _in_place(kept):
                tensor.data = kept.memory
            into = _once(tensor.detach())
            if _is_plain(tensor):
                targets, sources = together[tensor.device, tensor.dtype]
                targets.append(into)
                sources.append(kept.bits)
            else:
                into.copy_(kept.bits)
        for targets, sources in together.values():
            torch._foreach_copy_(targets, sources)
        for kept in self._kept.values():
            if kept.leaf:
                kept.tensor.requires_grad_(kept.needs_gradient)
                kept.tensor.grad = kept.gradient


def _is_plain(tensor: Tensor) -> bool:
    return type(tensor) in PLAIN and tensor.layout is torch.strided and not tensor.is_quantized


def _in_place(kept: _Kept) -> bool:
    """Whether a tensor is in the memory where it was; that of sparse tensors and of subclasses is theirs to know."""
    tensor, memory = kept.tensor, kept.memory
    if not _is_plain(tensor) or not _is_plain(memory):
        return True
    same = tensor.data_ptr() == memory.data_ptr() and tensor.dtype == memory.dtype
    return same and tensor.shape == memory.shape and tensor.stride() == memory.stride()


def _once(tensor: Tensor) -> Tensor:
    """An expanded tensor without its repetitions, each place in memory once, so that it can be written."""
    if tensor.layout is torch.strided and type(tensor) in PLAIN:
        for dimension, (size, stride) in enumerate(zip(tensor.shape, tensor.stride(), strict=True)):
            if stride == 0 and size > 1:
                tensor = tensor.narrow(dimension, 0, 1)
    return tensor
