"""The common part of Control and Scheduler: plan, clock, feedback, reminders, saving and resuming."""

import sys
import warnings
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from stepsize import _check
from stepsize.control._bus import Bus
from stepsize.control._driver import Driver
from stepsize.control._hooks import inner_optimizers, unhook
from stepsize.control._log import Log
from stepsize.control._plan import Plan
from stepsize.control._resume import Choice, Given, load, state_of
from stepsize.control._updates import caller, is_called_by
from stepsize.control.feedback import Steering
from stepsize.control.steering import Commands

LONG, LATE = 1_000, 0.6  # steps, and share of what is left of the run, in which feedback should have seen something
ENOUGH = 0.9  # of the total; stopping earlier warns


class ShortRunWarning(UserWarning):
    """A run has stopped well before its schedule's end."""


class Governor:
    """Keeps the groups at the plan's values, whatever happens in the loop around."""

    def __init__(
        self,
        optimizers: Mapping[str, Any],
        plan: Plan,
        total: float | None,
        per_epoch: float | None,
        foreign: str,
        bus: Bus | None = None,
        remind: bool = True,
        position: float | None = None,
        initial: bool = False,
    ) -> None:
        total = None if total is None else _check.number("total", total, above=0)
        per_epoch = None if per_epoch is None else _check.number("per_epoch", per_epoch, above=0)
        if not isinstance(remind, bool):
            raise TypeError(_check.message("remind", remind, "True or False"))
        _check_clip(plan, optimizers)
        self.given = Given(plan, total, per_epoch)
        self.log = Log(Bus() if bus is None else bus)
        begin = 0.0 if position is None else _check.number("position", position, least=0)
        self.driver = Driver(optimizers, self.given.laid(), foreign, self.log, begin, initial)
        if not self.driver.lines["lr"].members:
            for name in ("floor", "cap", "feedback"):
                if getattr(self.driver.plan, name) is not None:
                    raise ValueError(f"{name} is for the learning rate, and this optimizer has none; leave it out")
        self.driver.reminds = remind
        self.driver.set_total(total)
        feedback = self.driver.plan.feedback
        self.steering = None if feedback is None else Steering(feedback)
        self._reminds = remind
        self._began = _Began(self.driver.steps, begin, self.steering)
        self.commands: Commands | None = None
        handles = [
            inner.register_state_dict_post_hook(Marks(self.driver))
            for optimizer in optimizers.values()
            for inner in inner_optimizers(optimizer)
            if hasattr(inner, "_optimizer_state_dict_post_hooks")
        ]
        self._end_marks = weakref.finalize(self, unhook, handles)
        if remind:
            self._say_zero()
            weakref.finalize(self, _remind, self.driver, self._began, caller())

    def _say_zero(self) -> None:
        """Groups that will never move: noted in the log, and warned of if there are no others."""
        idle = self.driver.idle
        for name in idle:
            self.driver.say("idle", 0.0, name, "its base is 0, and so is its rate, whatever the schedule says")
        if idle and len(idle) == len(self.driver.lines["lr"].members):
            warnings.warn_explicit(
                "every learning rate has a base of 0, and stays 0 whatever the schedule says; build the optimizer with "
                "a rate, or give the rate itself by absolute(schedule)",
                UserWarning,
                *caller(),
            )

    def retreat(self, position: float) -> None:
        """Take an update back that turns out not to have happened."""
        self.driver.position = position
        self.driver.steps -= 1
        self.driver.write()

    def steer(
        self,
        values: Mapping[str, Any] | None,
        now: bool,
        position: float | None = None,
        device: torch.device | None = None,
    ) -> None:
        """Note what was observed, and let feedback decide if it is time to; every rank calls at the same times."""
        if self.steering is None:
            return
        if values is not None:
            self.steering.take(dict(values))
        elif self._reminds and self.steering.is_blind and self._is_late():
            self.say_blind()
        if not now:
            return
        for decision in self.steering.digest(self.driver.position if position is None else position, device):
            self.driver.say("feedback", decision.factor, reason=decision.reason)
        if self.steering.factor != self.driver.feedback:
            self.driver.feedback = self.steering.factor
            self.driver.refresh()

    def _is_late(self) -> bool:
        """Whether so much of the run has passed in this process that a measure should have come."""
        total, began = self.driver.total, self._began
        long = self.driver.steps - began.steps >= LONG
        return long and total is not None and self.driver.position - began.position >= LATE * (total - began.position)

    def say_blind(self) -> None:
        """Say, once, that feedback has been given nothing."""
        if self._reminds and self.steering is not None and self.steering.is_blind:
            self.steering.is_blind = False
            self.driver.say("idle", reason="feedback was given nothing to look at")
            warnings.warn_explicit(_blind(self.driver, self._began), UserWarning, *caller())

    def state_dict(self) -> dict[str, Any]:
        self.driver.check()
        state = state_of(self.driver, self.given, self.steering)
        steered = None if self.commands is None else self.commands.state()
        return state if not steered else {**state, "commands": steered}

    def load_state_dict(self, state: Mapping[str, Any], choice: Choice) -> None:
        feedback = self.given.laid().feedback if choice.plan == "new" else None
        load(state, self.driver, self.given, self.steering, choice)
        if feedback is not None:
            self.steering = Steering(feedback)
        self._load_commands(state.get("commands"))
        began = self._began
        began.steps, began.position, began.steering = self.driver.steps, self.driver.position, self.steering

    def _load_commands(self, state: Mapping[str, Any] | None) -> None:
        if self.commands is not None:
            self.commands.load(state)
        elif state is not None and state["waiting"]:
            count = len(state["waiting"])
            self.driver.say("steer", reason=f"{count} commands that wait in the state are left out: there is no steer=")

    def detach(self) -> None:
        if self.commands is not None:
            self.commands.close()
        self.driver.detach()
        self._end_marks()


