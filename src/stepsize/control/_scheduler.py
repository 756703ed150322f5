"""The same formula behind torch's LRScheduler protocol, for loops and trainers that step a scheduler."""

import warnings
from collections.abc import Mapping
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from stepsize import _check
from stepsize.control._course import BoundLike, CourseLike
from stepsize.control._governed import Governed
from stepsize.control._governor import Governor
from stepsize.control._hooks import accumulates, moves_nothing, unhook
from stepsize.control._plan import Plan
from stepsize.control._resume import Choice
from stepsize.control._updates import Updates
from stepsize.control.feedback import Feedback, Steering
from stepsize.state import processes

IDLE = 10  # calls of step in a row without a first update, for each process: no warm-up of a gradient scaler
MANY = 1_000  # the same once there were updates: more than accumulate gradients
SPARSE = 5  # calls of step after several updates, as once an epoch, by which feedback should have seen something


class Scheduler(Governed, LRScheduler):
    """A schedule as a torch ``LRScheduler``: for Lightning, Transformers, Accelerate, or any loop that steps one.

    Formula:
        as for ``Control``, with the optimizer's real updates as the clock

    The clock counts updates of the optimizer, not calls of ``step``, and each update is given its own rate just before
    it happens: a step that a gradient scaler left out, a step called by each of several processes, once an epoch, or
    never, cannot make the rate wrong. Updates are heard inside what wraps an optimizer too (SAM, Lookahead, ZeRO,
    Accelerate); steps of a range test, and the empty step by which ``torch.distributed.checkpoint`` fills an
    optimizer's state, are none. Calls of ``step`` without any update are noted in ``log``, and warned of when they go
    on. Every call of ``step`` writes the rates of the position that the optimizer has reached.

    ``steer_by(FOLDER)`` lets the run be steered from a folder, as ``Control(steer=FOLDER)`` does; copies are not.

    Copies and pickles, alone or together with the optimizer, go on by themselves from where the original was.

    Args:
        optimizer: any torch optimizer, or what wraps one; its groups' ``"lr"`` (or ``"initial_lr"``, where a scheduler
            has left one) are the bases.
        lr: a schedule or its text, a list with one for each group, or a mapping from the groups' names; or a plan, as
            ``from_torch`` may give, which the other arguments complete.
        total: the run's updates, > 0; needed by schedules with an open or relative length.
        momentum: the same for the momentum (beta1 for Adam's kin).
        weight_decay: the same for the weight decay.
        feedback: what looks at a measure, such as ``plateau(of="validation_loss")``; hand it over by ``step(value)`` or
            ``observe``.
        floor: the smallest learning rate.
        cap: the largest learning rate.
        per_epoch: updates in an epoch, > 0; needed by lengths such as ``"3ep"``.
        foreign: when something else writes a driven value: ``"warn"``, ``"raise"`` or ``"adopt"``.
        position: updates done before, >= 0, for a run that was begun without stepsize; 0 when left out.
        remind: whether to warn, once, of training past the total or stopping below 90 % of it, and of feedback that is
            given nothing.
        last_epoch: -1, which trainers such as skorch hand to every scheduler of torch.
        others: any other number in the groups, such as ``beta2`` or ``eps``, as for lr.

    Raises:
        TypeError, ValueError: an argument is invalid, or the optimizer is under control already.

    Example:
        >>> import torch
        >>> from stepsize import Scheduler
        >>> weight = torch.ones(1, requires_grad=True)
        >>> optimizer = torch.optim.SGD([weight], lr=0.5)
        >>> scheduler = Scheduler(optimizer, "linear()", total=4)
        >>> for _ in range(2):
        ...     weight.square().sum().backward()
        ...     optimizer.step()
        ...     scheduler.step()
        >>> scheduler.get_last_lr(), scheduler.last_epoch
        ([0.25], 2)

    Source: the protocol of ``torch/optim/lr_scheduler.py``.
    """

    _cannot = ("clip",)

    def __init__(
        self,
        optimizer: Optimizer,
        lr: CourseLike | Plan,
        total: float | None = None,
        *,
        momentum: CourseLike | None = None,
        weight_decay: CourseLike | None = None,
        feedback: Feedback | str | None = None,
        floor: BoundLike | None = None,
        cap: BoundLike | None = None,
        per_epoch: float | None = None,
        foreign: str = "warn",
        position: float | None = None,
        remind: bool = True,
        last_epoch: int = -1,
        **others: CourseLike,
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(_check.message("optimizer", optimizer, "a torch.optim.Optimizer"))
        if last_epoch != -1 and position is None:
            remedy = "give the updates done before, as position="
            raise ValueError(_check.message("last_epoch", last_epoch, "-1, where a run begins", remedy))
        more: Any = others
        plan = Plan(lr, momentum=momentum, weight_decay=weight_decay, feedback=feedback, floor=floor, cap=cap, **more)
        if plan.guard is not None:
            rule = "left out: a scheduler does no updates that it could go back from"
            raise ValueError(_check.message("guard", str(plan.guard), rule, "use it with Control"))
        self._arguments: dict[str, Any] = {
            "plan": plan,
            "total": total,
            "per_epoch": per_epoch,
            "foreign": foreign,
            "remind": remind,
        }
        self._take(optimizer, position)

    def _take(self, optimizer: Optimizer, position: float | None = None) -> None:
        """Take an optimizer over, as one just built."""
        self._governor = Governor({"": optimizer}, **self._arguments, position=position, initial=True)
        self._driver = self._governor.driver
        if self._obey is not None:
            self._obey = self._obey.over(self._governor)
        bases = self._bases()
        for name, group in zip(self._driver.names, optimizer.param_groups, strict=True):
            if name in bases:
                group["initial_lr"] = bases[name]
        self._optimizer = optimizer
        self._updates = Updates(optimizer, self._before, self._after)
        self._step_count = 1  # torch's count of calls, which trainers look at
        self._since = 0  # updates since step was called
        self._seldom = False  # whether step is called less than once an update, so that nobody else writes what comes
        self._calls = [0, 0]  # calls of step without an update in a row; with several, while feedback saw nothing
        self._idle_said, self._begun = False, self._driver.steps
        self._told = False  # whether the log has it that there were calls without an update

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer, or what wraps it; another one with as many groups may take its place, as after a copy."""
        return self._optimizer

    @optimizer.setter
    def optimizer(self, other: Optimizer) -> None:
        if other is self._optimizer:
            return
        if not isinstance(other, Optimizer):
            raise TypeError(_check.message("optimizer", other, "a torch.optim.Optimizer"))
        state = self.state_dict()
        if len(other.param_groups) != len(self._driver.names):
            rule = f"of {len(self._driver.names)} parameter groups, as the one before"
            raise ValueError(_check.message("optimizer", f"{len(other.param_groups)} groups", rule))
        self.detach()
        self._go_on(other, state)

    def _go_on(self, optimizer: Optimizer, state: dict[str, Any]) -> None:
        """Drive another optimizer from where this state is, whatever is in its groups."""
        self._take(optimizer)
        self._governor.load_state_dict(state, Choice(base="saved", plan="saved"))
        self._governor.log.load(state["log"])
        self._step_count = self._driver.steps + 1

    @property
    def base_lrs(self) -> list[float]:  # type: ignore[override]
        """The base of each group."""
        bases = self._bases()
        return [bases.get(name, rate) for name, rate in self._driver.rates.items()]

    def _bases(self) -> dict[str, float]:
        line = self._driver.lines["lr"]
        return {self._driver.names[member]: share.base for member, share in zip(line.members, line.shares, strict=True)}

    @property
    def last_epoch(self) -> int:
        """Updates done, under torch's name.

        What trainers add to it changes nothing, since the optimizer is what moves the clock.
        """
        self._settle()
        return self._driver.steps

    @last_epoch.setter
    def last_epoch(self, value: int) -> None:
        if value - self._driver.steps not in (0, 1):  # Ignite counts its own calls
            raise AttributeError(
                "last_epoch of a Scheduler is the optimizer's count of updates, and cannot be set; begin at another "
                "with position=. If this is torch's SequentialLR, put the parts together with >> instead, as in "
                "Scheduler(optimizer, a >> b), and read torch's own parts by from_torch"
            )

    @property
    def position(self) -> float:
        """The clock: the optimizer's updates that this scheduler has heard."""
        self._settle()
        return self._driver.position

    def step(self, metrics: Any = None, epoch: int | None = None) -> None:  # type: ignore[override]
        """Write the rates of the position that the optimizer has reached.

        Args:
            metrics: what feedback looks at, if there is feedback; else it must be missing.
            epoch: as in torch, no longer taken.

        Raises:
            TypeError, ValueError: metrics is not one number, or there is no feedback; epoch is given.
        """
        if epoch is not None:
            rule = "left out: the position is what the optimizer has done; see load_state_dict"
            raise ValueError(_check.message("epoch", epoch, rule))
        steering = self._governor.steering
        if metrics is not None:
            if steering is None:
                raise ValueError("metrics are for feedback, and this scheduler has none; give feedback=plateau(...)")
            _check.one_number("metrics", metrics)
        driver = self._driver
        self._settle()
        driver.check()
        self._step_count += 1
        done, self._since = self._since, 0
        self._seldom = done > 1
        if metrics is not None or done == 0:
            driver.write()
        self._notice(done, metrics is not None)
        if steering is not None:
            values = None if metrics is None else {steering.feedback.of: float(metrics)}
            self._steer(steering, values, done > 0)

    def _notice(self, done: int, measured: bool) -> None:
        """Say what goes on without any effect: calls between which nothing was updated, feedback without a measure."""
        idle, sparse = self._calls
        waits = accumulates(self._optimizer)
        self._calls = [0 if done or measured or waits else idle + 1, sparse + 1 if done > 1 and not measured else 0]
        if self._calls[1] >= SPARSE:
            self._governor.say_blind()
        if done or measured:
            return
        if self._driver.steps > 0 and not self._told:
            self._told = True
            self._driver.say("idle", reason="step was called more often than the optimizer was updated, moving nothing")
        few, many = IDLE * processes(), MANY * processes()
        if not self._idle_said and self._calls[0] >= (many if self._driver.steps > self._begun else few):
            self._idle_said = True
            name, count = type(self._optimizer).__name__, self._calls[0]
            warnings.warn(
                f"scheduler.step() was called {count} times in a row without an update of {name}, and it is updates "
                "that move the clock (shown once); call optimizer.step() before it, on the optimizer that the "
                "scheduler was built with",
                stacklevel=3,
            )

    def observe(self, **values: Any) -> None:
        """Hand measured values over, of which feedback takes the one it looks at.

        Args:
            values: by name, a number or a tensor of one element each.

        Raises:
            TypeError, ValueError: a value is not one number, or feedback looks at another name.
        """
        for name, value in values.items():
            _check.one_number(name, value)
        steering = self._governor.steering
        if steering is not None:
            self._steer(steering, values, False)

    def _steer(self, steering: Steering, values: Mapping[str, Any] | None, updated: bool) -> None:
        """Let feedback decide: several processes do so together, with the update that each of them has just done."""
        device = next((p.device for group in self.optimizer.param_groups for p in group["params"]), None)
        self._governor.steer(values, now=updated or not steering.together, device=device)

    def get_last_lr(self) -> list[float]:  # type: ignore[override]
        """The rate of each group, as written last."""
        return list(self._driver.rates.values())

    @property
    def _last_lr(self) -> list[float]:  # type: ignore[override]
        return self.get_last_lr()

    def get_lr(self) -> list[float]:  # type: ignore[override]
        """The rate of each group for the update to come, also where ``step`` is never called."""
        self._settle()
        return self.get_last_lr()

    def _before(self, optimizer: Any) -> bool:
        """Just before an update: the rates of its own position. Whether it is an update at all."""
        if self._driver.is_touched() and moves_nothing(optimizer):
            return False
        self._settle()
        self._seldom = self._seldom or self._since > 0
        if self._obey is not None and not self._obey.is_idle():
            self._obey()
        self._driver.check()
        return True

    def _after(self) -> None:
        """Just after an update: who steps the scheduler each time reads the rate it was done with until then."""
        if self._seldom:
            self._settle()

    def _settle(self) -> None:
        """Move the clock by the updates heard since."""
        done = self._updates.take()
        if done:
            self._driver.check()  # what was written or loaded meanwhile was so beside the values of the old position
        self._since += done
        for _ in range(done):
            self._driver.advance(1.0)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _rebuilt, (self._optimizer, self._arguments, self.state_dict())

    def load_state_dict(
        self,
        state_dict: Mapping[str, Any],
        *,
        base: str | None = None,
        plan: str | None = None,
        extend: str | None = None,
    ) -> None:
        """Go on where the saved scheduler was, exactly; before or after the optimizer's own ``load_state_dict``.

        Args:
            state_dict: from ``state_dict``.
            base: which one holds where they differ, as for ``Control``.
            plan: the same.
            extend: how to go on where the total differs, as for ``Control``.

        Raises:
            TypeError, ValueError: it is no such state, or it differs and no choice was made. Nothing is changed then.
        """
        self._updates.take()
        super().load_state_dict(state_dict, base=base, plan=plan, extend=extend)
        self._step_count = self._driver.steps + 1

    def detach(self) -> None:
        """End control: the groups get their bases back, and another scheduler may take the optimizer over."""
        super().detach()
        unhook(self._updates.handles)
        for group in self.optimizer.param_groups:
            group.pop("initial_lr", None)


def _rebuilt(optimizer: Optimizer, arguments: dict[str, Any], state: dict[str, Any]) -> Scheduler:
    """A copy, which drives the copied optimizer."""
    copied = Scheduler.__new__(Scheduler)
    copied._arguments = arguments
    copied._go_on(optimizer, state)
    return copied
