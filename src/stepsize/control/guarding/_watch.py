"""The guard at work in a control: keeps losses, looks at them at checks, keeps good states and goes back to them."""

import math
from typing import Any

import torch
from torch import Tensor

from stepsize.control._driver import Driver
from stepsize.control._update import Updated
from stepsize.control.feedback import Steering
from stepsize.control.guarding._guard import guard
from stepsize.control.guarding._kept import Keeper, Kept
from stepsize.control.guarding._level import UNKNOWN, Level, Window, patience_of, window_of
from stepsize.optim import total_norm
from stepsize.state import processes, reduced

APART = 25  # updates between two good states, at least: then one costs little beside them
SKIPPED = 25  # updates in a row that were left out since gradients were not finite, which is a divergence


class DivergedError(ArithmeticError):
    """A run has diverged more often than its guard may go back. The last good state was put back."""


class Guarding:
    """A guard with what it has seen.

    Args:
        plan: laid over the run.
        driver: whose rate it lowers.
        keeper: of what it puts back.

    Attributes:
        is_over: whether it has given the run up.
    """

    def __init__(self, plan: guard, driver: Driver, keeper: Keeper) -> None:
        self.plan, self.driver, self.keeper = plan, driver, keeper
        self.returns, self.is_over = 0, False
        self._level = Level()
        self._losses: list[Tensor | float] = []  # since the last check
        self._updates = self._skipped = 0  # since the last check; left out in a row
        self._apart = 0  # updates since the last good state
        self._good: Kept | None = None

    def begin(self, steering: Steering | None) -> None:
        """Before an update: the state a run begins with is the first good one."""
        if self._good is None:
            self._keep(steering)

    def end(self, loss: Any, updated: Updated, steering: Steering | None) -> None:
        """After an update, when the clock has moved on: note its loss, and look at all where it is time to.

        Args:
            loss: of the update.
            updated: what it was.
            steering: Control's feedback, if there is one.

        Raises:
            DivergedError: the run has diverged, and the guard may go back no more.
        """
        self._updates += 1
        self._apart += 1
        if updated.done is not False and (not isinstance(updated.done, Tensor) or bool(updated.done)):
            self._losses.append(loss.detach() if isinstance(loss, Tensor) else loss)
            self._skipped = 0
        else:
            self._skipped += 1
        driver = self.driver
        last = driver.total is not None and driver.position >= driver.total * (1 - 1e-9)
        if self._updates >= self.plan.check or last or self._skipped >= SKIPPED:
            self._look(updated.norm, steering, last)

    def _look(self, norm: Tensor | None, steering: Steering | None, last: bool) -> None:
        """A check: of all processes together, what one of them sees."""
        losses, self._losses, self._updates = numbers(self._losses), [], 0
        weights = float(total_norm([parameter.detach() for parameter in self.keeper.parameters()]))
        broken = [loss for loss in losses if not math.isfinite(loss)]
        lost_norm = self._skipped == 0 and norm is not None and not math.isfinite(float(norm))
        odd = bool(broken or lost_norm) or not math.isfinite(weights)
        found = window_of(losses) if losses and not broken else None
        first = self._level.first if self._level.first is not None else (losses[0] if found is not None else None)
        odd, found, first = self._agreed(odd, found, first)
        if odd:
            named = f"the loss was {broken[0]}" if broken else "the gradients' norm was not finite"
            self._return(named if broken or lost_norm else "the weights were not finite", steering)
        elif self._skipped >= SKIPPED:
            self._return(f"{SKIPPED} updates in a row were left out, since gradients were not finite", steering)
        elif found is not None:
            self._judge(found, first, steering, last)

    def _judge(self, found: Window, first: float | None, steering: Steering | None, last: bool) -> None:
        """What finite losses say."""
        position, share = self.driver.position, self.plan.lost
        level = Level(**{**vars(self._level), "first": first}).after(found, position, share)
        self._level = level
        if level.is_diverged(position, patience_of(self.plan)) or (last and level.lost_since is not None):
            self._return(level.lost_share(found), steering)
        elif level.healthy(found, share) and self._is_due() and not last:
            self._keep(steering)

    def _is_due(self) -> bool:
        """Whether it is time for another good state."""
        every = self.plan.every if isinstance(self.plan.every, float) else None
        since = self.driver.position - (0.0 if self._good is None else self._good.position)
        return self._apart >= APART and since >= (UNKNOWN if every is None else every) * (1 - 1e-9)

    def _keep(self, steering: Steering | None) -> None:
        driver = self.driver
        self._good = None  # the memory of the one before is free first
        self._good = self.keeper.take(driver.steps, driver.position, self._level, steering)
        self._apart = 0

    def _agreed(self, odd: bool, found: Window | None, first: float | None) -> tuple[bool, Window | None, float | None]:
        """What all processes have seen together: anything odd, and the means of their figures."""
        if processes() == 1:
            return odd, found, first
        mine = [0.0, 0.0, 0.0, 0.0] if found is None or first is None else [*found, first, 1.0]
        device = next((parameter.device for parameter in self.keeper.parameters()), None)
        count_odd, *sums, count = reduced([float(odd), *mine], "sum", device)
        if not count:
            return count_odd > 0, None, first
        middle, spread, begun = (value / count for value in sums)
        return count_odd > 0, Window(middle, spread), begun

    def _return(self, reason: str, steering: Steering | None) -> None:
        """Go back to the last good state with a lower rate; at the end of all returns, say so."""
        kept, driver = self._good, self.driver
        if kept is None:  # nothing was done yet
            return
        driver.check()
        before = driver.lines["lr"].values[0] if driver.lines["lr"].values else None
        self.keeper.put_back(kept, steering)
        self._level = kept.level.again()
        self._skipped = self._apart = 0
        over = self.returns >= self.plan.returns
        self.returns += not over
        lowered = driver.guarded if over else driver.guarded * self.plan.factor
        driver.put_back(lowered, 1.0 if steering is None else steering.factor)
        after = driver.lines["lr"].values[0] if driver.lines["lr"].values else None
        went = f"{reason}; went back to step {kept.step}"
        if not over:
            driver.say("guard", self.plan.factor, reason=went, change=(before, after))
            return
        self.is_over = True
        times = f"after {self.returns} return{'s' if self.returns != 1 else ''}"
        driver.say("guard", reason=f"{went}, and gave up {times}")
        remedy = "begin with a lower rate, look at the data, or allow more by guard(returns=...)"
        raise DivergedError(f"{went}, and the guard gives up {times}, at step {driver.steps}; {remedy}")

    def state(self) -> dict[str, Any]:
        """Plain data and tensors, with the last good state."""
        return {
            "factor": self.driver.guarded,
            "returns": self.returns,
            "level": self._level.state(),
            "losses": numbers(self._losses),
            "updates": self._updates,
            "apart": self._apart,
            "skipped": self._skipped,
            "good": None if self._good is None else self.keeper.written(self._good),
        }

    def load(self, state: Any) -> None:
        """The inverse of ``state``; from None, of a run without a guard, it begins with the next update."""
        self.returns, self._losses, self._updates, self._skipped, self._apart = 0, [], 0, 0, 0
        self._level, self._good, self.is_over = Level(), None, False
        if state is None:
            return
        good = None if state["good"] is None else self.keeper.read(state["good"])
        self.returns, self._losses = int(state["returns"]), [float(loss) for loss in state["losses"]]
        self._updates, self._apart, self._skipped = (int(state[name]) for name in ("updates", "apart", "skipped"))
        self._level, self._good = Level.of(state["level"]), good


def numbers(losses: list[Tensor | float]) -> list[float]:
    """Losses read back, together where they can be."""
    tensors = [loss for loss in losses if isinstance(loss, Tensor)]
    kinds = {(loss.device, loss.dtype) for loss in tensors}
    if len(tensors) == len(losses) and len(kinds) == 1:
        return [float(loss) for loss in torch.stack([loss.reshape(()) for loss in tensors]).tolist()]
    return [float(loss) for loss in losses]
