"""Pictures of plain results: ``draw(value, ax=None)``."""

from stepsize.draw._draw import draw as draw
from stepsize.draw._draw import figure as figure
from stepsize.draw._draw import png as png
from stepsize.draw._save import plain as plain
from stepsize.draw._save import save as save

__all__ = ["draw", "figure", "plain", "png", "save"]
