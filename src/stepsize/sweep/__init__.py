"""How does it depend on the rate? Many trials over rates, seeds and other axes, kept in one file, read in many ways."""

from stepsize.sweep._answers import Best as Best
from stepsize.sweep._answers import best_rate as best_rate
from stepsize.sweep._answers import divergence_threshold as divergence_threshold
from stepsize.sweep._answers import rate_sensitivity as rate_sensitivity
from stepsize.sweep._axes import logspace as logspace
from stepsize.sweep._axes import trials_of as trials_of
from stepsize.sweep._database import NAME as NAME
from stepsize.sweep._database import SweepFileError as SweepFileError
from stepsize.sweep._halving import Halving as Halving
from stepsize.sweep._outcome import Curve as Curve
from stepsize.sweep._outcome import Outcome as Outcome
from stepsize.sweep._read import Sweep as Sweep
from stepsize.sweep._run import WAITING as WAITING
from stepsize.sweep._run import chosen_engine as chosen_engine
from stepsize.sweep._run import sweep as sweep
from stepsize.task import TaskChangedWarning as TaskChangedWarning

__all__ = [
    "NAME",
    "WAITING",
    "Best",
    "Curve",
    "Halving",
    "Outcome",
    "Sweep",
    "SweepFileError",
    "TaskChangedWarning",
    "best_rate",
    "chosen_engine",
    "divergence_threshold",
    "logspace",
    "rate_sensitivity",
    "sweep",
    "trials_of",
]