def _check_clip(plan: Plan, optimizers: Mapping[str, Any]) -> None:
    """Raise where clipping would make the gradients of one step those of no function.

    LBFGS takes curvature from differences of gradients within a step, and each would be clipped by another factor.
    """
    leaves = [leaf for optimizer in optimizers.values() for leaf in inner_optimizers(optimizer)]
    if plan.clip is not None and any(isinstance(leaf, torch.optim.LBFGS) for leaf in leaves):
        rule = "left out with LBFGS, which measures curvature by differences of gradients"
        remedy = 'bound its steps by a smaller lr or line_search_fn="strong_wolfe"'
        raise ValueError(_check.message("clip", plan.clip, rule, remedy))


@dataclass
class _Began:
    """Where this process began, and the feedback that it has."""

    steps: int
    position: float
    steering: Steering | None


class Marks:
    """Puts the bases into each state dict that an optimizer makes, as a hook that keeps no driver alive.

    What ``torch.distributed`` asks for stays as it is: it reads checkpoints key by key, and refuses other keys.
    """

    def __init__(self, driver: Driver) -> None:
        self._driver = weakref.ref(driver)

    def __call__(self, optimizer: Any, saved: Any) -> None:
        driver = self._driver()
        if driver is not None and not is_called_by("torch.distributed"):
            driver.mark(optimizer, saved)


def _blind(driver: Driver, began: _Began) -> str:
    of = "" if began.steering is None else began.steering.feedback.of
    return (
        f"feedback looks at {of!r}, which it was not given in {driver.steps - began.steps} steps, so that it decides "
        f"nothing (shown once); call observe({of}=...), or scheduler.step(value), which Lightning does where the "
        'lr_scheduler has "reduce_on_plateau": True'
    )


def _remind(driver: Driver, began: _Began, place: tuple[str, int]) -> None:
    """At the end of a control's life, or of the program."""
    total, position = driver.total, driver.position
    trained = not driver.detached and driver.steps > began.steps
    broke = sys.exc_info()[0] is not None or hasattr(sys, "last_type")  # an error says by itself that it stopped
    stopped = any(event.what == "stop" and event.step >= driver.steps - 1 for event in driver.log.events)
    if total is not None and trained and not broke and not stopped and position < ENOUGH * total:
        warnings.warn_explicit(
            f"training stopped at {position:g} of {total:g} ({position / total:.0%}), so that its schedule never came "
            'to its end; give the true total, or call extend(total, how="cooldown") before the last part',
            ShortRunWarning,
            *place,
        )
    if trained and not broke and began.steering is not None and began.steering.is_blind:
        warnings.warn_explicit(_blind(driver, began), UserWarning, *place)
