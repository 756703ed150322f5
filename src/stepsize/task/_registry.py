"""The built-in tasks by name."""

from stepsize import _check
from stepsize.task._digits import digits
from stepsize.task._supervised import Task

BUILT_IN: dict[str, Task] = {task.name: task for task in (digits,)}


def task_named(name: str) -> Task:
    """A built-in task.

    Args:
        name: one of ``BUILT_IN``.

    Raises:
        ValueError: there is none of that name; close names are offered.

    Example:
        >>> from stepsize.task import task_named
        >>> task_named("digits").steps
        400
    """
    if name not in BUILT_IN:
        raise ValueError(f"there is no task {name!r}; {_check.closest(str(name), BUILT_IN)}")
    return BUILT_IN[name]
