"""The rung of a race, by the name it had before it moved to ``stepsize.search``."""

from stepsize.search._rung import BEYOND as BEYOND
from stepsize.search._rung import CURVED as CURVED
from stepsize.search._rung import Rung as Rung
