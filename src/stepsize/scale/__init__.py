"""What a bigger batch, a longer run or a wider model needs: laws of the best rate, fitted on runs of one's own."""

from stepsize.scale._columns import read_runs as read_runs
from stepsize.scale._exponents import axis_role as axis_role
from stepsize.scale._law import Prediction as Prediction
from stepsize.scale._law import RateLaw as RateLaw
from stepsize.scale._law import fit_law as fit_law

__all__ = ["Prediction", "RateLaw", "axis_role", "fit_law", "read_runs"]
