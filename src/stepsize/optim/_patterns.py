"""Picking a model's parameters by patterns of names."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any

from torch import Tensor, nn

from stepsize import _check

MOST_NAMES = 5  # in a message
Named = list[tuple[str, Tensor]]
"""Parameters with their names."""


def fits(name: str, pattern: str) -> bool:
    """Whether a parameter's name, or the path of a module that it is in, is what a pattern says."""
    parts = name.split(".")
    return any(fnmatchcase(".".join(parts[:count]), pattern) for count in range(1, len(parts) + 1))


def as_patterns(name: str, value: Any) -> list[str]:
    """One pattern or several, as a list."""
    patterns = [value] if isinstance(value, str) else list(value) if isinstance(value, Iterable) else [value]
    for pattern in patterns:
        if not isinstance(pattern, str) or not pattern:
            raise TypeError(_check.message(name, value, "names of modules or parameters, or patterns of them"))
    return patterns


def check_model(model: Any) -> None:
    """Raise unless it is a module that has parameters."""
    if not isinstance(model, nn.Module):
        raise TypeError(_check.message("model", model, "a torch.nn.Module"))
    if next(model.parameters(), None) is None:
        raise ValueError(_check.message("model", type(model).__name__, "a module with parameters"))


def fitting(name: str, patterns: Iterable[str], model: nn.Module) -> set[str]:
    """The names of all parameters that any of the patterns fits; each has to fit some."""
    names = [each for each, _ in model.named_parameters()]
    found: set[str] = set()
    for pattern in patterns:
        here = {each for each in names if fits(each, pattern)}
        if not here:
            raise no_such(name, pattern, model)
        found |= here
    return found


def no_such(name: str, pattern: str, model: nn.Module) -> ValueError:
    """The complaint about a pattern that fits nothing."""
    known = {path for path, _ in model.named_modules() if path} | {each for each, _ in model.named_parameters()}
    return ValueError(f"{name} has {pattern!r}, which fits no parameter; {_check.closest(pattern, known)}")


def some(names: Iterable[str]) -> str:
    """A few names, and how many more there are."""
    listed = list(names)
    rest = f" and {len(listed) - MOST_NAMES} more" if len(listed) > MOST_NAMES else ""
    return ", ".join(listed[:MOST_NAMES]) + rest
