"""Reading torch's schedulers: each becomes a schedule for each group, in closed form; none is stepped."""

import math
from collections.abc import Iterator
from typing import Any, overload

from torch.optim import lr_scheduler as torch_schedulers

from stepsize import _check
from stepsize.control._plan import Plan
from stepsize.control._position import inner_scheduler, position_of
from stepsize.control._read_torch import MULTIPLYING, base_of, momentum_of, product_of, rate_of
from stepsize.control.feedback import plateau
from stepsize.optim import read_value
from stepsize.schedule import Schedule, absolute, constant, cosine_wave, part

EXACT = 1_000  # cuts of a plateau that are followed one by one, in torch's arithmetic


@overload
def from_torch(scheduler: torch_schedulers.ReduceLROnPlateau) -> Plan: ...
@overload
def from_torch(scheduler: torch_schedulers.LRScheduler) -> Plan | list[Schedule]: ...
def from_torch(scheduler: Any) -> Plan | list[Schedule]:
    """A torch scheduler, also in mid-run, as all it would write from here on.

    ``Control(optimizer, lr=from_torch(scheduler))`` goes on where the scheduler is. The result is one schedule of the
    rate for each parameter group; or a plan, where the scheduler does more: the momentum that OneCycleLR and CyclicLR
    cycle (``cycle_momentum``, by default), a ReduceLROnPlateau's feedback, with its ``min_lr`` and ``eps`` as the floor
    of each group. The schedules are absolute, have as many pieces as the original, and are read off its parameters:
    nothing is stepped. A ReduceLROnPlateau must not have been stepped yet; call ``control.observe(metric=...)`` instead
    of ``scheduler.step(...)``.

    Matched are LambdaLR, MultiplicativeLR, StepLR, MultiStepLR, ConstantLR, LinearLR, ExponentialLR, PolynomialLR,
    CosineAnnealingLR (its wave past T_max too), CosineAnnealingWarmRestarts, CyclicLR with its modes and scale
    functions, OneCycleLR (which holds its end), SequentialLR of these, and ChainedScheduler of those that multiply the
    current rate (a chained CosineAnnealingLR with eta_min=0 up to its T_max, where it ends).

    A scheduler that is stepped once an epoch counts epochs, and Control counts updates: write
    ``[schedule.stretch(len(loader)) for schedule in from_torch(scheduler)]``.

    Args:
        scheduler: a scheduler of ``torch.optim.lr_scheduler``.

    Raises:
        TypeError: it is no such scheduler.
        ValueError: its course cannot be known from its parameters; the message says why and what to write instead.

    Example:
        >>> import torch
        >>> from stepsize.control import from_torch
        >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5, momentum=0.9)
        >>> from_torch(torch.optim.lr_scheduler.StepLR(optimizer, step_size=30))
        [absolute(0.5 * step_decay(every=30))]
        >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5, momentum=0.9)
        >>> print(from_torch(torch.optim.lr_scheduler.CyclicLR(optimizer, 0.1, 1, step_size_up=20)))
        lr:
        - absolute(triangular(start=0.1, up=20, down=20))
        momentum:
        - absolute(triangular(start=0.9, peak=0.8, up=20, down=20))
        >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
        >>> print(from_torch(torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=3, min_lr=0.001)))
        lr: constant()
        feedback: plateau(of="metric", patience=3, threshold_mode="torch")
        floor: 0.001

    Source: the formulas of ``torch/optim/lr_scheduler.py``.
    """
    if isinstance(scheduler, torch_schedulers.ReduceLROnPlateau):
        return _plateau(scheduler)
    if not isinstance(scheduler, torch_schedulers.LRScheduler):
        rule = "a scheduler of torch.optim.lr_scheduler"
        raise TypeError(_check.message("scheduler", scheduler, rule, inner_scheduler(scheduler)))
    _refuse_foreign_rates(scheduler)
    groups = range(len(scheduler.optimizer.param_groups))
    rates = [_rate(scheduler, group) for group in groups]
    momenta = [one for group in groups if (one := _momentum(scheduler, group)) is not None]
    step = position_of(scheduler)
    lr = [_from(step, rate) for rate in rates]
    return Plan(lr, momentum=[_from(step, momentum) for momentum in momenta]) if momenta else lr


