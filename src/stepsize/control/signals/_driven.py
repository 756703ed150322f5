"""Every driven value beside the rate, of each group: momentum, weight decay and whatever else the plan drives.

Formula: the value with which the update was done; named ``driven/momentum``, or ``driven/momentum/GROUP`` where there
are several groups. Cost: free.
"""

from collections.abc import Mapping

from stepsize.control.signals._signal import Signal, Update


def _after(update: Update) -> Mapping[str, float]:
    found: dict[str, float] = {}
    for name, by_group in update.driven().items():
        several = len(by_group) > 1
        found |= {f"{name}/{group}" if several else name: value for group, value in by_group.items()}
    return found


driven = Signal("driven", _after, cost="free")
"""Nothing where the plan drives the rate alone."""
