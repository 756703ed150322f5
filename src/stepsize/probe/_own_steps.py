"""Short runs in loops that step their optimizers themselves, as trainers do."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from stepsize import _check
from stepsize.control import Driver, Plan, Step, hook_steps, inner_optimizers, unhook, was_update

REMEDY = "in a loop with own_steps"


class OwnSteps:
    """Hears the steps of optimizers, and moves the schedule on by one for each batch with any; as ``Drive`` otherwise.

    The rates are written just before each step, over whatever a scheduler of the loop has written.

    Args:
        optimizers: by name.
        plan: of the short run.
        total: its updates.
        per_epoch: updates in an epoch, if that is known.
    """

    apart = False

    def __init__(self, optimizers: Mapping[str, Optimizer], plan: Plan, total: int, per_epoch: float | None) -> None:
        self._driver = Driver(optimizers, plan.over(total, per_epoch))
        self._seen: list[bool | Tensor] = []
        leaves = [leaf for optimizer in optimizers.values() for leaf in inner_optimizers(optimizer)]
        self._handles = [handle for leaf in leaves for handle in hook_steps(leaf, self._lend, self._hear)]

    def _lend(self, *_: Any) -> None:
        self._driver.write()

    def _hear(self, optimizer: Optimizer, *_: Any) -> None:
        self._seen.append(was_update(optimizer))

    def begin(self, fresh: bool) -> None:
        """Begin a batch."""

    def zero_grad(self) -> None:
        """Gradients are the loop's."""

    def check_name(self, of: Any) -> None:
        """Raise ValueError where an optimizer is named."""
        if of is not None:
            raise ValueError(f"of is for optimizers that run.step steps, got {of!r}; leave it out {REMEDY}")

    def step(self, loss: Any, of: str | None, to: float) -> Step:
        """Move the schedule on, if an optimizer was stepped.

        Raises:
            TypeError: there is a closure instead of a loss.
        """
        if callable(loss):
            raise TypeError(f"loss must be one number {REMEDY}, got a function; hand it to your own optimizer.step")
        position = self._driver.position
        return Step(position, done=self.settle(), loss=loss.detach() if isinstance(loss, Tensor) else loss)

    def settle(self) -> bool:
        """Move the schedule on, if an optimizer was stepped since; whether that is so."""
        updates, self._seen = self._seen, []
        done = any(map(bool, updates))
        if done:
            self._driver.advance(1.0)
        return done

    @property
    def position(self) -> float:
        """Batches so far in which an optimizer was stepped."""
        return self._driver.position

    def check(self) -> None:
        """Rates that something else has written were written over."""

    def end(self) -> None:
        """Release the optimizers; their lender restores the rates."""
        unhook(self._handles)


def check_own(probe: Any, loss: Any, **own: Any) -> None:
    """Raise unless scores come from a function, and what a loop with own steps does itself is left out.

    Args:
        probe: as for ``RateSearch``.
        loss: the same.
        own: what the loop does, by name; None where it is left out.
    """
    for name, value in own.items():
        if value is not None:
            rule, remedy = "left out with own_steps", "the loop does that itself"
            raise ValueError(_check.message(name, value, rule, f"{remedy}; hand a scaler over in also="))
    if loss is None and not callable(probe):
        raise ValueError("own_steps needs loss=, a function of (model, batch), or probe=, a function: the loop trains")
