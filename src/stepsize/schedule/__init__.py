"""Schedules: numbers over the position of a run. No torch, no files, no clock."""

from stepsize.schedule._core import Schedule as Schedule
from stepsize.schedule._core import absolute as absolute
from stepsize.schedule._length import Length as Length
from stepsize.schedule._pieces import PIECES as PIECES
from stepsize.schedule._pieces import constant as constant
from stepsize.schedule._pieces import cosine as cosine
from stepsize.schedule._pieces import exponential as exponential
from stepsize.schedule._pieces import linear as linear
from stepsize.schedule._pieces import step_decay as step_decay
from stepsize.schedule._pieces import warmup as warmup
from stepsize.schedule._text import ScheduleTextError as ScheduleTextError

__all__ = [
    "PIECES",
    "Length",
    "Schedule",
    "ScheduleTextError",
    "absolute",
    "constant",
    "cosine",
    "exponential",
    "linear",
    "step_decay",
    "warmup",
]
