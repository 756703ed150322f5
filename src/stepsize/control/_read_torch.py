"""Torch's single schedulers as schedules: the rate of each group, and the momentum where it is cycled too."""

import hashlib
import math
import warnings
from collections.abc import Callable
from typing import Any

from torch.optim import lr_scheduler as torch_schedulers

from stepsize.schedule import (
    Schedule,
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
SAMPLES = sorted({*range(512), *(int(1.1**power) for power in range(65, 146))})  # to 1e6


def rate_of(scheduler: Any, group: int) -> Schedule:
    """The rate of a group, from the scheduler's step 0.

    Raises:
        ValueError: it is none of torch's own schedulers, or one whose course depends on what came before.
    """
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


def momentum_of(scheduler: Any, group: int) -> Schedule | None:
    """The momentum (beta1 for Adam's kin) of a group, from the scheduler's step 0; None where it is left alone."""
    if not getattr(scheduler, "cycle_momentum", False):
        return None
    if type(scheduler) is torch_schedulers.OneCycleLR:
        return _phases(scheduler, group, "momentum")
    bounds = float(scheduler.max_momentums[group]), float(scheduler.base_momentums[group])
    return _wave(scheduler, f"cyclic_momentum_{group}", *bounds)


def base_of(scheduler: Any, group: int) -> float:
    """The rate of a group that a scheduler was made for."""
    return float(scheduler.base_lrs[group])


def product_of(s: Any, group: int, first: int = 1) -> Schedule:
    """What MultiplicativeLR has multiplied by, from its step ``first`` on."""
    products = [1.0]

    def product(position: float) -> float:
        while len(products) <= position + (1 - first):
            products.append(products[-1] * float(s.lr_lambdas[group](len(products) - (1 - first))))
        return products[int(position) + (1 - first)]

    return from_function(product, name=_named(f"product_of_lr_lambda_{group}", s.lr_lambdas[group]))


def _named(name: str, call: Callable[[int], float]) -> str:
    """A name that another function does not have, so that one cannot resume as the other: a digest of its values."""
    digest = hashlib.sha256()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for position in SAMPLES:
            try:
                value = f"{float(call(position)):.6g}"
            except Exception as error:  # a table that ends somewhere is a fact about the function
                value = type(error).__name__
            digest.update(f"{value} ".encode())
    return f"{name}_{digest.hexdigest()[:8]}"


def _constant(s: Any, _: int) -> Schedule:
    if s.total_iters == 0:  # torch takes the factor at once, and the step that would take it back never comes
        return constant(value=s.factor)
    return constant(s.total_iters, value=s.factor) >> constant()


def _multi_step(s: Any, _: int) -> Schedule:
    return multi_step(at=sorted(s.milestones.elements()), gamma=s.gamma) if s.milestones else constant()


def _lambda(s: Any, group: int) -> Schedule:
    call = s.lr_lambdas[group]
    return base_of(s, group) * from_function(lambda t: float(call(int(t))), name=_named(f"lr_lambda_{group}", call))


def _cosine(s: Any, group: int) -> Schedule:
    return cosine_wave(start=base_of(s, group), low=float(s.eta_min), every=s.T_max)


def _restarts(s: Any, group: int) -> Schedule:
    return cosine_restarts(start=base_of(s, group), low=float(s.eta_min), every=s.T_0, growth=float(s.T_mult))


def _cyclic(s: Any, group: int) -> Schedule:
    return _wave(s, f"cyclic_{group}", base_of(s, group), float(s.max_lrs[group]))


def _wave(s: Any, name: str, start: float, peak: float) -> Schedule:
    """CyclicLR's wave from one bound to the other; the momentum's begins above and goes down."""
    up = s.step_ratio * s.total_size
    down = s.total_size - up
    custom = s._scale_fn_custom
    if custom is None:
        if s.mode == "exp_range":
            return exp_range(start=start, peak=peak, up=up, down=down, gamma=s.gamma)
        return (triangular2 if s.mode == "triangular2" else triangular)(start=start, peak=peak, up=up, down=down)
    wave = triangular(start=0.0, peak=1.0, up=up, down=down)

    def value(position: float) -> float:
        cycle = math.floor(1 + position / s.total_size)
        scale = float(custom(cycle if s.scale_mode == "cycle" else int(position)))
        return start + (peak - start) * float(wave(position)) * scale

    return from_function(value, name=_named(name, value))


ROUNDING = 1e-9  # steps by which torch's phases may be apart that are meant to end together


def _one_cycle(s: Any, group: int) -> Schedule:
    return _phases(s, group, "lr")


def _phases(s: Any, group: int, what: str) -> Schedule:
    """OneCycleLR's rate or momentum: the phases as far as its steps go, of which the first may have begun before."""
    piece = cosine if s._anneal_func_type == "cos" else linear
    values, last = s.optimizer.param_groups[group], float(s.total_steps - 1)
    pieces: list[Schedule] = []
    begin = end = 0.0
    value = 0.0
    for phase in s._schedule_phases:
        begin, end = end, float(phase["end_step"])
        start, value = float(values[phase[f"start_{what}"]]), float(values[phase[f"end_{what}"]])
        if end > 0 and begin < last:
            span = end - begin if end - begin > ROUNDING else 0.0
            whole = piece(span, start=start, end=value)
            cut = begin < 0 or end > last
            stretch = min(end, last) - max(begin, 0.0)
            pieces.append(part(whole, start=max(-begin, 0.0), length=stretch) if cut else whole)
    if not pieces:  # a single step, at the end of the last phase
        return constant(value=value)
    course = pieces[0]
    for later in pieces[1:]:
        course = course >> later
    return course


def _falling(scheduler: Any) -> float:
    """The gamma of a scheduler that has no end."""
    if scheduler.gamma > 1:
        raise ValueError(
            f"{type(scheduler).__name__} with gamma={scheduler.gamma:g} grows without end, and a schedule has a bound; "
            "hand its formula to from_function(...)"
        )
    return float(scheduler.gamma)


# Those whose value is the base times a factor, so that chained ones multiply.
MULTIPLYING: dict[type, Reader] = {
    torch_schedulers.ConstantLR: _constant,
    torch_schedulers.ExponentialLR: lambda s, _: exponential(gamma=_falling(s), every=1),
    torch_schedulers.LinearLR: lambda s, _: linear(s.total_iters, start=s.start_factor, end=s.end_factor),
    torch_schedulers.MultiStepLR: _multi_step,
    torch_schedulers.MultiplicativeLR: product_of,
    torch_schedulers.PolynomialLR: lambda s, _: polynomial(s.total_iters, power=s.power),
    torch_schedulers.StepLR: lambda s, _: step_decay(gamma=_falling(s), every=s.step_size),
}


def _times_base(read: Reader) -> Reader:
    return lambda s, group: base_of(s, group) * read(s, group)


_READERS: dict[type, Reader] = {
    **{kind: _times_base(read) for kind, read in MULTIPLYING.items()},
    torch_schedulers.CosineAnnealingLR: _cosine,
    torch_schedulers.CosineAnnealingWarmRestarts: _restarts,
    torch_schedulers.CyclicLR: _cyclic,
    torch_schedulers.LambdaLR: _lambda,
    torch_schedulers.OneCycleLR: _one_cycle,
}