def _from(step: float, values: Schedule) -> Schedule:
    return absolute(part(values, start=step) if step > 0 else values)


def _refuse_foreign_rates(scheduler: Any) -> None:
    for index, (group, last) in enumerate(zip(scheduler.optimizer.param_groups, scheduler.get_last_lr(), strict=False)):
        if not math.isclose(float(group["lr"]), float(last), rel_tol=1e-6, abs_tol=1e-12):
            raise ValueError(
                f"the rate of group {index} is {float(group['lr']):g}, and the scheduler last wrote {float(last):g}: "
                "something else wrote it, and torch would go on from there or not, depending on the scheduler; load "
                "the optimizer's state beside the scheduler's, set the rate back, or build Control with a schedule of "
                "your own"
            )
    if len(scheduler.get_last_lr()) != len(scheduler.optimizer.param_groups):
        raise ValueError("a parameter group was added after the scheduler was created; create the scheduler again")


def _plateau(scheduler: torch_schedulers.ReduceLROnPlateau) -> Plan:
    if scheduler.last_epoch:
        raise ValueError(
            f"this ReduceLROnPlateau was stepped {scheduler.last_epoch} times, and the bases are no longer known; "
            "build Control with plateau(...) before the first step"
        )
    names = ("mode", "factor", "patience", "threshold", "threshold_mode", "cooldown")
    settings = {name: getattr(scheduler, name) for name in names}
    if settings["threshold_mode"] == "rel":
        settings["threshold_mode"] = "torch"  # ours differs from it below zero
    feedback = plateau(of="metric", **settings)
    rates = [float(group["lr"]) for group in scheduler.optimizer.param_groups]
    least = [float(rate) for rate in scheduler.min_lrs]
    floor = [_lowest(*pair, feedback.factor, float(scheduler.eps)) for pair in zip(rates, least, strict=True)]
    if not any(floor):
        return Plan(feedback=feedback)
    return Plan(feedback=feedback, floor=floor[0] if len(set(floor)) == 1 else floor)


def _lowest(rate: float, least: float, factor: float, eps: float) -> float:
    """Where cuts of a rate end: before the first that takes no more than ``eps`` away, or at ``least``."""
    if rate <= least:
        return rate  # torch does not raise a rate to its min_lr
    if eps <= 0 and least <= 0:
        return 0.0
    ends = [bound for bound in (least, eps / (1 - factor)) if bound > 0]
    rate *= factor ** max(0, min(int(math.log(end / rate) / math.log(factor)) for end in ends) - EXACT)
    while rate - (lower := max(rate * factor, least)) > eps:
        rate = lower
    return rate


def _rate(scheduler: Any, group: int) -> Schedule:
    if isinstance(scheduler, torch_schedulers.ChainedScheduler):
        return _chained(list(scheduler._schedulers), group)
    if isinstance(scheduler, torch_schedulers.SequentialLR):
        return _sequence(scheduler, group)
    return rate_of(scheduler, group)


def _stretches(scheduler: Any) -> Iterator[tuple[Any, int | None]]:
    """The schedulers of a sequence and for how many steps each is in charge, the last without end."""
    edges: list[Any] = [0, *map(int, scheduler._milestones), None]
    for inner, begin, end in zip(scheduler._schedulers, edges, edges[1:], strict=False):
        if end is None or end > begin:
            yield inner, None if end is None else end - begin


def _sequence(scheduler: Any, group: int) -> Schedule:
    pieces: list[Schedule] = []
    for inner, length in _stretches(scheduler):
        if not pieces:
            _refuse_other_base(inner, group)
        piece = _continued(inner, group, pieces[-1]) if pieces else rate_of(inner, group)
        pieces.append(piece if length is None or piece.length == length else part(piece, length=length))
    return _joined(pieces)


