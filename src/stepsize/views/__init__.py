"""Views: what is seen, as plain data, drawn by pictures and pages; ``draw(value, ax=None)``."""

from typing import TYPE_CHECKING

from stepsize._lazy import lazily
from stepsize.views._draw import draw as draw
from stepsize.views._draw import png as png
from stepsize.views._draw import seen_of as seen_of
from stepsize.views._matplotlib import figure as figure
from stepsize.views._matplotlib import sheet_figure as sheet_figure
from stepsize.views._registry import view as view
from stepsize.views._registry import views_of as views_of
from stepsize.views._save import plain as plain
from stepsize.views._save import save as save
from stepsize.views._thin import is_noisy as is_noisy
from stepsize.views._thin import moving_mean as moving_mean
from stepsize.views._thin import thinned as thinned
from stepsize.views._view import Band as Band
from stepsize.views._view import Cells as Cells
from stepsize.views._view import Mark as Mark
from stepsize.views._view import Note as Note
from stepsize.views._view import Scale as Scale
from stepsize.views._view import Series as Series
from stepsize.views._view import Sheet as Sheet
from stepsize.views._view import View as View
from stepsize.views._view import colour_of as colour_of
from stepsize.views._view import ramp as ramp
from stepsize.views._view import series as series

if TYPE_CHECKING:  # what runs need, which schedules do not
    from stepsize.views._compared import compared as compared
    from stepsize.views._compared import course_lines as course_lines
    from stepsize.views._record import drawable as drawable
    from stepsize.views._record import lines_of as lines_of
    from stepsize.views._sheets import TaskViews as TaskViews
    from stepsize.views._sheets import run_sheet as run_sheet

__getattr__, __dir__ = lazily(
    __name__,
    {"_compared": "compared course_lines", "_record": "drawable lines_of", "_sheets": "TaskViews run_sheet"},
)

__all__ = [
    "Band",
    "Cells",
    "Mark",
    "Note",
    "Scale",
    "Series",
    "Sheet",
    "TaskViews",
    "View",
    "colour_of",
    "compared",
    "course_lines",
    "draw",
    "drawable",
    "figure",
    "is_noisy",
    "lines_of",
    "moving_mean",
    "plain",
    "png",
    "ramp",
    "run_sheet",
    "save",
    "seen_of",
    "series",
    "sheet_figure",
    "thinned",
    "view",
    "views_of",
]
