"""One function that draws schedules, previews and range tests on matplotlib axes."""

from functools import singledispatch
from typing import Any

import numpy as np

from stepsize import _check, _extras
from stepsize.control import Preview
from stepsize.probe import RangeResult
from stepsize.schedule import Schedule

POINTS = 1_001


def draw(value: Schedule | Preview | RangeResult, ax: Any = None) -> Any:
    """Draw a schedule, a preview of a control, or the result of a range test.

    Args:
        value: what is drawn. A schedule needs numbers for its lengths: ``draw(schedule.over(total))``.
        ax: matplotlib axes; new ones when left out.

    Returns:
        The axes; ``ax.figure.savefig("schedule.png")`` writes the picture.

    Raises:
        TypeError: the value is none of these, or ax no axes.
        ValueError: a schedule whose lengths are open or relative.
        ImportError: matplotlib is not installed.

    Example:
        >>> from stepsize import cosine, draw, warmup
        >>> ax = draw((warmup("5%") >> cosine()).over(1_000))
        >>> ax.get_xlabel(), len(ax.lines[0].get_xdata()) > 1_000
        ('step', True)
    """
    if ax is not None and not hasattr(ax, "plot"):
        raise TypeError(_check.message("ax", ax, "matplotlib axes"))
    _drawer(value)  # refuses what cannot be drawn before an empty figure is made
    axes = figure().add_subplot() if ax is None else ax
    _draw(value, axes)
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
        >>> from stepsize.draw import figure
        >>> len(figure().axes)
        0
    """
    size = (_check.number("width", width, above=0), _check.number("height", height, above=0))
    return _extras.load("matplotlib.figure", "plot", "drawing").Figure(figsize=size, layout="constrained")


@singledispatch
def _draw(value: Any, _: Any) -> None:
    raise TypeError(_check.message("value", value, "a schedule, a preview or the result of a range test"))


def _drawer(value: Any) -> None:
    if _draw.dispatch(type(value)) is _draw.dispatch(object):
        _draw(value, None)
    if isinstance(value, Schedule):
        value(0)


@_draw.register
def _schedule(value: Schedule, ax: Any) -> None:
    length = value.length
    end = length if isinstance(length, float) and length > 0 else 100.0
    at = np.unique(np.concatenate([np.linspace(0, end, POINTS), np.array(value.borders)]))
    ax.plot(at, value(at), linewidth=2)
    for border in value.borders:
        ax.axvline(border, color="0.7", linewidth=0.8, linestyle=":")
    ax.set(xlabel="step", ylabel="value" if value.is_absolute else "factor of the base rate", xlim=(0, end))
    ax.set_ylim(bottom=0)
    ax.grid(alpha=0.25)


@_draw.register
def _preview(value: Preview, ax: Any) -> None:
    for name, rates in value.rates.items():
        ax.plot(value.positions, rates, linewidth=2, label=name)
    ax.set(xlabel="step", ylabel="learning rate")
    ax.set_ylim(bottom=0)
    ax.grid(alpha=0.25)
    if len(value.rates) > 1:
        ax.legend()


@_draw.register
def _range_result(value: RangeResult, ax: Any) -> None:
    ax.plot(value.rates, value.losses, linewidth=1.5)
    suggestion = value.suggestion
    if suggestion.rate is not None:
        ax.axvline(suggestion.rate, color="tab:red", label=f"{suggestion.rule}: {suggestion.rate:.3g}")
        ax.legend()
    else:
        ax.set_title(suggestion.reason)
    ax.set(xlabel="learning rate", ylabel="loss", xscale="log")
    ax.grid(alpha=0.25)
