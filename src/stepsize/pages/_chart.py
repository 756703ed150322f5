"""A view as inline SVG: places along the axes in percent, so that text keeps its size on every screen.

Lines are drawn in a field of 10,000 by 10,000 units that is stretched to the chart, with strokes that are not. The
page's script draws the same again from the chart's table when somebody zooms.
"""

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stepsize.pages._numbers import exact, text_of, ticks
from stepsize.views import Mark, Scale, Series, View, colour_of, ramp, thinned

FIELD = 10_000  # units of the stretched field
POINTS = 1_000  # of a series on a page
NAMED = {*map(colour_of, range(8)), "grey", "ink", "white"}
OWN = re.compile(r"#[0-9a-fA-F]{6}")
EDGE = 0.03  # of the axis, free at its ends
NARROW = 5  # ticks across that have room on a phone
SHAPES = {"o": "dot", "s": "square", "^": "up", "v": "down", "*": "star"}


@dataclass(frozen=True)
class Axis:
    """One axis of a chart: from where to where, and how its places become shares."""

    low: float
    high: float
    log: bool
    label: str

    def share(self, values: Any) -> NDArray[np.float64]:
        """Where values stand, 0 to 1; NaN for what a logarithmic axis does not have."""
        numbers = np.asarray(values, float)
        with np.errstate(divide="ignore", invalid="ignore"):
            bare = np.where(numbers > 0, np.log10(numbers), np.nan) if self.log else numbers
        low, high = (math.log10(self.low), math.log10(self.high)) if self.log else (self.low, self.high)
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray((bare - low) / (high - low), float)


@dataclass(frozen=True)
class Stroke:
    """The strokes of a series: a line, an area between its ends, markers."""

    number: int
    name: str
    colour: str
    own: str
    width: float
    opacity: float
    dashed: bool
    line: str
    area: str
    dots: str
    size: float
    shape: str
    places: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Chart:
    """All that a template needs to draw a view; texts are as users wrote them, and escaped there."""

    view: View
    across: Axis
    up: Axis
    strokes: tuple[Stroke, ...]
    x_ticks: tuple[tuple[str, str, bool], ...]
    y_ticks: tuple[tuple[str, str, bool], ...]
    bands: tuple[dict[str, Any], ...]
    marks: tuple[dict[str, Any], ...]
    notes: tuple[dict[str, Any], ...]
    cells: tuple[dict[str, Any], ...]
    keys: tuple[tuple[str, str], ...]
    heading: str
    alone: bool
    shown: tuple[Series, ...]

    @property
    def text(self) -> str:
        """The content of the chart, for those who do not see it."""
        return f"{self.heading}. {self.view.about}" if self.view.about else self.heading


def charted(view: View, heading: str = "") -> Chart:
    """A view as it is drawn on a page.

    Args:
        view: plain data.
        heading: over it, where the view has no title.
    """
    series = tuple(_thin(line) for line in view.series)
    across, up = _axis(view, series, "x"), _axis(view, series, "y")
    strokes = tuple(_stroke(number, line, across, up) for number, line in enumerate(series))
    bands = tuple(_band(band, across, up) for band in view.bands)
    marks = tuple(_mark(mark, across if mark.axis == "x" else up) for mark in view.marks)
    places = zip(across.share([note.x for note in view.notes]), up.share([note.y for note in view.notes]), strict=True)
    notes = tuple(
        {"x": _percent(x), "y": _percent(1 - y), "at": (exact(note.x), exact(note.y)), "text": note.text}
        for note, (x, y) in zip(view.notes, places, strict=True)
        if math.isfinite(x + y)
    )
    cells, keys = _cells(view)
    heading = view.title or heading or view.name
    return Chart(view, across, up, strokes, _ticks(view.x, across), _ticks(view.y, up, upwards=True), bands, marks,
                 notes, cells, keys, heading, _is_alone(view), series)  # fmt: skip


