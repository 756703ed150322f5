"""The batch of an update once more, before or after it, and everything around as if that had never been."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.module import register_module_forward_pre_hook

from stepsize import _check
from stepsize.control._bus import Bus
from stepsize.control.feedback import several_processes
from stepsize.control.signals import SIGNALS
from stepsize.state import RandomState, mean_of_ranks, own_randomness

Loss = Callable[[], Tensor]
Kept = dict[int, tuple[Tensor, Tensor | None]]
BLOCK = 256  # steps for which several processes agree at once


def losses_in(again: Any) -> tuple[Loss, ...]:
    """The functions that a loop has handed over; TypeError if they are none."""
    found = tuple(again) if isinstance(again, list | tuple) else (again,)
    if not found or not all(map(callable, found)):
        raise TypeError(_check.message("again", again, "a function that computes the loss once more, or several"))
    return found


class Evaluated(NamedTuple):
    """A batch evaluated again.

    Attributes:
        loss: summed over an update's calls, 0-d.
        gradients: of each parameter; of those that the loss does not depend on, None.
    """

    loss: Tensor
    gradients: list[Tensor | None]


def _has_graph(slope: Tensor | None) -> bool:
    return slope is not None and slope.requires_grad


class Repeats:
    """Which updates' batches are evaluated once more; several processes do what the first one's observers want.

    Args:
        bus: whose observers want it or not.

    Attributes:
        draws: whether the loss was seen to draw random numbers.
    """

    def __init__(self, bus: Bus) -> None:
        self.draws = False
        self._bus = bus
        self._agreed: dict[int, frozenset[str]] = {}

    def wanted(self, step: int) -> frozenset[str]:
        """The names of the signals that need it at a step; every rank must ask for the same steps.

        Args:
            step: the number of the update to come.
        """
        if not several_processes():
            return self._bus.wants_again(step)
        if step not in self._agreed:
            box = [None]
            if dist.get_rank() == 0:
                block = range(step, step + BLOCK)
                box = [[self._bus.wants_again(number) & SIGNALS.keys() for number in block]]  # type: ignore[list-item]
            dist.broadcast_object_list(box)
            self._agreed = dict(enumerate(box[0] or [], step))
        return self._agreed[step]


class Again:
    """The batch of one update, evaluated from the same random numbers each time.

    Args:
        losses: what the loop has handed over, one for each call that belongs to the update.
        parameters: of the optimizers.
        scaler: of the loss whose gradients the update is made from, or None.
        repeats: notes whether the loss draws random numbers.
        wanted: the signals that need it.
    """

    def __init__(
        self,
        losses: Sequence[Loss],
        parameters: Sequence[Tensor],
        scaler: torch.amp.GradScaler | None,
        repeats: Repeats,
        wanted: Collection[str],
    ) -> None:
        self._losses, self._scaler, self.repeats, self.wanted = losses, scaler, repeats, wanted
        self.parameters = [parameter for parameter in parameters if parameter.requires_grad]
        self._began: RandomState | None = None

    def scale(self) -> float:
        """By what the gradients that the update is made from are too large; read back from the device."""
        return 1.0 if self._scaler is None else float(self._scaler.get_scale())

    def __call__(self, gradients: bool) -> Evaluated:
        """The loss, and the gradients if they are asked for.

        Args:
            gradients: whether they are.
        """
        self._began = began = self._began or RandomState.now()
        with _aside(self.parameters) as kept, _buffers_kept(), own_randomness(began) as ended:
            losses = [self._loss(loss, gradients, kept) for loss in self._losses]
            found = [parameter.grad for parameter in self.parameters]
        self.repeats.draws = self.repeats.draws or not ended[0].equals(began)
        return Evaluated(torch.stack(losses).sum(), found)

    @contextmanager
    def hessian(self) -> Iterator[Callable[[Sequence[Tensor]], list[Tensor]]]:
        """A function that multiplies a vector by the loss's Hessian, for a block in which graphs are kept."""
        self._began = began = self._began or RandomState.now()
        parameters = self.parameters
        if any(hasattr(parameter, "to_local") for parameter in parameters):
            raise ValueError("sharpness needs whole weights, and these are sharded over processes; leave it out")
        # fused attention and cuDNN's recurrent layers cannot be differentiated twice
        plain = sdpa_kernel(SDPBackend.MATH), torch.backends.cudnn.flags(enabled=False)
        with _aside(parameters), _buffers_kept(), own_randomness(began), plain[0], plain[1], torch.enable_grad():
            loss = torch.stack([compute().reshape(()) for compute in self._losses]).sum()
            slopes = torch.autograd.grad(loss, parameters, create_graph=True, allow_unused=True)
            used = [(slope, tensor) for slope, tensor in zip(slopes, parameters, strict=True) if _has_graph(slope)]

            def product(vector: Sequence[Tensor]) -> list[Tensor]:
                beside = [part for part, slope in zip(vector, slopes, strict=True) if _has_graph(slope)]
                if not used:  # the loss is straight
                    return [torch.zeros_like(part) for part in vector]
                images = torch.autograd.grad(
                    [slope for slope, _ in used], parameters, beside, retain_graph=True, allow_unused=True
                )
                return [
                    torch.zeros_like(part) if image is None else mean_of_ranks(image.detach())
                    for image, part in zip(images, vector, strict=True)
                ]

            yield product

    def _loss(self, loss_of: Loss, gradients: bool, kept: Kept) -> Tensor:
        with torch.set_grad_enabled(gradients):
            loss = loss_of()
        if not isinstance(loss, Tensor):
            raise TypeError(_check.message("loss returned by again", loss, "a tensor of one element"))
        _check.one_number("loss returned by again", loss)
        if gradients:
            for leaf in _leaves(loss):
                if id(leaf) not in kept:
                    kept[id(leaf)] = leaf, leaf.grad
                    leaf.grad = None
            loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach().reshape(())


