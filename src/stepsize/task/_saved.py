"""Checks of a supervised run's saved state, made before any of it is loaded."""

import math
from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any, TypeVar

from torch import Tensor, nn
from torch.optim import Optimizer

from stepsize import _check, _schema

# what optimizers keep of each parameter in its own shape
MOMENTS = {"exp_avg", "exp_avg_sq", "max_exp_avg_sq", "momentum_buffer", "square_avg", "grad_avg", "acc_delta", "sum"}
# what optimizers never change by themselves; others, such as the distance that Prodigy estimates, may move
FIXED = {"adapt", "alpha", "amsgrad", "betas", "capturable", "centered", "dampening", "decoupled_weight_decay"}
FIXED |= {"differentiable", "eps", "foreach", "fused", "maximize", "momentum", "nesterov", "trust_coefficient"}
FIXED |= {"weight_decay"}
Loaded = TypeVar("Loaded")


def by_name(saved: Any, optimizers: Mapping[str, Optimizer]) -> Mapping[str, Any]:
    """The saved state of each optimizer: one is saved by itself, several by name.

    Args:
        saved: the field of a state.
        optimizers: of the run.
    """
    return saved if len(optimizers) > 1 else dict.fromkeys(optimizers, saved)


def longest(state: Any, steps: int) -> int:
    """How many steps a run may have done whose trial has so many: more where a command has made it longer.

    Args:
        state: of the run; anything.
        steps: of the trial.
    """
    control = state.get("control") if isinstance(state, Mapping) else None
    total = control.get("total") if isinstance(control, Mapping) else None
    steered = isinstance(control, Mapping) and control.get("commands") is not None
    more = total if steered and isinstance(total, float) and math.isfinite(total) else 0
    return max(steps, math.ceil(more))


def check_state(state: Any, steps: int, model: nn.Module, optimizers: Mapping[str, Optimizer]) -> None:
    """Raise ValueError, naming the field, unless a state fits.

    Args:
        state: of a run.
        steps: of the trial.
        model: it is loaded into.
        optimizers: it is loaded into, by name.
    """
    several = _schema.record(dict.fromkeys(optimizers, OPTIMIZER))
    fields = {
        "model": _schema.table(_schema.anything),
        "optimizer": several if len(optimizers) > 1 else OPTIMIZER,
        "control": _schema.of_type(Mapping, "a mapping"),
        "random": _schema.of_type(Mapping, "a mapping"),
        "batches": _schema.anything,
        "done": _schema.whole(0, steps),
    }
    _schema.record(fields, {"processes": PROCESSES})("state", state)
    _check_model(state["model"], model.state_dict())
    for name, saved in by_name(state["optimizer"], optimizers).items():
        _check_groups(saved["param_groups"], optimizers[name], _driven(state["control"]))
        _check_moments(saved, optimizers[name])


GROUPS = _schema.every(_schema.record({"params": _schema.every(_schema.whole())}))
OPTIMIZER = _schema.record({"state": _schema.of_type(Mapping, "a mapping"), "param_groups": GROUPS})
PROCESSES = _schema.record(
    {
        "size": _schema.whole(1),
        "shard": _schema.of_type(bool, "True or False"),
        "random": _schema.every(_schema.of_type(Mapping, "a mapping")),
    }
)


def _check_model(saved: Mapping[str, Any], model: Mapping[str, Any]) -> None:
    for name, own in model.items():
        if name in saved and isinstance(own, Tensor) and not nn.parameter.is_lazy(own):
            _check_like(f"{name} of model of state", saved[name], own)


def _check_like(name: str, saved: Any, own: Tensor) -> None:
    if not isinstance(saved, Tensor):
        raise ValueError(_check.message(name, saved, "a tensor"))
    if saved.shape != own.shape or saved.dtype != own.dtype or saved.layout != own.layout:
        rule = f"{own.dtype} of shape {tuple(own.shape)}, as here"
        raise ValueError(f"mismatch: {name} must be {rule}, got {saved.dtype} of shape {tuple(saved.shape)}")


