"""Sending a task to another process: by its name where it has one, pickled where it can be."""

import pickle
import sys
from dataclasses import dataclass, field, fields, replace
from typing import Any

from stepsize import _check
from stepsize.task._contract import Startable
from stepsize.task._registry import known_tasks, task_named
from stepsize.task._supervised import Task

REMEDY = 'define its functions at the top of a module, or put it into a file of its own and name it "file.py:task"'


@dataclass(frozen=True)
class Parcel:
    """A task on its way.

    Attributes:
        name: what ``task_named`` finds it by, if anything.
        changes: fields that differ from the one found.
        pickled: the task itself, if it has no name.
    """

    name: str | None
    changes: dict[str, Any] = field(default_factory=dict)
    pickled: bytes = b""


def packed(task: Startable) -> Parcel:
    """A task as it can be sent to another process.

    Args:
        task: a built-in task, one of ``task_named("file.py:task")``, or any that can be pickled.

    Raises:
        TypeError: it can be neither named nor pickled; the error says which of its functions are to blame.

    Example:
        >>> from dataclasses import replace
        >>> from stepsize.task import packed, task_named, unpacked
        >>> parcel = packed(replace(task_named("digits"), clip=2.0))
        >>> parcel.name, parcel.changes, unpacked(parcel).clip
        ('digits', {'clip': 2.0}, 2.0)
    """
    if not isinstance(task, Startable):
        raise TypeError(_check.message("task", task, "a task", 'for example task_named("digits")'))
    for name, known in known_tasks():
        changes = _changes(task, known)
        if changes is not None:
            return Parcel(name, changes)
    data = _pickled(replace(task, views=None) if isinstance(task, Task) else task)  # nobody draws there
    if data is None:
        blamed = (
            [field.name for field in fields(Task) if _pickled(getattr(task, field.name)) is None]
            if isinstance(task, Task)
            else []
        )
        what = f": {', '.join(blamed)} cannot be found from there" if blamed else ""
        raise TypeError(
            f"the task {task.name!r} cannot be sent to another process{what}; {REMEDY}, or use engine=serial"
        )
    return Parcel(None, {}, data)


def unpacked(parcel: Parcel) -> Startable:
    """The task of a parcel.

    Args:
        parcel: of ``packed``.

    Example:
        >>> from stepsize.task import packed, task_named, unpacked
        >>> unpacked(packed(task_named("digits"))) is task_named("digits")
        True
    """
    if parcel.name is None:
        task: Startable = pickle.loads(parcel.pickled)  # noqa: S301 - made by this program for this program
        return task
    found = task_named(parcel.name)
    if not parcel.changes:
        return found
    return replace(found, **parcel.changes)  # type: ignore[type-var]


def _changes(task: Startable, known: Startable) -> dict[str, Any] | None:
    """What makes a task of a known one, or None if more than plain values would be needed."""
    if task is known:
        return {}
    if type(task) is not Task or type(known) is not Task or task.name != known.name:
        return None
    pairs = {
        field.name: (getattr(task, field.name), getattr(known, field.name))
        for field in fields(Task)
        if field.name != "views"
    }
    changed = {name: own for name, (own, before) in pairs.items() if own != before}
    return None if any(map(callable, changed.values())) else changed


def _pickled(value: Any) -> bytes | None:
    """The bytes of a value that another process can read, or None."""
    try:
        data = pickle.dumps(value)
    except (pickle.PicklingError, AttributeError, TypeError):
        return None
    # what was typed at a prompt or in a notebook is in no file that another process could read
    return None if b"__main__" in data and not hasattr(sys.modules["__main__"], "__file__") else data
