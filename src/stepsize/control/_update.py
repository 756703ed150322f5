"""One update of one or several optimizers: with or without a closure, a gradient scaler, clipping."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_
from torch.optim import Optimizer

from stepsize import _check
from stepsize.optim import gradient_norm

Closure = Callable[[], Any]


class Updated(NamedTuple):
    """What an update was.

    Attributes:
        done: whether the weights were updated: True, False, or a 0-d bool tensor where only the device knows.
        norm: the gradients' global norm before clipping, a 0-d tensor, if it was wanted.
        loss: what a closure returned at its first evaluation.
    """

    done: bool | Tensor = True
    norm: Tensor | None = None
    loss: Any = None


PLAIN = Updated()


class Updater:
    """Steps the optimizers; derives and writes nothing."""

    def __init__(self, optimizers: Mapping[str, Optimizer], scaler: torch.amp.GradScaler | None) -> None:
        self.optimizers = list(optimizers.values())
        self.scaler = scaler
        self.needs_closure = any(_needs_closure(optimizer) for optimizer in self.optimizers)
        self.is_plain = scaler is None and not self.needs_closure
        if self.needs_closure and (len(self.optimizers) > 1 or scaler is not None):
            name = next(type(each).__name__ for each in self.optimizers if _needs_closure(each))
            rule = "alone and without a scaler, since it steps with a closure"
            raise ValueError(_check.message("optimizer", name, rule))

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

    def __call__(self, closure: Closure | None, threshold: float | None, want_norm: bool) -> Updated:
        """Clip and update."""
        if closure is not None:
            return self._with_closure(closure, threshold, want_norm)
        if self.needs_closure:
            name = type(self.optimizers[0]).__name__
            raise TypeError(f"{name} steps with a closure; call control.step(closure), which returns the loss")
        if self.scaler is not None:
            return self._scaled(self.scaler, threshold, want_norm)
        norm = None
        if threshold is not None or want_norm:
            norm = self._clipped(threshold)
        for optimizer in self.optimizers:
            optimizer.step()
        return PLAIN if norm is None else Updated(True, norm)

    def _clipped(self, threshold: float | None) -> Tensor:
        parameters = self.parameters()
        norm = gradient_norm(parameters)
        if threshold is not None:
            clip_grads_with_norm_(parameters, threshold, norm)
        return norm

    def _with_closure(self, closure: Closure, threshold: float | None, want_norm: bool) -> Updated:
        if len(self.optimizers) > 1 or self.scaler is not None:
            rule = "a loss, since several optimizers or a scaler cannot be stepped with a closure"
            raise ValueError(_check.message("loss", closure, rule))
        first: list[tuple[Any, Tensor | None]] = []

        def clipping() -> Any:
            with torch.enable_grad():
                loss = closure()
            norm = self._clipped(threshold) if threshold is not None or (want_norm and not first) else None
            if not first:
                first.append((loss.detach() if isinstance(loss, Tensor) else loss, norm))
            return loss

        self.optimizers[0].step(clipping)
        loss, norm = first[0] if first else (None, None)
        return Updated(True, norm, loss)

    def _scaled(self, scaler: torch.amp.GradScaler, threshold: float | None, want_norm: bool) -> Updated:
        norm = None
        if threshold is not None or want_norm:
            for optimizer in self.optimizers:
                scaler.unscale_(optimizer)
            norm = self._clipped(threshold)
        done: list[bool | Tensor] = []
        for optimizer in self.optimizers:
            # an optimizer that is stepped runs its hooks; one that knows of scaling is always stepped, and was told
            # on the device whether to leave the weights alone
            handle = optimizer.register_step_post_hook(lambda stepped, *_: done.append(_was_finite(stepped)))
            try:
                scaler.step(optimizer)
            finally:
                handle.remove()
        scaler.update()
        tensors = [each for each in done if isinstance(each, Tensor)]
        if tensors and len(tensors) == len(done):
            return Updated(torch.stack(tensors).any(), norm)
        return Updated(bool(done), norm)


def _was_finite(optimizer: Optimizer) -> bool | Tensor:
    found = getattr(optimizer, "found_inf", None)
    return True if found is None else found == 0


def _needs_closure(optimizer: Optimizer) -> bool:
    parameter = inspect.signature(optimizer.step).parameters.get("closure")
    return parameter is not None and parameter.default is inspect.Parameter.empty
