"""Plans on the command line: the values of ``--over``, and the table of results."""

import math
from typing import Any

from rich.table import Table

from stepsize import _check
from stepsize.cli._words import split
from stepsize.finder import PlanFinding
from stepsize.task import Axis, table_of

MOST = 100  # plans; each needs a rate to be found


def plans_of(text: str, task: Any) -> dict[str, list[Any] | None]:
    """The axes and values of ``--over``: ``optimizer,schedule``, or ``optimizer=adamw|sgd(momentum=0.9)``.

    Args:
        text: axes after commas that stand in no brackets, each perhaps with values after bars.
        task: whose axes they are.

    Raises:
        ValueError: an axis is none of the task's, or has no usual values and none are given, or a value is wrong.

    Example:
        >>> from stepsize.cli._over import plans_of
        >>> from stepsize.task import task_named
        >>> plans_of("schedule,optimizer=adamw|sgd(momentum=0.9, nesterov=True)", task_named("digits"))
        {'schedule': None, 'optimizer': ['adamw', 'sgd(momentum=0.9, nesterov=True)']}
    """
    over: dict[str, list[Any] | None] = {}
    takes = {name: axis for name, axis in table_of(task).items() if name != "lr" and axis.applies != "batches"}
    for part in split(text):
        axis, _, values = part.partition("=") if "=" in part.split("(")[0] else (part, "", "")
        axis = axis.strip().replace("-", "_")
        if axis not in takes:
            raise ValueError(f"--over has {axis!r}, which it cannot vary; {_check.closest(axis, takes)}")
        if not values and not takes[axis].candidates:
            raise ValueError(f"--over has {axis!r} without values; say them, such as '{axis}=A|B'")
        over[axis] = _values(takes[axis], f"--over {axis}", values) if values else None
    count = math.prod(len(takes[axis].candidates if several is None else several) for axis, several in over.items())
    if count > MOST:
        raise ValueError(f"--over has {count:,} plans, and may have {MOST}; give fewer values")
    return over


def _values(axis: Axis, name: str, text: str) -> list[Any]:
    return [axis.canonical(name, axis.read(value.strip())) for value in text.split("|")]


def number_of(name: str, text: str) -> float:
    """The number that a text is; ``name`` is what an error calls it."""
    try:
        return float(text)
    except ValueError:
        raise ValueError(_check.message(name, text, "a number")) from None


def plan_table(found: PlanFinding) -> Table:
    """The plans, the best first: rate and loss by length of the runs they raced in.

    Args:
        found: what was found.
    """
    lengths = sorted({length for entry in found.entries for length in entry.scores})
    axes = list(dict.fromkeys(axis for entry in found.entries for axis in entry.settings))
    table = Table(box=None, pad_edge=False)
    for axis in axes:
        table.add_column(axis)
    for title in ("rate", *(f"loss after {length}" for length in lengths)):
        table.add_column(title, justify="right")
    for entry in found.entries:
        rate = "none" if entry.finding.rate is None else f"{entry.finding.rate:.3g}"
        losses = [f"{entry.scores[length]:.4g}" if length in entry.scores else "" for length in lengths]
        table.add_row(*(str(entry.settings.get(axis, "the task's")) for axis in axes), rate, *losses)
    return table
