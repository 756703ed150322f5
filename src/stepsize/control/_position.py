"""Where a torch scheduler is, from itself or from its state dict."""

from collections.abc import Mapping
from typing import Any

from torch.optim.lr_scheduler import LRScheduler

from stepsize import _check
from stepsize.control._scheduler import Scheduler

PLATEAU = {"num_bad_epochs", "cooldown_counter"}  # what a ReduceLROnPlateau has, and its state dict too


def position_of(scheduler: LRScheduler | Mapping[str, Any]) -> float:
    """The clock of a torch scheduler, for ``Control(..., position=position_of(scheduler))``: how often it was stepped.

    A run whose checkpoints hold a torch scheduler goes on under Control from there. A scheduler that was stepped once
    an epoch counts epochs: multiply by the updates in an epoch. Accelerate steps a prepared scheduler once for each
    process: divide by their number.

    Args:
        scheduler: a scheduler of ``torch.optim.lr_scheduler``, also one that has loaded its state, SequentialLR and
            ChainedScheduler too; or what its ``state_dict()`` gave.

    Raises:
        TypeError: it is neither.
        ValueError: it has no clock that a run could go on from: ReduceLROnPlateau, SWALR, chained schedulers at
            different steps, CosineAnnealingWarmRestarts between two steps.

    Example:
        >>> import torch
        >>> from stepsize.control import position_of
        >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
        >>> scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))
        >>> for _ in range(3):
        ...     optimizer.step()
        ...     scheduler.step()
        >>> position_of(scheduler), position_of(scheduler.state_dict())
        (3.0, 3.0)

    Source: ``last_epoch`` of ``torch/optim/lr_scheduler.py``.
    """
    if isinstance(scheduler, Scheduler):
        return scheduler.position
    if not isinstance(scheduler, LRScheduler | Mapping):
        rule = "a scheduler of torch.optim.lr_scheduler or its state_dict()"
        raise TypeError(_check.message("scheduler", scheduler, rule, inner_scheduler(scheduler)))
    return _position(scheduler if isinstance(scheduler, Mapping) else vars(scheduler))


def inner_scheduler(scheduler: Any) -> str:
    """The remedy where something has been put around a scheduler, as Accelerate does."""
    inner = getattr(scheduler, "scheduler", None)
    return "give the torch scheduler inside, its .scheduler" if isinstance(inner, LRScheduler) else ""


def _position(state: Mapping[str, Any]) -> float:
    if set(state) >= PLATEAU:
        raise ValueError(
            "scheduler is a ReduceLROnPlateau, which counts measures and not steps; give Control(position=...) the "
            "number of updates that were done"
        )
    if "anneal_epochs" in state:
        raise ValueError(
            "scheduler is an SWALR, which counts from where averaging begins; give Control(position=...) the number of "
            "updates that were done"
        )
    if "last_epoch" not in state and state.get("_schedulers"):
        return _together([part if isinstance(part, Mapping) else vars(part) for part in state["_schedulers"]])
    if "last_epoch" not in state:
        found = sorted(map(str, state))
        raise ValueError(_check.message("scheduler", found, "the state_dict() of a torch scheduler, with last_epoch"))
    position = _check.whole("last_epoch of scheduler", state["last_epoch"], least=0)
    inside = state.get("T_cur", 0)
    if inside != int(inside):
        raise ValueError(
            f"scheduler, a CosineAnnealingWarmRestarts, is {inside - int(inside):g} of an epoch past epoch {position}, "
            "stepped by fractions of epochs; give the number of updates that were done as the position"
        )
    return float(position)


def _together(states: list[Mapping[str, Any]]) -> float:
    positions = sorted({_position(state) for state in states})
    if len(positions) > 1:
        shown = ", ".join(f"{position:g}" for position in positions)
        raise ValueError(f"the chained schedulers are at different steps, {shown}; step them together only")
    return positions[0]
