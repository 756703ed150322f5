"""Schedules: numbers over the position of a run. No torch, no files, no clock."""

from stepsize.schedule._core import LATER
from stepsize.schedule._core import Schedule as Schedule
from stepsize.schedule._decays import exponential as exponential
from stepsize.schedule._decays import inverse_sqrt as inverse_sqrt
from stepsize.schedule._decays import multi_step as multi_step
from stepsize.schedule._decays import step_decay as step_decay
from stepsize.schedule._function import from_function as from_function
from stepsize.schedule._length import Length as Length
from stepsize.schedule._lines import constant as constant
from stepsize.schedule._lines import linear as linear
from stepsize.schedule._lines import one_minus_sqrt as one_minus_sqrt
from stepsize.schedule._lines import polynomial as polynomial
from stepsize.schedule._lines import warmup as warmup
from stepsize.schedule._noise import noise as noise
from stepsize.schedule._pieces import PIECES as PIECES
from stepsize.schedule._recipes import noam as noam
from stepsize.schedule._recipes import one_cycle as one_cycle
from stepsize.schedule._recipes import wsd as wsd
from stepsize.schedule._stairs import stairs as stairs
from stepsize.schedule._tables import piecewise_constant as piecewise_constant
from stepsize.schedule._tables import piecewise_linear as piecewise_linear
from stepsize.schedule._text import ScheduleTextError as ScheduleTextError
from stepsize.schedule._text import parse
from stepsize.schedule._text import parse_call as parse_call
from stepsize.schedule._waves import cosine as cosine
from stepsize.schedule._waves import cosine_restarts as cosine_restarts
from stepsize.schedule._waves import cosine_wave as cosine_wave
from stepsize.schedule._waves import exp_range as exp_range
from stepsize.schedule._waves import triangular as triangular
from stepsize.schedule._waves import triangular2 as triangular2
from stepsize.schedule._wrap import absolute as absolute
from stepsize.schedule._wrap import clip as clip
from stepsize.schedule._wrap import part as part
from stepsize.schedule._wrap import repeat as repeat

LATER.update(repeat=repeat, clip=clip, stairs=stairs, parse=parse)

__all__ = [
    "PIECES",
    "Length",
    "Schedule",
    "ScheduleTextError",
    "absolute",
    "clip",
    "constant",
    "cosine",
    "cosine_restarts",
    "cosine_wave",
    "exp_range",
    "exponential",
    "from_function",
    "inverse_sqrt",
    "linear",
    "multi_step",
    "noam",
    "noise",
    "one_cycle",
    "one_minus_sqrt",
    "parse_call",
    "part",
    "piecewise_constant",
    "piecewise_linear",
    "polynomial",
    "repeat",
    "stairs",
    "step_decay",
    "triangular",
    "triangular2",
    "warmup",
    "wsd",
]
