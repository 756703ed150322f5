"""How fast the clock goes: what throughput and the seconds to go are made of."""

import time
from typing import Any

from stepsize.control.signals._signal import Update

NAME, OLDEST = "pace", 16  # looks back, so that one slow step says little


def pace(update: Update) -> float | None:
    """Positions a second over the last looks; None at the first.

    Args:
        update: looked at now.
    """
    if NAME not in update.shared:
        seen: list[Any] = update.memory.setdefault(NAME, [])
        seen.append((time.perf_counter(), update.position))
        del seen[:-OLDEST]
        (began, start), (now, here) = seen[0], seen[-1]
        update.shared[NAME] = (here - start) / (now - began) if here > start and now > began else None
    found: float | None = update.shared[NAME]
    return found
