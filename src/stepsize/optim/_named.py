"""Optimizers by name: torch's, ours, and those of schedulefree and prodigyopt where they are installed."""

import importlib
import importlib.util
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache, partial
from numbers import Real
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from stepsize import _check
from stepsize.optim._rule import Rule, biases_apart
from stepsize.schedule import parse_call

# packages that are asked only where they are installed, and the classes of theirs that take a rate
ELSEWHERE = {
    "schedulefree": ("AdamWScheduleFree", "RAdamScheduleFree", "SGDScheduleFree"),
    "prodigyopt": ("Prodigy",),
}


@dataclass(frozen=True)
class Choice:
    """An optimizer's name and arguments, as a text says them.

    Attributes:
        name: in small letters.
        options: its arguments beside parameters and rate.
    """

    name: str
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        shown = ", ".join(f"{name}={_shown(value)}" for name, value in sorted(self.options.items()))
        return f"{self.name}({shown})" if shown else self.name


def optimizer(text: str, params: Iterable[Any], lr: float, **options: Any) -> Optimizer:
    """An optimizer by name, such as ``"adamw"`` or ``"sgd(momentum=0.9, nesterov=True)"``; case does not matter.

    Names are those of ``torch.optim`` and ``stepsize.optim``, and where they are installed those of
    ``schedulefree`` and ``prodigyopt``. ``"sgd"`` is torch's: without momentum unless it is given. With ``"lars"`` and
    ``"lamb"``, parameters of fewer than two dimensions (biases and norms) are put into groups that do not adapt.

    Args:
        text: a name, with arguments in brackets where there are some.
        params: parameters or parameter groups, as torch takes them.
        lr: the rate, >= 0.
        options: more arguments of the optimizer; they go before those of the text.

    Raises:
        TypeError, ValueError: there is none of that name, or it refuses what it is given; close names are offered.

    Example:
        >>> import torch
        >>> from stepsize.optim import optimizer
        >>> layer = torch.nn.Linear(3, 2)
        >>> chosen = optimizer("sgd(momentum=0.9)", layer.parameters(), lr=0.1, nesterov=True)
        >>> type(chosen).__name__, chosen.defaults["momentum"], chosen.defaults["nesterov"]
        ('SGD', 0.9, True)
    """
    choice = read_choice(text)
    merged = {**choice.options, **options}
    lr = _check.number("lr", lr, least=0)
    if not isinstance(params, Iterable):
        raise TypeError(_check.message("params", params, "parameters or parameter groups"))
    kind = kinds()[choice.name]()
    known = _arguments(kind)
    for name in merged:
        if name not in known:
            raise ValueError(f"optimizer {choice.name!r} has no argument {name!r}; {_check.closest(name, known)}")
    parts = biases_apart(params) if issubclass(kind, Rule) else params
    try:
        made: Optimizer = kind(parts, lr=lr, **merged)  # type: ignore[call-arg]
    except Exception as error:  # torch's classes check little: a pair too short is an IndexError there
        refused = TypeError if isinstance(error, TypeError) else ValueError
        why = _check.in_one_line(error, 10_000)
        raise refused(f"optimizer {str(choice)!r} refuses what it is given: {why}") from None
    return made


def read_choice(text: str) -> Choice:
    """The choice in an optimizer's text; ``str`` of it is the same for all equivalent texts.

    Args:
        text: a name, with arguments in brackets where there are some.

    Raises:
        TypeError, ValueError: it is no such text, or there is none of that name.

    Example:
        >>> from stepsize.optim import read_choice
        >>> str(read_choice("SGD( nesterov = True, momentum=0.90 )"))
        'sgd(momentum=0.9, nesterov=True)'
    """
    if not isinstance(text, str):
        raise TypeError(_check.message("optimizer", text, "a text", 'write for example "sgd(momentum=0.9)"'))
    name, bracket, rest = text.strip().partition("(")
    name = name.strip().lower()
    if name not in kinds():
        raise ValueError(f"there is no optimizer {name!r}; {_check.closest(name, kinds())}")
    choice: Choice = parse_call(f"{name}({rest}" if bracket else f"{name}()", {name: _maker(name)})
    return choice


@cache
def kinds() -> dict[str, Callable[[], type[Optimizer]]]:
    """By name, how to get the class: what is not torch's is imported when it is asked for.

    Example:
        >>> from stepsize.optim import kinds
        >>> {"adamw", "rmsprop", "sgd"} <= set(kinds())
        True
    """
    found: dict[str, Callable[[], type[Optimizer]]] = {}
    for place, names in ELSEWHERE.items():
        if importlib.util.find_spec(place) is not None:
            found |= {name.lower(): partial(_class_of, place, name) for name in names}
    for place in ("torch.optim", "stepsize.optim"):
        module = importlib.import_module(place)
        for name in dir(module):  # and not vars, where a name stands only once it was asked for
            value = getattr(module, name)
            takes_rate = inspect.isclass(value) and issubclass(value, Optimizer) and value is not Optimizer
            if takes_rate and "lr" in inspect.signature(value).parameters:
                found[name.lower()] = partial(_class_of, place, name)
    for name in ("lbfgs", "sparseadam"):  # one needs a closure, the other sparse gradients
        found.pop(name, None)
    return dict(sorted(found.items()))


def _class_of(place: str, name: str) -> type[Optimizer]:
    kind: type[Optimizer] = getattr(importlib.import_module(place), name)
    return kind


def _maker(name: str) -> Callable[..., Choice]:
    """What a call of the name in a text makes, with the arguments of the class but for parameters and rate."""
    known = _arguments(kinds()[name]())

    def choose(**options: Any) -> Choice:
        for key, value in options.items():
            if isinstance(value, str) and isinstance(known[key].default, Real):
                raise TypeError(_check.message(f"{key} of the optimizer {name!r}", value, "a number"))
        return Choice(name, {key: _as_given(value, known[key].default) for key, value in options.items()})

    named = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in known.values()]
    choose.__signature__ = inspect.Signature(named)  # type: ignore[attr-defined]
    return choose


def _arguments(kind: type[Optimizer]) -> dict[str, inspect.Parameter]:
    return {
        key: parameter for key, parameter in inspect.signature(kind).parameters.items() if key not in ("params", "lr")
    }


def _as_given(value: Any, default: Any) -> Any:
    """A number of a text is a float, a list a list; what the optimizer expects may be a whole number or a pair."""
    if isinstance(value, list):
        return tuple(value)
    is_whole = isinstance(default, int) and not isinstance(default, bool) and isinstance(value, float)
    return int(value) if is_whole and value.is_integer() else value


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_shown, value)) + "]"
    return f'"{value}"' if isinstance(value, str) else repr(value)


def check_choice(text: str) -> str:
    """The canonical text of an optimizer, tried on a parameter: a wrong argument is refused here.

    Args:
        text: as ``optimizer`` takes it.

    Raises:
        TypeError, ValueError: as ``optimizer`` does.

    Example:
        >>> from stepsize.optim import check_choice
        >>> check_choice("AdamW(weight_decay=0.10)")
        'adamw(weight_decay=0.1)'
    """
    matrix: Tensor = torch.ones(1, 1, requires_grad=True)  # which every rule takes
    optimizer(text, [matrix], lr=1e-3)
    return str(read_choice(text))
