"""Checks of the values that a task's own functions return, with errors for the usual mistakes of a first try."""

import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer

from stepsize import _check
from stepsize.control import SIGNALS
from stepsize.optim import has_value, parameters, read_value

RESERVED = {*SIGNALS, "step", "position"}  # what a record says of each step

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
MAY_BE_LEFT_OUT = ("example", "examples", "metrics", "score", "test")


def check_functions(task: Any) -> None:
    """Raise TypeError if one of a task's functions is none, or cannot be called the way it will be.

    Args:
        task: whose functions they are; those that it may leave out can be None.
    """
    for name, arguments in CALLED_WITH.items():
        function, words = getattr(task, name), ", ".join(arguments)
        if function is None and name in MAY_BE_LEFT_OUT:
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
    """A task's model, as its function makes it now.

    Args:
        task: a ``Task``.

    Raises:
        TypeError, ValueError: it is no module, or has nothing to train.

    Example:
        >>> from stepsize.task import model_of, task_named
        >>> sum(p.numel() for p in model_of(task_named("digits")).parameters())
        25978
    """
    model, name = task.model(), f"model() of the task {task.name!r}"
    if not isinstance(model, nn.Module):
        raise TypeError(_check.message(name, model, "a torch.nn.Module"))
    own = list(model.parameters())
    if not own:
        raise ValueError(_check.message(name, type(model).__name__, "a module with parameters, which are trained"))
    if any(map(is_lazy, own)):
        rule, remedy = "a module whose shapes are known", "call a lazy module once on an input before you return it"
        raise ValueError(_check.message(name, type(model).__name__, rule, remedy))
    return model


def optimizers_of(task: Any, model: nn.Module, lr: float) -> dict[str, Optimizer]:
    """A task's optimizer at a rate, by the name "", or its several by name.

    Raises:
        TypeError, ValueError: it is none, it has parameters that are not the model's, or its rates have nothing to do
            with the rate that it is given.
    """
    made, name = _optimizers(task, model, lr), f"optimizer(...) of the task {task.name!r}"
    own = set(map(id, model.parameters()))
    if any(id(parameter) not in own for optimizer in made.values() for parameter in parameters(optimizer)):
        raise ValueError(f"{name} has parameters that are not the model's; make it from those that it is given")
    rates = _rates(made)
    if not rates:
        raise ValueError(f"{name} has no learning rate in its groups, so that {lr:g} cannot be set; give it lr=lr")
    if lr in rates:
        return made
    # a group may have a multiple of the rate, and others one of their own: at half the rate, half of it is seen then
    half = _rates(_optimizers(task, model, lr / 2))
    follows = [math.isclose(one, 2 * other, rel_tol=1e-4) for one, other in zip(rates, half, strict=False) if one]
    if not any(follows):
        shown = ", ".join(f"{rate:g}" for rate in list(dict.fromkeys(rates))[:3])
        rule = f"{name} must use the rate that it is given, {lr:g}, or multiples of it, got groups with {shown}"
        raise ValueError(f"{rule}; write for example torch.optim.SGD(parameters, lr=lr)")
    return made


def _optimizers(task: Any, model: nn.Module, lr: float) -> dict[str, Optimizer]:
    made = task.optimizer(model.parameters(), lr)
    if isinstance(made, Optimizer):
        return {"": made}
    named = made if isinstance(made, Mapping) else None
    if isinstance(made, list | tuple):
        named = {f"optimizer{index}": optimizer for index, optimizer in enumerate(made)}
    if not named or not all(isinstance(optimizer, Optimizer) for optimizer in named.values()):
        rule = "a torch.optim.Optimizer, a list of them, or a mapping by name"
        remedy = f"it is what optimizer(...) of the task {task.name!r} gives"
        raise TypeError(_check.message("optimizer", made, rule, remedy))
    return {str(name): optimizer for name, optimizer in named.items()}


def _rates(made: Mapping[str, Optimizer]) -> list[float]:
    groups = [group for optimizer in made.values() for group in optimizer.param_groups]
    return [read_value(group) for group in groups if has_value(group)]


def batches_of(task: Any, generator: torch.Generator, size: int | None) -> Iterator[Any]:
    """A task's batches from the first on."""
    batches = task.batches(*([generator] if size is None else [generator, size]))
    if not isinstance(batches, Iterable):
        rule = "an endless iterator, epoch after epoch"
        raise TypeError(_check.message(f"batches(...) of the task {task.name!r}", batches, rule))
    return iter(batches)


