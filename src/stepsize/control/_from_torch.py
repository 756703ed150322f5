"""Reading torch's schedulers: each becomes one schedule per group, in closed form; none is stepped."""

import math
from collections.abc import Callable
from typing import Any, overload

from torch.optim import lr_scheduler as torch_schedulers

from stepsize import _check
from stepsize.control._plan import Plan
from stepsize.control.feedback import plateau
from stepsize.schedule import (
    Schedule,
    absolute,
    constant,
    cosine,
    cosine_restarts,
    cosine_wave,
    exp_range,
    exponential,
    from_function,
    linear,
    multi_step,
    part,
    polynomial,
    step_decay,
    triangular,
    triangular2,
)

Reader = Callable[[Any, int], Schedule]  # (scheduler, group) -> the rate itself, from the scheduler's step 0


@overload
def from_torch(scheduler: torch_schedulers.ReduceLROnPlateau) -> Plan: ...  # type: ignore[overload-overlap]
@overload
def from_torch(scheduler: torch_schedulers.LRScheduler) -> list[Schedule]: ...
def from_torch(scheduler: Any) -> Plan | list[Schedule]:
    """A torch scheduler, also in mid-run, as one schedule per parameter group: the rates it would write from here on.

    ``Control(optimizer, lr=from_torch(scheduler))`` goes on where the scheduler is. The schedules are absolute, have
    as many pieces as the original, and are read off its parameters: nothing is stepped. Of a ReduceLROnPlateau that has
    not been stepped yet, a plan with its feedback and bounds: ``Control(optimizer, plan=from_torch(scheduler))``, and
    ``control.observe(metric=...)`` instead of ``scheduler.step(...)``.

    Matched are LambdaLR, MultiplicativeLR, StepLR, MultiStepLR, ConstantLR, LinearLR, ExponentialLR, PolynomialLR,
    CosineAnnealingLR (its wave past T_max too), CosineAnnealingWarmRestarts, CyclicLR with its modes and scale
    functions, OneCycleLR, SequentialLR of these, and ChainedScheduler of those that multiply the current rate (a
    chained CosineAnnealingLR with eta_min=0 up to its T_max).

    Args:
        scheduler: a scheduler of ``torch.optim.lr_scheduler``.

    Raises:
        TypeError: it is no such scheduler.
        ValueError: its course cannot be known from its parameters; the message says why and what to write instead.

    Example:
        >>> import torch
        >>> from stepsize.control import from_torch
        >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
        >>> from_torch(torch.optim.lr_scheduler.StepLR(optimizer, step_size=30))
        [absolute(0.5 * step_decay(every=30))]
        >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
        >>> print(from_torch(torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=3)))
        lr: constant()
        feedback: plateau(of="metric", patience=3, threshold_mode="torch")

    Source: the formulas of ``torch/optim/lr_scheduler.py``.
    """
    if isinstance(scheduler, torch_schedulers.ReduceLROnPlateau):
        return _plateau(scheduler)
    if not isinstance(scheduler, torch_schedulers.LRScheduler):
        raise TypeError(_check.message("scheduler", scheduler, "a scheduler of torch.optim.lr_scheduler"))
    _refuse_foreign_rates(scheduler)
    groups = range(len(scheduler.optimizer.param_groups))
    if isinstance(scheduler, torch_schedulers.ChainedScheduler):
        inner = list(scheduler._schedulers)
        done = {each.last_epoch for each in inner}
        if len(done) > 1:
            raise ValueError(f"the chained schedulers are at different steps, {sorted(done)}; step them together only")
        return [_from(inner[0].last_epoch, _chained(inner, group)) for group in groups]
    if isinstance(scheduler, torch_schedulers.SequentialLR):
        return [_from(scheduler.last_epoch, _sequence(scheduler, group)) for group in groups]
    return [_from(scheduler.last_epoch, _single(scheduler, group)) for group in groups]


def _plateau(scheduler: torch_schedulers.ReduceLROnPlateau) -> Plan:
    if scheduler.last_epoch:
        raise ValueError(
            f"this ReduceLROnPlateau was stepped {scheduler.last_epoch} times, and the bases are no longer known; "
            "build Control with plateau(...) before the first step"
        )
    names = ("mode", "factor", "patience", "threshold", "threshold_mode", "cooldown")
    said = {name: getattr(scheduler, name) for name in names}
    if said["threshold_mode"] == "rel":
        said["threshold_mode"] = "torch"  # ours differs from it below zero
    feedback = plateau(of="metric", **said)
    return Plan(feedback=feedback, floor=scheduler.min_lrs if any(scheduler.min_lrs) else None)