@contextmanager
def _aside(parameters: Sequence[Tensor]) -> Iterator[Kept]:
    """Put gradients aside for a block, and back; what is added to the mapping is put back too."""
    kept: Kept = {id(parameter): (parameter, parameter.grad) for parameter in parameters}
    for parameter in parameters:
        parameter.grad = None
    try:
        yield kept
    finally:
        for image, gradient in kept.values():
            image.grad = gradient


def _leaves(loss: Tensor) -> Iterator[Tensor]:
    """All that a loss's backward pass gives gradients to, also of those that no optimizer here has."""
    todo, seen = [loss.grad_fn], set()
    while todo:
        node: Any = todo.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if type(node).__name__ == "AccumulateGrad":
            yield node.variable
        todo += [following for following, _ in node.next_functions]


@contextmanager
def _buffers_kept() -> Iterator[None]:
    """Put back, after a block, the buffers of whatever modules are called in it, as BatchNorm's running statistics.

    Only the outermost call is listened to: inside a compiled module nothing may change.
    """
    kept: dict[int, tuple[nn.Module, str, Tensor, Tensor]] = {}
    handles: list[Any] = []

    def listen() -> None:
        handles.append(register_module_forward_pre_hook(enter))

    def enter(module: nn.Module, *_: Any) -> None:
        handles.pop().remove()
        for part in module.modules():
            for name, buffer in part._buffers.items():
                if buffer is not None and id(buffer) not in kept:
                    kept[id(buffer)] = part, name, buffer, buffer.detach().clone()
        leaving: list[Any] = []

        def leave(*_: Any) -> None:
            leaving.pop().remove()
            listen()

        leaving.append(module.register_forward_hook(leave, always_call=True))

    listen()
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        for module, name, buffer, before in kept.values():
            module._buffers[name] = buffer
            buffer.data.copy_(before)  # what a graph has kept of it for its backward pass stays valid
