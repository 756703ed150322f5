"""The formula at work: from the position to the values in the groups.

    value = clip(base * schedule(position) * feedback * manual, floor, cap)

Everything that is not the position changes seldom, and is multiplied once when it does.
"""

import math
import warnings
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.optim import Optimizer

from stepsize import _check
from stepsize.control._cells import Cells, cells
from stepsize.control._course import Course, check_names, matching, schedule_for
from stepsize.control._log import Event, Log
from stepsize.control._plan import Plan
from stepsize.optim import group_names, read_value
from stepsize.schedule import Schedule

FOREIGN = ("warn", "raise", "adopt")
_DRIVEN: weakref.WeakKeyDictionary[Optimizer, "weakref.ref[Driver]"] = weakref.WeakKeyDictionary()


@dataclass
class Share:
    """What one group has of its own for one hyperparameter."""

    base: float
    taken: float  # the base as it was taken over, before any rebase
    manual: float = 1.0
    held: float | None = None


@dataclass
class Line:
    """One driven hyperparameter: what each group has of its own, and what is derived from it."""

    name: str
    shares: list[Share]
    schedules: list[Schedule]
    bounds: list[list[Schedule | None]]  # floor and cap of each group
    cells: Cells
    values: list[float]  # what was written last, or is there
    feedback: float = 1.0

    def __post_init__(self) -> None:
        self.distinct = list({id(schedule): schedule for schedule in self.schedules}.values())
        places = {id(schedule): place for place, schedule in enumerate(self.distinct)}
        self.which = [places[id(schedule)] for schedule in self.schedules]
        self.at = [schedule.compiled() for schedule in self.distinct]
        self.bounded = any(bound != [None, None] for bound in self.bounds)
        self.refresh()

    def refresh(self) -> None:
        """Multiply anew what does not depend on the position."""
        self.effective = [
            (1.0 if schedule.is_absolute else share.base) * share.manual * self.feedback
            for share, schedule in zip(self.shares, self.schedules, strict=True)
        ]
        self.special = self.bounded or any(share.held is not None for share in self.shares)

    def derive(self, position: float) -> list[float]:
        """The value of each group."""
        at = self.at
        if len(at) == 1:
            factor = at[0](position)
            values = [effective * factor for effective in self.effective]
        else:
            factors = [each(position) for each in at]
            values = [effective * factors[place] for effective, place in zip(self.effective, self.which, strict=True)]
        return [self._special(index, value, position) for index, value in enumerate(values)] if self.special else values

    def write(self, position: float) -> None:
        """Derive and write: the one place that writes."""
        self.values = values = self.derive(position)
        self.cells.write(values)

    def curve(self, index: int, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """The values of one group at many positions, as things stand now."""
        share, (floor, cap) = self.shares[index], self.bounds[index]
        if share.held is not None:
            return np.full_like(positions, share.held)
        values = self.effective[index] * self.schedules[index](positions)
        if self._stays_zero(index):
            return values
        low = -np.inf if floor is None else floor(positions)
        return np.minimum(np.maximum(values, low), np.inf if cap is None else cap(positions))

    def _special(self, index: int, value: float, position: float) -> float:
        share, (floor, cap) = self.shares[index], self.bounds[index]
        if share.held is not None:
            return share.held
        if self._stays_zero(index):
            return value
        if floor is not None:
            value = max(value, floor(position))
        return value if cap is None else min(value, cap(position))

    def _stays_zero(self, index: int) -> bool:
        return self.shares[index].base == 0 and not self.schedules[index].is_absolute


class Driver:
    """Keeps the groups of one or several optimizers where the plan says; knows nothing of losses and updates."""

    detached: bool  # whether it drives no longer

    def __init__(self, optimizers: Mapping[str, Optimizer], plan: Plan, foreign: str, log: Log) -> None:
        for optimizer in optimizers.values():
            other = _DRIVEN.get(optimizer, lambda: None)()
            if other is not None and not other.detached:
                raise ValueError(
                    "optimizer is under control already, and one rate has one driver; call detach() of the first, "
                    "which puts the bases back, or make a new optimizer"
                )
        if foreign not in FOREIGN:
            raise ValueError(_check.message("foreign", foreign, f"one of {', '.join(map(repr, FOREIGN))}"))
        self.optimizers = dict(optimizers)
        self.detached = False
        self.plan, self.foreign, self.log = plan, foreign, log
        self.position, self.steps, self.skipped = 0.0, 0, 0
        self.total: float | None = None
        self.end = math.inf  # from where on a step is past the total, and this has not been said
        self.feedback = 1.0
        self.settling = False  # a state has just been loaded: what the optimizer's own brings is no foreign write
        self._warned: set[str] = set()
        self._keys: list[tuple[str, int]] = []
        self.lines: dict[str, Line] = {}
        self.adopt()
        self.write()
        for optimizer in optimizers.values():
            _DRIVEN[optimizer] = weakref.ref(self)

    def adopt(self) -> None:
        """Take over the groups as they are: known ones keep what they had, new ones bring their bases."""
        groups = [group for optimizer in self.optimizers.values() for group in optimizer.param_groups]
        keys = [(name, i) for name, optimizer in self.optimizers.items() for i in range(len(optimizer.param_groups))]
        names = self._names()
        for name, course in (*self.plan.courses.items(), *self.plan.bounds.items()):
            if not self._keys:
                check_names(name, course, names)
        lines = {
            hyperparameter: self._line(hyperparameter, course, dict(zip(keys, groups, strict=True)), names)
            for hyperparameter, course in self.plan.courses.items()
        }
        self.lines, self._keys, self.names = lines, keys, names
        self._lines = list(lines.values())
        self._layout = [(o, o.param_groups, len(o.param_groups)) for o in self.optimizers.values()]

    def _line(self, hyperparameter: str, course: Course, groups: dict[tuple[str, int], Any], names: list[str]) -> Line:
        before = self.lines.get(hyperparameter)
        known = {} if before is None else dict(zip(self._keys, before.shares, strict=True))
        wrote = {} if before is None else dict(zip(self._keys, before.values, strict=True))
        schedules = [schedule_for(hyperparameter, course, index, names) for index in range(len(names))]
        facts = zip(groups.items(), schedules, names, strict=True)
        shares = [
            known.get(key) or _new_share(hyperparameter, group, schedule, name)
            for (key, group), schedule, name in facts
        ]
        mine = cells(list(groups.values()), hyperparameter)
        values = [wrote.get(key, read_value(group, hyperparameter)) for key, group in groups.items()]
        mine.expect(values)
        driven = hyperparameter == "lr"
        sides = [self.plan.floor, self.plan.cap] if driven else [None, None]
        bounds = [
            [None if bound is None else schedule_for("floor or cap", bound, index, names) for bound in sides]
            for index in range(len(names))
        ]
        for later, first in mine.shared:
            if schedules[later] is not schedules[first] or bounds[later] != bounds[first]:
                raise ValueError(
                    f"{names[first]} and {names[later]} share one tensor as {hyperparameter}, and their schedules "
                    "differ; give each group a tensor of its own"
                )
        return Line(hyperparameter, shares, schedules, bounds, mine, values, self.feedback if driven else 1.0)

    def _names(self) -> list[str]:
        several = len(self.optimizers) > 1
        return [
            f"{name}/{group}" if several else group
            for name, optimizer in self.optimizers.items()
            for group in group_names(optimizer)
        ]

    def check(self) -> None:
        """Before an update: take over new groups, and deal with what something else has written."""
        for optimizer, groups, count in self._layout:
            if optimizer.param_groups is not groups or len(groups) != count:
                self.adopt()
                break
        else:
            for line in self._lines:
                if not line.cells.untouched():
                    break
            else:
                self.settling = False
                return
        for line in self.lines.values():
            self._resolve(line)
        self.write()
        self.settling = False

    def write(self) -> None:
        """Derive everything at the present position and write it."""
        position = self.position
        for line in self._lines:
            line.write(position)

    def advance(self, amount: float) -> None:
        """After an update: move the clock and write the values of the next one."""
        if self.position >= self.end:
            self._say_past()
        self.position = position = self.position + amount
        self.steps += 1
        for line in self._lines:
            line.write(position)

    def _say_past(self) -> None:
        self.end = math.inf
        warnings.warn(
            f"training goes on past its total of {self.total:g}, and the schedule holds its end (said once); give the "
            'true total, or call extend(total, how="keep", "stretch" or "cooldown")',
            stacklevel=5,
        )

    def refresh(self) -> None:
        """Multiply anew and write, after something other than the position has changed."""
        for line in self.lines.values():
            line.feedback = self.feedback if line.name == "lr" else 1.0
            line.refresh()
        self.write()

    def shares(self, hyperparameter: str, group: str) -> list[tuple[int, Share]]:
        """What the groups that a pattern fits have of their own."""
        self.check()
        if hyperparameter not in self.lines:
            raise ValueError(f"of={hyperparameter!r} is not driven; {_check.closest(hyperparameter, self.lines)}")
        found = matching(group, self.names) if isinstance(group, str) else []
        if not found:
            raise ValueError(f"there is no parameter group {group!r}; {_check.closest(str(group), self.names)}")
        return [(index, self.lines[hyperparameter].shares[index]) for index in found]

    def say(self, what: str, value: float | None = None, group: str = "*", reason: str = "") -> None:
        """Log an event."""
        self.log.add(Event(self.steps, self.position, what, value, group, reason))

    def detach(self) -> None:
        """Put the bases back and drive no longer."""
        self.check()
        for line in self.lines.values():
            line.cells.write([share.base for share in line.shares])
        self.detached = True

    def _resolve(self, line: Line) -> None:
        """Answer foreign writes to one hyperparameter as ``foreign`` says."""
        if self.settling or line.cells.untouched():
            return
        for index, (name, share, plan) in enumerate(zip(self.names, line.shares, line.values, strict=False)):
            found = line.cells.foreign(index)
            if found is None:
                continue
            problem = f"something else has set {line.name} of {name} to {found:.6g}, and the plan says {plan:.6g}"
            if self.foreign == "raise":
                raise RuntimeError(f"{problem}; take it out, or use scale, set or rebase of the control")
            if self.foreign == "adopt":
                _check.number(f"{line.name} of {name}", found, least=0)
                if plan > 0 and share.held is None:
                    share.manual *= found / plan
                else:
                    share.held = found
                self.say("foreign", found, name, f"adopted instead of {plan:.6g}")
            elif line.name not in self._warned:
                self._warned.add(line.name)
                self.say("foreign", found, name, f"overwritten with {plan:.6g}")
                warnings.warn(
                    f"{problem}, which is kept (said once); take it out, use scale, set or rebase of the control, or "
                    'build it with foreign="adopt"',
                    stacklevel=5,
                )
        line.refresh()


def _new_share(hyperparameter: str, group: Mapping[str, Any], schedule: Schedule, name: str) -> Share:
    value = _check.number(f"{hyperparameter} of {name}", read_value(group, hyperparameter), least=0)
    if hyperparameter == "lr" and "initial_lr" in group and not schedule.is_absolute:
        initial = float(group["initial_lr"])
        if initial != value:
            raise ValueError(
                f"{name} has lr {value:g} and an initial_lr of {initial:g}, left by another scheduler, so that its "
                "base is not clear; set lr to the base you want and delete initial_lr from the group"
            )
    return Share(value, value)
