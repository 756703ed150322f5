"""What sits in a training loop: Control, the plan it applies, and the protocol of those who watch it."""

from stepsize.control._control import Control as Control
from stepsize.control._from_torch import from_torch as from_torch
from stepsize.control._observer import SIGNALS as SIGNALS
from stepsize.control._observer import Observer as Observer
from stepsize.control._plan import Plan as Plan
from stepsize.control._records import Preview as Preview
from stepsize.control._records import Step as Step

__all__ = ["SIGNALS", "Control", "Observer", "Plan", "Preview", "Step", "from_torch"]
