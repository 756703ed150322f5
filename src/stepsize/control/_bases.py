"""Whose base? What a group's value means when it is taken over: a base, or what a schedule last made of one.

A value that a schedule wrote is never taken for a base. The base behind it is known from the driver that wrote it, if
that was in this process, or from two marks in the optimizer's state dict or its copy: the base, and the value written
last.
"""

import copy
import inspect
import math
import sys
import weakref
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from torch.optim import Optimizer

from stepsize import _check
from stepsize.control._hooks import inner_optimizers
from stepsize.control._line import Line
from stepsize.optim import read_value, write_value
from stepsize.schedule import Schedule

BASE, WRITTEN = "stepsize_base_", "stepsize_written_"
COPIED = f"{WRITTEN}into_a_copy"  # which was not built by a script that may say another base
COPIER = "__reduce_ex__"


@dataclass
class Hold:
    """The driver of an optimizer, present or last.

    Attributes:
        driver: weakly; None once it has let go.
        groups: what it drove.
        lines: by hyperparameter.
    """

    driver: "weakref.ref[Any] | None"
    groups: Sequence[Mapping[str, Any]]
    lines: Mapping[str, Line]


_HELD: weakref.WeakKeyDictionary[Optimizer, Hold] = weakref.WeakKeyDictionary()


def check_free(optimizers: Iterable[Any]) -> None:
    """Raise ValueError if an optimizer is driven already by a Control or Scheduler.

    Args:
        optimizers: that somebody else is to drive.

    Example:
        >>> import torch
        >>> from stepsize.control import check_free
        >>> check_free([torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)])
    """
    for optimizer in optimizers:
        for leaf in inner_optimizers(optimizer):
            hold = _HELD.get(leaf)
            if hold is not None and hold.driver is not None and hold.driver() is not None:
                raise ValueError(
                    "optimizer is under control already, and one rate has one driver; call detach() of the first, "
                    "which puts the bases back, or make a new optimizer"
                )


@contextmanager
def set_aside(optimizers: Iterable[Any]) -> Iterator[None]:
    """Let others drive optimizers within a block, whose values are bases then; their lender restores all at its end.

    Args:
        optimizers: that may be driven already.

    Example:
        >>> import torch
        >>> from stepsize import Control
        >>> from stepsize.control import set_aside
        >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
        >>> control = Control(optimizer, lr="linear()", total=4)
        >>> with set_aside([optimizer]):
        ...     other = Control(optimizer, lr="linear()", total=2)
    """
    optimizers = list(optimizers)
    for optimizer in optimizers:
        clear_marks(optimizer.param_groups)
    leaves = [leaf for optimizer in optimizers for leaf in inner_optimizers(optimizer)]
    held = {leaf: _HELD.pop(leaf) for leaf in leaves if leaf in _HELD}
    try:
        yield
    finally:
        for leaf in leaves:
            _HELD.pop(leaf, None)
        _HELD.update(held)
        for leaf in held:
            _mark_copies(leaf)


def hold(driver: Any, groups: Sequence[Mapping[str, Any]], lines: Mapping[str, Line]) -> None:
    """Note that a driver has its optimizers."""
    for optimizer in driver.optimizers.values():
        for leaf in inner_optimizers(optimizer):
            _HELD[leaf] = Hold(weakref.ref(driver), groups, lines)
            _mark_copies(leaf)


def let_go(optimizers: Iterable[Any]) -> None:
    """Note that nobody drives these optimizers, and that their groups have their bases."""
    for optimizer in optimizers:
        for leaf in inner_optimizers(optimizer):
            _HELD.pop(leaf, None)
            with suppress(AttributeError):
                delattr(leaf, COPIER)


class _Copied:
    """How a driven optimizer is deep-copied and pickled: with the marks of a state dict in the groups of the copy.

    Set at the object itself, where ``copy.deepcopy`` and ``pickle`` look first.

    Args:
        optimizer: whose; its class's ``__reduce_ex__`` is called.
    """

    def __init__(self, optimizer: Any) -> None:
        self._optimizer = weakref.ref(optimizer)

    def __call__(self, protocol: Any) -> Any:
        optimizer: Any = self._optimizer()
        kind: Any = type(optimizer)
        reduced = kind.__reduce_ex__(optimizer, protocol)
        held, state = _HELD.get(optimizer), reduced[2] if isinstance(reduced, tuple) and len(reduced) > 2 else None
        if not isinstance(state, dict) or not isinstance(state.get("param_groups"), list):
            return reduced
        state = {name: value for name, value in state.items() if name != COPIER}
        if sys._getframe(1).f_code is copy.copy.__code__:  # a shallow copy shares its groups
            return (*reduced[:2], state, *reduced[3:])
        marked = {id(group): dict(group) for group in state["param_groups"]}
        for line in () if held is None else held.lines.values():
            for index, place in enumerate(line.members):
                if (group := marked.get(id(held.groups[place]))) is not None:  # type: ignore[union-attr]
                    _mark(group, line, index)
                    group[COPIED] = True
        return (*reduced[:2], {**state, "param_groups": list(marked.values())}, *reduced[3:])


def _mark_copies(leaf: Any) -> None:
    with suppress(AttributeError):  # it has no room for it
        setattr(leaf, COPIER, _Copied(leaf))


