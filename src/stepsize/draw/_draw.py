"""One function that draws schedules, previews, range tests and findings on matplotlib axes."""

import io
from collections.abc import Mapping
from functools import singledispatch
from typing import Any

import numpy as np

from stepsize import _check, _extras
from stepsize.control import Control, Preview, Scheduler
from stepsize.draw._save import plain
from stepsize.probe import RangeResult
from stepsize.schedule import Schedule
from stepsize.search import Finding

POINTS = 1_001


Drawn = Schedule | Mapping[str, Schedule] | Control | Scheduler | Preview | RangeResult | Finding


def draw(value: Drawn, ax: Any = None) -> Any:
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
    if isinstance(value, Control | Scheduler):
        value = _whole_run(value)
    _drawer(value)  # refuses what cannot be drawn before an empty figure is made
    axes = ax
    if ax is None:
        axes = figure().add_subplot()
        axes.savefig = axes.figure.savefig
    _draw(value, axes)
    return axes


def _whole_run(control: Control | Scheduler) -> Preview:
    try:
        return control.preview()
    except ValueError as error:
        raise ValueError(f"{error}, as in draw(control.preview(range(1_000)))") from None


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
    rule = "a schedule, schedules by name, a Control, a preview, a finding or the result of a range test"
    remedy = "read a text by Schedule.parse(text).over(total)" if isinstance(value, str) else ""
    raise TypeError(_check.message("value", value, rule, remedy))


def _drawer(value: Any) -> None:
    if _draw.dispatch(type(value)) is _draw.dispatch(object):
        _draw(value, None)
    for schedule in value.values() if isinstance(value, Mapping) else [value]:
        if isinstance(schedule, Schedule):
            schedule(0)  # says what is missing
        elif isinstance(value, Mapping):
            raise TypeError(_check.message("value", schedule, "schedules by name"))


@_draw.register
def _schedule(value: Schedule, ax: Any) -> None:
    _several({str(value): value}, ax)


@_draw.register(Mapping)
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


@_draw.register
def _preview(value: Preview, ax: Any) -> None:
    for name, rates in value.rates.items():
        ax.plot(value.positions, rates, linewidth=2, label=plain(name))
    ax.set(xlabel="step", ylabel="learning rate")
    ax.set_ylim(bottom=0)
    ax.grid(alpha=0.25)
    if len(value.rates) > 1:
        ax.legend()


@_draw.register
def _range_result(value: RangeResult, ax: Any) -> None:
    losses = np.array(value.curve)
    finite = losses[np.isfinite(losses)]
    if len(finite):  # the blow-up at the end must not flatten what comes before
        low, first = float(finite.min()), float(finite[0])
        ax.set_ylim(low - 0.15 * (first - low) - 1e-9, first + 0.6 * max(first - low, abs(first) * 0.1) + 1e-9)
    ax.plot(value.rates, losses, linewidth=1.5)
    suggestion = value.suggestion
    if suggestion.rate is not None:
        ax.axvline(suggestion.rate, color="tab:red", label=f"{suggestion.rule}: {suggestion.rate:.3g}")
        ax.legend()
    else:
        ax.set_title(suggestion.reason)
    ax.set(xlabel="learning rate", ylabel="loss on the probe" if value.probed else "loss", xscale="log")
    ax.grid(alpha=0.25)


@_draw.register
def _finding(value: Finding, ax: Any) -> None:
    by_steps: dict[int, list[tuple[float, float]]] = {}
    for run in value.results:
        by_steps.setdefault(run.steps, []).append((run.rate, run.score))
    for steps, runs in sorted(by_steps.items()):
        rates, scores = zip(*sorted(runs), strict=True)
        ax.plot(rates, scores, marker="o", linewidth=1.5, label=f"after {steps} steps")
    finite = [run.score for run in value.results if np.isfinite(run.score)]
    if finite:  # the runs that broke must not flatten the others
        low, gained = min(finite), max(value.initial - min(finite), abs(value.initial) * 0.1)
        ax.set_ylim(low - 0.15 * gained - 1e-9, value.initial + 0.6 * gained + 1e-9)
    if value.rate is not None:
        ax.axvspan(value.low, value.high, color="tab:red", alpha=0.12, linewidth=0)
        ax.axvline(value.rate, color="tab:red", label=f"rate {value.rate:.3g}")
    else:
        ax.set_title(plain(value.verdict), fontsize=9, wrap=True)
    ax.set(xlabel="learning rate", ylabel="loss of the short runs", xscale="log")
    ax.grid(alpha=0.25)
    if value.results:
        ax.legend(fontsize=8)


def png(value: Schedule) -> bytes:
    r"""A schedule's picture, as a notebook shows it.

    Args:
        value: a schedule that can be called.

    Raises:
        ImportError: matplotlib is not installed.

    Example:
        >>> from stepsize import cosine
        >>> from stepsize.draw import png
        >>> png(cosine(100))[:4]
        b'\x89PNG'
    """
    buffer = io.BytesIO()
    ax = draw(value)
    ax.figure.set_size_inches(6, 2.6)
    ax.figure.savefig(buffer, format="png", dpi=80)
    return buffer.getvalue()
