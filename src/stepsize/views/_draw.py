"""One function that draws schedules, previews, range tests and findings on matplotlib axes."""

import io
from collections.abc import Mapping
from functools import singledispatch
from typing import TYPE_CHECKING, Any

import numpy as np

from stepsize import _check, _extras
from stepsize.schedule import Schedule
from stepsize.views._save import plain

if TYPE_CHECKING:
    from stepsize.control import Control, Preview, Scheduler
    from stepsize.probe import RangeResult
    from stepsize.search import Finding

    Drawn = Schedule | Mapping[str, Schedule] | Control | Scheduler | Preview | RangeResult | Finding

POINTS = 1_001


def draw(value: "Drawn", ax: Any = None) -> Any:
    """Draw a schedule, several by name, the rates of a control, a finding, or the result of a range test.

    Args:
        value: what is drawn. Schedules need numbers for their lengths: ``draw(schedule.over(total))``; of a ``Control``
            or ``Scheduler`` that has a total, the rates of every group over the whole run; of a finding the score of
            each short run by its rate, the rate found and its interval.
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
    if not isinstance(value, Schedule | Mapping | str):
        from stepsize.views import _trained  # needs torch, and registers what draws these

        value = _trained.whole_run(value)
    _drawer(value)  # refuses what cannot be drawn before an empty figure is made
    axes = ax
    if ax is None:
        axes = figure().add_subplot()
        axes.savefig = axes.figure.savefig
    drawn_on(value, axes)
    return axes


def figure(width: float = 7.0, height: float = 4.0) -> Any:
    """A matplotlib figure of its own, outside pyplot's global state.

    Args:
        width: in inches, > 0.
        height: in inches, > 0.

    Raises:
        TypeError, ValueError: a size is not a finite number > 0.
        ImportError: matplotlib is not installed.

    Example:
        >>> from stepsize.views import figure
        >>> len(figure().axes)
        0
    """
    size = (_check.number("width", width, above=0), _check.number("height", height, above=0))
    return _extras.load("matplotlib.figure", "plot", "drawing").Figure(figsize=size, layout="constrained")


@singledispatch
def drawn_on(value: Any, _: Any) -> None:
    rule = "a schedule, schedules by name, a Control, a preview, a finding or the result of a range test"
    remedy = "read a text by Schedule.parse(text).over(total)" if isinstance(value, str) else ""
    raise TypeError(_check.message("value", value, rule, remedy))


def _drawer(value: Any) -> None:
    if drawn_on.dispatch(type(value)) is drawn_on.dispatch(object):
        drawn_on(value, None)
    for schedule in value.values() if isinstance(value, Mapping) else [value]:
        if isinstance(schedule, Schedule):
            schedule(0)  # says what is missing
        elif isinstance(value, Mapping):
            raise TypeError(_check.message("value", schedule, "schedules by name"))


@drawn_on.register
def _schedule(value: Schedule, ax: Any) -> None:
    _several({str(value): value}, ax)


@drawn_on.register(Mapping)
def _several(value: Mapping[str, Schedule], ax: Any) -> None:
    """Schedules by name on one pair of axes, the borders of their pieces marked."""
    lengths = [schedule.length for schedule in value.values()]
    end = max((length for length in lengths if isinstance(length, float) and length > 0), default=100.0)
    for name, schedule in value.items():
        borders = [border for border in schedule.borders if border < end]
        at = np.unique(np.concatenate([np.linspace(0, end, POINTS), np.nextafter(borders, 0), borders]))
        ax.plot(at, schedule(at), linewidth=2, label=plain(name))
        for border in borders:
            ax.axvline(border, color="0.7", linewidth=0.8, linestyle=":")
    kinds = {schedule.is_absolute for schedule in value.values()}
    ylabel = "factor of the base, or value" if len(kinds) > 1 else "value" if True in kinds else "factor of the base"
    ax.set(xlabel="step", ylabel=ylabel, xlim=(0, end))
    ax.set_ylim(bottom=0)
    ax.grid(alpha=0.25)
    if len(value) > 1:
        ax.legend(fontsize=8)


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
