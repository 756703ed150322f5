"""What a task's own functions give back, checked where it comes: the mistakes of a first try, said in its words."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from stepsize import _check
from stepsize.control import SIGNALS

RESERVED = SIGNALS | {"step"}  # what a record says of each step

CALLED_WITH = {
    "model": (),
    "loss": ("model", "batch"),
    "optimizer": ("parameters", "lr"),
    "score": ("model",),
    "metrics": ("model",),
    "test": ("model",),
    "example": (),
    "examples": (),
}


def check_functions(task: Any) -> None:
    """Raise TypeError if one of a task's functions is none, or cannot be called the way it will be.

    Args:
        task: whose functions they are; those that it may leave out can be None.
    """
    for name, arguments in CALLED_WITH.items():
        function, words = getattr(task, name), ", ".join(arguments)
        if function is None and name in ("example", "examples", "test"):
            continue
        if not callable(function):
            raise TypeError(_check.message(name, function, "a function"))
        try:
            inspect.signature(function).bind(*arguments)
        except ValueError:  # of something built in that does not say
            continue
        except TypeError:
            rule = f"a function of ({words})" if words else "a function without arguments"
            raise TypeError(_check.message(name, function, rule)) from None


def check_batches(batches: Callable[..., Any], with_size: bool) -> None:
    """Raise TypeError if a task's batches cannot be called the way they will be.

    Args:
        batches: the task's function.
        with_size: whether the task has a batch size.
    """
    arguments = [None, 1] if with_size else [None]
    try:
        inspect.signature(batches).bind(*arguments)
    except ValueError:  # of something built in that does not say
        return
    except TypeError:
        rule = "a function of (generator, batch_size)" if with_size else "a function of (generator)"
        why = "batch_size is given" if with_size else "batch_size is left out"
        raise TypeError(_check.message("batches", batches, rule, f"since {why}")) from None


def model_of(task: Any) -> nn.Module:
    """A task's model."""
    model = task.model()
    if not isinstance(model, nn.Module):
        raise TypeError(_check.message(f"model() of the task {task.name!r}", model, "a torch.nn.Module"))
    return model


def batches_of(task: Any, generator: torch.Generator, size: int | None) -> Iterator[Any]:
    """A task's batches from the first on."""
    batches = task.batches(*([generator] if size is None else [generator, size]))
    if not isinstance(batches, Iterable):
        rule = "an endless iterator, epoch after epoch"
        raise TypeError(_check.message(f"batches(...) of the task {task.name!r}", batches, rule))
    return iter(batches)


def loss_of(task: Any, model: nn.Module, batch: Any) -> Tensor:
    """A batch's loss. Nothing is read back from the device."""
    loss = task.loss(model, batch)
    if isinstance(loss, Tensor) and loss.numel() == 1 and loss.requires_grad:
        return loss
    name, rule = f"loss(...) of the task {task.name!r}", "a tensor of one element"
    if not isinstance(loss, Tensor):
        raise TypeError(_check.message(name, loss, rule))
    if loss.numel() != 1:
        raise ValueError(_check.message(f"shape of {name}", tuple(loss.shape), "of one element", "take its mean"))
    raise ValueError(f"{name} must depend on the model's parameters, got {loss!r}, which has no gradient")


def number(task: Any, name: str, value: Any) -> float:
    """A task's figure as a float."""
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        if isinstance(value, Tensor):
            rule = "of one element"
            shape = f"shape of {name} of the task {task.name!r}"
            raise ValueError(_check.message(shape, tuple(value.shape), rule, "take its mean")) from None
        raise TypeError(_check.message(f"{name} of the task {task.name!r}", value, "one number")) from None


def figures(task: Any, name: str, values: Any) -> dict[str, float]:
    """A task's figures by name."""
    if not isinstance(values, Mapping):
        remedy = 'such as {"validation_loss": 0.5}'
        raise TypeError(_check.message(f"{name} of the task {task.name!r}", values, "figures by name", remedy))
    taken = [key for key in map(str, values) if key in RESERVED]
    if taken:
        remedy = f"that is the name of what is measured in training; write for example 'validation_{taken[0]}'"
        raise ValueError(f"a figure in {name} of the task {task.name!r} must not be called {taken[0]!r}: {remedy}")
    return {str(key): number(task, f"{key!r} in {name}", value) for key, value in values.items()}