def _joined(pieces: list[Schedule]) -> Schedule:
    whole = pieces[0]
    for piece in pieces[1:]:
        whole = whole >> piece
    return whole


def _momentum(scheduler: Any, group: int) -> Schedule | None:
    if isinstance(scheduler, torch_schedulers.ChainedScheduler):  # several are refused where they cycle it
        return momentum_of(scheduler._schedulers[0], group)
    if not isinstance(scheduler, torch_schedulers.SequentialLR):
        return momentum_of(scheduler, group)
    if not any(getattr(inner, "cycle_momentum", False) for inner, _ in _stretches(scheduler)):
        return None
    held = read_value(scheduler.optimizer.param_groups[group], "momentum")
    pieces: list[Schedule] = []
    for inner, length in _stretches(scheduler):
        own = momentum_of(inner, group)
        if own is None:  # what was written last stays
            pieces.append(constant(length, value=held))
            continue
        pieces.append(own if length is None else part(own, length=length))
        held = held if length is None else own(length - 1)
    return _joined(pieces)


def _refuse_other_base(inner: Any, group: int) -> None:
    """The first of a sequence starts from initial_lr, which OneCycleLR and CyclicLR elsewhere in it overwrite."""
    initial = float(inner.optimizer.param_groups[group]["initial_lr"])
    goes_on = type(inner) in MULTIPLYING or type(inner) is torch_schedulers.CosineAnnealingLR
    if goes_on and not math.isclose(initial, base_of(inner, group), rel_tol=1e-12):
        raise ValueError(
            f"initial_lr of group {group} is {initial:g}, and {type(inner).__name__} was made for "
            f"{base_of(inner, group):g}: another scheduler of the sequence has overwritten it; write the course with >>"
        )


def _continued(inner: Any, group: int, before: Schedule) -> Schedule:
    """A later part of a sequence: most start from their base again, MultiplicativeLR from the rate it finds."""
    if type(inner) is torch_schedulers.ConstantLR and inner.total_iters == 0:
        return constant(value=base_of(inner, group))
    if type(inner) is not torch_schedulers.MultiplicativeLR:
        return rate_of(inner, group)
    if not isinstance(before.length, float):
        raise ValueError("MultiplicativeLR follows a part of unknown length; write the course with >>")
    return before(before.length - 1) * product_of(inner, group, first=0)


def _chained(inner: list[Any], group: int) -> Schedule:
    if len(inner) == 1:
        return rate_of(inner[0], group)
    initial = float(inner[0].optimizer.param_groups[group]["initial_lr"])
    whole: Schedule = constant()
    ends: list[float] = []
    for scheduler in inner:
        name = type(scheduler).__name__
        if type(scheduler) is torch_schedulers.CosineAnnealingLR and scheduler.eta_min == 0:
            factor: Schedule = cosine_wave(every=scheduler.T_max)
            ends.append(float(scheduler.T_max))
        elif type(scheduler) in MULTIPLYING:
            factor = MULTIPLYING[type(scheduler)](scheduler, group)
        else:
            raise ValueError(
                f"{name} sets the rate itself{' (eta_min)' if 'Cosine' in name else ''} and ChainedScheduler "
                "multiplies what the others left, so the result depends on their order; multiply schedules: a * b"
            )
        whole = _endless(factor) if scheduler is inner[0] else whole * _endless(factor)
    return initial * (part(whole, length=_end(inner, ends)) if ends else whole)


def _end(inner: list[Any], ends: list[float]) -> float:
    """Where the first cosine of a chain is at zero, from where torch's others begin anew when it rises again."""
    end = min(ends)
    if inner[0].last_epoch > end:
        raise ValueError(
            f"the chained CosineAnnealingLR is past its T_max of {end:g}, from where the others multiply what is left "
            "of zero; write what is to come as schedules: a * b"
        )
    return end


def _endless(schedule: Schedule) -> Schedule:
    """The same without a length, so that factors of different lengths can be multiplied: each holds its end."""
    return schedule >> constant(value=schedule.end) if isinstance(schedule.length, float) else schedule
