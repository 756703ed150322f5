"""The sources of a task: the files of its code and their own imports, identified by content."""

import ast
import hashlib
import inspect
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from functools import partial
from importlib.machinery import PathFinder
from pathlib import Path
from types import CellType, CodeType, FunctionType
from typing import Any

from torch import Tensor

from stepsize import _check
from stepsize.optim import read_value
from stepsize.task._contract import Startable
from stepsize.task._faces import optimizer_of_training
from stepsize.task._names import with_attribute
from stepsize.task._supervised import Task

OPTIMIZER = "the optimizer"
OF_THE_TRIAL = {"params", "lr", "initial_lr", "foreach", "fused", "capturable"}  # or how its figures are computed
OURS = Path(__file__).resolve().parents[1]
INSTALLED = tuple(Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib"))


class TaskChangedWarning(UserWarning):
    """A task is not what it was when what is gone on with was begun."""


def sources_of(task: Startable, name: str | None = None) -> dict[str, str]:
    """A hash of each source file that makes a task, by the file's path from where its imports are looked for.

    These are the file that the task was read from, those of its functions, and all that they import beside them,
    directly or not. Installed packages are not among them. Functions of the program that is run itself, which also says
    how it is trained, and those of a prompt or notebook are known by their own code instead.

    Args:
        task: whose they are.
        name: that it was found by, if it was.

    Raises:
        TypeError: it is no task, or the name no text.

    Example:
        >>> from stepsize.task import sources_of, task_named
        >>> sources_of(task_named("digits"))
        {}
    """
    if not isinstance(task, Startable):
        raise TypeError(_check.message("task", task, "a task", 'for example task_named("digits")'))
    place = None if name is None else _place_of(name)
    main, starts = _main_file(), set() if place is None else {place}
    own: dict[str, str] = {}
    for what, part in _parts(task):
        file = _file_of(part)
        if file is not None and file != main:
            starts.add(file)
        elif file is not None or not _is_installed(part):
            code = _code_hash(part)
            own |= {} if code is None else {f"{what} in Python {sys.version_info[0]}.{sys.version_info[1]}": code}
        if file is not None and file == main:
            starts |= set(_imported(file, _root_of(file)))
    return _hashes(starts) | own


def named_sources(name: str) -> dict[str, str]:
    """The same for the file of a task that is known by its name alone; nothing in it is run.

    Args:
        name: as ``task_named`` takes it. A built-in task has no file of its own, and one that is not there neither.

    Raises:
        TypeError: it is no text.

    Example:
        >>> from stepsize.task import named_sources
        >>> named_sources("digits"), named_sources("nowhere.py:task")
        ({}, {})
    """
    place = _place_of(name)
    return {} if place is None or not place.is_file() else _hashes([place])


def _hashes(starts: Iterable[Path]) -> dict[str, str]:
    found: dict[Path, Path] = {}  # each with its root
    waiting = sorted(starts)
    while waiting:
        file = waiting.pop()
        if file not in found:
            found[file] = _root_of(file)
            waiting += _imported(file, found[file])
    texts: dict[str, str] = {}
    for file, root in sorted(found.items()):
        name = file.relative_to(root).as_posix()
        texts[name] = hashlib.sha256(texts.get(name, "").encode() + file.read_bytes()).hexdigest()
    return texts


def _place_of(name: str) -> Path | None:
    """The file that ``file.py:task`` or ``package.module:task`` names, found without running anything."""
    if not isinstance(name, str):
        raise TypeError(_check.message("name", name, "a task's name"))
    place, colon, _ = with_attribute(name).rpartition(":")
    if not colon:
        return None
    if place.endswith(".py"):
        return Path(place).resolve()
    path: Iterable[str] | None = None
    spec = None
    for count in range(1, place.count(".") + 2):
        spec = PathFinder.find_spec(".".join(place.split(".")[:count]), path)  # type: ignore[arg-type]
        if spec is None:
            return None
        path = spec.submodule_search_locations
    origin = None if spec is None or not spec.has_location else spec.origin
    return None if origin is None else Path(origin).resolve()


def optimizer_of_run(run: Any) -> dict[str, str]:
    """The class and the settings of the optimizer of a fresh run, but for the rate, which is the trial's.

    Args:
        run: at its first step; one without an optimizer has none.
    """
    optimizer = optimizer_of_training(run)
    if optimizer is None:
        return {}
    kind = type(optimizer)
    texts = {OPTIMIZER: f"{kind.__module__}.{kind.__qualname__}"}
    for number, group in enumerate(optimizer.param_groups):
        kept = {name: read_value(group, name) if isinstance(group[name], Tensor) else group[name] for name in group}
        kept = {name: value for name, value in kept.items() if name not in OF_THE_TRIAL and value is not None}
        texts |= {f"{name} of group {number} of {OPTIMIZER}": _plain(value) for name, value in kept.items()}
    return texts


def bring_up_to_date(state: Any, run: Any, before: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Put the settings of a run's optimizer that differ into a saved state, so that loading it keeps them.

    Args:
        state: of a run, to be loaded into this one.
        run: at its first step.
        before: ``optimizer_of_run`` of the run whose state it is.
        now: ``optimizer_of_run`` of this one.
    """
    optimizer, saved = optimizer_of_training(run), state.get("optimizer")
    groups = saved.get("param_groups") if isinstance(saved, Mapping) else None
    if optimizer is None or not isinstance(groups, list):
        return
    for number, (group, own) in enumerate(zip(groups, optimizer.param_groups, strict=False)):
        for name in own if isinstance(group, dict) else ():
            key = f"{name} of group {number} of {OPTIMIZER}"
            if key in before and before[key] != now.get(key):
                group[name] = own[name]


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """The differences between two answers of ``sources_of`` and ``optimizer_of_run``, in words.

    Args:
        before: of the run.
        now: of the task as it is.

    Raises:
        TypeError: one is no mapping.

    Example:
        >>> from stepsize.task import changes
        >>> changes({"train.py": "a", "old.py": "b"}, {"train.py": "c"})
        ['train.py has changed', 'old.py is no longer part of it']
    """
    for name, value in (("before", before), ("now", now)):
        if not isinstance(value, Mapping):
            raise TypeError(_check.message(name, value, "a mapping of texts by name"))
    differ = [name for name in sorted(before.keys() & now.keys(), key=_rank) if before[name] != now[name]]
    if OPTIMIZER in differ:  # another one has other settings
        differ = [name for name in differ if not name.endswith(f"of {OPTIMIZER}")]
    changed = [
        f"{name} was {before[name]} and is {now[name]}" if name.endswith(OPTIMIZER) else f"{name} has changed"
        for name in differ
    ]
    files_before, files_now = ({name for name in files if name.endswith(".py")} for files in (before, now))
    changed += [f"{name} is no longer part of it" for name in sorted(files_before - files_now)]
    changed += [f"{name} is new" for name in sorted(files_now - files_before)]
    return [" ".join(line.split()) for line in changed]  # names and settings come from a file


def _rank(name: str) -> tuple[bool, str]:
    return name.endswith(OPTIMIZER), name


def _parts(task: Startable) -> Iterator[tuple[str, Any]]:
    """The functions of a task, by name, or its class."""
    if not isinstance(task, Task):
        yield type(task).__name__, type(task)
        return
    for field in fields(task):
        value = getattr(task, field.name)
        for one in getattr(value, "theirs", (value,)):  # of what wraps a model, a loader or a loss function
            while isinstance(one, partial):
                one = one.func
            if (callable(one) or one is not value) and field.name not in ("feedback", "views"):
                plain = inspect.isroutine(one) or inspect.isclass(one)
                yield field.name, inspect.unwrap(one) if plain else type(one)


def _file_of(part: Any) -> Path | None:
    try:
        file = Path(inspect.getsourcefile(part) or "").resolve()
    except (TypeError, OSError):
        return None
    return file if file.is_file() and not _is_beyond(file) else None


def _is_installed(part: Any) -> bool:
    try:
        file = Path(inspect.getfile(part)).resolve()
    except (TypeError, OSError):  # a function of C, or a class typed at a prompt
        return inspect.isbuiltin(part)
    return file.is_file() and _is_beyond(file)


def _is_beyond(file: Path) -> bool:
    return file.is_relative_to(OURS) or any(map(file.is_relative_to, INSTALLED)) or "site-packages" in file.parts


def _main_file() -> Path | None:
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    return None if main is None else Path(main).resolve()


def _root_of(file: Path) -> Path:
    """The folder that a file's imports are searched in: beside it, or beside its package."""
    root = file.parent
    while (root / "__init__.py").is_file() and root != root.parent:
        root = root.parent
    return root


def _imported(file: Path, root: Path) -> list[Path]:
    """The files under a root that a file imports, wherever in it."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):  # its faults are reported when it is run
        return []
    found: list[Path] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [module for alias in node.names for module in _modules(root, alias.name.split("."))]
        elif isinstance(node, ast.ImportFrom):
            base = root if node.level == 0 else file.parents[min(node.level, len(file.parents)) - 1]
            words = node.module.split(".") if node.module else []
            found += [module for alias in node.names for module in _modules(base, [*words, alias.name])]
    return [place for place in dict.fromkeys(found) if not _is_beyond(place)]


def _modules(base: Path, words: list[str]) -> Iterator[Path]:
    """The files of a module and of the packages around it, as far as they are there."""
    for count in range(1, len(words) + 1):
        inner = base.joinpath(*words[:count])
        for file in (inner.with_name(f"{inner.name}.py"), inner / "__init__.py"):
            if file.is_file():
                yield file.resolve()


def _code_hash(part: Any) -> str | None:
    """A hash of a function's code, or of a class's, with the constants and the functions beside it that it names."""
    function = getattr(part, "__func__", part)
    inner = vars(function).values() if inspect.isclass(function) else [function]
    functions = [member for member in inner if inspect.isfunction(member)]
    texts = [text for function in functions for text in _function_text(function)]
    for function in functions:
        beside = {
            name: function.__globals__[name] for name in sorted(_names(function.__code__) & function.__globals__.keys())
        }
        for name, value in beside.items():
            if inspect.isfunction(value) and value.__module__ == function.__module__:
                texts += _function_text(value)
            elif name.isupper():  # a constant, by its spelling
                texts.append(f"{name} {_plain(value)}")
    return hashlib.sha256("\n".join(texts).encode()).hexdigest() if functions else None


def _function_text(function: FunctionType) -> list[str]:
    held = [cell.cell_contents for cell in function.__closure__ or () if cell != CellType()]
    return [_code_text(function.__code__), *map(_plain, held), *map(_plain, function.__defaults__ or ())]


def _code_text(code: CodeType) -> str:
    return repr((code.co_code, list(map(_plain, code.co_consts)), code.co_names, code.co_varnames, code.co_freevars))


def _names(code: CodeType) -> set[str]:
    return set(code.co_names).union(*(_names(const) for const in code.co_consts if isinstance(const, CodeType)))


def _plain(value: Any) -> str:
    """A text of a value that is the same in every process: of plain data the data, of others their type."""
    if isinstance(value, CodeType):
        return _code_text(value)
    if isinstance(value, tuple | frozenset):
        texts = [_plain(item) for item in value]
        return f"({', '.join(texts if isinstance(value, tuple) else sorted(texts))})"
    return repr(value) if isinstance(value, bool | int | float | complex | str | bytes | None) else type(value).__name__
