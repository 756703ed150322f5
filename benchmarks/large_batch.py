"""Large batches for real: MNIST in ten epochs at batches of 4,096, 16,384 and all 55,000, by SGD, LARS and LAMB.

    python benchmarks/large_batch.py --data FOLDER

A network of 784-128-128-10 units with batch normalisation; warm-up over a tenth, then cosine to zero; a weight decay of
1e-4. SGD and LARS (trust coefficient 0.01) have a momentum of 0.9. Biases and norms are without decay and trust ratio.

Each gets its rate by the same budget: seven rates, half a decade apart, one seed, by accuracy on 5,000 validation
images. "SGD, scaled" gets none at the large batch: its rate is the best of seven at a batch of 128, times the ratio of
the batches (Goyal et al. 2017). The chosen rate is then trained with three other seeds, and the test images are looked
at.

Predicted before the first full run: at 4,096 all within 0.3 %; at 16,384 and more SGD with a scaled rate falls behind
by whole percents, and a searched rate wins most of that back; LARS and LAMB are not much better than a searched SGD on
so small a network.
"""

import math
from collections.abc import Callable

import torch
from _common import accuracy, arguments, conclude, progress, train_epochs
from torch import Tensor, nn

from stepsize.optim import LAMB, LARS, no_decay
from stepsize.task.built_in._data import MNIST
from stepsize.task.built_in._images import final_images, image_data

SMALL, BATCHES, EPOCHS = 128, (4_096, 16_384, 55_000), 10
Split = tuple[Tensor, Tensor]
Make = Callable[[nn.Module, float], torch.optim.Optimizer]


def sgd(model: nn.Module, rate: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(no_decay(model), lr=rate, momentum=0.9, weight_decay=1e-4)


def lars(model: nn.Module, rate: float) -> torch.optim.Optimizer:
    return LARS(no_decay(model, adapt=False), lr=rate, trust_coefficient=0.01)


def lamb(model: nn.Module, rate: float) -> torch.optim.Optimizer:
    return LAMB(no_decay(model, adapt=False), lr=rate, weight_decay=1e-4)


def grid(middle: float) -> list[float]:
    return [middle * 10 ** (half / 2) for half in range(-3, 4)]


KINDS: dict[str, tuple[Make, list[float]]] = {
    "SGD": (sgd, grid(1.0)),
    "LARS": (lars, grid(3.0)),
    "LAMB": (lamb, grid(0.03)),
}


def network() -> nn.Module:
    layers: list[nn.Module] = [nn.Flatten()]
    for before, after in ((784, 128), (128, 128)):
        layers += [nn.Linear(before, after), nn.BatchNorm1d(after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(128, 10))


def trained(make: Make, rate: float, batch: int, seed: int, train: Split, epochs: int) -> nn.Module:
    torch.manual_seed(seed)
    model = network()
    train_epochs(model, make(model, rate), "warmup(10%) >> cosine()", train, batch, epochs)
    return model


def best_rate(make: Make, rates: list[float], batch: int, train: Split, validation: Split, epochs: int) -> float:
    found = {rate: accuracy(trained(make, rate, batch, 0, train, epochs), validation) for rate in rates}
    progress("  " + ", ".join(f"{rate:.3g}: {value:.4f}" for rate, value in found.items()))
    return max(found, key=lambda rate: found[rate] if math.isfinite(found[rate]) else -1)


def main() -> None:
    given = arguments(__doc__, data=True)
    data, final = image_data(MNIST), final_images(MNIST)
    train, validation, test = (
        (data.inputs(images.pixels), images.labels) for images in (data.train, data.validation, final)
    )
    batches, epochs, seeds = ((55_000,), 2, 1) if given.quick else (BATCHES, EPOCHS, 3)
    kinds = {name: (make, rates[::3] if given.quick else rates) for name, (make, rates) in KINDS.items()}
    progress(f"SGD at {SMALL}")
    base = 0.1 if given.quick else best_rate(sgd, KINDS["SGD"][1], SMALL, train, validation, epochs)
    lines = [f"{epochs} epochs; test accuracy: mean of {seeds} seeds (smallest to largest)"]
    lines.append(f"SGD's best rate at a batch of {SMALL}: {base:.3g}")
    figures: dict[str, dict[str, object]] = {}
    for batch in batches:
        rows = {"SGD, scaled": (sgd, base * batch / SMALL, "")}
        for name, (make, rates) in kinds.items():
            progress(f"{name} at {batch}")
            rate = best_rate(make, rates, batch, train, validation, epochs)
            rows[name] = (make, rate, "  at the grid's edge" if rate in (rates[0], rates[-1]) else "")
        for name, (make, rate, remark) in rows.items():
            found = [accuracy(trained(make, rate, batch, 1 + seed, train, epochs), test) for seed in range(seeds)]
            figures[f"{name} at {batch}"] = {"rate": rate, "accuracy": found}
            spread = f"{sum(found) / seeds:.4f} ({min(found):.4f} to {max(found):.4f})"
            lines.append(f"  batch {batch:6,d}  {name:12s} rate {rate:8.3g}   {spread}{remark}")
    conclude("large_batch", lines, {"figures": figures}, given.quick)


if __name__ == "__main__":
    main()
