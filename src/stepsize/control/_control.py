"""Control: derives the learning rate from the position, writes it, clips, updates, tells the observers."""

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.optim import Optimizer

from stepsize import _check
from stepsize.control._observer import SIGNALS, Observer
from stepsize.control._plan import CourseLike, Plan
from stepsize.control._records import Preview, Step
from stepsize.optim import clip_by_norm, gradient_norm, group_names, parameters, read_value, write_value
from stepsize.schedule import Schedule

VERSION = 1
MOST = 100_000  # positions in a preview of a whole run
Values = dict[str, list[float]]  # by hyperparameter, a number for each group


class Control:
    """Keeps an optimizer's learning rate where the schedule says, step by step.

    Formula:
        value of a hyperparameter of a group = its base * schedule(position)

    The base is the group's own value when Control takes it over. The value is derived anew each time, never
    read back: a group added later, a checkpoint loaded before or after the optimizer's, a step run twice cannot make
    it wrong. ``absolute(schedule)`` gives the rate itself, whatever the base.

    Args:
        optimizer: any torch optimizer; its groups' ``"lr"`` are the bases. Tensor rates stay the same tensors.
        lr: a schedule or its text, such as ``warmup(500) >> cosine()``, or a list with one for each parameter group;
            constant when left out.
        momentum: the same for the momentum (beta1 for Adam's kin); left alone when left out.
        weight_decay: the same for the weight decay; left alone when left out.
        clip: the largest global gradient norm let through, > 0; no clipping when left out.
        total: the number of steps to be trained, > 0; needed by schedules with an open or relative length.
        per_epoch: steps in an epoch, > 0; needed by lengths such as ``"3ep"``.
        watch: an observer, such as ``TensorBoard("runs/a")``, or several.
        zero: whether ``step`` also zeroes the gradients after the update.

    Raises:
        TypeError, ValueError: an argument is not what is said above.

    Example:
        >>> import torch
        >>> from stepsize import Control, cosine, warmup
        >>> model = torch.nn.Linear(3, 1)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> control = Control(optimizer, lr=warmup("10%") >> cosine(), total=10, clip=1.0)
        >>> for _ in range(3):
        ...     loss = model(torch.ones(4, 3)).square().mean()
        ...     loss.backward()
        ...     step = control.step(loss)
        >>> step.position, control.position
        (2.0, 3.0)
        >>> control.rates
        {'group0': 0.0883022221559489}
    """

    def __init__(
        self,
        optimizer: Optimizer,
        *,
        lr: CourseLike | None = None,
        momentum: CourseLike | None = None,
        weight_decay: CourseLike | None = None,
        clip: float | None = None,
        total: float | None = None,
        per_epoch: float | None = None,
        watch: Observer | Iterable[Observer] | None = None,
        zero: bool = True,
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(_check.message("optimizer", optimizer, "a torch.optim.Optimizer"))
        if inspect.signature(optimizer.step).parameters["closure"].default is inspect.Parameter.empty:
            rule = "an optimizer that steps without a closure"
            raise TypeError(_check.message("optimizer", type(optimizer).__name__, rule))
        if not isinstance(zero, bool):
            raise TypeError(_check.message("zero", zero, "True or False"))
        self._optimizer = optimizer
        self._total = None if total is None else _check.number("total", total, above=0)
        self._per_epoch = None if per_epoch is None else _check.number("per_epoch", per_epoch, above=0)
        self._plan = Plan(lr, momentum=momentum, weight_decay=weight_decay, clip=clip).over(
            self._total, self._per_epoch
        )
        self._observers = _observers(watch)
        self._zero = zero
        self._position = 0.0
        self._steps = 0
        self._bases: Values = {name: [] for name in self._plan.courses}
        self._derived_at: tuple[float, int] | None = None
        self._derived: Values = {}
        self._write()

    @property
    def plan(self) -> Plan:
        """What is applied, with all lengths as numbers of steps."""
        return self._plan

    @property
    def position(self) -> float:
        """The clock: what was consumed so far, in steps unless ``step(advance=...)`` says otherwise."""
        return self._position

    @property
    def rates(self) -> dict[str, float]:
        """The learning rate of each group at the present position, by group name; reads nothing from the device."""
        self._adopt()
        return dict(zip(group_names(self._optimizer), self._derive()["lr"], strict=True))

    def step(self, loss: Tensor | float | None = None, advance: float = 1) -> Step:
        """Clip, update, zero the gradients, advance the clock, write the next rate, tell the observers.

        Args:
            loss: this step's loss, a number or a tensor of one element, for the observers; may be missing. It is read
                back only at steps that an observer wants.
            advance: what this step consumes of the clock, > 0: 1 where the clock counts steps, the batch's samples
                or tokens where it counts these.

        Raises:
            TypeError, ValueError: loss is not one number; advance is not a finite number > 0.
        """
        if loss is not None:
            _check.one_number("loss", loss)
        if advance != 1:
            advance = _check.number("advance", advance, above=0)
        position = self._position
        wanted: set[str] = set()
        for observer in self._observers:
            wanted.update(observer.wants(self._steps))
        self._write()
        norm = None
        if self._plan.clip is not None:
            norm = clip_by_norm(parameters(self._optimizer), self._plan.clip).norm
        elif "gradient_norm" in wanted:
            norm = gradient_norm(parameters(self._optimizer))
        before = [p.detach().clone() for p in parameters(self._optimizer)] if "update_ratio" in wanted else []
        rates = self._derive()["lr"] if wanted else []
        self._optimizer.step()
        record = self._record(wanted, loss, rates, norm, before) if wanted else {}
        if self._zero:
            self._optimizer.zero_grad()
        self._position = position + advance
        self._steps += 1
        self._write()
        if wanted:
            for observer in self._observers:
                observer.on_step(record)
        return Step(True, position, norm, self._plan.clip)

    def observe(self, **values: float | Tensor) -> None:
        """Hand measured values, such as validation losses, to the observers. Tensors are read back.

        Args:
            values: by name, a number or a tensor of one element each.

        Raises:
            TypeError: a value is not one number.
        """
        for name, value in values.items():
            _check.one_number(name, value)
        numbers = {name: _read(value) for name, value in values.items()}
        for observer in self._observers:
            observer.on_observe(self._steps, numbers)

    def zero_grad(self) -> None:
        """Drop the gradients of all parameters of the optimizer."""
        self._optimizer.zero_grad()

    def preview(self, positions: ArrayLike | None = None) -> Preview:
        """The rates of every group at positions, without touching the optimizer.

        Args:
            positions: shape (n,), >= 0; every step of the run when left out, or a hundred thousand of them where there
                are more.

        Raises:
            ValueError: no positions are given and the run's length is not known, or a position is negative.

        Example:
            >>> import torch
            >>> from stepsize import Control, linear
            >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
            >>> Control(optimizer, lr=linear(), total=4).preview().rates["group0"]
            array([0.5  , 0.375, 0.25 , 0.125])
        """
        if positions is None:
            end = self._total or getattr(self._plan.lr, "length", None)
            if not isinstance(end, float):
                raise ValueError("positions are needed: the run's length is not known; give positions= or total=")
            positions = np.arange(end) if end <= MOST else np.floor(np.linspace(0, end, MOST, endpoint=False))
        at = np.asarray(positions, dtype=np.float64)
        self._adopt()
        rates = {}
        for index, name in enumerate(group_names(self._optimizer)):
            schedule = self._schedule("lr", index)
            rates[name] = (1.0 if schedule.is_absolute else self._bases["lr"][index]) * schedule(at)
        return Preview(at, rates)

    def state_dict(self) -> dict[str, Any]:
        """The whole state as small plain data, for ``torch.save`` and ``torch.load(weights_only=True)``."""
        self._adopt()
        return {
            "version": VERSION,
            "position": self._position,
            "steps": self._steps,
            "bases": {name: list(bases) for name, bases in self._bases.items()},
            "written": {name: list(values) for name, values in self._derive().items()},
            "plan": str(self._plan),
            "total": self._total,
            "per_epoch": self._per_epoch,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where the saved Control was, exactly; before or after the optimizer's own ``load_state_dict``.

        Args:
            state: from ``state_dict``.

        Raises:
            TypeError, ValueError: it is no such state, or it was saved with another plan, total or base. Nothing is
                changed then.
        """
        if not isinstance(state, Mapping):
            raise TypeError(_check.message("state", state, "a mapping from Control.state_dict()"))
        missing = {"version", "position", "steps", "bases", "written", "plan", "total", "per_epoch"} - set(state)
        if missing:
            raise ValueError(f"state is not from Control.state_dict(): it lacks {', '.join(sorted(missing))}")
        if state["version"] != VERSION:
            raise ValueError(_check.message("version of state", state["version"], f"{VERSION}", "update stepsize"))
        mine = {"total": self._total, "per_epoch": self._per_epoch, "plan": str(self._plan)}
        for name, value in mine.items():
            if state[name] != value:
                raise ValueError(
                    f"{name} was {state[name]!r} when the state was saved and is {value!r} now; a resumed run keeps "
                    f"its {name}: build Control with the saved one"
                )
        self._check_bases(state)
        position = _check.number("position of state", state["position"], least=0)
        steps = _check.whole("steps of state", state["steps"], least=0)
        self._position, self._steps = position, steps
        self._bases = {name: [float(base) for base in state["bases"][name]] for name in self._bases}
        self._derived_at = None
        self._write()

    def _check_bases(self, state: Mapping[str, Any]) -> None:
        self._adopt()
        names = group_names(self._optimizer)
        for hyperparameter, bases in self._bases.items():
            saved, written = (state[kind].get(hyperparameter, []) for kind in ("bases", "written"))
            if not len(saved) == len(written) == len(names):
                raise ValueError(
                    f"state has {len(saved)} parameter groups and the optimizer {len(names)}; build the optimizer with "
                    "the groups it was saved with"
                )
            # An optimizer loaded before Control was built carries what was last written: that is the same base.
            for name, base, old, last in zip(names, bases, saved, written, strict=True):
                _check.number(f"base of {name} in state", old, least=0)
                if base != old and not np.isclose(base, last, rtol=1e-6, atol=0):
                    what = "base rate" if hyperparameter == "lr" else f"base {hyperparameter}"
                    raise ValueError(
                        f"the {what} of {name} was {old!r} when the state was saved and is {base!r} now; build the "
                        f"optimizer with {hyperparameter}={old!r}"
                    )

    def _schedule(self, hyperparameter: str, group: int) -> Schedule:
        course = self._plan.courses[hyperparameter]
        if isinstance(course, Schedule):
            return course
        groups = len(self._optimizer.param_groups)
        if groups != len(course):
            raise ValueError(
                f"{hyperparameter} has {len(course)} schedules and the optimizer {groups} parameter groups; give one "
                "for each, or one for all"
            )
        return course[group]

    def _adopt(self) -> None:
        """Take over the bases of groups not seen before."""
        groups = self._optimizer.param_groups
        if len(self._bases["lr"]) == len(groups):
            return
        for hyperparameter, bases in self._bases.items():
            for index in range(len(bases), len(groups)):
                self._schedule(hyperparameter, index)
                value = read_value(groups[index], hyperparameter)
                bases.append(_check.number(f"{hyperparameter} of a parameter group", value, least=0))

    def _derive(self) -> Values:
        """The formula; it is pure, so that its values hold as long as position and groups are the same."""
        at = (self._position, len(self._bases["lr"]))
        if self._derived_at == at:
            return self._derived
        values: Values = {}
        for hyperparameter, bases in self._bases.items():
            course = self._plan.courses[hyperparameter]
            if isinstance(course, Schedule):
                factor = course(self._position)
                values[hyperparameter] = [factor] * len(bases) if course.is_absolute else [b * factor for b in bases]
            else:
                each = [(schedule, schedule(self._position)) for schedule in course]
                values[hyperparameter] = [
                    factor if schedule.is_absolute else base * factor
                    for base, (schedule, factor) in zip(bases, each, strict=True)
                ]
        self._derived_at, self._derived = at, values
        return values

    def _write(self) -> None:
        """The one place that writes."""
        self._adopt()
        for hyperparameter, values in self._derive().items():
            for group, value in zip(self._optimizer.param_groups, values, strict=True):
                write_value(group, hyperparameter, value)

    def _record(
        self,
        wanted: set[str],
        loss: Tensor | float | None,
        rates: list[float],
        norm: Tensor | None,
        before: list[Tensor],
    ) -> dict[str, float]:
        """What this step looked like, as plain numbers; the one place that reads back from the device."""
        record: dict[str, float] = {"step": self._steps}
        if "loss" in wanted and loss is not None:
            record["loss"] = _read(loss)
        if "rate" in wanted:
            record["rate"] = rates[0]
            if len(rates) > 1:
                record |= {f"rate/{name}": rate for name, rate in zip(group_names(self._optimizer), rates, strict=True)}
        if "gradient_norm" in wanted and norm is not None:
            record["gradient_norm"] = float(norm)
        if before:
            now = [p.detach() for p in parameters(self._optimizer)]
            update = torch.nn.utils.get_total_norm([new - old for new, old in zip(now, before, strict=True)])
            weight = torch.nn.utils.get_total_norm(before)
            record["update_ratio"] = float(update / weight)
        return record


def _read(value: Tensor | float) -> float:
    return float(value.item() if isinstance(value, Tensor) else value)


def _observers(watch: Observer | Iterable[Observer] | None) -> list[Observer]:
    if watch is None:
        return []
    observers = list(watch) if isinstance(watch, Iterable) else [watch]
    for observer in observers:
        if not isinstance(observer, Observer):
            rule = "an observer or several: objects with wants, on_step and on_observe"
            raise TypeError(_check.message("watch", observer, rule, 'write for example watch=TensorBoard("runs/a")'))
        unknown = set(observer.wants(0)) - SIGNALS
        if unknown:
            name = sorted(unknown)[0]
            raise ValueError(f"watch wants {name!r}, which is no signal; {_check.closest(name, SIGNALS)}")
    return observers
