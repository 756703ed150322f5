"""How trials get done: an engine takes trials and yields results as they finish."""

from stepsize.engine._serial import Engine as Engine
from stepsize.engine._serial import Result as Result
from stepsize.engine._serial import serial as serial

__all__ = ["Engine", "Result", "serial"]
