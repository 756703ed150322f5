"""The rate that a run's plan says, beside which stands the one that was applied."""

from typing import Any

import numpy as np

from stepsize.record import Run

POINTS = 401


def planned(run: Run) -> tuple[Any, Any] | None:
    """Steps and rates of a run's plan; None where its facts do not say them.

    Args:
        run: whose ``run.json`` has a plan, a rate and a number of steps, and whose clock counts steps.
    """
    text, base, steps = (run.facts.get(name) for name in ("plan", "rate", "steps"))
    if not isinstance(text, str) or not base or not steps or not _counts_steps(run):
        return None
    from stepsize.control import Plan  # needs torch
    from stepsize.schedule import Schedule

    try:
        schedule = Plan.parse(text).over(steps).lr
        at = np.linspace(0, steps - 1, min(POINTS, steps))
        values = schedule(at) if isinstance(schedule, Schedule) else None
    except (ValueError, TypeError, ArithmeticError):  # of functions, or counted in epochs
        return None
    if values is None or not np.isfinite(values).all():
        return None
    return at, values * (1.0 if schedule.is_absolute else base)  # type: ignore[union-attr]


def _counts_steps(run: Run) -> bool:
    return all(line.get("position", line["step"]) == line["step"] for line in run.steps[:100])
