"""Pictures of plain results: ``draw(value, ax=None)``."""

from stepsize.views._draw import draw as draw
from stepsize.views._draw import figure as figure
from stepsize.views._draw import png as png
from stepsize.views._save import plain as plain
from stepsize.views._save import save as save

__all__ = ["draw", "figure", "plain", "png", "save"]
