"""Chooses, schedules, watches and steers the learning rate of PyTorch training.

Names are loaded when they are first used, so that ``import stepsize`` costs next to nothing.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

from stepsize._version import __version__ as __version__

TYPE_CHECKING = False  # as in typing, which takes longer to import than everything else here
if TYPE_CHECKING:
    from typing import Any

    from stepsize.control import Control as Control
    from stepsize.control import Observer as Observer
    from stepsize.control import Plan as Plan
    from stepsize.control import Scheduler as Scheduler
    from stepsize.control import from_torch as from_torch
    from stepsize.control import greedy as greedy
    from stepsize.control import noisy_plateau as noisy_plateau
    from stepsize.control import plateau as plateau
    from stepsize.draw import draw as draw
    from stepsize.find import Finding as Finding
    from stepsize.find import find as find
    from stepsize.probe import range_test as range_test
    from stepsize.schedule import Schedule as Schedule
    from stepsize.schedule import absolute as absolute
    from stepsize.schedule import constant as constant
    from stepsize.schedule import cosine as cosine
    from stepsize.schedule import exponential as exponential
    from stepsize.schedule import from_function as from_function
    from stepsize.schedule import linear as linear
    from stepsize.schedule import one_cycle as one_cycle
    from stepsize.schedule import step_decay as step_decay
    from stepsize.schedule import warmup as warmup
    from stepsize.schedule import wsd as wsd
    from stepsize.sweep import Sweep as Sweep
    from stepsize.sweep import logspace as logspace
    from stepsize.sweep import sweep as sweep
    from stepsize.task import Task as Task
    from stepsize.task import Trial as Trial
    from stepsize.task import train as train
    from stepsize.watch import JsonLines as JsonLines
    from stepsize.watch import TensorBoard as TensorBoard

_ROOMS = {
    "control": ("Control", "Observer", "Plan", "Scheduler", "from_torch", "greedy", "noisy_plateau", "plateau"),
    "draw": ("draw",),
    "find": ("Finding", "find"),
    "probe": ("range_test",),
    "schedule": (
        "Schedule",
        "absolute",
        "constant",
        "cosine",
        "exponential",
        "from_function",
        "linear",
        "one_cycle",
        "step_decay",
        "warmup",
        "wsd",
    ),
    "sweep": ("Sweep", "logspace", "sweep"),
    "task": ("Task", "Trial", "train"),
    "watch": ("JsonLines", "TensorBoard"),
}
_HOME = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = [
    "Control",
    "Finding",
    "JsonLines",
    "Observer",
    "Plan",
    "Schedule",
    "Scheduler",
    "Sweep",
    "Task",
    "TensorBoard",
    "Trial",
    "absolute",
    "constant",
    "cosine",
    "draw",
    "exponential",
    "find",
    "from_function",
    "from_torch",
    "greedy",
    "linear",
    "logspace",
    "noisy_plateau",
    "one_cycle",
    "plateau",
    "range_test",
    "step_decay",
    "sweep",
    "train",
    "warmup",
    "wsd",
]


class _Package(ModuleType):
    """Keeps ``stepsize.find``, ``draw`` and ``sweep`` the functions, whoever has imported the rooms of that name."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "schedule":
            value.Schedule.picture = staticmethod(_picture)
        if isinstance(value, ModuleType) and _HOME.get(name) == name:
            value = getattr(value, name)
        super().__setattr__(name, value)


def _picture(schedule: Any) -> bytes | None:
    """What a notebook shows of a schedule; nothing without matplotlib."""
    try:
        image: bytes = importlib.import_module("stepsize.draw").png(schedule)
    except ImportError:
        return None
    return image


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'stepsize' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"stepsize.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])


sys.modules[__name__].__class__ = _Package
