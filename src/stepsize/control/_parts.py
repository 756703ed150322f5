"""The parts of an update: the gradient of each backward pass, before it is added to others or averaged over processes.

Of each part only the norm of every parameter's gradient is kept, so nothing is copied and no pass is repeated. A
gradient is seen where it arrives at its parameter, by a hook, which under DDP is before the average over processes.
"""

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from stepsize.control._bus import Bus
from stepsize.control._hooks import unhook
from stepsize.control.feedback import several_processes
from stepsize.optim import total_norm

BLOCK = 256  # steps for which several processes agree at once


class Parts:
    """Listens to backward passes while an observer wants to know of the update to come.

    Args:
        parameters: gives those of the optimizers.
        scaler: of the loss, or None.
        bus: whose observers want it or not.

    Attributes:
        together: whether all processes listen, and may exchange what they heard.
        calls: calls of ``step`` to this update, each of one part.
    """

    def __init__(self, parameters: Callable[[], list[Tensor]], scaler: torch.amp.GradScaler | None, bus: Bus) -> None:
        self.together, self.calls, self._wanted = False, 1, False
        self._parameters, self._scaler, self._bus = parameters, scaler, bus
        self._squares: dict[int, list[Tensor]] = {}
        self._handles: list[Any] = []
        self._agreed: dict[int, bool] = {}
        weakref.finalize(self, unhook, self._handles)

    @property
    def listens(self) -> bool:
        """Whether gradients are wanted now; those of shards are not heard."""
        return self._wanted

    def ready(self, step: int) -> None:
        """Listen to an update to come if an observer of this process wants it; drop what was heard.

        Args:
            step: its number.
        """
        self._agreed = {key: value for key, value in self._agreed.items() if key >= step}
        self._listen(self._bus.wants_parts(step), together=False)

    def agree(self, step: int) -> None:
        """Listen on all processes where the first one's observers want it; every process must call.

        Args:
            step: the number of the update to come.
        """
        if not several_processes():
            return
        if step not in self._agreed:
            box: list[Any] = [None]
            if dist.get_rank() == 0:
                box = [[self._bus.wants_parts(number) for number in range(step, step + BLOCK)]]
            dist.broadcast_object_list(box)
            self._agreed = dict(enumerate(box[0], step))
        self._listen(self._agreed[step], together=True)

    def clear(self) -> None:
        """Drop what was heard: the window begins anew."""
        self._squares.clear()

    def scale(self) -> float:
        """By what the gradients are too large; read back from the device."""
        return 1.0 if self._scaler is None else float(self._scaler.get_scale())

    def squared_norms(self, parameters: Sequence[Tensor]) -> tuple[Tensor, int]:
        """Sums of squared norms over the parts, [parameters], and how many parts the parameter with the most had.

        Args:
            parameters: in the order that is wanted.
        """
        sums = [
            torch.stack(self._squares[id(parameter)]).sum() if id(parameter) in self._squares else None
            for parameter in parameters
        ]
        device = next((part.device for part in sums if part is not None), torch.device("cpu"))
        nothing = torch.zeros((), dtype=_kind(device), device=device)
        together = torch.stack([nothing if part is None else part.to(nothing) for part in sums])
        return together, max(map(len, self._squares.values()), default=0)

    def _listen(self, wanted: bool, together: bool) -> None:
        self.together, self._wanted = together and wanted, wanted
        self.clear()
        if wanted and not self._handles:
            for parameter in self._parameters():
                # shards are heard of after their average
                if parameter.requires_grad and not hasattr(parameter, "to_local"):
                    self._handles.append(parameter.register_hook(_Hook(self._squares, id(parameter))))  # type: ignore[no-untyped-call]
        elif not wanted:
            unhook(self._handles)
            self._handles.clear()


class _Hook:
    """Notes the norm of a gradient; keeps nothing of its owner alive."""

    def __init__(self, squares: dict[int, list[Tensor]], key: int) -> None:
        self._squares, self._key = squares, key

    def __call__(self, gradient: Tensor) -> None:
        norm = total_norm([gradient.detach()])
        self._squares.setdefault(self._key, []).append(norm.to(_kind(norm.device)).square())


def _kind(device: torch.device) -> torch.dtype:
    """In what squares are summed; MPS has no float64."""
    return torch.float32 if device.type == "mps" else torch.float64
