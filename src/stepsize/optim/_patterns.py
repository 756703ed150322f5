"""Picking a model's parameters by patterns of names."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from itertools import accumulate
from typing import Any

from torch import Tensor, nn

from stepsize import _check

MOST_NAMES = 5  # in a message
SPECIAL = frozenset("*?[")  # characters that make a pattern of a name
Named = list[tuple[str, Tensor]]
"""Parameters with their names."""


class Patterns:
    """Patterns looked up by name. Plain names stand in a table, so that thousands of them cost no more than one.

    Args:
        patterns: names of modules or parameters, or patterns of them.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self.places = {pattern: place for place, pattern in enumerate(patterns)}
        self.wild = [pattern for pattern in self.places if SPECIAL & set(pattern)]

    def fitting(self, name: str) -> list[str]:
        """The patterns that fit a parameter's name, or the path of a module that it is in, in their order."""
        paths = prefixes(name)
        found = {path for path in paths if path in self.places}
        found.update(pattern for pattern in self.wild if any(fnmatchcase(path, pattern) for path in paths))
        return sorted(found, key=self.places.__getitem__)


def prefixes(name: str) -> list[str]:
    """The paths of all modules that a name is in, from the outermost on, and itself."""
    return list(accumulate(name.split("."), "{}.{}".format))


def picked(argument: str, patterns: Iterable[str], model: nn.Module, remedy: str = "name {}") -> dict[str, list[str]]:
    """For each parameter's name the patterns that fit it; each pattern has to fit some.

    A parameter that is shared goes by its first name. A pattern that fits another one of its names alone is refused,
    unless some pattern fits the first.

    Args:
        argument: what an error calls the patterns.
        patterns: names of modules or parameters, or patterns of them.
        model: whose parameters.
        remedy: what to do with a first name, for the error.
    """
    table = Patterns(patterns)
    found: dict[str, list[str]] = {}
    first: dict[int, str] = {}
    tied: dict[str, tuple[str, str]] = {}  # by pattern, another name of a shared parameter, and its first
    for name, parameter in model.named_parameters(remove_duplicate=False):
        here = table.fitting(name)
        known = first.setdefault(id(parameter), name)
        if known == name:
            found[name] = here
            continue
        for pattern in here:
            tied.setdefault(pattern, (name, known))
    used = {pattern for here in found.values() for pattern in here}
    for pattern, (name, known) in tied.items():
        if pattern not in used or not found[known]:
            instead = remedy.format(_likewise(name, pattern, known))
            raise ValueError(f"{argument} has {pattern!r}, and {name} is the same tensor as {known}; {instead}")
    for pattern in table.places:
        if pattern not in used:
            raise no_such(argument, pattern, model)
    return found


def _likewise(name: str, pattern: str, other: str) -> str:
    """Of another name of a tensor, the part that is where a pattern fits its first."""
    table, paths = Patterns([pattern]), prefixes(name)
    below = len(paths) - next(count for count, path in enumerate(paths, 1) if table.fitting(path))
    return other.rsplit(".", below)[0]


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
    return {key for key, here in picked(name, patterns, model).items() if here}


def no_such(name: str, pattern: str, model: nn.Module) -> ValueError:
    """The complaint about a pattern that fits nothing."""
    known = {path for path, _ in model.named_modules() if path} | {key for key, _ in model.named_parameters()}
    return ValueError(f"{name} has {pattern!r}, which fits no parameter; {_check.closest(pattern, known)}")


def some(names: Iterable[str]) -> str:
    """A few names, and how many more there are."""
    listed = list(names)
    rest = f" and {len(listed) - MOST_NAMES} more" if len(listed) > MOST_NAMES else ""
    return ", ".join(listed[:MOST_NAMES]) + rest
