"""Names by which tasks are found, as a person says them and in full."""

from pathlib import Path
from typing import Any

from stepsize import _check


class TaskFileError(Exception):
    """A task's own file raised while it was read; the cause is what it raised."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} raised while it was read")
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self.path, self.__cause__)  # with the cause, also from a worker process


def _again(path: str, cause: BaseException | None) -> TaskFileError:
    error = TaskFileError(path)
    error.__cause__ = cause
    return error


def with_attribute(name: str) -> str:
    """A task's name in which a file alone means its ``task``.

    Args:
        name: as a person says it.

    Example:
        >>> from stepsize.task import with_attribute
        >>> with_attribute("train.py"), with_attribute("train.py:other"), with_attribute("digits")
        ('train.py:task', 'train.py:other', 'digits')
    """
    return f"{name}:task" if isinstance(name, str) and name.endswith(".py") else name


def full_name(name: str) -> str:
    """A task's name that finds it from any folder: the path of a file is made absolute.

    Args:
        name: as ``task_named`` takes it.

    Raises:
        TypeError: it is no text.

    Example:
        >>> from stepsize.task import full_name
        >>> full_name("digits"), full_name("package.module:task")
        ('digits', 'package.module:task')
    """
    if not isinstance(name, str):
        raise TypeError(_check.message("name", name, "a task's name"))
    name = with_attribute(name)
    place, _, attribute = name.rpartition(":")
    return f"{Path(place).resolve()}:{attribute}" if place.endswith(".py") else name
