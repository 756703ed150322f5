"""What the range test's loan costs: ResNet-18 with SGD and momentum captured, and restored in place, in milliseconds.

Beside copy.deepcopy of the two state dicts and loading them (which keeps neither gradients nor modes nor generators),
beside a plain copy of the same bytes into memory that is there already, and as a share of one training step. The model
is the built-in task cifar10's, with 32 random pictures in a batch; a step of 128 takes four times as long. Interleaved
rounds, each after a training step, as in mid-run; milliseconds of the one thread's processor time, since others use the
machine, and of the clock. Medians with intervals.

Asked for: capture and restore in 15 ms and 5 % of a step, a quarter of deepcopy's. Measured by hand before this script
was written, so no prediction: 22 and 11 ms of processor time, deepcopy 19 to 25 and loading 22, on a busy machine; a
copy of the bytes alone 11.
"""

import copy
import ctypes
import time
from collections.abc import Callable

import torch
from _common import arguments, conclude, interval, progress
from torch.nn.functional import cross_entropy

from stepsize.state import capture
from stepsize.task.built_in._cifar10 import resnet18

BATCH = 32


def milliseconds(call: Callable[[], object]) -> tuple[float, float]:
    """Of processor time, and of the clock."""
    clock, processor = time.perf_counter(), time.process_time()
    call()
    return (time.process_time() - processor) * 1e3, (time.perf_counter() - clock) * 1e3


class Subject:
    """A model with its optimizer, and what is done to them."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = resnet18(64)((3, 32, 32), 10)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.01, momentum=0.9)
        self.pictures, self.classes = torch.randn(BATCH, 3, 32, 32), torch.randint(10, (BATCH,))

    def step(self) -> None:
        self.model.train()
        cross_entropy(self.model(self.pictures), self.classes).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()

    def capture(self) -> None:
        self.captured = capture(self.model, self.optimizer)

    def restore(self) -> None:
        self.captured.restore()

    def deepcopy(self) -> None:
        self.copies = copy.deepcopy((self.model.state_dict(), self.optimizer.state_dict()))

    def load(self) -> None:
        self.model.load_state_dict(self.copies[0])
        # the optimizer keeps what it is given: without a copy, training would change what was kept
        self.optimizer.load_state_dict(copy.deepcopy(self.copies[1]))

    def tensors(self) -> list[torch.Tensor]:
        momenta = [state["momentum_buffer"] for state in self.optimizer.state.values()]
        return [*self.model.state_dict().values(), *momenta]

    def plain_copy(self) -> None:
        with torch.no_grad():
            for old, new in zip(self.tensors(), self.room, strict=True):
                new.copy_(old)

    def flat_buffer(self) -> None:
        """Another way to capture: one new buffer for all, filled by one call."""
        old = [tensor for tensor in self.tensors() if tensor.dtype == torch.float32]
        sizes = [each.numel() for each in old]
        parts = torch.empty(sum(sizes)).split(sizes)
        with torch.no_grad():
            torch._foreach_copy_([part.view_as(each) for part, each in zip(parts, old, strict=True)], old)

    def foreach_copy(self) -> None:
        """Another way to restore: all tensors by one call."""
        with torch.no_grad():
            torch._foreach_copy_(self.tensors(), self.room)

    def memory_moves(self) -> None:
        """Another way to restore: the C library's own copy."""
        for old, new in zip(self.tensors(), self.room, strict=True):
            ctypes.memmove(old.data_ptr(), new.data_ptr(), old.numel() * old.element_size())

    def forget(self) -> None:
        """Give the memory back, so that each way begins as the others do."""
        self.captured = self.copies = None


def main() -> None:
    quick = arguments(__doc__ or "").quick
    subject, rounds = Subject(), 2 if quick else 15
    subject.step()
    subject.room = [torch.empty_like(tensor).fill_(0) for tensor in subject.tensors()]
    tried = ("flat_buffer", "foreach_copy", "memory_moves")
    ways = ("step", "capture", "restore", "deepcopy", "load", "plain_copy", *tried)
    times: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    for number in range(rounds):
        for way in ways:
            times[way].append(milliseconds(getattr(subject, way)))
            if way in ("restore", "load"):
                subject.forget()
        progress(f"{number + 1}/{rounds}")
    size = sum(each.numel() * each.element_size() for each in subject.room) / 1e6
    lines = [
        f"ResNet-18, {size:.0f} MB with its momentum; {rounds} rounds",
        f"  {'ms':44s}{'processor':>24s}{'clock':>26s}",
    ]

    def row(name: str, values: list[tuple[float, float]]) -> None:
        cells = [interval([value[place] for value in values]) for place in (0, 1)]
        lines.append(f"  {name:44s}" + "".join(f"{m:9.1f} [{low:6.1f},{high:7.1f}]" for m, low, high in cells))

    def together(*names: str) -> list[tuple[float, float]]:
        return [
            (sum(a for a, _ in each), sum(b for _, b in each)) for each in zip(*(times[n] for n in names), strict=True)
        ]

    ours, theirs = together("capture", "restore"), together("deepcopy", "load")
    row("capture", times["capture"])
    row("restore", times["restore"])
    row("both", ours)
    row("copy.deepcopy of the state dicts", times["deepcopy"])
    row("loading them", times["load"])
    row("both", theirs)
    row("a plain copy of the bytes", times["plain_copy"])
    row("tried: capture into one flat buffer", times["flat_buffer"])
    row("tried: restore by torch's foreach copy", times["foreach_copy"])
    row("tried: restore by memmove", times["memory_moves"])
    row(f"one training step, batch {BATCH}", times["step"])

    def ratio(name: str, above: list[tuple[float, float]], below: list[tuple[float, float]], unit: float = 1.0) -> None:
        middle, low, high = interval([unit * a[0] / b[0] for a, b in zip(above, below, strict=True)])
        lines.append(f"  {name:60s}{middle:7.2f} [{low:5.2f},{high:6.2f}]")

    ratio("deepcopy and load / capture and restore", theirs, ours)
    ratio("capture and restore / two plain copies", ours, together("plain_copy", "plain_copy"))
    ratio(f"capture and restore, % of a step of {BATCH}", ours, times["step"], 100)
    ratio("capture and restore, % of a step of 128 (four times as long)", ours, times["step"], 25)
    conclude("range_test", lines, {"times": times, "megabytes": size}, quick)


if __name__ == "__main__":
    main()
