"""What sits in a training loop: Control, the plan it applies, feedback, and the protocol of those who watch it."""

from typing import TYPE_CHECKING

from stepsize._lazy import lazily

if TYPE_CHECKING:  # loaded on first use: sending a command needs no torch
    from stepsize.control._bases import check_free as check_free
    from stepsize.control._bases import loaded_bases as loaded_bases
    from stepsize.control._bases import set_aside as set_aside
    from stepsize.control._bus import Bus as Bus
    from stepsize.control._bus import bus_of as bus_of
    from stepsize.control._control import Control as Control
    from stepsize.control._course import CourseLike as CourseLike
    from stepsize.control._driver import Driver as Driver
    from stepsize.control._from_torch import from_torch as from_torch
    from stepsize.control._governor import ShortRunWarning as ShortRunWarning
    from stepsize.control._hooks import hook_steps as hook_steps
    from stepsize.control._hooks import inner_optimizers as inner_optimizers
    from stepsize.control._hooks import unhook as unhook
    from stepsize.control._hooks import was_update as was_update
    from stepsize.control._levels import levels as levels
    from stepsize.control._log import Event as Event
    from stepsize.control._observer import Observer as Observer
    from stepsize.control._observer import Record as Record
    from stepsize.control._plan import Plan as Plan
    from stepsize.control._position import position_of as position_of
    from stepsize.control._records import Preview as Preview
    from stepsize.control._records import Step as Step
    from stepsize.control._replay import Replay as Replay
    from stepsize.control._replay import replay as replay
    from stepsize.control._resume import Choice as Choice
    from stepsize.control._resume import DiffersError as DiffersError
    from stepsize.control._scheduler import Scheduler as Scheduler
    from stepsize.control.feedback import Decision as Decision
    from stepsize.control.feedback import Feedback as Feedback
    from stepsize.control.feedback import Observation as Observation
    from stepsize.control.feedback import greedy as greedy
    from stepsize.control.feedback import noisy_plateau as noisy_plateau
    from stepsize.control.feedback import plateau as plateau
    from stepsize.control.guarding import DivergedError as DivergedError
    from stepsize.control.guarding import Guard as Guard
    from stepsize.control.guarding import as_guard as as_guard
    from stepsize.control.guarding import guard as guard
    from stepsize.control.signals import DEFAULT as DEFAULT
    from stepsize.control.signals import SIGNALS as SIGNALS
    from stepsize.control.signals import Signal as Signal
    from stepsize.control.signals import Update as Update
    from stepsize.control.signals import due as due
    from stepsize.control.signals import signals_of as signals_of
    from stepsize.control.steering import Answer as Answer
    from stepsize.control.steering import Command as Command
    from stepsize.control.steering import Commands as Commands
    from stepsize.control.steering import Steer as Steer

__getattr__, __dir__ = lazily(
    __name__,
    {
        "_bases": "check_free loaded_bases set_aside",
        "_bus": "Bus bus_of",
        "_control": "Control",
        "_course": "CourseLike",
        "_driver": "Driver",
        "_from_torch": "from_torch",
        "_governor": "ShortRunWarning",
        "_hooks": "hook_steps inner_optimizers unhook was_update",
        "_levels": "levels",
        "_log": "Event",
        "_observer": "Observer Record",
        "_plan": "Plan",
        "_position": "position_of",
        "_records": "Preview Step",
        "_replay": "Replay replay",
        "_resume": "Choice DiffersError",
        "_scheduler": "Scheduler",
        "feedback": "Decision Feedback Observation greedy noisy_plateau plateau",
        "guarding": "DivergedError Guard as_guard guard",
        "signals": "DEFAULT SIGNALS Signal Update due signals_of",
        "steering": "Answer Command Commands Steer",
    },
)

__all__ = [
    "DEFAULT",
    "SIGNALS",
    "Answer",
    "Bus",
    "Choice",
    "Command",
    "Commands",
    "Control",
    "CourseLike",
    "Decision",
    "DiffersError",
    "DivergedError",
    "Driver",
    "Event",
    "Feedback",
    "Guard",
    "Observation",
    "Observer",
    "Plan",
    "Preview",
    "Record",
    "Replay",
    "Scheduler",
    "ShortRunWarning",
    "Signal",
    "Steer",
    "Step",
    "Update",
    "as_guard",
    "bus_of",
    "check_free",
    "due",
    "from_torch",
    "greedy",
    "guard",
    "hook_steps",
    "inner_optimizers",
    "levels",
    "loaded_bases",
    "noisy_plateau",
    "plateau",
    "position_of",
    "replay",
    "set_aside",
    "signals_of",
    "unhook",
    "was_update",
]
