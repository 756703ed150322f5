"""One rule for calling a user's model and loss function on a batch, and errors for what does not fit it."""

import copy
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from stepsize import _check

MODELS, BATCHES = ("model", "net", "network", "module"), ("batch",)
WAYS = "write loss=lambda model, batch: ..."


class Copies:
    """The ``model`` of a task from a model: a copy of it each time, as it was when it was given.

    Args:
        model: is copied at once, and stays as it is.

    Raises:
        TypeError: it cannot be copied.
    """

    def __init__(self, model: nn.Module) -> None:
        self._kept = _copied(model)

    @property
    def theirs(self) -> tuple[Any, ...]:
        """The user's code that it is made of."""
        return (self._kept,)

    def __call__(self) -> nn.Module:
        """A copy."""
        return _copied(self._kept)


def _copied(model: nn.Module) -> nn.Module:
    try:
        copied = copy.deepcopy(model)
    except Exception as error:
        why = _check.in_one_line(error)
        rule, remedy = "one that can be copied", "give a function that makes it: model=lambda: ..."
        raise TypeError(_check.message("model", type(model).__name__, rule, f"{remedy} ({why})")) from error
    for parameter in copied.parameters():
        parameter.grad = None
    return copied


class Loss:
    """The ``loss`` of a task from a loss function.

    Args:
        function: of (model, batch), if its first parameter is called model, net, network or module, or its second is
            called batch; any other, such as torch's loss modules and functions, is one of (outputs, targets), for
            batches that are pairs of inputs and targets. None for a model that returns its loss.

    Raises:
        TypeError: it is no function of two arguments.
    """

    def __init__(self, function: Callable[..., Tensor] | None) -> None:
        self.function = function
        self._of_model = function is not None and takes_model(function)

    @property
    def theirs(self) -> tuple[Any, ...]:
        """The user's code that it is made of."""
        return () if self.function is None else (self.function,)

    def __call__(self, model: nn.Module, batch: Any) -> Tensor:
        """The loss of a batch.

        Args:
            model: is called with the batch's inputs, or all of the batch where there is no loss function.
            batch: what the loader gives.

        Raises:
            TypeError: the batch does not fit the loss function, or the model returns no loss.
        """
        if self.function is None:
            return loss_returned(model, batch)
        if self._of_model:
            return self.function(model, batch)
        if not isinstance(batch, tuple | list) or len(batch) != 2:
            rule = "a pair (inputs, targets), since loss is a function of (outputs, targets)"
            raise TypeError(_check.message("batch of loader", _shown(batch), rule, WAYS))
        outputs = model(batch[0])
        try:
            return self.function(outputs, batch[1])
        except TypeError as error:
            if "'Tensor' object is not callable" not in str(error):
                raise
            rule = "a function of (outputs, targets), unless its first parameter is called model"
            raise TypeError(_check.message("loss", self.function, rule, WAYS)) from error


def takes_model(function: Callable[..., Any]) -> bool:
    """Whether a loss function is one of (model, batch) and not of (outputs, targets), by its parameters' names.

    Args:
        function: a person's.

    Raises:
        TypeError: it is no function, or not one of two arguments.
    """
    rule = "a function of (outputs, targets) or of (model, batch)"
    if not callable(function) or isinstance(function, type):
        remedy = "make one of it: loss=torch.nn.CrossEntropyLoss()" if isinstance(function, type) else WAYS
        raise TypeError(_check.message("loss", function, rule, remedy))
    try:
        signature = inspect.signature(function.forward if isinstance(function, nn.Module) else function)
    except ValueError:  # of something built in that does not say
        return False
    try:
        signature.bind(None, None)
    except TypeError:
        raise TypeError(_check.message("loss", function, rule)) from None
    first, second, *_ = [*signature.parameters, "", ""]
    return not isinstance(function, nn.Module) and (first in MODELS or second in BATCHES)


def loss_returned(model: nn.Module, batch: Any) -> Tensor:
    """The loss that a model returns for a batch: as ``loss`` in a mapping, or as its attribute.

    A mapping is given to it by name, a tuple or list one by one, anything else as it is.

    Args:
        model: of such a kind.
        batch: what the loader gives.

    Raises:
        TypeError: it returns none.
    """
    if isinstance(batch, Mapping):
        outputs = model(**batch)
    elif isinstance(batch, tuple | list):
        outputs = model(*batch)
    else:
        outputs = model(batch)
    loss = outputs.get("loss") if isinstance(outputs, Mapping) else getattr(outputs, "loss", None)
    if loss is None:
        rule = "an output with a loss, since no loss function is given"
        what = f"{_shown(outputs)} for a batch that is {_shown(batch)}"
        raise TypeError(f"model must return {rule}, got {what}; give loss=, or add labels to the batches")
    return loss  # type: ignore[no-any-return]


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{type(value).__name__} of {', '.join(map(str, value))}"[:80]
    if isinstance(value, tuple | list):
        return f"{type(value).__name__} of {len(value)}"
    return f"tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
