"""A view: what is seen, as frozen plain data, which pictures, pages and terminals draw."""

import dataclasses
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from stepsize import _check
from stepsize._json import finite_or_none
from stepsize.views._thin import row, thinned

CYCLE = ("blue", "orange", "green", "purple", "red", "slate", "teal", "brown")
"""Colours of what stands side by side, in order. There are also ``grey``, ``ink``, ``white`` and those of ``ramp``."""
Numbers = tuple[float, ...]
MARKERS, STYLES, AXES = ("", "o", "^", "v", "*", "s"), ("solid", "dashed", "dotted"), ("x", "y")
OTHERS = ("grey", "ink", "white")


@dataclass(frozen=True)
class Scale:
    """One axis of a view.

    Attributes:
        label: what is measured, with its unit.
        log: whether it is logarithmic.
        low: where it begins; where the data do when left out.
        high: where it ends.
        ticks: places and their words, where they are no numbers.
    """

    label: str = ""
    log: bool = False
    low: float | None = None
    high: float | None = None
    ticks: tuple[tuple[float, str], ...] = ()


@dataclass(frozen=True)
class Series:
    """Points, joined by a line or not.

    Attributes:
        x: their places, NaN where the line has a gap.
        y: their values, as many.
        name: in the legend; none when empty.
        colour: one of ``CYCLE``, ``grey``, ``ink``, or of ``ramp``.
        width: of the line, in points; 0 without a line.
        marker: ``o``, ``^``, ``v``, ``*``, ``s``, or none when empty.
        size: of the markers, in points.
        dashed: whether the line is.
        opacity: 0 to 1.
        low: lower ends of a band around the values; none when empty.
        high: its upper ends.
    """

    x: Numbers
    y: Numbers
    name: str = ""
    colour: str = "blue"
    width: float = 1.5
    marker: str = ""
    size: float = 4.0
    dashed: bool = False
    opacity: float = 1.0
    low: Numbers = ()
    high: Numbers = ()

    def __post_init__(self) -> None:
        _known_colour(self.colour)
        _one_of("marker", self.marker, MARKERS)
        if len(self.x) != len(self.y):
            raise ValueError(f"x and y must be equally long, got {len(self.x)} and {len(self.y)} numbers")
        if len(self.low) != len(self.high) or len(self.low) not in (0, len(self.y)):
            raise ValueError(_check.message("low and high", (len(self.low), len(self.high)), "as long as y, or empty"))


@dataclass(frozen=True)
class Band:
    """A stretch of an axis that is shaded.

    Attributes:
        axis: ``x`` or ``y``.
        low: where it begins.
        high: where it ends.
        name: in the legend; none when empty.
        colour: as of ``Series``.
        opacity: 0 to 1.
        foot: of a stretch of x, between which shares of the height it is drawn.
    """

    axis: str
    low: float
    high: float
    name: str = ""
    colour: str = "orange"
    opacity: float = 0.15
    foot: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        _one_of("axis", self.axis, AXES)
        _known_colour(self.colour)


@dataclass(frozen=True)
class Mark:
    """A line across the view.

    Attributes:
        axis: ``x`` or ``y``, which it marks a place of.
        at: the place.
        name: in the legend; none when empty.
        colour: as of ``Series``.
        style: ``solid``, ``dashed`` or ``dotted``.
        width: in points.
    """

    axis: str
    at: float
    name: str = ""
    colour: str = "grey"
    style: str = "dashed"
    width: float = 1.0

    def __post_init__(self) -> None:
        _one_of("axis", self.axis, AXES)
        _one_of("style", self.style, STYLES)
        _known_colour(self.colour)


@dataclass(frozen=True)
class Note:
    """Words at a point.

    Attributes:
        x: where.
        y: where.
        text: what stands there, left below it.
    """

    x: float
    y: float
    text: str


@dataclass(frozen=True)
class Cells:
    """A table of colours; column and row n reach from n to n + 1 of the axes.

    Attributes:
        values: a row for each place of y; NaN where there is none.
        label: what they are.
    """

    values: tuple[Numbers, ...]
    label: str


@dataclass(frozen=True)
class View:
    """One pair of axes, as plain data.

    Attributes:
        name: by which it is found and replaced, such as ``loss``; views of a figure are called ``figure/NAME``.
        title: over it.
        x: the axis across.
        y: the axis upwards.
        series: points and lines.
        bands: shaded stretches.
        marks: lines across.
        notes: words in it.
        cells: a table of colours below all that.
        legend: where the legend stands: ``best``, a corner such as ``lower right``, or ``none``.
        legend_title: of the legend.
        square: whether both axes have one measure.
        about: a sentence for those who do not see it, and beside it on a page.
        caption: what follows from it, below.

    Example:
        >>> from stepsize.views import Scale, View, series
        >>> view = View("loss", "Loss", Scale("step"), Scale("loss"), (series([0, 1], [1.0, 0.5], "training"),))
        >>> view.plain()["series"][0]["y"]
        [1.0, 0.5]
    """

    name: str
    title: str
    x: Scale = Scale()
    y: Scale = Scale()
    series: tuple[Series, ...] = ()
    bands: tuple[Band, ...] = ()
    marks: tuple[Mark, ...] = ()
    notes: tuple[Note, ...] = ()
    cells: Cells | None = None
    legend: str = "best"
    legend_title: str = ""
    square: bool = False
    about: str = ""
    caption: str = ""

    def plain(self) -> dict[str, Any]:
        """All of it as mappings, lists, texts and numbers for JSON; what is not finite is None."""
        plain: dict[str, Any] = finite_or_none(dataclasses.asdict(self))
        return plain


