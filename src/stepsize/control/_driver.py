"""Keeps the groups of optimizers where the plan says: takes them over, knows them again, answers foreign writes."""

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from torch.optim import Optimizer

from stepsize import _check
from stepsize.control import _bases
from stepsize.control._bus import Bus
from stepsize.control._cells import cells
from stepsize.control._course import Course, check_names, matching, schedules_for
from stepsize.control._hooks import inner_optimizers
from stepsize.control._line import Line, Share
from stepsize.control._log import Event, Log
from stepsize.control._plan import Plan
from stepsize.control._roster import Roster
from stepsize.control._updates import caller
from stepsize.optim import read_value
from stepsize.schedule import Schedule, constant

FOREIGN = ("warn", "raise", "adopt")


class Driver:
    """Keeps the groups of one or several optimizers where the plan says; knows nothing of losses and updates.

    What ``Control`` and ``Scheduler`` are built on: ``write`` derives the values of the present position and writes
    them, ``advance`` moves the clock and writes what comes next.

    Args:
        optimizers: by name; one alone has the name "".
        plan: laid over the run, so that all its lengths are numbers.
        foreign: what to do about values that something else has written, as for ``Control``.
        log: for events; one that nobody reads when left out.
        position: where the clock begins, >= 0.
        initial: whether a group's ``initial_lr`` is its base, as in torch's schedulers.

    Raises:
        TypeError, ValueError: the plan does not fit the groups, foreign is none of its words, or an optimizer is under
            control already.

    Example:
        >>> import torch
        >>> from stepsize import Plan
        >>> from stepsize.control import Driver
        >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
        >>> driver = Driver({"": optimizer}, Plan("linear(4)"))
        >>> driver.advance(1.0)
        >>> optimizer.param_groups[0]["lr"]
        0.375
    """

    detached: bool  # whether it drives no longer

    def __init__(
        self,
        optimizers: Mapping[str, Optimizer],
        plan: Plan,
        foreign: str = "warn",
        log: Log | None = None,
        position: float = 0.0,
        initial: bool = False,
    ) -> None:
        _bases.check_free(optimizers.values())
        if foreign not in FOREIGN:
            raise ValueError(_check.message("foreign", foreign, f"one of {', '.join(map(repr, FOREIGN))}"))
        self.optimizers = dict(optimizers)
        self.detached = False
        self.plan, self.foreign, self.log = plan, foreign, Log(Bus()) if log is None else log
        self.position, self.steps, self.skipped = position, int(position), 0
        self.total: float | None = None
        self.reminds = False  # whether to warn of training past the total
        self.end = math.inf  # from where on a step is past the total, and this has not been said
        self.feedback = self.guarded = 1.0  # the factors of those that look at the loss: feedback's, and the guard's
        self.settling = False  # a state has just been loaded: what the optimizer's own brings is no foreign write
        self._initial = initial
        self._loaded = False
        self._warned: set[str] = set()
        self.roster = Roster(self.optimizers)
        self.lines: dict[str, Line] = {}
        for optimizer in self.optimizers.values():
            _bases.put_back(optimizer, plan.courses)
        self.adopt()
        self.write()

    @property
    def names(self) -> list[str]:
        """Of all parameter groups."""
        return self.roster.names

    def groups(self) -> dict[str, Any]:
        """All parameter groups by name."""
        return dict(zip(self.names, self.roster.groups, strict=True))

    def adopt(self) -> None:
        """Take over the groups as they are: known ones keep what they had, new ones bring their bases."""
        first = not self.roster.groups
        before = self.roster.renew()
        if first:
            for name, course in (*self.plan.courses.items(), *self.plan.bounds.items()):
                check_names(name, course, self.names)
            self._check_stated()
        self.lines = {name: self._line(name, course, before) for name, course in self.plan.courses.items()}
        self._lines = list(self.lines.values())
        # where every group's rate is looked at in the optimizer's own list, a group that is another is noticed there
        self._knows_all = len(self.optimizers) == 1 and len(self.lines["lr"].members) == len(self.names)
        members = self.lines["lr"].members
        with_rate = [index for index, group in enumerate(self.roster.groups) if _has(group, "lr")]
        self.leaves_alone = sorted(set(with_rate) - set(members))
        self.rated = [self.names[index] for index in sorted({*members, *self.leaves_alone})]
        self._loaded = _bases.clear_marks(self.roster.groups) and not first
        _bases.hold(self, self.roster.groups, self.lines)

    def _check_stated(self) -> None:
        """Raise where the script says one base and a loaded state another."""
        for optimizer in self.optimizers.values():
            for hyperparameter in self.plan.courses:
                bases = _bases.loaded_bases(optimizer, hyperparameter)
                if bases:
                    _bases.check_stated(optimizer, hyperparameter, bases)

    def _line(self, hyperparameter: str, course: Course, before: Sequence[int | None]) -> Line:
        groups, names, places = self.roster.groups, self.names, self.roster.places
        every = schedules_for(hyperparameter, course, names, places)
        driven = hyperparameter == "lr"
        members = [index for index, schedule in enumerate(every) if _drives(schedule, groups[index], hyperparameter)]
        schedules: list[Any] = [every[index] for index in members]
        old = self.lines.get(hyperparameter)
        there = {} if old is None else {member: index for index, member in enumerate(old.members)}
        origins = [there.get(before[index]) if before[index] is not None else None for index in members]  # type: ignore[arg-type]
        known: dict[int, float] = {}
        for optimizer in self.optimizers.values() if None in origins else ():
            known |= _bases.earlier(optimizer, hyperparameter)
        shares, values = [], []
        for index, schedule, origin in zip(members, schedules, origins, strict=True):
            if old is not None and origin is not None:
                shares.append(old.shares[origin])
                values.append(old.values[origin])
                continue
            group = groups[index]
            base = _bases.base_of(hyperparameter, group, names[index], schedule, known, self._initial)
            shares.append(Share(base, base))
            values.append(read_value(group, hyperparameter))
        alone = len(members) == len(groups) and len(self.optimizers) == 1
        own = next(iter(self.optimizers.values())).param_groups if alone else [groups[index] for index in members]
        new = cells(own, hyperparameter)
        new.expect(values)
        sides = [
            None if bound is None or not driven else schedules_for("floor or cap", bound, names, places)
            for bound in (self.plan.floor, self.plan.cap)
        ]
        bounds = [[None if side is None else side[index] for side in sides] for index in members]
        for later, first in new.shared:
            if schedules[later] is not schedules[first] or bounds[later] != bounds[first]:
                raise ValueError(
                    f"{names[members[first]]} and {names[members[later]]} share one tensor as {hyperparameter}, and "
                    "their schedules differ; give each group a tensor of its own"
                )
        return Line(hyperparameter, members, shares, schedules, bounds, new, values, self.seen if driven else 1.0)

    @property
    def rates(self) -> dict[str, float]:
        """The learning rate of each group that has one, by name."""
        return dict(zip(self.rated, self.rates_now(), strict=True))

    def rates_now(self) -> list[float]:
        """The rates of the groups that are named in ``rated``; reads back only tensor rates that are left alone."""
        line = self.lines["lr"]
        if not self.leaves_alone:
            return line.values
        driven = dict(zip(line.members, line.values, strict=True))
        others = {index: read_value(self.roster.groups[index]) for index in self.leaves_alone}
        return [value for _, value in sorted((driven | others).items())]

    def driven(self) -> dict[str, dict[str, float]]:
        """What is driven beside the rate: its value now by hyperparameter and group."""
        return {
            line.name: {self.names[member]: value for member, value in zip(line.members, line.values, strict=True)}
            for line in self._lines
            if line.name != "lr"
        }

    @property
    def idle(self) -> list[str]:
        """Groups whose learning rate stays 0, since their base is 0."""
        line = self.lines["lr"]
        return [self.names[member] for index, member in enumerate(line.members) if line.stays_zero(index)]

    def is_touched(self) -> bool:
        """Whether something else has written a driven value, or made groups anew."""
        return self.roster.is_changed() or not all(line.cells.untouched() for line in self._lines)

    def mark(self, optimizer: Optimizer, saved: Mapping[str, Any]) -> None:
        """Put the bases into an optimizer's state dict."""
        for owner, places in self.roster.ranges():
            if optimizer in inner_optimizers(owner):
                _bases.mark(saved, places, self._lines)

    def check(self) -> None:
        """Before an update: take over new groups, and deal with what something else has written."""
        if self.detached:
            return
        changed = self.roster.is_changed(self._knows_all)
        if not changed:
            for line in self._lines:
                if not line.cells.untouched():
                    break
            else:
                self.settling = False
                return
        if changed or self.roster.is_changed():
            self.adopt()
        for line in self.lines.values():
            self._resolve(line)
        self.write()
        self.settling = self._loaded = False

    def write(self) -> None:
        """Derive everything at the present position and write it."""
        self.refuse_detached()
        position = self.position
        for line in self._lines:
            line.write(position)

    def advance(self, amount: float) -> None:
        """After an update: move the clock and write the values of the next one."""
        self.refuse_detached()
        if self.position >= self.end:
            self._say_past()
        self.position = position = self.position + amount
        self.steps += 1
        for line in self._lines:
            line.write(position)

    def set_total(self, total: float | None) -> None:
        """Another length of the run, which is passed once more.

        Args:
            total: on its clock, > 0; None where it has none.
        """
        self.total = total
        self.end = total * (1 - 1e-9) if total is not None and self.reminds else math.inf

    def _say_past(self) -> None:
        self.end = math.inf
        _warn(
            f"training goes on past its total of {self.total:g}, and the schedule holds its end (shown once); give the "
            'true total, or call extend(total, how="keep", "stretch" or "cooldown")'
        )

    def refresh(self) -> None:
        """Multiply anew and write, after something other than the position has changed."""
        for line in self.lines.values():
            line.feedback = self.seen if line.name == "lr" else 1.0
            line.refresh()
        self.write()

    @property
    def seen(self) -> float:
        """What the loss has made of the rate: feedback's factor times the guard's."""
        return self.feedback * self.guarded

    def put_back(self, guarded: float, feedback: float) -> None:
        """Groups were put back to what they were: write what is planned now, with these factors.

        Args:
            guarded: the guard's.
            feedback: feedback's.
        """
        self.adopt()
        self.guarded, self.feedback = guarded, feedback
        self.refresh()
        self.settling = self._loaded = False

    def shares(self, hyperparameter: str, group: str) -> list[tuple[int, Share]]:
        """What the groups that a pattern fits have of their own."""
        self.check()
        if hyperparameter not in self.lines:
            raise ValueError(f"of={hyperparameter!r} is not driven; {_check.closest(hyperparameter, self.lines)}")
        found = matching(group, self.names) if isinstance(group, str) else []
        if not found:
            raise ValueError(f"there is no parameter group {group!r}; {_check.closest(str(group), self.names)}")
        line = self.lines[hyperparameter]
        wanted = set(found)
        driven = [(index, line.shares[index]) for index, member in enumerate(line.members) if member in wanted]
        if not driven:
            raise ValueError(f"the plan leaves {hyperparameter} of the parameter group {group!r} alone")
        return driven

    def say(
        self,
        what: str,
        value: float | None = None,
        group: str = "*",
        reason: str = "",
        change: tuple[float | None, float | None] = (None, None),
    ) -> None:
        """Log an event, of a change with the value before and after it."""
        self.log.add(Event(self.steps, self.position, what, value, group, reason, *change))

    def detach(self) -> None:
        """Put the bases back and drive no longer; a second time changes nothing, since another may drive by then."""
        if self.detached:
            return
        self.check()
        for line in self.lines.values():
            line.cells.write([share.base for share in line.shares])
        self.detached = True
        _bases.let_go(self.optimizers.values())

    def refuse_detached(self) -> None:
        """Raise RuntimeError where it drives no longer."""
        if self.detached:
            raise RuntimeError(
                "this control (or scheduler) was detached and drives nothing any more; build a new one over the "
                "optimizer, and load this one's state_dict() into it to go on where it was"
            )

    def _resolve(self, line: Line) -> None:
        """Answer foreign writes to one hyperparameter as ``foreign`` says."""
        brought = self._loaded and self.foreign != "warn"  # by an optimizer's state, which nobody meant as a change
        if self.settling or brought or line.cells.untouched():
            return
        for index, (member, share, plan) in enumerate(zip(line.members, line.shares, line.values, strict=True)):
            name = self.names[member]
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
                _warn(
                    f"{problem}, which is kept (shown once); take it out, use scale, set or rebase of the control, or "
                    'build it with foreign="adopt"'
                )
        line.refresh()


def _warn(text: str) -> None:
    warnings.warn_explicit(text, UserWarning, *caller())


def _drives(schedule: Schedule | None, group: Mapping[str, Any], hyperparameter: str) -> bool:
    """Whether there is something to be driven: an optimizer without a rate is left alone where none is asked for."""
    if schedule is None:
        return False
    nothing = isinstance(schedule, constant) and schedule.value == 1
    return _has(group, hyperparameter) or hyperparameter != "lr" or not nothing


def _has(group: Mapping[str, Any], hyperparameter: str) -> bool:
    return group.get(hyperparameter) is not None
