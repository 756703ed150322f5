"""Which views a value has: functions, each registered for a kind of value, one after the other."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from stepsize import _check
from stepsize.views._view import View

Views = View | Iterable[View] | None
Seen = TypeVar("Seen", bound=Callable[[Any], Views])
_REGISTERED: dict[type, list[tuple[float, Callable[[Any], Views]]]] = {}


def view(kind: type, place: float = 100.0) -> Callable[[Seen], Seen]:
    """Register a function that computes a view of every value of a kind: it then stands in pictures and pages.

    Args:
        kind: of the values, such as ``Run``, which the picture of a run shows.
        place: where it stands among the others: the smaller, the earlier.

    Raises:
        TypeError, ValueError: an argument is invalid.

    Example:
        >>> from stepsize import Run
        >>> from stepsize.views import Scale, View, series, view
        >>> @view(Run)
        ... def gap(run):
        ...     seen = [line for line in run.steps if "gap" in line]
        ...     at, values = [line["step"] for line in seen], [line["gap"] for line in seen]
        ...     return View("gap", "Gap", Scale("step"), Scale("gap"), (series(at, values),)) if seen else None
    """
    if not isinstance(kind, type):
        raise TypeError(_check.message("kind", kind, "a class, such as Run"))
    at = _check.number("place", place)

    def register(function: Seen) -> Seen:
        _REGISTERED.setdefault(kind, []).append((at, function))
        return function

    return register


def views_of(value: Any) -> tuple[View, ...]:
    """The views of a value, in order; none where no view is known of its kind.

    Args:
        value: such as a ``Run``, a finding, a schedule.

    Example:
        >>> from stepsize import cosine
        >>> from stepsize.views import views_of
        >>> [view.name for view in views_of(cosine(100))]
        ['schedules']
    """
    found: list[View] = []
    for _, function in sorted(_of_kind(type(value)), key=lambda entry: entry[0]):
        computed = function(value)
        found += [] if computed is None else [computed] if isinstance(computed, View) else list(computed)
    return tuple(found)


def has_views(kind: type) -> bool:
    """Whether views are known of a kind of value.

    Args:
        kind: a class.
    """
    return bool(_of_kind(kind))


def _of_kind(kind: type) -> list[tuple[float, Callable[[Any], Views]]]:
    return [entry for known, entries in _REGISTERED.items() if issubclass(kind, known) for entry in entries]