def _refuse_foreign_rates(scheduler: Any) -> None:
    for index, (group, last) in enumerate(zip(scheduler.optimizer.param_groups, scheduler.get_last_lr(), strict=False)):
        if not math.isclose(float(group["lr"]), float(last), rel_tol=1e-6, abs_tol=1e-12):
            raise ValueError(
                f"the rate of group {index} is {float(group['lr']):g}, and the scheduler last wrote {float(last):g}: "
                "something else wrote it, and torch would go on from there or not, depending on the scheduler; set it "
                "back, or build Control with a schedule of your own"
            )
    if len(scheduler.get_last_lr()) != len(scheduler.optimizer.param_groups):
        raise ValueError("a parameter group was added after the scheduler was made; make the scheduler anew")


def _from(step: int, rates: Schedule) -> Schedule:
    return absolute(part(rates, start=step) if step > 0 else rates)


def _single(scheduler: Any, group: int) -> Schedule:
    for kind, read in _READERS.items():
        if type(scheduler) is kind:
            return read(scheduler, group)
    name = type(scheduler).__name__
    if isinstance(scheduler, torch_schedulers.ChainedScheduler | torch_schedulers.SequentialLR):
        raise ValueError(
            f"{name} inside another scheduler restarts its parts from whatever rate it finds; write the whole course "
            "as one schedule, with >> and *"
        )
    if name == "SWALR":
        raise ValueError(
            "SWALR starts from the rate it finds when it is first stepped; write absolute(cosine(anneal_epochs, "
            "start=<that rate>, end=<swa_lr>)) behind what comes before"
        )
    raise ValueError(f"{name} is not one of torch's own schedulers; hand its formula to from_function(...)")


def _sequence(scheduler: Any, group: int) -> Schedule:
    milestones = [int(milestone) for milestone in scheduler._milestones]
    edges: list[Any] = [0, *milestones, None]
    pieces: list[Schedule] = []
    for inner, begin, end in zip(scheduler._schedulers, edges, edges[1:], strict=False):
        if end is not None and end <= begin:
            continue
        if not pieces:
            _refuse_other_base(inner, group)
        before = None if not pieces else pieces[-1]
        piece = _continued(inner, group, before) if before is not None else _single(inner, group)
        pieces.append(piece if end is None or piece.length == end - begin else part(piece, length=end - begin))
    whole = pieces[0]
    for piece in pieces[1:]:
        whole = whole >> piece
    return whole


def _refuse_other_base(inner: Any, group: int) -> None:
    """The first of a sequence starts from initial_lr, which OneCycleLR and CyclicLR elsewhere in it overwrite."""
    initial = float(inner.optimizer.param_groups[group]["initial_lr"])
    goes_on = type(inner) in _MULTIPLYING or type(inner) is torch_schedulers.CosineAnnealingLR
    if goes_on and not math.isclose(initial, _base(inner, group), rel_tol=1e-12):
        raise ValueError(
            f"initial_lr of group {group} is {initial:g}, and {type(inner).__name__} was made for "
            f"{_base(inner, group):g}: another scheduler of the sequence has overwritten it; write the course with >>"
        )


def _continued(inner: Any, group: int, before: Schedule) -> Schedule:
    """A later part of a sequence: most start from their base again, MultiplicativeLR from the rate it finds."""
    if type(inner) is torch_schedulers.ConstantLR and inner.total_iters == 0:
        return constant(value=_base(inner, group))
    if type(inner) is not torch_schedulers.MultiplicativeLR:
        return _single(inner, group)
    if not isinstance(before.length, float):
        raise ValueError("MultiplicativeLR follows a part of unknown length; write the course with >>")
    return before(before.length - 1) * _product(inner, group, first=0)


def _chained(inner: list[Any], group: int) -> Schedule:
    if len(inner) == 1:
        return _single(inner[0], group)
    initial = float(inner[0].optimizer.param_groups[group]["initial_lr"])
    whole: Schedule = constant()
    for scheduler in inner:
        name = type(scheduler).__name__
        if type(scheduler) is torch_schedulers.CosineAnnealingLR and scheduler.eta_min == 0:
            factor: Schedule = cosine_wave(every=scheduler.T_max)
        elif type(scheduler) in _MULTIPLYING:
            factor = _MULTIPLYING[type(scheduler)](scheduler, group)
        else:
            raise ValueError(
                f"{name} sets the rate itself{' (eta_min)' if 'Cosine' in name else ''} and ChainedScheduler "
                "multiplies what the others left, so the result depends on their order; multiply schedules: a * b"
            )
        whole = _endless(factor) if scheduler is inner[0] else whole * _endless(factor)
    return initial * whole


