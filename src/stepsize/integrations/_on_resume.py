"""Choices for a state that a trainer loads."""

from dataclasses import asdict
from functools import partial
from typing import Any, TypeVar

from stepsize import _check
from stepsize.control import Choice, Control, Scheduler

Driven = TypeVar("Driven")


def on_resume(
    scheduler: Driven, *, base: str | None = None, plan: str | None = None, extend: str | None = None
) -> Driven:
    """Choose beforehand what holds where a checkpoint differs, for a trainer that calls ``load_state_dict`` itself.

    For ``Trainer(optimizers=(optimizer, on_resume(Scheduler(...), extend="stretch")))`` of Transformers,
    ``configure_optimizers`` of Lightning, and what ``accelerator.load_state`` loads. Where nothing differs, or nothing
    is loaded, it changes nothing.

    Args:
        scheduler: a ``Scheduler`` or ``Control``, also one that Accelerate has prepared.
        base: ``"saved"`` or ``"new"``, as for ``load_state_dict``.
        plan: ``"saved"`` or ``"new"``, likewise.
        extend: ``"keep"``, ``"stretch"`` or ``"cooldown"``, likewise.

    Returns:
        The same scheduler.

    Raises:
        TypeError, ValueError: it is neither, or there is no such choice.

    Example:
        >>> import torch
        >>> from stepsize import Scheduler
        >>> from stepsize.integrations import on_resume
        >>> def begin(total):
        ...     return Scheduler(torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5), "linear()", total)
        >>> state = begin(total=4).state_dict()
        >>> longer = on_resume(begin(total=8), extend="stretch")
        >>> longer.load_state_dict(state)
        >>> longer.preview([0, 4]).rates["group0"]
        array([0.5 , 0.25])
    """
    inner: Any = getattr(scheduler, "scheduler", scheduler)
    if not isinstance(inner, Control | Scheduler):
        raise TypeError(_check.message("scheduler", scheduler, "a Scheduler or Control"))
    choice = Choice(base, plan, extend)
    if choice == Choice():
        raise ValueError('on_resume needs a choice; write for example on_resume(scheduler, extend="stretch")')
    load: Any = type(inner).load_state_dict
    inner.load_state_dict = partial(load, inner, **asdict(choice))  # type: ignore[method-assign]
    return scheduler
