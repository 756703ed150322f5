"""Arguments of all trainers' hooks, checked when they are given and not hours later."""

from collections.abc import Mapping
from typing import Any

from stepsize import _check
from stepsize.control import Choice, DiffersError, Plan, Scheduler
from stepsize.schedule import Schedule

GUARD = "use it with Control, in a loop of yours"
DRIVEN = ("lr", "momentum", "weight_decay", "feedback", "floor", "cap")


def check(plan: Mapping[str, Any], clipping: str, **lengths: float | None) -> dict[str, Any]:
    """The arguments of the schedulers to come.

    Args:
        plan: what the caller calls the plan's parts.
        clipping: what the trainer has for clipping.
        lengths: numbers of updates by name, > 0 or None.
    """
    for name in plan:
        if name not in (*DRIVEN, "clip", "guard"):
            raise TypeError(f"there is no argument {name!r}; {_check.closest(name, DRIVEN)}")
    numbers = {name: None if n is None else _check.number(name, n, above=0) for name, n in lengths.items()}
    return parts_of(Plan(**plan), clipping) | numbers


def parts_of(plan: Plan, clipping: str) -> dict[str, Any]:
    """A plan as arguments of ``Scheduler``, which does not clip."""
    if plan.clip is not None:
        raise ValueError(_check.message("clip", plan.clip, "left out: clipping is the trainer's", clipping))
    if plan.guard is not None:
        raise ValueError(_check.message("guard", str(plan.guard), "left out: the loop is the trainer's", GUARD))
    return {name: getattr(plan, name) for name in DRIVEN} | dict(plan.others)


def as_schedule(name: str, value: Any) -> Schedule:
    """A schedule or what its text says."""
    schedule = Schedule.parse(value) if isinstance(value, str) else value
    if not isinstance(schedule, Schedule):
        remedy = f'write for example {name}="warmup(5%) >> cosine()"'
        raise TypeError(_check.message(name, value, "a schedule or its text", remedy))
    return schedule


def by_optimizer(name: str, value: Any, rule: str) -> dict[int, Any]:
    """The values for each optimizer, by its place in ``configure_optimizers``, from a list or a mapping."""
    if isinstance(value, Mapping):
        for place in value:
            _check.whole(f"optimizer of {name}", place, least=0, remedy="optimizers are known by their places")
        return {int(place): item for place, item in value.items()}
    if isinstance(value, list | tuple) and value:
        return dict(enumerate(value))
    raise TypeError(_check.message(name, value, rule))


def check_resume(resume: Mapping[str, str] | None, found: bool) -> dict[str, str]:
    """Choices for ``load_state_dict``; where the rate was found, that of the checkpoint holds unless told otherwise."""
    if not isinstance(resume, Mapping | None):
        raise TypeError(_check.message("resume", resume, "a mapping", 'write for example resume={"extend": "stretch"}'))
    Choice.of(resume or {})
    return ({"base": "saved"} if found else {}) | dict(resume or {})


def go_on(scheduler: Scheduler, state: Mapping[str, Any], resume: Mapping[str, str], hook: str) -> None:
    """Load a scheduler's state with the choices that a hook was given; what differs names the hook's argument."""
    try:
        Scheduler.load_state_dict(scheduler, state, **resume)
    except DiffersError as error:
        raise error.under(hook) from None
