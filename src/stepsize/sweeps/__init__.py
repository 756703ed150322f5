"""How does it depend on the rate? Many trials over rates, seeds and other axes, kept in one file, read in many ways."""

from stepsize.sweeps._answers import Best as Best
from stepsize.sweeps._answers import best_rate as best_rate
from stepsize.sweeps._answers import divergence_threshold as divergence_threshold
from stepsize.sweeps._answers import rate_sensitivity as rate_sensitivity
from stepsize.sweeps._axes import logspace as logspace
from stepsize.sweeps._axes import trials_of as trials_of
from stepsize.sweeps._database import NAME as NAME
from stepsize.sweeps._database import SweepFileError as SweepFileError
from stepsize.sweeps._entries import entries_of as entries_of
from stepsize.sweeps._halving import Halving as Halving
from stepsize.sweeps._outcome import Curve as Curve
from stepsize.sweeps._outcome import Outcome as Outcome
from stepsize.sweeps._read import Sweep as Sweep
from stepsize.sweeps._run import WAITING as WAITING
from stepsize.sweeps._run import chosen_engine as chosen_engine
from stepsize.sweeps._run import sweep as sweep
from stepsize.sweeps._views import sweep_sheet as sweep_sheet
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
    "entries_of",
    "logspace",
    "rate_sensitivity",
    "sweep",
    "sweep_sheet",
    "trials_of",
]
