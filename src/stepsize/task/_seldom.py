"""The default interval of validations: they take at most a fifth of a run's time."""

import math
from typing import Any

from stepsize.task._contract import Startable
from stepsize.task._distributed import led
from stepsize.task._faces import Paced, feedback_of
from stepsize.task._supervised import Task

MOST = 0.2  # share of a run's time that validations on its way may take
FREE = 2.0  # seconds that they may take together anyhow


def is_open(task: Startable, evaluate_every: int | None) -> bool:
    """Whether it is open how often a run is validated: neither the task nor the call has said it.

    Args:
        task: whose run it is.
        evaluate_every: of the call.
    """
    silent = not isinstance(task, Paced) or (isinstance(task, Task) and task.evaluate_every is None)
    return evaluate_every is None and silent


def has_feedback(run: Any) -> bool:
    """Whether what is measured may change the run: then it is never measured less often.

    Args:
        run: a task's.
    """
    return feedback_of(run) is not None


def settled(pause: int, steps: int, validation: float, stepping: float) -> int:
    """Steps from one validation to the next, a multiple of what was meant; several processes follow the first.

    Args:
        pause: steps that were meant.
        steps: of the run.
        validation: seconds that one took.
        stepping: seconds that so many steps take.

    Example:
        >>> from stepsize.task._seldom import settled
        >>> settled(10, 1000, validation=1.0, stepping=4.0), settled(10, 1000, validation=1.0, stepping=0.5)
        (10, 80)
    """

    def times() -> int:
        if validation * (steps // pause) <= FREE:
            return 1
        return math.ceil(validation * (1 - MOST) / (MOST * max(stepping, 1e-9)) - 1e-9)

    return min(steps, pause * max(1, led(times)))
