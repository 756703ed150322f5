"""Views of what is seen of training: previews, range tests and findings."""

from typing import Any

import numpy as np

from stepsize.control import Control, Preview, Scheduler
from stepsize.probe import RangeResult
from stepsize.search import Finding
from stepsize.views._registry import view
from stepsize.views._run import found_words
from stepsize.views._view import Band, Mark, Scale, View, colour_of, series

RATE = "learning rate"


def whole_run(value: Any) -> Any:
    """The preview of a control's whole run; what is no control, as it is."""
    if not isinstance(value, Control | Scheduler):
        return value
    try:
        return value.preview()
    except ValueError as error:
        raise ValueError(f"{error}, as in draw(control.preview(range(1_000)))") from None


@view(Preview)
def preview(value: Preview) -> View:
    """The rates of every group."""
    lines = tuple(
        series(value.positions, rates, name, colour_of(number), width=2)
        for number, (name, rates) in enumerate(value.rates.items())
    )
    low = min((y for line in lines for y in line.y if np.isfinite(y)), default=0.0)
    legend = "best" if len(lines) > 1 else "none"
    about = "The learning rates that the plan gives at each step."
    return View("preview", "", Scale("step"), Scale(RATE, low=min(0.0, low)), lines, legend=legend, about=about)


@view(RangeResult)
def range_result(value: RangeResult) -> View:
    """The loss against the rate that the test was at, with the rate suggested."""
    losses = np.array(value.curve, float)
    finite = losses[np.isfinite(losses)]
    low = high = None
    if len(finite):  # the blow-up at the end must not flatten what comes before
        least, first = float(finite.min()), float(finite[0])
        low = least - 0.15 * (first - least) - 1e-9
        high = first + 0.6 * max(first - least, abs(first) * 0.1) + 1e-9
    found, title = value.suggestion, ""
    marks: tuple[Mark, ...] = ()
    if found.rate is not None:
        marks = (Mark("x", found.rate, f"{found.rule}: {found.rate:.3g}", "red", "solid", 1.5),)
    else:
        title = found.reason
    across, upwards = Scale(RATE, log=True), Scale("loss on the probe" if value.probed else "loss", low=low, high=high)
    about = "The loss against the learning rate of a range test."
    return View("range test", title, across, upwards, (series(value.rates, losses),), (), marks, about=about)


@view(Finding)
def finding(value: Finding) -> View:
    """The score of each short run by its rate, the rate found and its interval."""
    by_steps: dict[int, list[tuple[float, float]]] = {}
    for run in value.results:
        by_steps.setdefault(run.steps, []).append((run.rate, run.score))
    lines = []
    for number, (steps, runs) in enumerate(sorted(by_steps.items())):
        rates, scores = zip(*sorted(runs), strict=True)
        lines.append(series(rates, scores, f"after {steps} steps", colour_of(number), marker="o", size=6))
    finite = [run.score for run in value.results if np.isfinite(run.score)]
    low = high = None
    if finite:  # the runs that broke must not flatten the others
        least, gained = min(finite), max(value.initial - min(finite), abs(value.initial) * 0.1)
        low, high = least - 0.15 * gained - 1e-9, value.initial + 0.6 * gained + 1e-9
    across, upwards = Scale(RATE, log=True), Scale("loss of the short runs", low=low, high=high)
    about, name = "The loss of short runs against their learning rate.", "finding"
    if value.rate is None or value.low is None or value.high is None:
        legend = "best" if lines else "none"
        return View(name, value.verdict, across, upwards, tuple(lines), legend=legend, about=about)
    bands = (Band("x", value.low, value.high, f"good: {value.low:.3g} to {value.high:.3g}", "red", 0.12),)
    marks = (Mark("x", value.rate, f"rate {value.rate:.3g}", "red", "solid", 1.5),)
    caption = found_words(value.rate, value.low, value.high, value.verdict)
    return View(name, "", across, upwards, tuple(lines), bands, marks, about=about, caption=caption)
