"""Views of schedules: one, or several by name."""

from collections.abc import Mapping

import numpy as np

from stepsize.schedule import Schedule
from stepsize.views._registry import view
from stepsize.views._view import Mark, Scale, View, colour_of, series

POINTS = 1_001


@view(Schedule)
def schedule(value: Schedule) -> View:
    """A schedule over its length."""
    return several({str(value): value})


@view(Mapping)
def several(value: Mapping[str, Schedule]) -> View:
    """Schedules by name on one pair of axes, the borders of their pieces marked."""
    lengths = [laid.length for laid in value.values()]
    end = max((length for length in lengths if isinstance(length, float) and length > 0), default=100.0)
    lines, marks = [], []
    for number, (name, laid) in enumerate(value.items()):
        borders = [border for border in laid.borders if border < end]
        at = np.unique(np.concatenate([np.linspace(0, end, POINTS), np.nextafter(borders, 0), borders]))
        lines.append(series(at, laid(at), name, colour_of(number), width=2))
        marks += [Mark("x", border, style="dotted", width=0.8) for border in borders]
    kinds = {laid.is_absolute for laid in value.values()}
    label = "factor of the base, or value" if len(kinds) > 1 else "value" if True in kinds else "factor of the base"
    low = min((y for line in lines for y in line.y if np.isfinite(y)), default=0.0)
    upwards = Scale(label, low=min(0.0, low))
    legend = "best" if len(value) > 1 else "none"
    about = "The schedule's value at each step." if len(value) == 1 else "The schedules' values at each step."
    return View("schedules", "", Scale("step", low=0, high=end), upwards, tuple(lines), (), tuple(marks),
                legend=legend, about=about)  # fmt: skip