def probe_of(task: Any, generator: torch.Generator, size: int | None, count: int) -> Iterator[Any]:
    """Some of a task's batches to be scored on: drawn anew, or those that its loader sets aside for that."""
    aside = getattr(task.batches, "set_aside", None)
    if aside is not None:
        yield from aside(generator, count)
        return
    drawn = batches_of(task, generator, size)
    for _ in range(count):
        yield next_of(task, drawn)


def next_of(task: Any, batches: Iterator[Any]) -> Any:
    """The next of a task's batches, which never run out."""
    try:
        return next(batches)
    except StopIteration:
        raise ValueError(
            f"batches of the task {task.name!r} ran out; it must make an endless iterator, epoch after epoch"
        ) from None


def loss_of(task: Any, model: nn.Module, batch: Any) -> Tensor:
    """A batch's loss to be trained by, a real tensor of no dimension. Nothing is read back from the device.

    Args:
        task: a ``Task``.
        model: of it.
        batch: of it.

    Raises:
        TypeError, ValueError: as ``measured``; or it has no gradient.

    Example:
        >>> import torch
        >>> from stepsize.task import loss_of, model_of, task_named
        >>> task = task_named("linear-regression")
        >>> batch = next(iter(task.batches(torch.Generator().manual_seed(0), task.batch_size)))
        >>> loss_of(task, model_of(task), batch).requires_grad
        True
    """
    loss = measured(task, model, batch)
    if not loss.requires_grad:
        name = f"loss(...) of the task {task.name!r}"
        raise ValueError(f"{name} must depend on the model's parameters, got {loss!r}, which has no gradient")
    return loss


def check_gradients(task: Any, parameters: Iterable[Tensor]) -> None:
    """Raise ValueError if a backward pass left no gradient at all.

    Args:
        task: whose loss it was.
        parameters: that its optimizer trains.
    """
    if all(parameter.grad is None for parameter in parameters):
        name = f"loss(...) of the task {task.name!r}"
        raise ValueError(
            f"{name} must depend on the model's parameters: after its backward pass none has a gradient; leave out "
            "detach(), torch.no_grad() and .item() on the way from the model's output to the loss"
        )


def measured(task: Any, model: nn.Module, batch: Any) -> Tensor:
    """A batch's loss, with or without a gradient, a real tensor of no dimension.

    Args:
        task: a ``Task``.
        model: of it.
        batch: of it.

    Raises:
        TypeError, ValueError: it is no real tensor of one element.

    Example:
        >>> import torch
        >>> from stepsize.task import measured, model_of, task_named
        >>> task = task_named("linear-regression")
        >>> batch = next(iter(task.batches(torch.Generator().manual_seed(0), task.batch_size)))
        >>> measured(task, model_of(task), batch).shape
        torch.Size([])
    """
    name, rule = f"loss(...) of the task {task.name!r}", "a tensor of one element"
    try:
        loss = task.loss(model, batch)
    except (AttributeError, TypeError) as error:
        if batch is not None:  # which is a batch like any other for tasks without data
            raise
        what, rule = f"batches(...) of the task {task.name!r}", "an endless iterator of what loss(...) takes"
        raise TypeError(_check.message(what, None, rule, f"with None as a batch, loss(...) says: {error}")) from error
    if not isinstance(loss, Tensor):
        raise TypeError(_check.message(name, loss, rule))
    if loss.numel() != 1:
        raise ValueError(_check.message(f"shape of {name}", tuple(loss.shape), "of one element", "take its mean"))
    if loss.layout is not torch.strided:
        raise TypeError(_check.message(f"layout of {name}", loss.layout, "torch.strided", "take its .to_dense()"))
    if loss.is_complex():
        raise TypeError(_check.message(f"dtype of {name}", loss.dtype, "real", "take its .real or .abs()"))
    return loss.reshape(())


def number(task: Any, name: str, value: Any) -> float:
    """A task's figure as a float."""
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
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
    own = set(task.axes)
    taken = [key for key in map(str, values) if key in RESERVED | own]
    if taken:
        what = "one of its axes" if taken[0] in own else "what is measured in training"
        remedy = f"that is the name of {what}; write for example 'validation_{taken[0]}'"
        raise ValueError(f"a figure in {name} of the task {task.name!r} must not be called {taken[0]!r}: {remedy}")
    return {str(key): number(task, f"{key!r} in {name}", value) for key, value in values.items()}
