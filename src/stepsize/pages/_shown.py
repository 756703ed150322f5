"""A value in a notebook: its figures and charts as a piece of HTML, without a script."""

from typing import Any

from stepsize.pages._html import fragment_of
from stepsize.pages._parts import Command, picture
from stepsize.schedule import Schedule
from stepsize.views import seen_of

BRIEF = ("finding", "rate", "loss", "figure/accuracy")  # charts of a run


def shown(value: Any) -> str | None:
    """A schedule, control, run, sweep or finding as a notebook shows it; None of a schedule that cannot be called yet.

    Args:
        value: one of these.

    Raises:
        TypeError: it is none of these.

    Example:
        >>> from stepsize import cosine
        >>> from stepsize.pages import shown
        >>> "<svg" in shown(cosine(100)), shown(cosine())
        (True, None)
    """
    if isinstance(value, Schedule):
        return None if value.missing else fragment_of([picture(seen_of(value), 0, str(value))])
    from stepsize.pages import _shown_runs  # needs torch

    page = _shown_runs.page_of(value)
    if page is not None:
        charts = [
            part for part in _shown_runs.parts_of(page) if part.kind != "picture" or part.chart.view.name in BRIEF
        ]
        return fragment_of([*page.lead, *charts], page.verdict)
    try:
        seen = [picture(seen_of(value), 0, "The rates over the whole run")]
    except ValueError:  # a control without a total
        seen = []
    return fragment_of([Command(str(value)), *seen])
