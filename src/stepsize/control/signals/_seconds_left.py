"""How many seconds the run still takes.

Formula: (total - position) / throughput. Missing at the first step, and where the total is not known. Cost: free.
"""

from stepsize.control.signals._pace import pace
from stepsize.control.signals._signal import Signal, Update


def _after(update: Update) -> float | None:
    speed = pace(update)
    return None if speed is None or update.total is None else max(0.0, update.total - update.position) / speed


seconds_left = Signal("seconds_left", _after, cost="free")
"""At the pace of the last looks."""
