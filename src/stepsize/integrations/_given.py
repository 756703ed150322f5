"""What the hooks of all trainers take, checked when it is given and not hours later."""

from collections.abc import Mapping
from typing import Any

from stepsize import _check
from stepsize.control import Plan
from stepsize.control._resume import Choice

DRIVEN = ("lr", "momentum", "weight_decay", "feedback", "floor", "cap")


def check(
    plan: Mapping[str, Any], resume: Mapping[str, str] | None, clipping: str, **lengths: float | None
) -> dict[str, Any]:
    """The arguments of the schedulers to come.

    Args:
        plan: what the caller calls the plan's parts.
        resume: choices for ``load_state_dict``.
        clipping: what the trainer has for clipping.
        lengths: numbers of updates by name, > 0 or None.
    """
    for name in plan:
        if name == "clip":
            raise ValueError(_check.message("clip", plan[name], "left out: clipping is the trainer's", clipping))
        if name not in DRIVEN:
            raise TypeError(f"there is no argument {name!r}; {_check.closest(name, DRIVEN)}")
    if not isinstance(resume, Mapping | None):
        raise TypeError(_check.message("resume", resume, "a mapping", 'write for example resume={"extend": "stretch"}'))
    Choice.of(resume or {})
    numbers = {name: None if n is None else _check.number(name, n, above=0) for name, n in lengths.items()}
    whole = Plan(**plan)
    return {name: getattr(whole, name) for name in DRIVEN} | numbers
