"""One function that draws schedules, previews, range tests, findings and views on matplotlib axes."""

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stepsize import _check
from stepsize.schedule import Schedule
from stepsize.views import _schedules as _schedules  # registers what it knows
from stepsize.views._matplotlib import figure, on_axes
from stepsize.views._registry import has_views, views_of
from stepsize.views._view import View

if TYPE_CHECKING:
    from stepsize.control import Control, Preview, Scheduler
    from stepsize.probe import RangeResult
    from stepsize.search import Finding

    Drawn = Schedule | Mapping[str, Schedule] | Control | Scheduler | Preview | RangeResult | Finding | View


def draw(value: "Drawn", ax: Any = None) -> Any:
    """Draw a schedule, several by name, the rates of a control, a finding, or the result of a range test.

    Args:
        value: what is drawn. Schedules need numbers for their lengths: ``draw(schedule.over(total))``; of a ``Control``
            or ``Scheduler`` that has a total, the rates of every group over the whole run; of a finding the score of
            each short run by its rate, the rate found and its interval; or a ``View`` of ``stepsize.views``.
        ax: matplotlib axes; a picture of its own when left out.

    Returns:
        The axes; ``draw(value).savefig("schedule.png")`` writes the picture, if it is its own.

    Raises:
        TypeError: the value is none of these, or ax no axes.
        ValueError: a schedule whose lengths are open or relative, or a control without a total.
        ImportError: matplotlib is not installed.

    Example:
        >>> from stepsize import cosine, draw, warmup
        >>> ax = draw((warmup("5%") >> cosine()).over(1_000))
        >>> ax.get_xlabel(), len(ax.lines[0].get_xdata()) > 1_000
        ('step', True)
        >>> ax.savefig("schedule.png")
    """
    if ax is not None and not hasattr(ax, "plot"):
        raise TypeError(_check.message("ax", ax, "matplotlib axes"))
    seen = seen_of(value)  # refuses what cannot be drawn before an empty figure is made
    axes = ax
    if ax is None:
        axes = figure().add_subplot()
        axes.savefig = axes.figure.savefig
    on_axes(seen, axes)
    return axes


def seen_of(value: Any) -> View:
    """The one view that a value is drawn by.

    Args:
        value: as for ``draw``.

    Raises:
        TypeError, ValueError: as of ``draw``.

    Example:
        >>> from stepsize import cosine
        >>> from stepsize.views import seen_of
        >>> seen_of(cosine(100)).x.high
        100.0
    """
    if isinstance(value, View):
        return value
    if not isinstance(value, Schedule | Mapping | str):
        from stepsize.views import _trained  # needs torch, and registers its views

        value = _trained.whole_run(value)
    if not has_views(type(value)):
        rule = "a schedule, schedules by name, a Control, a preview, a finding or the result of a range test"
        remedy = "read a text by Schedule.parse(text).over(total)" if isinstance(value, str) else ""
        raise TypeError(_check.message("value", value, rule, remedy))
    for schedule in value.values() if isinstance(value, Mapping) else [value]:
        if isinstance(schedule, Schedule):
            schedule(0)  # says what is missing
        elif isinstance(value, Mapping):
            raise TypeError(_check.message("value", schedule, "schedules by name"))
    return views_of(value)[0]


def png(value: Schedule) -> bytes:
    r"""A schedule's picture, as a notebook shows it.

    Args:
        value: a schedule that can be called.

    Raises:
        ImportError: matplotlib is not installed.

    Example:
        >>> from stepsize import cosine
        >>> from stepsize.views import png
        >>> png(cosine(100))[:4]
        b'\x89PNG'
    """
    buffer = io.BytesIO()
    ax = draw(value)
    ax.figure.set_size_inches(6, 2.6)
    ax.figure.savefig(buffer, format="png", dpi=80)
    return buffer.getvalue()
