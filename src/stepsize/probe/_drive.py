"""The controls of a short run: one over all optimizers, or one for each where the loop steps them one by one."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from torch.optim import Optimizer

from stepsize import _check
from stepsize.control import Control, Step, hook_steps, unhook


class Drive:
    """Steps the optimizers of one short run, and hears of steps that are not its own.

    Args:
        optimizers: by name.
        control: makes a control over some of them.
        apart: whether each is stepped alone, by name.
    """

    def __init__(
        self, optimizers: Mapping[str, Optimizer], control: Callable[[Any], Control], zero: bool, apart: bool
    ) -> None:
        self.optimizers, self._control, self._zero = optimizers, control, zero
        self.apart = apart
        self._inside = False
        self._beside = 0
        self._used = False
        self._controls = self._made()
        self._handles = [handle for one in optimizers.values() for handle in hook_steps(one, None, self._after_update)]
        self._stepped: set[str] = set()

    def _made(self) -> dict[str, Control]:
        if self.apart:
            return {name: self._control(optimizer) for name, optimizer in self.optimizers.items()}
        every = dict(self.optimizers)
        return {"": self._control(every if len(every) > 1 else next(iter(every.values())))}

    @property
    def stepped(self) -> bool:
        """Whether ``step`` was called since ``begin``."""
        return bool(self._stepped)

    def begin(self, fresh: bool) -> None:
        """Begin a batch; with ``fresh``, the first of an update."""
        self._stepped.clear()
        if fresh and self.apart and self._zero:  # what the loss of one has left in the parameters of another
            for optimizer in self.optimizers.values():
                optimizer.zero_grad()

    def zero_grad(self) -> None:
        """Drop all gradients."""
        for control in self._controls.values():
            control.zero_grad()

    def check_name(self, of: Any) -> None:
        """Raise ValueError unless the name is None or an optimizer's."""
        if of is not None and (not isinstance(of, str) or of not in self.optimizers):
            hint = (
                _check.closest(str(of), filter(None, self.optimizers)) if len(self.optimizers) > 1 else "leave it out"
            )
            raise ValueError(_check.message("of", of, "the name of an optimizer", hint))

    def step(self, loss: Any, of: str | None, to: float) -> Step:
        """Step all, or the one of a name, which is then at a position of the run's clock.

        Raises:
            RuntimeError: this was done for this batch already, or the loop steps an optimizer itself.
        """
        if (of is not None) is not self.apart:
            self._part(of)
        key = of or ""
        if key in self._stepped:
            raise RuntimeError("run.step was called more than once for a batch; call it once after each backward pass")
        if self._beside:
            raise RuntimeError("optimizer.step() is called in the loop, and run.step(loss) does that; take it out")
        self._stepped.add(key)
        self._inside = self._used = True
        try:
            return self._controls[key].step(loss, to=to) if self.apart else self._controls[key].step(loss)
        finally:
            self._inside = False

    def _part(self, of: str | None) -> None:
        """From one control to several, before the first step."""
        if self._used:
            how = "with a name before, and without one now" if of is None else f"without a name before, now of {of!r}"
            raise RuntimeError(f"run.step was called {how}; step all optimizers together, or each by its name")
        self._detach()
        self.apart = not self.apart
        self._controls = self._made()

    @property
    def position(self) -> float:
        """Updates done, as the clock of the run counts them."""
        return max(control.position for control in self._controls.values())

    def check(self) -> None:
        """Raise RuntimeError where something else has written a rate."""
        for control in self._controls.values():
            _ = control.rates

    def _after_update(self, *_: Any) -> None:
        self._beside += not self._inside

    def _detach(self) -> None:
        for control in self._controls.values():
            with suppress(RuntimeError):  # a rate that was written meanwhile has been complained of, or is put back
                control.detach()

    def end(self) -> None:
        """Let the optimizers go."""
        unhook(self._handles)
        self._detach()
