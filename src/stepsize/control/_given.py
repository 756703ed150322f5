"""Arguments of Control, checked when they are given."""

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from stepsize import _check
from stepsize.control._plan import Plan
from stepsize.control._update import Clip
from stepsize.optim import Clipped, Clipper, clip_by_norm
from stepsize.schedule import Schedule


def optimizers_of(optimizers: Any) -> dict[str, Optimizer]:
    """Optimizers by name: one alone has none."""
    if isinstance(optimizers, Optimizer):
        return {"": optimizers}
    named = optimizers if isinstance(optimizers, Mapping) else None
    if named is None and isinstance(optimizers, Iterable) and not isinstance(optimizers, str):
        named = {f"optimizer{index}": optimizer for index, optimizer in enumerate(optimizers)}
    if not named or not all(isinstance(optimizer, Optimizer) for optimizer in named.values()):
        rule = "a torch.optim.Optimizer, a list of them, or a mapping by name"
        raise TypeError(_check.message("optimizer", optimizers, rule))
    if len(set(map(id, named.values()))) < len(named):
        raise ValueError("optimizer stands twice in the list; give each once")
    return {str(name): optimizer for name, optimizer in named.items()}


def clipping_at(way: float | Schedule | Clipper | None, position: float) -> tuple[float | None, Clip | None]:
    """The threshold at a position, and what clips by it."""
    if way is None:
        return None, None
    threshold = way.at(position) if isinstance(way, Clipper) else way(position) if isinstance(way, Schedule) else way
    call = way.clip if isinstance(way, Clipper) else clip_by_norm

    def clip(parameters: list[Tensor], norm: Tensor) -> Clipped:
        return call(parameters, threshold, norm)

    return threshold, clip


def plan_of(plan: Any, parts: dict[str, Any]) -> Plan:
    """A plan, its text, or what was given in parts."""
    if plan is None:
        return Plan(**parts)
    if parts:
        raise ValueError(f"plan is the whole of it, and {', '.join(parts)} came beside it; put it into the plan")
    if not isinstance(plan, Plan | str):
        raise TypeError(_check.message("plan", plan, "a Plan or its text"))
    return Plan.parse(plan) if isinstance(plan, str) else plan
