"""Pictures of plain results: ``draw(value, ax=None)``."""

from stepsize.draw._draw import draw as draw
from stepsize.draw._draw import figure as figure
from stepsize.draw._draw import png as png

__all__ = ["draw", "figure", "png"]