def _endless(schedule: Schedule) -> Schedule:
    """The same without a length, so that factors of different lengths can be multiplied: each holds its end."""
    return schedule >> constant(value=schedule.end) if isinstance(schedule.length, float) else schedule


def _base(scheduler: Any, group: int) -> float:
    return float(scheduler.base_lrs[group])


def _constant(s: Any, _: int) -> Schedule:
    if s.total_iters == 0:  # torch takes the factor at once, and the step that would take it back never comes
        return constant(value=s.factor)
    return constant(s.total_iters, value=s.factor) >> constant()


def _multi_step(s: Any, _: int) -> Schedule:
    return multi_step(at=sorted(s.milestones.elements()), gamma=s.gamma) if s.milestones else constant()


def _product(s: Any, group: int, first: int = 1) -> Schedule:
    products = [1.0]

    def product(position: float) -> float:
        while len(products) <= position + (1 - first):
            products.append(products[-1] * float(s.lr_lambdas[group](len(products) - (1 - first))))
        return products[int(position) + (1 - first)]

    return from_function(product, name=f"product_of_lr_lambda_{group}")


def _lambda(s: Any, group: int) -> Schedule:
    return _base(s, group) * from_function(lambda t: float(s.lr_lambdas[group](int(t))), name=f"lr_lambda_{group}")


def _cosine(s: Any, group: int) -> Schedule:
    return cosine_wave(start=_base(s, group), low=float(s.eta_min), every=s.T_max)


def _restarts(s: Any, group: int) -> Schedule:
    return cosine_restarts(start=_base(s, group), low=float(s.eta_min), every=s.T_0, growth=float(s.T_mult))


def _cyclic(s: Any, group: int) -> Schedule:
    low, high = _base(s, group), float(s.max_lrs[group])
    up = s.step_ratio * s.total_size
    down = s.total_size - up
    if s._scale_fn_custom is None:
        if s.mode == "exp_range":
            return exp_range(start=low, peak=high, up=up, down=down, gamma=s.gamma)
        return (triangular2 if s.mode == "triangular2" else triangular)(start=low, peak=high, up=up, down=down)
    wave = triangular(start=0.0, peak=1.0, up=up, down=down)

    def value(position: float) -> float:
        cycle = math.floor(1 + position / s.total_size)
        scale = s._scale_fn_custom(cycle if s.scale_mode == "cycle" else position)
        return low + (high - low) * wave(position) * float(scale)

    return from_function(value, name=f"cyclic_{group}")


def _one_cycle(s: Any, group: int) -> Schedule:
    piece = cosine if s._anneal_func_type == "cos" else linear
    rates = s.optimizer.param_groups[group]
    pieces: list[Schedule] = []
    begin = 0.0
    for phase in s._schedule_phases:
        start, end = float(rates[phase["start_lr"]]), float(rates[phase["end_lr"]])
        length = float(phase["end_step"]) - begin
        if phase["end_step"] > 0:
            # a phase that would have begun before the first step is there from its middle on
            whole = piece(max(length, 0.0), start=start, end=end)
            pieces.append(part(whole, start=-begin) if begin < 0 and not pieces else whole)
        begin = float(phase["end_step"])
    course = pieces[0]
    for each in pieces[1:]:
        course = course >> each
    return course


# Those whose value is the base times a factor, so that chained ones multiply.
_MULTIPLYING: dict[type, Reader] = {
    torch_schedulers.ConstantLR: _constant,
    torch_schedulers.ExponentialLR: lambda s, _: exponential(gamma=s.gamma, every=1),
    torch_schedulers.LinearLR: lambda s, _: linear(s.total_iters, start=s.start_factor, end=s.end_factor),
    torch_schedulers.MultiStepLR: _multi_step,
    torch_schedulers.MultiplicativeLR: _product,
    torch_schedulers.PolynomialLR: lambda s, _: polynomial(s.total_iters, power=s.power),
    torch_schedulers.StepLR: lambda s, _: step_decay(gamma=s.gamma, every=s.step_size),
}


def _times_base(read: Reader) -> Reader:
    return lambda s, group: _base(s, group) * read(s, group)


_READERS: dict[type, Reader] = {
    **{kind: _times_base(read) for kind, read in _MULTIPLYING.items()},
    torch_schedulers.CosineAnnealingLR: _cosine,
    torch_schedulers.CosineAnnealingWarmRestarts: _restarts,
    torch_schedulers.CyclicLR: _cyclic,
    torch_schedulers.LambdaLR: _lambda,
    torch_schedulers.OneCycleLR: _one_cycle,
}
