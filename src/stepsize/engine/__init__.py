"""How trials get done: an engine takes trials and yields results as they finish."""

from stepsize.engine._auto import Auto as Auto
from stepsize.engine._batched import Batched as Batched
from stepsize.engine._named import engine_named as engine_named
from stepsize.engine._processes import Processes as Processes
from stepsize.engine._processes import cores as cores
from stepsize.engine._ray import Ray as Ray
from stepsize.engine._serial import serial as serial
from stepsize.engine._work import Engine as Engine
from stepsize.engine._work import Leg as Leg
from stepsize.engine._work import Result as Result
from stepsize.search import is_broken as is_broken

__all__ = [
    "Auto",
    "Batched",
    "Engine",
    "Leg",
    "Processes",
    "Ray",
    "Result",
    "cores",
    "engine_named",
    "is_broken",
    "serial",
]
