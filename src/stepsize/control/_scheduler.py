"""The same formula behind torch's LRScheduler protocol, for loops and trainers that step a scheduler."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from stepsize import _check
from stepsize.control._course import BoundLike, CourseLike
from stepsize.control._governed import Governed
from stepsize.control._governor import Governor
from stepsize.control._plan import Plan
from stepsize.control.feedback import Feedback, Steering
from stepsize.optim import read_value, write_value


class Scheduler(Governed, LRScheduler):
    """A schedule as a torch ``LRScheduler``: for Lightning, Transformers, Accelerate, or any loop that steps one.

    Formula:
        as for ``Control``, with the optimizer's real updates as the clock

    The clock counts updates of the optimizer, not calls of ``step``: a step that a gradient scaler left out, a step
    called by each of several processes, or once an epoch, cannot make the rate wrong; the first call without an update
    is noted in ``log``. Every call of ``step`` writes the
    rates of the position that the optimizer has reached.

    Args:
        optimizer: any torch optimizer; its groups' ``"lr"`` (or ``"initial_lr"``, where a scheduler has left one) are
            the bases.
        lr: a schedule or its text, a list with one for each group, or a mapping from the groups' names.
        total: the run's updates, > 0; needed by schedules with an open or relative length.
        momentum: the same for the momentum (beta1 for Adam's kin).
        weight_decay: the same for the weight decay.
        feedback: what looks at a measure, such as ``plateau(of="validation_loss")``; hand it over by ``step(value)`` or
            ``observe``.
        floor: the smallest learning rate.
        cap: the largest learning rate.
        per_epoch: updates in an epoch, > 0; needed by lengths such as ``"3ep"``.
        foreign: when something else writes a driven value: ``"warn"``, ``"raise"`` or ``"adopt"``.
        others: any other number in the groups, such as ``beta2`` or ``eps``, as for lr.

    Raises:
        TypeError, ValueError: an argument is not what is said above, or the optimizer is under control already.

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

    def __init__(
        self,
        optimizer: Optimizer,
        lr: CourseLike,
        total: float | None = None,
        *,
        momentum: CourseLike | None = None,
        weight_decay: CourseLike | None = None,
        feedback: Feedback | str | None = None,
        floor: BoundLike | None = None,
        cap: BoundLike | None = None,
        per_epoch: float | None = None,
        foreign: str = "warn",
        **others: CourseLike,
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(_check.message("optimizer", optimizer, "a torch.optim.Optimizer"))
        optimizer = _unwrapped(optimizer)
        more: Any = others
        plan = Plan(lr, momentum=momentum, weight_decay=weight_decay, feedback=feedback, floor=floor, cap=cap, **more)
        before = [read_value(group) for group in optimizer.param_groups]
        for group in optimizer.param_groups:
            # a group that was loaded carries what was last written, and its base beside it
            write_value(group, "lr", float(group.get("initial_lr", group["lr"])))
        try:
            self._governor = Governor({"": optimizer}, plan, total, per_epoch, foreign)
        except (TypeError, ValueError):
            for group, rate in zip(optimizer.param_groups, before, strict=True):
                write_value(group, "lr", rate)
            raise
        self.optimizer = optimizer
        self._driver = self._governor.driver
        for group, base in zip(optimizer.param_groups, self.base_lrs, strict=True):
            group["initial_lr"] = base
        self._updates = _Updates()
        self._handle = optimizer.register_step_post_hook(self._updates)
        self._step_count = 1  # torch's count of calls, which trainers look at
        self._told = False  # whether the log has it that there were calls without an update

    @property
    def base_lrs(self) -> list[float]:  # type: ignore[override]
        """The base of each group."""
        return [share.base for share in self._driver.lines["lr"].shares]

    @property
    def last_epoch(self) -> int:  # type: ignore[override]
        """Updates done, under torch's name."""
        return self._driver.steps

    @property
    def position(self) -> float:
        """The clock: the optimizer's updates that this scheduler has seen."""
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
        driver.check()
        self._step_count += 1
        done = self._updates.take()
        for _ in range(done):
            driver.advance(1.0)
        if metrics is not None or done == 0:
            driver.write()
        if metrics is None and done == 0 and driver.steps > 0 and not self._told:
            self._told = True
            driver.say("idle", reason="step was called more often than the optimizer was updated, which moves nothing")
        if steering is not None:
            values = None if metrics is None else {steering.feedback.of: float(metrics)}
            self._steer(steering, values, done > 0)

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
        """The rate of each group."""
        return list(self._driver.lines["lr"].values)

    @property
    def _last_lr(self) -> list[float]:  # type: ignore[override]
        return self.get_last_lr()

    def get_lr(self) -> list[float]:  # type: ignore[override]
        """The rate of each group, as ``get_last_lr``: nothing is computed from the one before."""
        return self.get_last_lr()

    def _settle(self) -> None:
        """Nothing waits: updates are counted when ``step`` is called."""

    def load_state_dict(self, state_dict: Mapping[str, Any], **choice: str | None) -> None:  # type: ignore[override]
        """Go on where the saved scheduler was, exactly; before or after the optimizer's own ``load_state_dict``.

        Args:
            state_dict: from ``state_dict``.
            choice: ``base``, ``plan`` or ``extend`` where these differ, as for ``Control``.

        Raises:
            TypeError, ValueError: it is no such state, or it differs and no choice was made. Nothing is changed then.
        """
        super().load_state_dict(state_dict, **choice)
        self._updates.take()
        self._step_count = self._driver.steps + 1

    def detach(self) -> None:
        """End control: the groups get their bases back, and another scheduler may take the optimizer over."""
        super().detach()
        self._handle.remove()
        for group in self.optimizer.param_groups:
            group.pop("initial_lr", None)


def _unwrapped(optimizer: Any) -> Optimizer:
    """The optimizer that really steps, inside what a trainer such as Accelerate has put around it."""
    while True:
        inner = getattr(optimizer, "optimizer", None)
        if not isinstance(inner, Optimizer) or inner.param_groups is not optimizer.param_groups:
            return optimizer  # type: ignore[no-any-return]
        optimizer = inner


class _Updates:
    """Counts an optimizer's real updates, as a hook behind its ``step``."""

    def __init__(self) -> None:
        self._seen: list[bool | Tensor] = []

    def __call__(self, optimizer: Optimizer, *_: Any) -> None:
        """Note an update; under a gradient scaler that tells the optimizer on the device, it may have been none."""
        found = getattr(optimizer, "found_inf", None)
        self._seen.append(True if found is None else found == 0)

    def take(self) -> int:
        """How many there were since the last call; reads back from the device only after fused steps under a scaler."""
        seen, self._seen = self._seen, []
        return sum(map(bool, seen))
