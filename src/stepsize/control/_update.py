"""One update of one or several optimizers: with or without a closure, a gradient scaler, clipping."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.optim import Optimizer

from stepsize import _check
from stepsize.control._hooks import accumulates, was_update
from stepsize.control._updates import Beside
from stepsize.optim import Clipped, gradient_norm, group_names, needs_closure

Closure = Callable[[], Any]
Clip = Callable[[list[Tensor], Tensor], Clipped]
NONFINITE = ("skip", "raise")


class Updated(NamedTuple):
    """What an update was.

    Attributes:
        done: whether the weights were updated: True, False, or a 0-d bool tensor where only the device knows.
        waits: whether a wrapper left the step out to wait for more gradients, as Accelerate's does.
        norm: the gradients' global norm before clipping, a 0-d tensor, if it was wanted.
        factor: the smallest factor that clipping multiplied an entry by, a 0-d tensor.
        loss: what a closure returned at its first evaluation.
    """

    done: bool | Tensor = True
    norm: Tensor | None = None
    factor: Tensor | None = None
    loss: Any = None
    waits: bool = False


PLAIN = Updated()


class Updater:
    """Steps the optimizers; derives and writes nothing."""

    def __init__(
        self, optimizers: Mapping[str, Optimizer], scaler: torch.amp.GradScaler | None, nonfinite: str | None = None
    ) -> None:
        self.optimizers = list(optimizers.values())
        self.scaler = scaler
        self.nonfinite = nonfinite
        self.needs_closure = any(needs_closure(optimizer) for optimizer in self.optimizers)
        self.beside = Beside(self.optimizers)
        self.can_be_plain = scaler is None and nonfinite is None and not self.needs_closure and not self.beside.wraps
        self.is_plain = self.can_be_plain
        if self.needs_closure and (len(self.optimizers) > 1 or scaler is not None):
            name = next(type(optimizer).__name__ for optimizer in self.optimizers if needs_closure(optimizer))
            rule = "alone and without a scaler, since it steps with a closure"
            raise ValueError(_check.message("optimizer", name, rule))
        if nonfinite not in (None, *NONFINITE):
            raise ValueError(_check.message("nonfinite", nonfinite, "'skip', 'raise' or None"))
        if nonfinite is not None and scaler is not None:
            rule = "left out with a scaler, which leaves such steps out itself"
            raise ValueError(_check.message("nonfinite", nonfinite, rule))

    def parameters(self) -> list[Tensor]:
        """All parameters of all groups."""
        return [p for optimizer in self.optimizers for group in optimizer.param_groups for p in group["params"]]

    @property
    def device(self) -> torch.device | None:
        """Where the first parameter is."""
        return next((p.device for p in self.parameters()), None)

    def zero_grad(self) -> None:
        for optimizer in self.optimizers:
            optimizer.zero_grad()

    def __call__(self, closure: Closure | None, clip: Clip | None, want_norm: bool) -> Updated:
        """Clip and update."""
        self.beside.seen.clear()
        self.beside.inside = self.beside.stepped = True
        try:
            updated = self._update(closure, clip, want_norm)
        finally:
            self.beside.inside = False
        if not self.beside.wraps or updated.done is False or self.scaler is not None:
            return updated
        if not self.beside.seen:
            waits = not any(getattr(optimizer, "step_was_skipped", False) for optimizer in self.optimizers)
            return updated._replace(done=False, waits=waits)
        return updated._replace(done=_any(self.beside.seen))

    def _update(self, closure: Closure | None, clip: Clip | None, want_norm: bool) -> Updated:
        if closure is not None:
            return self._with_closure(closure, clip, want_norm)
        if self.needs_closure:
            name = type(self.optimizers[0]).__name__
            raise TypeError(f"{name} steps with a closure; call control.step(closure), which returns the loss")
        if self.scaler is not None:
            return self._scaled(self.scaler, clip, want_norm)
        norm = factor = None
        judges = self.nonfinite is not None and not any(map(accumulates, self.optimizers))
        if clip is not None or want_norm or judges:
            norm, factor = self._clipped(None if self.beside.wraps else clip, judges)
            if judges and self.nonfinite == "skip" and not bool(torch.isfinite(norm)):
                return Updated(False, norm, factor)
        if self.beside.wraps and clip is not None:
            return self._within(clip)
        for optimizer in self.optimizers:
            optimizer.step()
        return PLAIN if norm is None else Updated(True, norm, factor)

    def _within(self, clip: Clip) -> Updated:
        """Clip where a wrapper really steps: gradients that it still accumulates stay as they are."""
        clipped: list[tuple[Tensor, Tensor | None]] = []
        self.beside.clip = lambda: clipped.append(self._clipped(clip))
        try:
            for optimizer in self.optimizers:
                optimizer.step()
        finally:
            self.beside.clip = None
        return Updated(True, *clipped[0]) if clipped else Updated()

    def _clipped(self, clip: Clip | None, judges: bool = True) -> tuple[Tensor, Tensor | None]:
        """The norm, which is computed here and once, and the factor of clipping."""
        parameters = self.parameters()
        norm = gradient_norm(parameters)
        if judges and self.nonfinite == "raise" and not bool(torch.isfinite(norm)):
            raise FloatingPointError(_not_finite(self.optimizers, norm))
        return norm, None if clip is None else clip(parameters, norm).factor

    def _with_closure(self, closure: Closure, clip: Clip | None, want_norm: bool) -> Updated:
        if self.nonfinite == "skip":
            rule = "a loss, since a step with a closure cannot be left out once it has begun"
            raise ValueError(_check.message("loss", closure, rule, 'use nonfinite="raise"'))
        if len(self.optimizers) > 1 or self.scaler is not None:
            rule = "a loss, since several optimizers or a scaler cannot be stepped with a closure"
            raise ValueError(_check.message("loss", closure, rule))
        first: list[tuple[Any, Tensor | None, Tensor | None]] = []

        def clipping() -> Any:
            with torch.enable_grad():
                loss = closure()
            wanted = clip is not None or self.nonfinite is not None or (want_norm and not first)
            norm, factor = self._clipped(clip) if wanted else (None, None)
            if not first:
                first.append((loss.detach() if isinstance(loss, Tensor) else loss, norm, factor))
            return loss

        self.optimizers[0].step(clipping)
        loss, norm, factor = first[0] if first else (None, None, None)
        return Updated(True, norm, factor, loss)

    def _scaled(self, scaler: torch.amp.GradScaler, clip: Clip | None, want_norm: bool) -> Updated:
        if not scaler.is_enabled() or scaler._scale is not None:
            return self._step_scaled(scaler, clip, want_norm)
        raise RuntimeError("scaler has scaled no loss yet; call scaler.scale(loss).backward() before step")

    def _step_scaled(self, scaler: torch.amp.GradScaler, clip: Clip | None, want_norm: bool) -> Updated:
        norm = factor = None
        if clip is not None or want_norm:
            for optimizer in self.optimizers:
                scaler.unscale_(optimizer)
            norm, factor = self._clipped(clip)
        done: list[bool | Tensor] = []
        for optimizer in self.optimizers:
            # an optimizer that is stepped runs its hooks; one that knows of scaling is always stepped, and was told
            # on the device whether to leave the weights alone
            handle = optimizer.register_step_post_hook(lambda stepped, *_: done.append(was_update(stepped)))
            try:
                scaler.step(optimizer)
            finally:
                handle.remove()
        scaler.update()
        return Updated(_any(done), norm, factor)


def _any(done: list[bool | Tensor]) -> bool | Tensor:
    """Whether any optimizer was stepped, which only the device may know."""
    tensors = [value for value in done if isinstance(value, Tensor)]
    return torch.stack(tensors).any() if tensors and len(tensors) == len(done) else bool(done)


def _not_finite(optimizers: list[Optimizer], norm: Tensor) -> str:
    """The complaint, with the parameters concerned; it reads back from the device."""
    odd = []
    for optimizer in optimizers:
        for name, group in zip(group_names(optimizer), optimizer.param_groups, strict=True):
            called = group.get("param_names", [f"number {index}" for index in range(len(group["params"]))])
            for label, parameter in zip(called, group["params"], strict=True):
                if parameter.grad is not None and not bool(torch.isfinite(gradient_norm([parameter]))):
                    odd.append(f"{label} of {name}")
    more = f" and {len(odd) - 3} more" if len(odd) > 3 else ""
    return (
        f"the gradients' norm is {float(norm):g}, because of {', '.join(odd[:3]) or 'its size'}{more}; nothing was "
        'updated. Lower the rate, clip, or leave such steps out with nonfinite="skip"'
    )
