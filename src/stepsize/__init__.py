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
    from stepsize.control import DivergedError as DivergedError
    from stepsize.control import Observer as Observer
    from stepsize.control import Plan as Plan
    from stepsize.control import Record as Record
    from stepsize.control import Scheduler as Scheduler
    from stepsize.control import Signal as Signal
    from stepsize.control import Steer as Steer
    from stepsize.control import from_torch as from_torch
    from stepsize.control import greedy as greedy
    from stepsize.control import guard as guard
    from stepsize.control import noisy_plateau as noisy_plateau
    from stepsize.control import plateau as plateau
    from stepsize.control import position_of as position_of
    from stepsize.diagnosis import Symptom as Symptom
    from stepsize.diagnosis import diagnose as diagnose
    from stepsize.engine import Auto as Auto
    from stepsize.engine import Batched as Batched
    from stepsize.engine import Processes as Processes
    from stepsize.engine import Ray as Ray
    from stepsize.engine import serial as serial
    from stepsize.finder import Finding as Finding
    from stepsize.finder import find as find
    from stepsize.finder import find_plan as find_plan
    from stepsize.finder import verify as verify
    from stepsize.integrations import drive_trainer as drive_trainer
    from stepsize.integrations import find_in_module as find_in_module
    from stepsize.integrations import find_in_trainer as find_in_trainer
    from stepsize.integrations import lightning_callback as lightning_callback
    from stepsize.optim import LAMB as LAMB
    from stepsize.optim import LARS as LARS
    from stepsize.optim import Stages as Stages
    from stepsize.optim import adaptive_clipping as adaptive_clipping
    from stepsize.optim import clip_adaptively as clip_adaptively
    from stepsize.optim import clip_by_norm as clip_by_norm
    from stepsize.optim import clip_by_value as clip_by_value
    from stepsize.optim import combine as combine
    from stepsize.optim import groups as groups
    from stepsize.optim import layerwise as layerwise
    from stepsize.optim import no_decay as no_decay
    from stepsize.optim import norm_clipping as norm_clipping
    from stepsize.optim import split_matrices as split_matrices
    from stepsize.optim import value_clipping as value_clipping
    from stepsize.pages import report as report
    from stepsize.probe import RateSearch as RateSearch
    from stepsize.probe import minimum_tenth as minimum_tenth
    from stepsize.probe import probe_minimum_third as probe_minimum_third
    from stepsize.probe import range_test as range_test
    from stepsize.probe import steepest_by_log_rate as steepest_by_log_rate
    from stepsize.probe import valley as valley
    from stepsize.record import Run as Run
    from stepsize.record import RunFolder as RunFolder
    from stepsize.record import compare as compare
    from stepsize.scale import RateLaw as RateLaw
    from stepsize.scale import fit_law as fit_law
    from stepsize.scale import read_runs as read_runs
    from stepsize.schedule import Schedule as Schedule
    from stepsize.schedule import ScheduleTextError as ScheduleTextError
    from stepsize.schedule import absolute as absolute
    from stepsize.schedule import clip as clip
    from stepsize.schedule import constant as constant
    from stepsize.schedule import cosine as cosine
    from stepsize.schedule import cosine_restarts as cosine_restarts
    from stepsize.schedule import cosine_wave as cosine_wave
    from stepsize.schedule import exp_range as exp_range
    from stepsize.schedule import exponential as exponential
    from stepsize.schedule import from_function as from_function
    from stepsize.schedule import inverse_sqrt as inverse_sqrt
    from stepsize.schedule import linear as linear
    from stepsize.schedule import multi_step as multi_step
    from stepsize.schedule import noam as noam
    from stepsize.schedule import noise as noise
    from stepsize.schedule import one_cycle as one_cycle
    from stepsize.schedule import one_minus_sqrt as one_minus_sqrt
    from stepsize.schedule import part as part
    from stepsize.schedule import piecewise_constant as piecewise_constant
    from stepsize.schedule import piecewise_linear as piecewise_linear
    from stepsize.schedule import polynomial as polynomial
    from stepsize.schedule import repeat as repeat
    from stepsize.schedule import stairs as stairs
    from stepsize.schedule import step_decay as step_decay
    from stepsize.schedule import triangular as triangular
    from stepsize.schedule import triangular2 as triangular2
    from stepsize.schedule import warmup as warmup
    from stepsize.schedule import wsd as wsd
    from stepsize.sweeps import Sweep as Sweep
    from stepsize.sweeps import logspace as logspace
    from stepsize.sweeps import sweep as sweep
    from stepsize.task import Task as Task
    from stepsize.task import Trial as Trial
    from stepsize.task import task_named as task_named
    from stepsize.task import train as train
    from stepsize.views import draw as draw
    from stepsize.watch import Diagnose as Diagnose
    from stepsize.watch import JsonLines as JsonLines
    from stepsize.watch import Live as Live
    from stepsize.watch import TensorBoard as TensorBoard
    from stepsize.watch import Tracker as Tracker