@dataclass(frozen=True)
class Sheet:
    """Views that are shown together.

    Attributes:
        title: over all.
        views: in order.
        size: of a panel, width and height in inches.
        columns: how many stand side by side; two or three by their number when 0.
        places: of each view its row, column, rows and columns; one after the other when left out.
        widths: of the columns, against one another.
    """

    title: str
    views: tuple[View, ...]
    size: tuple[float, float] = (5.6, 3.6)
    columns: int = 0
    places: tuple[tuple[int, int, int, int], ...] = ()
    widths: tuple[float, ...] = ()

    def __contains__(self, name: object) -> bool:
        return any(view.name == name for view in self.views)

    def __getitem__(self, name: str) -> View:
        for view in self.views:
            if view.name == name:
                return view
        raise KeyError(name)

    def replaced(self, *views: View) -> "Sheet":
        """The sheet with these instead of those of the same name; one whose name is not there is left out.

        Args:
            views: new ones.
        """
        new = {view.name: view for view in views}
        return dataclasses.replace(self, views=tuple(new.get(view.name, view) for view in self.views))

    def without(self, *names: str) -> "Sheet":
        """The sheet without the views of these names.

        Args:
            names: of views, which need not be there.
        """
        return dataclasses.replace(self, views=tuple(view for view in self.views if view.name not in names))


def series(x: Iterable[float], y: Iterable[float], name: str = "", colour: str = "blue", **style: Any) -> Series:
    """A series from any numbers, thinned where there are more than can be seen: no spike is lost.

    Args:
        x: places.
        y: values, as many.
        name: in the legend.
        colour: as of ``Series``.
        style: other fields of ``Series``.

    Raises:
        TypeError, ValueError: x or y are no row of numbers or not equally long, or a field is invalid.

    Example:
        >>> from stepsize.views import series
        >>> many = series(range(1_000_000), [0.0] * 500_000 + [9.0] + [0.0] * 499_999)
        >>> len(many.x) <= 4_000, max(many.y)
        (True, 9.0)
    """
    across, up = row("x", x), row("y", y)
    if len(across) != len(up):
        raise ValueError(f"x and y must be equally long, got {len(across)} and {len(up)} numbers")
    for field in style:
        if field not in Series.__dataclass_fields__:
            close = _check.closest(field, Series.__dataclass_fields__)
            raise TypeError(f"the style of a series has no {field!r}; {close}")
    if not isinstance(name, str):
        raise TypeError(_check.message("name", name, "a text"))
    bands = {end: row(end, style.pop(end)) for end in ("low", "high") if len(style.get(end, ()))}
    if any(len(band) != len(up) for band in bands.values()):
        raise ValueError(f"low and high must be as long as y, got {[*map(len, bands.values())]} for {len(up)} numbers")
    kept = thinned(up) if len(up) else slice(None)
    ends: dict[str, Any] = {end: tuple(values[kept].tolist()) for end, values in bands.items()}
    return Series(tuple(across[kept].tolist()), tuple(up[kept].tolist()), name, colour, **style, **ends)


def colour_of(number: int) -> str:
    """The colour of the n-th of several, from 0; they begin again after the last.

    Args:
        number: >= 0.

    Raises:
        TypeError, ValueError: it is no whole number >= 0.

    Example:
        >>> from stepsize.views import colour_of
        >>> colour_of(0), colour_of(8)
        ('blue', 'blue')
    """
    return CYCLE[_check.whole("number", number, least=0) % len(CYCLE)]


VIRIDIS = (  # of matplotlib, in nine places
    *((68, 1, 84), (71, 45, 123), (59, 82, 139), (44, 114, 142), (33, 145, 140)),
    *((40, 174, 128), (94, 201, 98), (173, 220, 48), (253, 231, 37)),
)


def ramp(place: float) -> str:
    """A colour between dark blue and yellow, ``#rrggbb``.

    Args:
        place: 0 to 1; what is beyond is taken as the nearest end.

    Raises:
        TypeError, ValueError: it is no finite number.

    Example:
        >>> from stepsize.views import ramp
        >>> ramp(0), ramp(1)
        ('#440154', '#fde725')
    """
    at = min(max(_check.number("place", place), 0.0), 1.0) * (len(VIRIDIS) - 1)
    left = min(int(at), len(VIRIDIS) - 2)
    mixed = [round(a + (at - left) * (b - a)) for a, b in zip(VIRIDIS[left], VIRIDIS[left + 1], strict=True)]
    return "#" + "".join(f"{part:02x}" for part in mixed)


def _one_of(name: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(_check.message(name, value, "one of " + ", ".join(map(repr, known))))


def _known_colour(value: object) -> None:
    if value in CYCLE or value in OTHERS or (isinstance(value, str) and re.fullmatch("#[0-9a-f]{6}", value)):
        return
    closest = _check.closest(str(value), (*CYCLE, *OTHERS))
    raise ValueError(_check.message("colour", value, "a colour of views, or #rrggbb", closest))
