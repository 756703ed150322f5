"""Drawing views by matplotlib: one on axes, or a sheet of them as a figure."""

import math
import textwrap
from typing import Any

import numpy as np

from stepsize import _check, _extras
from stepsize.views._save import plain
from stepsize.views._view import CYCLE, Band, Mark, Series, Sheet, View

COLOURS = dict(
    zip(
        CYCLE,
        ("#1f5fa8", "#e0812a", "#3b8f5a", "#8250a0", "#b8232f", "#5a6472", "#2a9d9d", "#a0522d"),
        strict=True,
    )
) | {"grey": "#8a8f98", "ink": "black", "white": "white"}
COLUMNS = {1: 1, 2: 2, 4: 2}  # by the number of panels; else three
SMALL, LARGE = 1e-4, 1e6  # between them a rate is written in full


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


def sheet_figure(sheet: Sheet, margins: bool = False) -> Any:
    """A sheet as a matplotlib figure.

    Args:
        sheet: with one view or more.
        margins: whether they are given instead of searched for, which takes most of the time.

    Raises:
        TypeError: an argument is of another type.
        ValueError: the sheet has no view.
        ImportError: matplotlib is not installed.

    Example:
        >>> from stepsize import cosine
        >>> from stepsize.views import Sheet, sheet_figure, views_of
        >>> len(sheet_figure(Sheet("", (*views_of(cosine(100)), *views_of(cosine(200))))).axes)
        2
    """
    if not isinstance(sheet, Sheet):
        raise TypeError(_check.message("sheet", sheet, "a Sheet"))
    if not isinstance(margins, bool):
        raise TypeError(_check.message("margins", margins, "True or False"))
    if not sheet.views:
        raise ValueError(_check.message("sheet", sheet, "one with views"))
    count = len(sheet.views)
    columns = sheet.columns or COLUMNS.get(count, 3)
    places = sheet.places or tuple((*divmod(number, columns), 1, 1) for number in range(count))
    rows = max(row + tall for row, _, tall, _ in places)
    columns = max(column + wide for _, column, _, wide in places)
    width, height = sheet.size[0] * columns, sheet.size[1] * rows + 0.4
    drawn = figure(width, height)
    if sheet.title:
        drawn.suptitle(plain(textwrap.fill(sheet.title, int(8.2 * width))), fontsize=12)
    edges: dict[str, Any] = {}
    if margins:
        drawn.set_layout_engine("none")
        edges = {"left": 0.9 / width, "right": 1 - 0.2 / width, "bottom": 0.7 / height, "top": 1 - 0.75 / height}
        edges |= {"hspace": 0.27, "wspace": 0.19}
    grid = drawn.add_gridspec(rows, columns, width_ratios=sheet.widths or [1] * columns, **edges)
    for view, (row, column, tall, wide) in zip(sheet.views, places, strict=True):
        on_axes(view, drawn.add_subplot(grid[row : row + tall, column : column + wide]))
    return drawn


def on_axes(view: View, ax: Any) -> None:
    """Draw a view on matplotlib axes.

    Args:
        view: what is drawn.
        ax: where.
    """
    if view.cells is not None:
        _cells(view, ax)
    for band in view.bands:
        _band(band, ax)
    for series in view.series:
        _series(series, ax)
    for mark in view.marks:
        _mark(mark, ax)
    _axes(view, ax)
    for note in view.notes:
        ax.annotate(
            plain(note.text), (note.x, note.y), xytext=(-4, -14), textcoords="offset points", ha="right", fontsize=9
        )
    if view.title:
        ax.set_title(plain(textwrap.fill(view.title, 84)), fontsize=10)
    if view.caption:
        words = plain(textwrap.fill(view.caption, 76))
        below = {"xytext": (0, -34), "textcoords": "offset points", "ha": "center", "va": "top", "fontsize": 9}
        ax.annotate(words, (0.5, 0), xycoords="axes fraction", **below)
    ax.grid(alpha=0.25 if view.cells is None else 0)
    ax.spines[["top", "right"]].set_visible(False)
    names = ax.get_legend_handles_labels()[1]
    if names and view.legend != "none":
        small = max(6.0, 8.0 - 0.15 * max(0, len(names) - 6))
        title = {"title": view.legend_title, "title_fontsize": small, "ncols": 2} if view.legend_title else {}
        ax.legend(fontsize=small, loc=view.legend, framealpha=0.6, **title)


