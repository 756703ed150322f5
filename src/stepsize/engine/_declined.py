"""What cannot be batched says so, before anything is trained."""

from typing import Any

from stepsize.optim import Clipper, needs_closure
from stepsize.task import Batchable, Task, ranks

REMEDY = "use engine serial or processes, or auto, which chooses"


class DeclinedError(ValueError):
    """A task or trial that cannot be batched, and why; nothing was trained."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"the task {name!r} cannot be batched: {why}; {REMEDY}")
        self.why = why


def check_task(task: Any) -> None:
    """Raise unless trials of a task could be batched, as far as the task alone says.

    Args:
        task: what the trials are of.

    Raises:
        DeclinedError: they could not.
    """
    if not isinstance(task, Task):
        raise DeclinedError(task.name, "it trains by itself instead of from a model, batches and a loss")
    if task.amp:
        raise DeclinedError(task.name, "its loss is computed in bfloat16 (amp)")
    if ranks().size > 1:
        raise DeclinedError(task.name, "several processes train together here")


def check_run(name: str, run: Any) -> Batchable:
    """A run whose plan and optimizer can be batched, as far as they say themselves.

    Args:
        name: of its task.
        run: what the task has started.

    Raises:
        DeclinedError: they cannot.
    """
    if not isinstance(run, Batchable):
        raise DeclinedError(name, "its runs are not the supervised builder's")
    if why := run.why_not_batched:
        raise DeclinedError(name, why)
    plan = run.control.plan
    if plan.feedback is not None and plan.feedback.of == "loss":
        raise DeclinedError(name, f"its feedback {plan.feedback} looks at the loss of every step")
    if plan.guard is not None:
        raise DeclinedError(name, f"its guard {plan.guard} looks at the loss of every step, and may go back")
    if isinstance(plan.clip, Clipper):
        raise DeclinedError(name, f"{plan.clip} is not clipping by the global norm")
    if set(plan.courses) != {"lr"}:
        raise DeclinedError(name, f"its plan drives {', '.join(sorted(set(plan.courses) - {'lr'}))} beside the rate")
    if len(run.optimizers) > 1:
        raise DeclinedError(name, f"it has {len(run.optimizers)} optimizers")
    if needs_closure(run.optimizer):
        raise DeclinedError(name, f"its optimizer {type(run.optimizer).__name__} steps with a closure")
    kept = [getattr(run.optimizer, f"_optimizer_step_{when}_hooks", None) or {} for when in ("pre", "post")]
    hooks = [hook for hooks_of_kind in kept for hook in hooks_of_kind.values()]
    if not all(getattr(hook, "only_listens", False) for hook in hooks):  # as Control's do
        raise DeclinedError(name, f"its optimizer {type(run.optimizer).__name__} has hooks on its steps")
    return run
