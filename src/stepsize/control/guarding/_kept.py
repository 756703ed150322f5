"""The last good state: in memory, to be put back in place, and as plain data for a checkpoint."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from stepsize import _check
from stepsize.control.feedback import Steering
from stepsize.control.guarding._level import Level
from stepsize.state import Captured, capture


@dataclass(frozen=True)
class Kept:
    """A state that was good.

    Attributes:
        captured: model, optimizers and scaler.
        step: how many updates had been done.
        position: of the clock.
        level: of the loss.
        feedback: the state of Control's feedback, if there is one.
    """

    captured: Captured
    step: int
    position: float
    level: Level
    feedback: dict[str, Any] | None


class Keeper:
    """Takes states of what an update changes, puts them back, and writes them down.

    Args:
        optimizers: of the control.
        parameters: gives theirs.
        model: what else is put back, or None.
        scaler: of the loss, or None.
    """

    def __init__(
        self,
        optimizers: Sequence[Any],
        parameters: Callable[[], list[Tensor]],
        model: nn.Module | None,
        scaler: torch.amp.GradScaler | None,
    ) -> None:
        self.optimizers, self.parameters, self.model, self.scaler = list(optimizers), parameters, model, scaler

    def take(self, step: int, position: float, level: Level, steering: Steering | None) -> Kept:
        """The state now."""
        feedback = None if steering is None else copy.deepcopy(steering.state_dict())
        with self._without_gradients():
            return Kept(self._captured(), step, position, level, feedback)

    def _captured(self) -> Captured:
        things = [thing for thing in (self.model, *self.optimizers, self.scaler) if thing is not None]
        return capture(*things, randomness=False)

    def put_back(self, kept: Kept, steering: Steering | None) -> None:
        """Make it the state now, without gradients; random numbers, data and the clock go on."""
        kept.captured.restore()
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        if steering is not None and kept.feedback is not None:
            steering.load_state_dict(copy.deepcopy(kept.feedback))

    def written(self, kept: Kept) -> dict[str, Any]:
        """A state as plain data and tensors; what is now is as before."""
        with self._back_at(kept.captured):
            return {
                "step": kept.step,
                "position": kept.position,
                "level": kept.level.state(),
                "feedback": kept.feedback,
                "parameters": [parameter.detach().clone() for parameter in self.parameters()],
                "model": copy.deepcopy(self._beside()),
                "optimizers": [copy.deepcopy(optimizer.state_dict()) for optimizer in self.optimizers],
                "scaler": None if self.scaler is None else copy.deepcopy(self.scaler.state_dict()),
            }

    def read(self, state: Mapping[str, Any]) -> Kept:
        """The inverse of ``written``; what is now is as before.

        Raises:
            ValueError: the state is of another model or optimizer.
        """
        parameters = self.parameters()
        shapes = [tuple(parameter.shape) for parameter in parameters]
        saved_shapes = [
            tuple(parameter.shape) if isinstance(parameter, Tensor) else None for parameter in state["parameters"]
        ]
        if saved_shapes != shapes:
            rule = "tensors of the shapes of the parameters here"
            raise ValueError(_check.message("parameters of guard of state", saved_shapes, rule))
        if len(state["optimizers"]) != len(self.optimizers):
            rule = f"{len(self.optimizers)}, as here"
            raise ValueError(_check.message("optimizers of guard of state", len(state["optimizers"]), rule))
        with self._back_at(None):
            with torch.no_grad():
                for parameter, saved in zip(parameters, state["parameters"], strict=True):
                    parameter.copy_(saved)
            if self.model is not None:
                self.model.load_state_dict(copy.deepcopy(state["model"]), strict=False)
            for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(copy.deepcopy(saved))
            if self.scaler is not None and state["scaler"]:
                self.scaler.load_state_dict(copy.deepcopy(state["scaler"]))
            captured = self._captured()
        level = Level.of(state["level"])
        return Kept(captured, int(state["step"]), float(state["position"]), level, copy.deepcopy(state["feedback"]))

    @contextmanager
    def _without_gradients(self) -> Iterator[None]:
        """Gradients are no part of a state: they are there again after the block."""
        gradients = [(parameter, parameter.grad) for parameter in self.parameters()]
        for parameter, _ in gradients:
            parameter.grad = None
        try:
            yield
        finally:
            for parameter, gradient in gradients:
                parameter.grad = gradient

    @contextmanager
    def _back_at(self, captured: Captured | None) -> Iterator[None]:
        """A state for a block, or whatever the block makes of it; after it what was before."""
        with self._without_gradients():
            now = self._captured()
            try:
                if captured is not None:
                    captured.restore()
                yield
            finally:
                now.restore()

    def _beside(self) -> dict[str, Any]:
        """What the model has in its state dict that is no parameter of the optimizers."""
        if self.model is None:
            return {}
        own = {id(parameter) for parameter in self.parameters()}
        every = self.model.state_dict(keep_vars=True)
        return {
            name: value.detach() if isinstance(value, Tensor) else value
            for name, value in every.items()
            if id(value) not in own
        }
