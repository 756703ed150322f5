"""Pictures of plain results: ``draw(value, ax=None)``."""

from stepsize.draw._draw import draw as draw
from stepsize.draw._draw import figure as figure

__all__ = ["draw", "figure"]
