"""The axes: what a trial may set, a row each. Checks, plans, optimizers, options and tables all read these rows.

A new axis is one more row of ``AXES``; an axis of a task's own is an ``Axis`` in its ``axes``.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from stepsize import _check
from stepsize.schedule import Schedule
from stepsize.task._effects import another, warmed_up, with_value
from stepsize.task._forms import (
    OFF,
    clip_of,
    guard_of,
    length_of,
    number_of,
    one_of,
    optimizer_of,
    rate_of,
    schedule_of,
    shorter_schedule,
    shorter_warmup,
    whole_of,
)

APPLIES = ("rate", "step", "optimizer", "batches", "task")
NUMBERS, TRUTHS = (int, float), {"true": True, "false": False}


@dataclass(frozen=True)
class Axis:
    """A setting of trials: how a value is checked, which values are worth a try, and what it does.

    Those of a task's own are set by its functions, which take them by name: ``model=lambda width=64: ...``.

    Args:
        check: (what an error calls it, value) -> the value in its canonical form: a number, a text, True or False; or
            raises TypeError or ValueError. ``Axis.whole``, ``Axis.number`` and ``Axis.one_of`` make the usual ones.
        candidates: values to try by default; None among them for the task's own.
        about: a line for people.
        values: an example of several, as on the command line.
        applies: what it sets: ``"rate"`` (its course), ``"step"`` (the update), ``"optimizer"``, ``"batches"``, or
            ``"task"``, for axes of a task's own.
        is_text: whether its values are texts that say by themselves what they are, such as a schedule's.
        plan: puts a value into the arguments that a trial's plan is made of.
        optimizer: puts a value into a trial's optimizers, by name, and returns them.
        squeeze: (value, share) -> the value in a run of a share of the length.

    Raises:
        TypeError, ValueError: check is no function, or it refuses a candidate.

    Example:
        >>> from stepsize.task import Axis
        >>> Axis.whole(least=1, candidates=(64, 256)).canonical("width", 128.0)
        128
    """

    check: Callable[[str, Any], Any]
    candidates: tuple[Any, ...] = ()
    about: str = ""
    values: str = ""
    applies: str = "task"
    is_text: bool = False
    plan: Callable[[dict[str, Any], Any], None] | None = None
    optimizer: Callable[[dict[str, Any], Any], dict[str, Any]] | None = None
    squeeze: Callable[[Any, float], Any] | None = None

    def __post_init__(self) -> None:
        if self.applies not in APPLIES:
            raise ValueError(_check.message("applies", self.applies, f"one of {', '.join(APPLIES)}"))
        kinds = {"about": str, "values": str, "is_text": bool}
        if wrong := [name for name, kind in kinds.items() if not isinstance(getattr(self, name), kind)]:
            rule = "True or False" if wrong[0] == "is_text" else "a text"
            raise TypeError(_check.message(wrong[0], getattr(self, wrong[0]), rule))
        for name in ("plan", "optimizer", "squeeze"):
            if not callable(getattr(self, name) or callable):
                raise TypeError(_check.message(name, getattr(self, name), "a function, or left out"))
        if not callable(self.check):
            raise TypeError(_check.message("check", self.check, "a function of (name, value)", "or use Axis.number()"))
        if isinstance(self.candidates, str) or not isinstance(self.candidates, Iterable):
            raise TypeError(_check.message("candidates", self.candidates, "several values"))
        read = self.canonical if self.applies != "optimizer" else _as_it_is  # which needs torch: a trial reads it then
        forms = (None if candidate is None else read("candidates", candidate) for candidate in self.candidates)
        object.__setattr__(self, "candidates", tuple(forms))

    @staticmethod
    def whole(*, least: int = 0, candidates: Iterable[Any] = (), about: str = "") -> "Axis":
        """An axis of whole numbers.

        Args:
            least: the smallest one.
            candidates: as for ``Axis``.
            about: as for ``Axis``.
        """
        return Axis(partial(whole_of, least), candidates, about)  # type: ignore[arg-type]

    @staticmethod
    def number(
        *, least: float | None = None, below: float = math.inf, candidates: Iterable[Any] = (), about: str = ""
    ) -> "Axis":
        """An axis of numbers.

        Args:
            least: the smallest one; no bound when left out.
            below: what they are below.
            candidates: as for ``Axis``.
            about: as for ``Axis``.
        """
        if least is not None and not least < below:
            raise ValueError(_check.message("below", below, f"above least, {least!r}"))
        return Axis(partial(number_of, least, below), candidates, about)  # type: ignore[arg-type]

    @staticmethod
    def one_of(*values: Any, about: str = "") -> "Axis":
        """An axis of a few values, which are its candidates.

        Args:
            values: numbers, texts, True and False.
            about: as for ``Axis``.
        """
        if not values:
            raise TypeError('Axis.one_of needs values, got none; write for example Axis.one_of("relu", "gelu")')
        return Axis(partial(one_of, values), values, about)

    def canonical(self, name: str, value: Any) -> Any:
        """A value in its canonical form, plain data.

        Args:
            name: what an error calls it.
            value: what was given.

        Raises:
            TypeError, ValueError: it is none of this axis.
        """
        form = self.check(name, value.item() if isinstance(value, np.generic) else value)
        if not isinstance(form, (str, *NUMBERS)) or not (isinstance(form, str) or math.isfinite(form)):
            raise TypeError(_check.message(f"the canonical form of {name}", form, "a finite number, a text or a truth"))
        return form

    def read(self, text: str) -> Any:
        """The value that a text on the command line says: a number where it is one.

        Args:
            text: without blanks around it.
        """
        if self.is_text:
            return text
        try:
            value = float(text)
        except ValueError:
            return TRUTHS.get(text.lower(), text)
        return int(value) if math.isfinite(value) and value == int(value) else value


def _as_it_is(_: str, value: Any) -> Any:
    return value


def _set(name: str, parts: dict[str, Any], value: Any) -> None:
    parts[name] = value


AXES: Mapping[str, Axis] = {
    "lr": Axis(rate_of, about="The learning rate, at the task's own batch size.", values="0.01,0.1", applies="rate"),
    "schedule": Axis(
        schedule_of,
        (None, "warmup(5%) >> cosine()", "warmup(5%) >> linear()", "wsd()"),
        "A schedule, such as 'warmup(5%) >> cosine()'; the task's when left out.",
        "'cosine(),linear()'",
        applies="rate",
        is_text=True,
        plan=lambda parts, text: _set("lr", parts, Schedule.parse(text)),
        squeeze=shorter_schedule,
    ),
    "warmup": Axis(
        length_of,
        about="Warm-up in front of the schedule, instead of its own: steps, 5% or 1ep; 0 for none.",
        values="0,100,5%",
        applies="rate",
        plan=lambda parts, length: _set("lr", parts, warmed_up(parts["lr"], length)),
        squeeze=shorter_warmup,
    ),
    "clip": Axis(
        clip_of,
        about="Largest global gradient norm let through, or a schedule that gives it; the task's when left out.",
        values="0.1,1",
        applies="step",
        plan=partial(_set, "clip"),
    ),
    "guard": Axis(
        guard_of,
        about="Go back where the run diverges, with a lower rate: on, off, or such as 'guard(returns=3)'.",
        values="off,on",
        applies="step",
        is_text=True,
        plan=lambda parts, text: _set("guard", parts, None if text == OFF else text),
    ),
    "optimizer": Axis(
        optimizer_of,
        (None, "sgd(momentum=0.9)", "adamw"),
        "An optimizer, such as adamw or 'sgd(momentum=0.9)'; the task's when left out.",
        "'sgd(momentum=0.9),adamw'",
        applies="optimizer",
        is_text=True,
        optimizer=another,
    ),
    "weight_decay": Axis(
        partial(number_of, 0.0, math.inf),
        about="Weight decay of the groups that decay; the task's when left out.",
        values="0,0.01",
        applies="step",
        plan=lambda parts, _: _set("weight_decay", parts, None),  # it stays what it is set to
        optimizer=lambda made, value: with_value(made, "weight_decay", value),
    ),
    "momentum": Axis(
        partial(number_of, 0.0, math.inf),
        about="Momentum, or beta1 where the optimizer has betas; the task's when left out.",
        values="0,0.9",
        applies="step",
        plan=lambda parts, _: _set("momentum", parts, None),
        optimizer=lambda made, value: with_value(made, "momentum", value),
    ),
    "batch_size": Axis(
        partial(whole_of, 1),
        about="Examples in a batch; the task's when left out. The run keeps its epochs.",
        values="32,64,128",
        applies="batches",
    ),
}
"""The settings of any trial, in the order in which they are applied."""


def canonical(axis: str, value: Any, name: str = "") -> Any:
    """A setting in its canonical form, or an error that says what it must be.

    Args:
        axis: one of ``AXES``.
        value: what was given for it.
        name: what an error calls it; the axis when left out.

    Raises:
        TypeError, ValueError: it is no such setting, or there is no such axis.

    Example:
        >>> from stepsize.task import canonical
        >>> canonical("schedule", "warmup( 10 )>>cosine()"), canonical("lr", 1)
        ('warmup(10) >> cosine()', 1.0)
    """
    if axis not in AXES:
        raise ValueError(f"there is no axis {axis!r}; {_check.closest(str(axis), AXES)}")
    return AXES[axis].canonical(name or axis, value)


def table_of(task: Any) -> dict[str, Axis]:
    """The axes along which trials of a task may differ: what it says itself, or all.

    Args:
        task: a task; its attribute ``axes``, if it has one, holds the names of those of ours that it takes, or axes of
            its own by name, beside all of ours that set something it has.

    Example:
        >>> from stepsize.task import table_of, task_named
        >>> list(table_of(task_named("frozenlake")))
        ['lr', 'schedule']
    """
    names = getattr(task, "axes", tuple(AXES))
    if not isinstance(names, Mapping):
        return {name: AXES[name] for name in names}
    sized = getattr(task, "batch_size", None) is not None
    return {name: axis for name, axis in AXES.items() if sized or axis.applies != "batches"} | dict(names)


def axes_of(task: Any) -> tuple[str, ...]:
    """The names of the axes along which trials of a task may differ.

    Args:
        task: as for ``table_of``.

    Example:
        >>> from stepsize.task import axes_of, task_named
        >>> axes_of(task_named("frozenlake"))
        ('lr', 'schedule')
    """
    return tuple(table_of(task))


def check_takes(task: Any, names: Iterable[str], where: str = "") -> None:
    """Raise ValueError, with those it takes, where a task takes no such axis.

    Args:
        task: as for ``table_of``.
        names: of axes.
        where: what they were given as, for an error.

    Example:
        >>> from stepsize.task import check_takes, task_named
        >>> check_takes(task_named("frozenlake"), ["clip"])
        Traceback (most recent call last):
        ValueError: the task 'frozenlake' takes no clip, but lr, schedule; leave it out
    """
    takes = table_of(task)
    for name in names:
        if name in takes:
            continue
        if name in AXES:
            raise ValueError(f"the task {task.name!r} takes no {name}, but {', '.join(takes)}; leave it out")
        problem = f"{where} has {name!r}, which is not an axis" if where else f"there is no axis {name!r}"
        raise ValueError(f"{problem}; {_check.closest(str(name), takes)}")
