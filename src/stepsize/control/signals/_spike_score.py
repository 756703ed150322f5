"""How far a loss stands out of those before it.

Formula, with the median m of the last 64 losses looked at and the median a of their distances from m:
    spike_score = (loss - m) / (1.4826 a)

In standard deviations, if losses were normal; robust, since one spike moves neither median. Missing for the first 8
losses and where a is 0. Cost: reads back one number, the loss. After resuming it begins anew.

What is healthy: losses of batches are skewed, so that 4 or 5 comes in any long run. Above 10 it is worth a look at the
batch; there is no evidence that a single spike says the rate is wrong.

Source: the median absolute deviation, Hampel 1974, "The influence curve and its role in robust estimation", section 5.
"""

import math
from collections import deque
from statistics import median

from stepsize.control.signals._signal import Signal, Update

NAME, LONGEST, FEWEST = "spike_score", 64, 8


def _after(update: Update) -> float | None:
    loss = math.nan if update.loss is None else float(update.loss)
    if math.isnan(loss):
        return None
    seen: deque[float] = update.memory.setdefault(NAME, deque(maxlen=LONGEST))
    before = list(seen)
    if math.isfinite(loss):
        seen.append(loss)
    if len(before) < FEWEST:
        return None
    middle = median(before)
    spread = 1.4826 * median(abs(value - middle) for value in before)
    return (loss - middle) / spread if spread else None


spike_score = Signal(NAME, _after)
"""Missing where no loss was handed over."""