def _driven(control: Mapping[str, Any]) -> set[str]:
    """The settings of a group that schedules change."""
    lines = control.get("shares")
    return {"lr", *(lines if isinstance(lines, Mapping) else ())}


def _check_groups(saved: list[Mapping[str, Any]], optimizer: Optimizer, driven: set[str]) -> None:
    """Each group has the settings that this optimizer reads, of the same kind, and those that stay are the same."""
    stay = FIXED - driven - ({"betas"} if "momentum" in driven else set())
    for number, (group, own) in enumerate(zip(saved, optimizer.param_groups, strict=False)):
        for setting, value in own.items():
            name = f"{setting} of group {number} of optimizer of state"
            if setting == "params":
                continue
            if setting not in group:
                raise ValueError(f"{name} is missing: it was saved by another optimizer")
            _check_kind(name, group[setting], value)
            if setting in stay and not isinstance(value, Tensor) and not _same(group[setting], value):
                raise ValueError(f"{name} was {group[setting]!r} when it was saved, and is {value!r} now")


def _same(saved: Any, current: Any) -> bool:
    if isinstance(current, tuple | list):
        return all(_same(entry, own) for entry, own in zip(saved, current, strict=True))
    return isinstance(current, Tensor) or bool(saved == current)


def _check_kind(name: str, saved: Any, current: Any) -> None:
    if isinstance(current, tuple | list):
        _schema.row(*(lambda label, value, own=own: _check_kind(label, value, own) for own in current))(name, saved)
    elif isinstance(current, Tensor):
        _check_like(name, saved, current)
    elif isinstance(current, bool | str):
        _schema.of_type(type(current), f"of the kind of {current!r}, as here")(name, saved)
    elif isinstance(current, Real):
        _schema.finite()(name, saved)
    elif current is None and saved is not None and not isinstance(saved, Real):
        raise ValueError(_check.message(name, saved, "None, as here, or a number"))


def _check_moments(saved: Mapping[str, Any], optimizer: Optimizer) -> None:
    """Each parameter's state belongs to it, and those of a group keep the same things."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    numbers = [number for group in saved["param_groups"] for number in group["params"]]
    by_number = dict(zip(numbers, parameters, strict=False))
    for number, entries in saved["state"].items():
        name = f"state of parameter {number} of optimizer of state"
        if number not in by_number:
            raise ValueError(f"{name} is of none that is here")
        _schema.table(_schema.anything)(name, entries)
        for what, value in entries.items():
            if what in MOMENTS and not (value is None and what == "momentum_buffer"):  # SGD's before its first step
                _check_shape(f"{what} of {name}", value, by_number[number])
            elif what == "step":
                number_of_steps = value.item() if isinstance(value, Tensor) and value.numel() == 1 else value
                _schema.finite(least=0)(f"{what} of {name}", number_of_steps)
    for group in saved["param_groups"]:
        kept = {number: set(saved["state"][number]) for number in group["params"] if number in saved["state"]}
        most = set().union(*kept.values()) & (MOMENTS | {"step"})
        for number, there in kept.items():
            if most - there:
                lacking = ", ".join(sorted(most - there))
                raise ValueError(f"state of parameter {number} of optimizer of state lacks {lacking}")


def _check_shape(name: str, saved: Any, parameter: Tensor) -> None:
    if not isinstance(saved, Tensor) or saved.shape != parameter.shape or saved.is_complex() != parameter.is_complex():
        shown = f"{saved.dtype} of shape {tuple(saved.shape)}" if isinstance(saved, Tensor) else saved
        raise ValueError(_check.message(name, shown, f"a tensor of shape {tuple(parameter.shape)}"))


def loaded(what: str, load: Callable[[], Loaded]) -> Loaded:
    """The result of a load; any error becomes one line about the state.

    Args:
        what: is loaded, for the message.
        load: does it.
    """
    try:
        return load()
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"{what}: {_check.in_one_line(error)}") from error