_ROOMS = {
    "control": (
        "Control DivergedError Observer Plan Record Scheduler Signal Steer from_torch greedy guard noisy_plateau "
        "plateau position_of"
    ),
    "diagnosis": "Symptom diagnose",
    "engine": "Auto Batched Processes Ray serial",
    "finder": "Finding find find_plan verify",
    "integrations": "drive_trainer find_in_module find_in_trainer lightning_callback",
    "optim": (
        "LAMB LARS Stages adaptive_clipping clip_adaptively clip_by_norm clip_by_value combine groups "
        "layerwise no_decay norm_clipping split_matrices value_clipping"
    ),
    "pages": "report",
    "probe": "RateSearch minimum_tenth probe_minimum_third range_test steepest_by_log_rate valley",
    "record": "Run RunFolder compare",
    "scale": "RateLaw fit_law read_runs",
    "schedule": (
        "Schedule ScheduleTextError absolute clip constant cosine cosine_restarts cosine_wave exp_range "
        "exponential from_function inverse_sqrt linear multi_step noam noise one_cycle one_minus_sqrt part "
        "piecewise_constant piecewise_linear polynomial repeat stairs step_decay triangular triangular2 "
        "warmup wsd"
    ),
    "search": "",
    "state": "",
    "sweeps": "Sweep logspace sweep",
    "task": "Task Trial task_named train",
    "views": "draw",
    "watch": "Diagnose JsonLines Live TensorBoard Tracker",
}
_HOME = {name: room for room, names in _ROOMS.items() for name in names.split()}

__all__ = [
    "LAMB",
    "LARS",
    "Auto",
    "Batched",
    "Control",
    "Diagnose",
    "DivergedError",
    "Finding",
    "JsonLines",
    "Live",
    "Observer",
    "Plan",
    "Processes",
    "RateLaw",
    "RateSearch",
    "Ray",
    "Record",
    "Run",
    "RunFolder",
    "Schedule",
    "ScheduleTextError",
    "Scheduler",
    "Signal",
    "Stages",
    "Steer",
    "Sweep",
    "Symptom",
    "Task",
    "TensorBoard",
    "Tracker",
    "Trial",
    "absolute",
    "adaptive_clipping",
    "clip",
    "clip_adaptively",
    "clip_by_norm",
    "clip_by_value",
    "combine",
    "compare",
    "constant",
    "cosine",
    "cosine_restarts",
    "cosine_wave",
    "diagnose",
    "draw",
    "drive_trainer",
    "exp_range",
    "exponential",
    "find",
    "find_in_module",
    "find_in_trainer",
    "find_plan",
    "fit_law",
    "from_function",
    "from_torch",
    "greedy",
    "groups",
    "guard",
    "inverse_sqrt",
    "layerwise",
    "lightning_callback",
    "linear",
    "logspace",
    "minimum_tenth",
    "multi_step",
    "no_decay",
    "noam",
    "noise",
    "noisy_plateau",
    "norm_clipping",
    "one_cycle",
    "one_minus_sqrt",
    "part",
    "piecewise_constant",
    "piecewise_linear",
    "plateau",
    "polynomial",
    "position_of",
    "probe_minimum_third",
    "range_test",
    "read_runs",
    "repeat",
    "report",
    "serial",
    "split_matrices",
    "stairs",
    "steepest_by_log_rate",
    "step_decay",
    "sweep",
    "task_named",
    "train",
    "triangular",
    "triangular2",
    "valley",
    "value_clipping",
    "verify",
    "warmup",
    "wsd",
]


_SHOWN = {  # in notebooks, by the room pages, of which rooms below it may not know
    "control": "Control Scheduler",
    "record": "Run",
    "schedule": "Schedule",
    "search": "Finding",
    "sweeps": "Sweep",
}


class _Package(ModuleType):
    """Gives what notebooks show its face there, once its room, which may not know of pictures, is loaded."""

    def __setattr__(self, name: str, value: Any) -> None:
        for kind in _SHOWN.get(name, "").split():
            if kind in vars(value):  # a room may load it later, with torch
                vars(value)[kind]._repr_html_ = _html
        if name == "schedule":
            value.Schedule.picture = staticmethod(_picture)
        super().__setattr__(name, value)


def _html(value: Any) -> str | None:
    """A value in a notebook: the page's charts and figures, without a script."""
    text: str | None = importlib.import_module("stepsize.pages").shown(value)
    return text


def _picture(schedule: Any) -> bytes | None:
    """A schedule in a notebook; nothing without matplotlib."""
    try:
        image: bytes = importlib.import_module("stepsize.views").png(schedule)
    except ImportError:
        return None
    return image


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"stepsize.{name}")
    room = _HOME.get(name) or _room_with(name)
    value = getattr(importlib.import_module(f"stepsize.{room}"), name)
    if name in _SHOWN.get(room, "").split():
        value._repr_html_ = _html
    globals()[name] = value
    return value


def _room_with(name: str) -> str:
    """The room whose public name it is; the rooms of the names above know more of them."""
    if not name.startswith("_"):
        known = {public: room for room in _ROOMS for public in importlib.import_module(f"stepsize.{room}").__all__}
        if name in known:
            return known[name]
        from stepsize import _check

        hint = _check.closest(name, {*known, *_ROOMS})
        if hint.endswith("?"):
            raise AttributeError(f"module 'stepsize' has no attribute {name!r}; {hint}")
    raise AttributeError(f"module 'stepsize' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])


sys.modules[__name__].__class__ = _Package
