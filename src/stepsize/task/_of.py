"""From what people have, a model, a loader and a loss function, to the parts of a task."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn
from torch.optim import Optimizer

from stepsize import _check
from stepsize.task._called import Copies, Loss
from stepsize.task._loader import Batches

LONGEST = 2.0**53  # steps, from which on a float cannot count them


def parts_of(
    model: Any,
    loader: Any,
    optimizer: Any,
    loss: Any,
    steps: int | None,
    epochs: float | None,
    name: str | None,
    device: str | None,
    accumulate: int,
) -> dict[str, Any]:
    """The fields of a task from the words of ``Task.of``.

    Raises:
        TypeError, ValueError: one of them is invalid.
    """
    for label, value in (("model", model), ("loader", loader), ("optimizer", optimizer)):
        if value is None:
            raise TypeError(f"{label} is needed, got None; give model=, loader=, optimizer= and steps= or epochs=")
    if not isinstance(model, nn.Module) and not callable(model):
        raise TypeError(_check.message("model", model, "a torch.nn.Module, or a function that makes one"))
    if not callable(optimizer) or isinstance(optimizer, Optimizer):
        remedy = "write optimizer=lambda parameters, lr: torch.optim.SGD(parameters, lr=lr)"
        raise TypeError(_check.message("optimizer", optimizer, "a function of (parameters, lr)", remedy))
    called, batches = Loss(loss), Batches(loader)
    accumulate = _check.whole("accumulate", accumulate, least=1)
    epoch = None if batches.epoch is None else batches.epoch / accumulate
    is_module = isinstance(model, nn.Module)
    return {
        "name": name_of(model) if name is None else name,
        "model": Copies(model) if is_module else model,
        "batches": batches,
        "loss": called,
        "optimizer": optimizer,
        "steps": steps_of(steps, epochs, epoch),
        "per_epoch": epoch,
        "device": (device_of(model) if is_module else "cpu") if device is None else device,
        "accumulate": accumulate,
    }


def steps_of(steps: int | None, epochs: float | None, epoch: float | None) -> int:
    """Steps of a whole run, from one of two ways to say it.

    Args:
        steps: if said so.
        epochs: if said so.
        epoch: steps in one, where that is known.
    """
    if steps is not None and epochs is not None:
        raise ValueError(
            f"steps and epochs both say how long the run is, got {steps!r} and {epochs!r}; give one of them"
        )
    if steps is not None:
        return _check.whole("steps", steps, least=1)
    if epochs is None:
        raise ValueError("steps or epochs must say how long the run is, got neither; give steps=1000 or epochs=3")
    epochs = _check.number("epochs", epochs, above=0)
    if epoch is None:
        raise ValueError(f"epochs cannot be counted, got {epochs:g}, since the loader has no length; give steps=")
    if epochs * epoch >= LONGEST:
        raise ValueError(_check.message("epochs", epochs, f"below {LONGEST / epoch:.3g}, as many as can be counted"))
    return max(1, round(epochs * epoch))


def device_of(model: nn.Module) -> str:
    """The device that a model is on.

    Args:
        model: a person's.

    Raises:
        ValueError: it is on several.
    """
    places = sorted({str(tensor.device) for tensor in model.parameters()})
    if len(places) > 1:
        raise ValueError(_check.message("model", ", ".join(places), "on one device", "give a function that makes it"))
    return places[0] if places else "cpu"


def name_of(model: nn.Module | Callable[[], nn.Module]) -> str:
    """The default name of a task, from its model."""
    name = type(model).__name__ if isinstance(model, nn.Module) else getattr(model, "__name__", "")
    return name if name.isidentifier() else "training"


def check_words(more: Mapping[str, Any], fields: tuple[str, ...]) -> None:
    """Raise TypeError if a further word of ``Task.of`` is none.

    Args:
        more: by name.
        fields: that there are.
    """
    for word in more:
        if word not in fields:
            raise TypeError(f"Task.of has no argument {word!r}; {_check.closest(word, fields)}")