def _is_alone(view: View) -> bool:
    """Whether there is nothing to distinguish."""
    return len(view.series) == 1 and not any([*(band.name for band in view.bands), *(mark.name for mark in view.marks)])


def _thin(series: Series) -> Series:
    if len(series.x) <= POINTS:
        return series
    kept = thinned(np.asarray(series.y, float), POINTS).tolist()
    fields = {name: tuple(getattr(series, name)[place] for place in kept) for name in ("x", "y", "low", "high")
              if getattr(series, name)}  # fmt: skip
    return Series(**{**vars(series), **fields})


def _axis(view: View, series: tuple[Series, ...], name: str) -> Axis:
    """From the least to the largest value, with room at the ends, unless the view says where."""
    scale: Scale = getattr(view, name)
    found: list[float] = [at for line in series for at in getattr(line, name)]
    if name == "y":
        found += [at for line in series for at in (*line.low, *line.high)]
    found += [at for band in view.bands if band.axis == name for at in (band.low, band.high)]
    found += [mark.at for mark in view.marks if mark.axis == name]
    if view.cells is not None:
        found += [
            0.0,
            float(len(view.cells.values[0]) if name == "x" and view.cells.values else len(view.cells.values)),
        ]
    values = np.asarray(found, float)
    values = values[np.isfinite(values) & ((values > 0) | (not scale.log))]
    log = scale.log and (len(values) > 0 or bool(scale.low and scale.low > 0))
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.1, 1.0) if log else (0.0, 1.0)
    low, high = _with_room(low, high, log) if view.cells is None else (low, high)
    low = scale.low if scale.low is not None and not (log and scale.low <= 0) else low
    high = scale.high if scale.high is not None and not (log and scale.high <= 0) else high
    if not high > low:
        low, high = (low / 2, low * 2) if log else (low - 0.5, low + 0.5)
    return Axis(low, high, log, scale.label)


def _with_room(low: float, high: float, log: bool) -> tuple[float, float]:
    if log:
        first, last = math.log10(low), math.log10(high)
        room = EDGE * (last - first) or 0.3
        return max(10 ** max(first - room, -307), 1e-307), 10 ** min(last + room, 307)
    room = EDGE * (high - low) or abs(high) / 2 or 0.5
    return low - room, high + room


def _stroke(number: int, series: Series, across: Axis, up: Axis) -> Stroke:
    x, y = across.share(series.x), up.share(series.y)
    own = series.colour if OWN.fullmatch(series.colour) else ""
    colour = series.colour if series.colour in NAMED else "" if own else "ink"
    shape = SHAPES.get(series.marker, "dot" if series.marker else "")
    by_use = shape in ("up", "down", "star")
    places = tuple((_percent(a), _percent(1 - b)) for a, b in zip(x, y, strict=True) if by_use and math.isfinite(a + b))
    area = _area(x, up.share(series.low), up.share(series.high)) if series.low else ""
    return Stroke(
        number, series.name, colour, own, series.width, series.opacity, series.dashed,
        _line(x, y) if series.width else "", area, _dots(x, y) if shape in ("dot", "square") else "", series.size,
        shape, places,
    )  # fmt: skip


def _units(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shares in units of the field; what is far outside is at its edge."""
    return np.rint(np.clip(shares, -5, 6) * FIELD)


def _line(x: NDArray[np.float64], y: NDArray[np.float64]) -> str:
    """A path; a place without a number is a gap."""
    parts, pen = [], "M"
    for a, b in zip(_units(x).tolist(), _units(1 - y).tolist(), strict=True):
        if math.isnan(a + b):
            pen = "M"
            continue
        parts.append(f"{pen}{a:.0f} {b:.0f}")
        pen = "L" if pen == "M" else ""
        pen = pen or " "
    return "".join(parts)


def _dots(x: NDArray[np.float64], y: NDArray[np.float64]) -> str:
    """Strokes without a length, which round or square ends make to dots whatever the field's measure."""
    places = zip(_units(x).tolist(), _units(1 - y).tolist(), strict=True)
    return "".join(f"M{a:.0f} {b:.0f}h0" for a, b in places if not math.isnan(a + b))


def _area(x: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]) -> str:
    kept = np.isfinite(x) & np.isfinite(low) & np.isfinite(high)
    across = _units(x[kept]).tolist()
    up, down = _units(1 - high[kept]).tolist(), _units(1 - low[kept]).tolist()
    corners = [*zip(across, up, strict=True), *zip(across[::-1], down[::-1], strict=True)]
    return "M" + "L".join(f"{a:.0f} {b:.0f}" for a, b in corners) + "Z" if corners else ""