def _mark(group: MutableMapping[str, Any], line: Line, index: int) -> None:
    group[BASE + line.name] = line.shares[index].taken
    group[WRITTEN + line.name] = line.values[index]


def mark(saved: Mapping[str, Any], places: range, lines: Iterable[Line]) -> None:
    """Put bases and the values written last into an optimizer's state dict, beside what torch keeps of its groups."""
    for place, group in zip(places, saved.get("param_groups", ()), strict=False):
        for line in lines:
            if place in line.members:
                _mark(group, line, line.members.index(place))


def clear_marks(groups: Iterable[MutableMapping[str, Any]]) -> bool:
    """Take the marks out of groups that were loaded, once their meaning is known; whether there were any."""
    found = False
    for group in groups:
        for key in [key for key in group if str(key).startswith((BASE, WRITTEN))]:
            del group[key]
            found = True
    return found


def earlier(optimizer: Any, hyperparameter: str) -> dict[int, float]:
    """Bases, by the groups' identity, behind values that a driver of this process wrote last and let fall."""
    holds = [_HELD[leaf] for leaf in inner_optimizers(optimizer) if leaf in _HELD]
    found = {}
    for held in holds:
        line = held.lines.get(hyperparameter)
        for index, place in enumerate(line.members if line is not None else ()):
            group = held.groups[place]
            if line is not None and math.isclose(read_value(group, hyperparameter), line.values[index], rel_tol=1e-6):
                found[id(group)] = line.shares[index].base
    return found


def put_back(optimizer: Any, driven: Iterable[str]) -> None:
    """Give groups the bases of what a driver let fall at another value, unless it is driven again.

    Args:
        optimizer: whose groups they are.
        driven: the hyperparameters that are taken over now.
    """
    driven = set(driven)
    for held in [_HELD[leaf] for leaf in inner_optimizers(optimizer) if leaf in _HELD]:
        for name in held.lines.keys() - driven:
            bases = earlier(optimizer, name)
            for group in optimizer.param_groups:
                if id(group) in bases:
                    write_value(group, name, bases[id(group)])


def base_of(
    hyperparameter: str,
    group: Mapping[str, Any],
    name: str,
    schedule: Schedule,
    known: Mapping[int, float],
    initial: bool,
) -> float:
    """The base of a group that is taken over.

    Args:
        hyperparameter: which.
        group: the group.
        name: its name, for messages.
        schedule: what will drive it.
        known: as from ``earlier``.
        initial: whether ``initial_lr`` is the base where there is one, as in torch's schedulers.
    """
    value = _check.number(f"{hyperparameter} of {name}", read_value(group, hyperparameter), least=0)
    if id(group) in known:
        return known[id(group)]
    if BASE + hyperparameter in group and math.isclose(value, group[WRITTEN + hyperparameter], rel_tol=1e-6):
        return float(group[BASE + hyperparameter])
    if hyperparameter != "lr" or "initial_lr" not in group:
        return value
    there = float(group["initial_lr"])
    if initial or there == value or schedule.is_absolute:
        return there if initial else value
    raise ValueError(
        f"{name} has lr {value:g} and an initial_lr of {there:g}, left by another scheduler, so that its base is not "
        "clear; build the control before optimizer.load_state_dict(), or set lr to the base you want and delete "
        "initial_lr from the group"
    )


def check_stated(optimizer: Any, hyperparameter: str, bases: Sequence[float]) -> None:
    """Raise where the optimizer was built with one value, and its loaded state speaks of another base.

    Args:
        optimizer: whose groups were loaded.
        hyperparameter: which.
        bases: what the marks of all its groups say.
    """
    if any(COPIED in group for group in optimizer.param_groups):
        return
    stated, usual = (
        _number(of, hyperparameter) for of in (getattr(optimizer, "defaults", {}), _usual(type(optimizer)))
    )
    may_be_groups = hyperparameter != "lr" and stated == usual  # given group by group, and not as a default
    if stated is None or may_be_groups or len(set(bases)) != 1 or math.isclose(stated, bases[0], rel_tol=1e-6):
        return
    raise ValueError(
        f"the optimizer was built with a {hyperparameter} of {stated:g}, and the state it has loaded is of a run with "
        f"a base of {bases[0]:g}; for {stated:g}, build the control (or scheduler) before optimizer.load_state_dict(); "
        f"for {bases[0]:g}, build the optimizer with it"
    )


def _number(values: Mapping[str, Any], hyperparameter: str) -> float | None:
    try:
        return read_value(values, hyperparameter)
    except ValueError:
        return None


def _usual(kind: type) -> dict[str, Any]:
    """The default arguments of a class of optimizers."""
    parameters = inspect.signature(kind).parameters
    return {
        name: parameter.default
        for name, parameter in parameters.items()
        if parameter.default is not inspect.Parameter.empty
    }


def loaded_bases(optimizer: Any, hyperparameter: str = "lr") -> list[float]:
    """The bases that a loaded state dict has left in the groups of an optimizer; empty where it has not.

    Args:
        optimizer: not driven yet.
        hyperparameter: which.

    Example:
        >>> import torch
        >>> from stepsize.control import loaded_bases
        >>> loaded_bases(torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5))
        []
    """
    marked = [group.get(BASE + hyperparameter) for group in optimizer.param_groups]
    return [float(base) for base in marked if base is not None]
