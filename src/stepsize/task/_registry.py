"""Tasks by name: the built-in ones, and a user's own from a file or a module."""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from stepsize import _check
from stepsize.task._contract import Startable
from stepsize.task._names import TaskFileError, full_name, with_attribute
from stepsize.task.built_in import TASKS, WITH_DATA

BUILT_IN: dict[str, Any] = {task.name: task for task in TASKS}
_read: list[tuple[str, Startable]] = []  # from files and modules, with the name that finds them from any folder


def task_named(name: str) -> Startable:
    """A task by name: a built-in one, ``path/to/train.py:task`` or ``package.module:task``.

    Args:
        name: one of ``BUILT_IN``, or a file or module and the name of a task in it; ``train.py`` is ``train.py:task``.

    Raises:
        ValueError: there is none of that name; close names are offered.
        TaskFileError: the file raised while it was read.

    Example:
        >>> from stepsize.task import task_named
        >>> task_named("digits").steps
        400
    """
    name = with_attribute(name)
    if isinstance(name, str) and ":" in name:
        return _of_ones_own(name)
    if name not in BUILT_IN:
        hint = _check.closest(str(name), BUILT_IN)
        raise ValueError(f'there is no task {name!r}; a task of your own is "path/to/train.py:task"; {hint}')
    return BUILT_IN[name]  # type: ignore[no-any-return]


def takes_data(name: str) -> bool:
    """Whether a folder with data can mean anything to a task; of one's own that is not known, and so it can.

    Args:
        name: as ``task_named`` takes it.

    Example:
        >>> from stepsize.task import takes_data
        >>> takes_data("mnist"), takes_data("linear-regression"), takes_data("train.py:task")
        (True, False, True)
    """
    return name not in BUILT_IN or BUILT_IN[name] in WITH_DATA


def known_tasks() -> list[tuple[str, Startable]]:
    """The built-in tasks and those that were read from files and modules, each with a name that finds it again.

    Example:
        >>> from stepsize.task import known_tasks
        >>> "digits" in dict(known_tasks())
        True
    """
    return [*BUILT_IN.items(), *_read]


def _of_ones_own(name: str) -> Startable:
    place, _, attribute = name.rpartition(":")
    is_module = all(part.isidentifier() for part in place.split("."))
    if not attribute.isidentifier() or not name.isprintable() or not (is_module or place.endswith(".py")):
        raise ValueError(_check.message("task", name, '"path/to/train.py:task" or "package.module:task"'))
    if place.endswith(".py") and not Path(place).is_file():
        raise ValueError(_check.message("task", place, "a Python file that is there"))
    found = full_name(name)  # before the file is read, which may change the working directory
    module = _from_file(Path(place)) if place.endswith(".py") else _from_module(place)
    if not hasattr(module, attribute):
        tasks = [key for key, value in vars(module).items() if _is_task(value)]
        there = _check.closest(attribute, tasks) if tasks else "there is no task in it"
        raise ValueError(f"{place} has no {attribute!r}; {there}")
    task = getattr(module, attribute)
    if not _is_task(task):
        rule = "a task: stepsize.Task(...), or anything with name, steps and start(trial, watch)"
        raise TypeError(_check.message(name, task, rule))
    if not isinstance(task.name, str) or not task.name.isprintable():
        raise ValueError(_check.message(f"the name of the task {name}", task.name, "one line of text"))
    _read.append((found, task))
    return task  # type: ignore[no-any-return]


def _is_task(value: object) -> bool:
    return isinstance(value, Startable) and not isinstance(value, type)


def _from_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ValueError(_check.message("task", str(path), "a Python file"))
    module = importlib.util.module_from_spec(spec)
    folder = str(path.parent.resolve())
    if folder not in sys.path:
        sys.path.insert(0, folder)  # so that the file finds its neighbours, as when it is run, also while it trains
    sys.modules.setdefault(path.stem, module)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise TaskFileError(str(path)) from error
    return module


def _from_module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise ValueError(
                _check.message("task", name, "a Python file (train.py) or a module that is there")
            ) from None
        raise TaskFileError(name) from error
    except (Exception, SystemExit) as error:
        raise TaskFileError(name) from error