def _percent(share: float) -> str:
    return f"{100 * min(max(share, -5.0), 6.0):.2f}".rstrip("0").rstrip(".") + "%"


def _ticks(scale: Scale, axis: Axis, upwards: bool = False) -> tuple[tuple[str, str, bool], ...]:
    """Places, words, and whether there is room for each on a narrow screen too."""
    if scale.ticks:
        places, words = [place for place, _ in scale.ticks], [word for _, word in scale.ticks]
    else:
        places = ticks(axis.low, axis.high, axis.log)
        words = [text_of(place, 3) for place in places]
        words = [text_of(place, 6) for place in places] if len({*words}) < len(words) else words
    every = 1 if upwards else math.ceil(len(places) / NARROW)
    return tuple(
        (_percent(1 - share if upwards else share), word, number % every == 0)
        for number, (share, word) in enumerate(zip(axis.share(places), words, strict=True))
        if -0.001 <= share <= 1.001
    )


def _band(band: Any, across: Axis, up: Axis) -> dict[str, Any]:
    low, high = np.clip((across if band.axis == "x" else up).share([band.low, band.high]), 0, 1).tolist()
    foot, head = band.foot
    box = (low, 1 - head, high - low, head - foot) if band.axis == "x" else (0.0, 1 - high, 1.0, high - low)
    places = [_percent(side if math.isfinite(side) else 0.0) for side in box]
    own = band.colour if OWN.fullmatch(band.colour) else ""
    colour = band.colour if band.colour in NAMED else "" if own else "ink"
    return {"band": band, "box": places, "colour": colour, "own": own, "at": (exact(band.low), exact(band.high))}


def _mark(mark: Mark, axis: Axis) -> dict[str, Any]:
    share = float(axis.share([mark.at])[0])
    place = _percent((share if mark.axis == "x" else 1 - share) if math.isfinite(share) else -1)
    own = mark.colour if OWN.fullmatch(mark.colour) else ""
    colour = mark.colour if mark.colour in NAMED else "" if own else "ink"
    return {"mark": mark, "place": place, "colour": colour, "own": own, "at": exact(mark.at)}


def _cells(view: View) -> tuple[tuple[dict[str, Any], ...], tuple[tuple[str, str], ...]]:
    """Coloured squares, the lowest in yellow as in the pictures, and a key of five colours."""
    if view.cells is None or not view.cells.values:
        return (), ()
    table = np.asarray(view.cells.values, float)
    low, high = float(np.nanmin(table)), float(np.nanmax(table))
    wide, tall = FIELD / table.shape[1], FIELD / table.shape[0]
    words = {axis: {int(at): word for at, word in getattr(view, axis).ticks} for axis in ("x", "y")}
    found = [
        {
            "box": [round(column * wide), round(FIELD - (row + 1) * tall), math.ceil(wide), math.ceil(tall)],
            "fill": ramp(1 - (value - low) / (high - low) if high > low else 0.5),
            "text": f"{view.x.label} {words['x'].get(column, column)}, {view.y.label} {words['y'].get(row, row)}: "
            f"{view.cells.label} {text_of(value)}",
        }
        for row, values in enumerate(table.tolist())
        for column, value in enumerate(values)
        if math.isfinite(value)
    ]
    keys = [(ramp(1 - share), text_of(low + share * (high - low), 3)) for share in (0, 0.25, 0.5, 0.75, 1)]
    return tuple(found), tuple(keys)
