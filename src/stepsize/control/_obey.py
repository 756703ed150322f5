"""Commands at work: what Control does for each, with the values before and after."""

import warnings
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from time import perf_counter
from typing import Any

from stepsize import _check
from stepsize.control import _changes
from stepsize.control._driver import Driver
from stepsize.control._given import clipping_at
from stepsize.control._governor import Governor
from stepsize.control._updates import caller
from stepsize.control.steering import DONE, REFUSED, VERBS, About, Answer, Begun, Command, Commands, Due

Sides = Mapping[str, float | None]


def commands_of(steer: Any) -> Commands:
    """Commands, from themselves or their folder."""
    return steer if isinstance(steer, Commands) else Commands(steer)


class Obeyed:
    """Lets a governor do the commands of a folder, each before the update that it was taken for.

    Args:
        governor: of the run.
        commands: from a folder.
        without: verbs that it cannot do.
    """

    def __init__(self, governor: Governor, commands: Commands, without: tuple[str, ...] = ()) -> None:
        own = [name for name, verb in VERBS.items() if not verb.by_loop and name not in without]
        self._without = without
        self.commands, self._driver = commands, governor.driver
        self._facts = _Facts(governor.driver, (*own, *commands.verbs))
        commands.begin()
        governor.commands = commands
        self._end = weakref.finalize(self, commands.close)  # a loop ends as it likes: it says nothing of it

    def over(self, governor: Governor) -> "Obeyed":
        """The same commands for a governor in the place of this one, whose state it will load."""
        self._end.detach()
        return Obeyed(governor, self.commands, self._without)

    def is_idle(self) -> bool:
        """Whether nothing is to be done before this update, which is so for nearly all; this has to be quick."""
        commands = self.commands
        return self._driver.steps < commands.wake_step and perf_counter() < commands.wake_time

    def __call__(self) -> None:
        """Just before an update."""
        driver = self._driver
        if self._facts.begun is None:
            self._begin()
        due = self.commands.due(driver.steps, self._facts)
        if self.commands.complaints:
            self._complain()
        if due:
            driver.check()
            answers = [self._done(command) for command in due]
            self.commands.answer([answer for answer, command in zip(answers, due, strict=True) if not command.answered])
        if due or self.commands.is_old:
            self.commands.write()

    def _begin(self) -> None:
        """At the first step in this process: the run as it began, by its own word where it goes on."""
        before = self.commands.first(self._facts)
        self._facts.begun = self._facts.now() if before is None else before.begun
        self.commands.write()

    def _done(self, due: Due) -> Answer:
        driver, command = self._driver, due.command
        about = partial(Answer, due.line, step=driver.steps, position=driver.position, id=command.id)
        sides: Callable[[], Sides] = partial(_sides, self._driver, command)
        try:
            before = sides()
            self._do(command, answered=bool(due.answered))
            return about(DONE, before=before, after=sides())
        except (TypeError, ValueError) as error:
            return about(REFUSED, reason=_check.in_one_line(error, None))

    def _do(self, command: Command, answered: bool) -> None:
        driver = self._driver
        reason = f"command {command.id}" + (f": {command.reason}" if command.reason else "")
        value = command.value or 0.0
        if VERBS[command.verb].by_loop:
            driver.say(command.verb, reason=reason)
            if not (answered and command.verb == "stop"):  # which was done: the run goes on from there
                self.commands.asked[command.verb] = None
        elif command.verb == "scale":
            _changes.scale(driver, value, command.group, command.of, reason)
        elif command.verb in ("set", "release"):
            _changes.hold(driver, command.value, command.group, command.of, reason)
        elif command.verb == "rebase":
            _changes.rebase(driver, value, command.group, command.of, reason)
        elif command.verb == "clip":
            _changes.clip(driver, value, reason)
        elif command.verb == "cooldown":
            self._facts().check_end(driver.position + value)
            _changes.extend(driver, driver.position + value, "cooldown", reason)
        else:
            if driver.total is None:
                raise ValueError("extend needs a run with a total, and this one has none")
            _changes.extend(driver, driver.total + value, command.how or "stretch", reason)

    def _complain(self) -> None:
        """Each is said once; a program that makes warnings errors goes on training all the same."""
        while self.commands.complaints:
            what = self.commands.complaints.pop(0)
            self._driver.say("steer", reason=what)
            with suppress(UserWarning):
                warnings.warn_explicit(what, UserWarning, *caller())


class _Facts:
    """Tells what of a run can be steered, also when nothing else is left of it."""

    def __init__(self, driver: Driver, verbs: tuple[str, ...]) -> None:
        self.begun: Begun | None = None
        self._driver, self._verbs = driver, verbs

    def __call__(self) -> About:
        driver = self._driver
        lines = driver.lines.items()
        return About(
            step=driver.steps,
            position=driver.position,
            total=driver.total,
            verbs=self._verbs,
            rates={name: _values(driver.names, line) for name, line in lines},
            absolute={
                name: [
                    driver.names[m]
                    for m, schedule in zip(line.members, line.schedules, strict=True)
                    if schedule.is_absolute
                ]
                for name, line in lines
            },
            clip=clipping_at(driver.plan.clip, driver.position)[0],
            begun=self.begun or self.now(),
        )

    def now(self) -> Begun:
        """The run, if it begins now."""
        driver = self._driver
        bases = {
            name: {driver.names[member]: share.base for member, share in zip(line.members, line.shares, strict=True)}
            for name, line in driver.lines.items()
        }
        return Begun(driver.position, driver.total, str(driver.plan), bases, list(driver.names))


def _values(names: list[str], line: Any) -> dict[str, float]:
    return {names[member]: value for member, value in zip(line.members, line.values, strict=True)}


def _sides(driver: Driver, command: Command) -> Sides:
    """The values that a command concerns, by name."""
    if command.verb in ("extend", "cooldown"):
        return {"total": driver.total}
    if command.verb == "clip":
        return {"clip": clipping_at(driver.plan.clip, driver.position)[0]}
    if VERBS[command.verb].by_loop:
        return {}
    line = driver.lines.get(command.of)
    places = [index for index, _ in driver.shares(command.of, command.group)]
    return {} if line is None else {driver.names[line.members[index]]: line.values[index] for index in places}
