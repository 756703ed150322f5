"""What a search may spend: shares of a training run, steps or seconds."""

import math
import re
from dataclasses import dataclass

from stepsize import _check

LONG = 600  # steps that a search without a budget takes at most, however long the run
_FORM = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(x|s|min|h)\s*")
_SECONDS = {"s": 1, "min": 60, "h": 3600}
_RULE = 'shares of a run ("0.3x"), steps (600) or a time ("90s", "10min", "1h"), more than none'


@dataclass(frozen=True)
class Budget:
    """What a search may spend.

    Attributes:
        steps: gradients; infinite where only time counts.
        seconds: wall-clock time; infinite where only steps count.
    """

    steps: float
    seconds: float = math.inf


def budget_of(budget: str | int | None, total: int) -> Budget:
    """A budget from what was given for it.

    Args:
        budget: ``"0.3x"``, ``"1x"``, ``"2x"`` of a training run; steps, >= 1; ``"90s"``, ``"10min"``, ``"1h"``. One
            training run, but at most 600 steps, when left out.
        total: steps of a training run, >= 1.

    Raises:
        TypeError, ValueError: it is none of these.

    Example:
        >>> from stepsize.search import budget_of
        >>> budget_of("0.3x", 1000).steps, budget_of(None, 1000).steps, budget_of("2min", 1000).seconds
        (300.0, 600.0, 120.0)
    """
    total = _check.whole("total", total, least=1)
    if budget is None:
        return Budget(float(min(total, LONG)))
    if isinstance(budget, bool) or not isinstance(budget, str | int):
        raise TypeError(_check.message("budget", budget, _RULE))
    if isinstance(budget, str) and budget.strip().isdigit():
        budget = int(budget)
    if isinstance(budget, int):
        return Budget(float(_check.whole("budget", budget, least=1)))
    found = _FORM.fullmatch(budget)
    if found is None or float(found[1]) == 0:
        raise ValueError(_check.message("budget", budget, _RULE))
    amount = float(found[1])
    return Budget(amount * total) if found[2] == "x" else Budget(math.inf, amount * _SECONDS[found[2]])
