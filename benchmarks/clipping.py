"""Where clipping decides between learning and explosion: a recurrent network over rates, with each way of clipping.

The adding problem (Hochreiter and Schmidhuber 1997) over 20 steps: two of 20 numbers are marked, and their sum is
wanted. Saying 1 always has a squared error of 0.167. Network: 32 rectified units that begin as the identity (Le, Jaitly
and Hinton 2015), whose gradients grow by leaps; SGD with momentum 0.9, batches of 32, a constant rate.

Seen in trials with one seed while this was written, so no prediction: without clipping, learning at 0.001 only; clipped
by norm, at 0.01 and 0.03; clipped adaptively, at 0.1 and 0.3.
"""

import math

import torch
from _common import arguments, conclude, progress
from torch import Tensor, nn

from stepsize import Control
from stepsize.optim import Clipper, adaptive_clipping, norm_clipping, value_clipping

LENGTH, UNITS, BATCH, CONSTANT = 20, 32, 32, 1 / 6
RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)
WAYS: tuple[Clipper | None, ...] = (None, norm_clipping(1.0), value_clipping(0.01), adaptive_clipping(0.02))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.memory = nn.RNN(2, UNITS, nonlinearity="relu", batch_first=True)
        self.out = nn.Linear(UNITS, 1)
        with torch.no_grad():
            self.memory.weight_hh_l0.copy_(torch.eye(UNITS))
            self.memory.weight_ih_l0.normal_(0, 0.3)
            self.memory.bias_hh_l0.zero_()
            self.memory.bias_ih_l0.zero_()

    def forward(self, series: Tensor) -> Tensor:
        return self.out(self.memory(series)[0][:, -1])


def batch(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    numbers = torch.rand(BATCH, LENGTH, generator=generator)
    marks, rows = torch.zeros(BATCH, LENGTH), torch.arange(BATCH)
    marks[rows, torch.randint(0, LENGTH // 2, (BATCH,), generator=generator)] = 1
    marks[rows, torch.randint(LENGTH // 2, LENGTH, (BATCH,), generator=generator)] = 1
    return torch.stack([numbers, marks], -1), (numbers * marks).sum(1, keepdim=True)


def final_loss(clip: Clipper | None, rate: float, seed: int, steps: int) -> float:
    """The mean of the last tenth of the losses; infinite where one was not finite."""
    torch.manual_seed(seed)
    model, generator = Recurrent(), torch.Generator().manual_seed(1_000 + seed)
    control = Control(torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9), clip=clip)
    losses = []
    for _ in range(steps):
        inputs, wanted = batch(generator)
        loss = (model(inputs) - wanted).square().mean()
        loss.backward()
        control.step(loss)
        losses.append(loss.item())
        if not math.isfinite(losses[-1]):
            return math.inf
    last = losses[-(steps // 10) :]
    return sum(last) / len(last)


def main() -> None:
    quick = arguments(__doc__ or "").quick
    steps, seeds, rates = (20, 1, RATES[::4]) if quick else (1_500, 3, RATES)
    lines = [f"squared error at the end of {steps} steps, median of {seeds} seeds; always saying 1: {CONSTANT:.3f}"]
    lines.append(f"  {'clipping':38s}" + "".join(f"{rate:>10g}" for rate in rates) + "   learned")
    data: dict[str, dict[str, list[float]]] = {}
    for clip in WAYS:
        name = "none" if clip is None else str(clip)
        data[name] = {f"{rate:g}": [final_loss(clip, rate, seed, steps) for seed in range(seeds)] for rate in rates}
        progress(name)
        middle = [sorted(losses)[seeds // 2] for losses in data[name].values()]
        learned = sum(loss < CONSTANT / 4 for losses in data[name].values() for loss in losses)
        cells = "".join(f"{'exploded':>10s}" if value > 100 else f"{value:10.4f}" for value in middle)
        lines.append(f"  {name:38s}{cells}   {learned} of {seeds * len(rates)}")
    lines.append(f"learned: below a quarter of {CONSTANT:.3f}; exploded: above 100, or not finite")
    conclude("clipping", lines, {"losses": data}, quick)


if __name__ == "__main__":
    main()
