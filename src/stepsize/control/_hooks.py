"""The steps that an optimizer really takes: which optimizers take them, and hooks before and after each."""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from stepsize.optim import parameters, read_value
from stepsize.state import optimizers_in


def inner_optimizers(optimizer: Any) -> list[Any]:
    """The optimizers that really step: the innermost ones that share parameters with it, or itself.

    Args:
        optimizer: an optimizer, or what wraps one, as SAM, Lookahead, ZeRO and Accelerate do.

    Example:
        >>> import torch
        >>> from stepsize.control import inner_optimizers
        >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
        >>> inner_optimizers(optimizer) == [optimizer]
        True
    """
    own = {id(parameter) for parameter in parameters(optimizer)}
    inside = [
        leaf
        for wrapped in optimizers_in(optimizer)[1:]
        if not own.isdisjoint(map(id, parameters(wrapped)))
        for leaf in inner_optimizers(wrapped)
    ]
    return list({id(leaf): leaf for leaf in inside}.values()) or [optimizer]


def hook_steps(optimizer: Any, before: Callable[..., None] | None, after: Callable[..., None] | None) -> list[Any]:
    """Call back before and after each step of an optimizer; the handles that end it, none where torch has no hooks.

    Args:
        optimizer: one of ``inner_optimizers``.
        before: called with the optimizer and the arguments of its step; None for nothing.
        after: the same.

    Example:
        >>> import torch
        >>> from stepsize.control import hook_steps, unhook
        >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
        >>> handles = hook_steps(optimizer, None, lambda *_: print("stepped"))
        >>> optimizer.step()
        stepped
        >>> unhook(handles)
    """
    kept = [getattr(optimizer, f"_optimizer_step_{when}_hooks", None) for when in ("pre", "post")]
    if not all(isinstance(hooks, OrderedDict) for hooks in kept):  # as where Optimizer.__init__ was never called
        return []
    optimizer._patch_step_function()  # a copy, or an optimizer without Optimizer.__init__, may not have it
    handles = [] if before is None else [optimizer.register_step_pre_hook(before)]
    return handles if after is None else [*handles, optimizer.register_step_post_hook(after)]


def unhook(handles: Iterable[Any]) -> None:
    """End hooks.

    Args:
        handles: of ``hook_steps``.

    Example:
        >>> from stepsize.control import unhook
        >>> unhook([])
    """
    for handle in handles:
        handle.remove()


def was_update(optimizer: Optimizer) -> bool | Tensor:
    """Whether the step just taken was an update: under a gradient scaler a fused optimizer learns only on the device.

    Args:
        optimizer: one of ``inner_optimizers``, after its step.

    Example:
        >>> import torch
        >>> from stepsize.control import was_update
        >>> was_update(torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5))
        True
    """
    found = getattr(optimizer, "found_inf", None)
    return True if found is None else found == 0


def accumulates(optimizer: Any) -> bool:
    """Whether a wrapper waits for more gradients now and says so, as Accelerate's does."""
    return getattr(getattr(optimizer, "gradient_state", None), "sync_gradients", True) is False


def moves_nothing(optimizer: Any) -> bool:
    """Whether a step leaves the weights alone: rates and gradients are 0, as where torch fills an optimizer's state.

    Reads back from the device, so it is asked only where a rate of 0 was written by something else.
    """
    rates = all("lr" in group and read_value(group) == 0 for group in optimizer.param_groups)
    return rates and all(p.grad is None or not bool(p.grad.count_nonzero()) for p in parameters(optimizer))
