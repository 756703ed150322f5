"""What Control adds to a step, beside what torch's CosineAnnealingLR adds: microseconds, without update and clipping.

The optimizer's own step does nothing here; what calling such a step and ``zero_grad`` takes by itself is subtracted
from Control's figure round by round. Interleaved rounds, medians with intervals.

Measured by hand before this script was written, so no prediction: 17 against 6 microseconds with one group.
"""

import time
from collections.abc import Callable
from types import MethodType

import torch
from _common import arguments, conclude, interval
from torch._dynamo.testing import CompileCounter

from stepsize import Control, cosine

TOTAL = 10**6


def optimizer(groups: int, tensor: bool) -> torch.optim.Optimizer:
    """An optimizer whose step and zero_grad do nothing, without the 15 microseconds that torch wraps around a step."""
    rate = (lambda: torch.tensor(0.1)) if tensor else (lambda: 0.1)
    members = [{"params": [torch.zeros(1, requires_grad=True)], "lr": rate()} for _ in range(groups)]
    idle = torch.optim.SGD(members, lr=0.1)
    idle.step = MethodType(_nothing, idle)
    idle.zero_grad = MethodType(_nothing, idle)
    return idle


def _nothing(optimizer: torch.optim.Optimizer, closure: object = None) -> None:  # noqa: ARG001 - a step's signature
    return None


def microseconds(call: Callable[[], object], count: int) -> float:
    began = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - began) / count * 1e6


READERS = ("item", "__float__", "__bool__", "__int__", "tolist", "cpu", "numpy")


def reads_of_a_run(steps: int) -> int:
    """Reads back from the device in so many clipped steps between two log points."""
    weight = torch.zeros(9, requires_grad=True)
    control = Control(torch.optim.SGD([weight], lr=0.1), lr=cosine(), total=TOTAL, clip=1.0, remind=False)
    counted = 0
    originals = {name: getattr(torch.Tensor, name) for name in READERS}

    def counting(name: str) -> Callable[..., object]:
        def read(tensor: torch.Tensor, *arguments: object) -> object:
            nonlocal counted
            counted += 1
            return originals[name](tensor, *arguments)

        return read

    for name in READERS:
        setattr(torch.Tensor, name, counting(name))
    try:
        for _ in range(steps):
            weight.grad = torch.ones(9)
            control.step(weight.sum())
    finally:
        for name, original in originals.items():
            setattr(torch.Tensor, name, original)
    return counted


def graphs_of_a_compiled_step(steps: int, **driven: str) -> int:
    """How many graphs a compiled SGD step with a tensor rate has after so many controlled steps."""
    torch._dynamo.reset()
    graphs = CompileCounter()
    layer = torch.nn.Linear(3, 3)
    optimizer = torch.optim.SGD(layer.parameters(), lr=torch.tensor(0.1), momentum=0.9)
    optimizer.step = torch.compile(optimizer.step, backend=graphs)
    control = Control(optimizer, lr=cosine(), total=TOTAL, remind=False, **driven)
    for _ in range(steps):
        layer.weight.grad, layer.bias.grad = torch.ones(3, 3), torch.ones(3)
        control.step()
    return graphs.frame_count


def ratio(theirs: list[float], ours: list[float]) -> str:
    middle, low, high = interval([their / own for their, own in zip(theirs, ours, strict=True)])
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def main() -> None:
    quick = arguments(__doc__ or "").quick
    rounds = 2 if quick else 15
    lines = [f"{rounds} interleaved rounds; median (95 % interval of the median), microseconds a step"]
    data = {}
    for groups in (1, 10, 300):
        for tensor in (False, True):
            bare, driven, scheduled = (optimizer(groups, tensor) for _ in range(3))
            control = Control(driven, lr=cosine(), total=TOTAL, remind=False)
            scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(scheduled, TOTAL)
            scheduled.step()
            count = 20 if quick else 20_000 // groups + 30
            ours, theirs = [], []
            for _ in range(rounds):
                alone = microseconds(lambda o=bare: (o.step(), o.zero_grad()), count)
                ours.append(microseconds(control.step, count) - alone)
                theirs.append(microseconds(scheduler.step, count))
            kind = "tensor rates" if tensor else "float rates"
            data[f"{groups} groups, {kind}"] = {"stepsize": ours, "torch": theirs}
            own, other = interval(ours), interval(theirs)
            lines.append(
                f"  {groups:3d} groups, {kind:12s}  stepsize {own[0]:7.1f} ({own[1]:.1f} to {own[2]:.1f})"
                f"   torch {other[0]:7.1f} ({other[1]:.1f} to {other[2]:.1f})   torch/stepsize {ratio(theirs, ours)}"
            )
    reads, steps = reads_of_a_run(100), 20 if quick else 1_000
    graphs = [graphs_of_a_compiled_step(steps), graphs_of_a_compiled_step(steps, momentum="linear(start=0.5)")]
    lines.append(f"  reads back from the device in 100 clipped steps between log points: {reads}")
    lines.append(
        f"  graphs of a compiled SGD step with a tensor rate after {steps} steps: {graphs[0]}; "
        f"with its float momentum driven too: {graphs[1]}"
    )
    data |= {"reads": reads, "graphs": graphs}
    conclude("control", lines, {"microseconds": data}, quick)


if __name__ == "__main__":
    main()
