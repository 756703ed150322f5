"""Of the page of a run, a sweep or a finding, what a notebook shows."""

from typing import Any

from stepsize.pages._parts import Page, Picture, Table
from stepsize.pages._pictures import views_of_task
from stepsize.pages._report import finding_page
from stepsize.pages._run_page import run_page
from stepsize.pages._sweep_page import sweep_page
from stepsize.record import Run
from stepsize.search import Finding
from stepsize.sweeps import Sweep


def page_of(value: Any) -> Page | None:
    """The page of a value; None of what has none.

    Args:
        value: any.
    """
    if isinstance(value, Run):
        return run_page(value, views_of_task(value))
    if isinstance(value, Sweep):
        return sweep_page(value)
    return finding_page(value) if isinstance(value, Finding) else None


def parts_of(page: Page) -> list[Any]:
    """Its charts, and of a sweep the table of best rates.

    Args:
        page: of a value.
    """
    parts = [part for section in page.sections for part in section.parts]
    best = [part for part in parts if isinstance(part, Table) and part.caption.startswith("Best rates")]
    return [*best, *(part for part in parts if isinstance(part, Picture))]
