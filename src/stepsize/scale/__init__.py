"""What a bigger batch, a longer run or a wider model needs: laws of the best rate, fitted on runs of one's own."""

from typing import TYPE_CHECKING

from stepsize._lazy import lazily
from stepsize.scale._columns import read_runs as read_runs
from stepsize.scale._examples import NoiseScale as NoiseScale
from stepsize.scale._examples import example_noise as example_noise
from stepsize.scale._exponents import axis_role as axis_role
from stepsize.scale._fit_law import fit_law as fit_law
from stepsize.scale._law import Prediction as Prediction
from stepsize.scale._law import RateLaw as RateLaw
from stepsize.scale._rules import Rescaled as Rescaled
from stepsize.scale._rules import linear_rule as linear_rule
from stepsize.scale._rules import noise_scale_rule as noise_scale_rule
from stepsize.scale._rules import square_root_rule as square_root_rule
from stepsize.scale._rules import weight_decay_rule as weight_decay_rule

if TYPE_CHECKING:  # what trains, and so needs torch
    from stepsize.scale._branches import BatchFinding as BatchFinding
    from stepsize.scale._branches import Branch as Branch
    from stepsize.scale._branches import find_batch as find_batch
    from stepsize.scale._find_law import LawFinding as LawFinding
    from stepsize.scale._find_law import Verified as Verified
    from stepsize.scale._find_law import find_law as find_law
    from stepsize.scale._resume_scaled import resume_scaled as resume_scaled

__getattr__, __dir__ = lazily(
    __name__,
    {
        "_branches": "BatchFinding Branch find_batch",
        "_find_law": "LawFinding Verified find_law",
        "_resume_scaled": "resume_scaled",
    },
)

__all__ = [
    "BatchFinding",
    "Branch",
    "LawFinding",
    "NoiseScale",
    "Prediction",
    "RateLaw",
    "Rescaled",
    "Verified",
    "axis_role",
    "example_noise",
    "find_batch",
    "find_law",
    "fit_law",
    "linear_rule",
    "noise_scale_rule",
    "read_runs",
    "resume_scaled",
    "square_root_rule",
    "weight_decay_rule",
]