def colour(name: str) -> str:
    """A colour of a view as matplotlib takes it."""
    return COLOURS.get(name, name)


def _series(series: Series, ax: Any) -> None:
    own = colour(series.colour)
    ax.plot(
        series.x,
        series.y,
        color=own,
        linewidth=series.width,
        linestyle="none" if not series.width else "--" if series.dashed else "-",
        marker=series.marker,
        markersize=series.size,
        markeredgecolor="black" if series.marker == "*" and series.colour != "ink" else own,
        markeredgewidth=0.5 if series.marker == "*" else 0.0,
        alpha=series.opacity,
        label=plain(series.name) if series.name else None,
        zorder=3 if series.marker and not series.width else 2,
    )
    if series.low:
        ax.fill_between(series.x, series.low, series.high, color=own, alpha=0.15, linewidth=0)


def _band(band: Band, ax: Any) -> None:
    how = {"color": colour(band.colour), "alpha": band.opacity, "linewidth": 0}
    named = {"label": plain(band.name)} if band.name else {}
    if band.axis == "x":
        ax.axvspan(band.low, band.high, *band.foot, **how, **named)
    else:
        ax.axhspan(band.low, band.high, **how, **named)


def _mark(mark: Mark, ax: Any) -> None:
    style = {"solid": "-", "dashed": "--", "dotted": ":"}[mark.style]
    named = {"label": plain(mark.name)} if mark.name else {}
    how = {"color": colour(mark.colour), "linewidth": mark.width, "linestyle": style}
    (ax.axvline if mark.axis == "x" else ax.axhline)(mark.at, **how, **named)


def _cells(view: View, ax: Any) -> None:
    if view.cells is None:
        return
    table = np.array(view.cells.values)
    image = ax.pcolormesh(
        np.arange(table.shape[1] + 1), np.arange(table.shape[0] + 1), np.ma.masked_invalid(table), cmap="viridis_r"
    )
    ax.figure.colorbar(image, ax=ax, label=plain(view.cells.label))


def _axes(view: View, ax: Any) -> None:
    for name, scale in (("x", view.x), ("y", view.y)):
        own = getattr(ax, f"{name}axis")
        if scale.log:
            getattr(ax, f"set_{name}scale")("log")
            _plain_ticks(own)
        if scale.low is not None or scale.high is not None:
            getattr(ax, f"set_{name}lim")(scale.low, scale.high)
        if scale.ticks:
            places, words = zip(*scale.ticks, strict=True)
            turned = {"rotation": 45} if name == "x" and len(words) > 6 else {}
            getattr(ax, f"set_{name}ticks")(places, [plain(word) for word in words], fontsize=7, **turned)
        getattr(ax, f"set_{name}label")(plain(scale.label))
    if view.square:
        ax.set_aspect("equal")


def _plain_ticks(axis: Any) -> None:
    """Powers of ten where numbers are small or large, and else numbers: 3.2 and not 3.2 x 10^0."""
    ticker = _extras.load("matplotlib.ticker", "plot", "drawing")
    for minor in (False, True):
        chosen = ticker.LogFormatter(minor_thresholds=(1, 0.4))
        chosen.set_axis(axis)

        def said(value: float, place: int, chosen: Any = chosen) -> str:
            return tick(value) if chosen(value, place) else ""

        (axis.set_minor_formatter if minor else axis.set_major_formatter)(_Formatter.of(ticker, said, chosen))


class _Formatter:
    @staticmethod
    def of(ticker: Any, said: Any, chosen: Any) -> Any:
        """A formatter that says ``said`` wherever ``chosen`` would say something."""
        formatter = ticker.FuncFormatter(said)
        formatter.set_locs = chosen.set_locs  # which labels there is room for
        return formatter


def tick(value: float) -> str:
    """A number at a logarithmic axis."""
    power = round(math.log10(value)) if value > 0 else 0
    if SMALL <= value <= LARGE or value <= 0:
        return f"{value:,.4g}" if value < 1000 else f"{value:,.0f}"
    if math.isclose(value, 10.0**power, rel_tol=1e-6):
        return f"$10^{{{power}}}$"
    digits, _, exponent = f"{value:.1e}".partition("e")
    return f"${digits} \\cdot 10^{{{int(exponent)}}}$"
