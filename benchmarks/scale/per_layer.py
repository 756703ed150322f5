"""Does a rate carry over to four times the width if rates per layer move along? Groups by hand, three recipes, one CPU.

    python benchmarks/scale/per_layer.py --data FOLDER

Two tasks by AdamW: Shakespeare by the character, a transformer of one layer, width 32 to 128; digits, a perceptron of
two hidden layers, width 32 to 128. Each is trained for 100 steps at six half decades of rates, three seeds.

- one rate: all layers have it.
- hidden by width: hidden matrices, and a perceptron's output, have the rate times 32 / width, as in muP for Adam (Yang
  et al. 2022, arXiv 2203.03466, table 8; its multipliers of outputs and initial weights are left out).
- embedding by width: the embeddings, or a perceptron's first layer, have the rate times width / 32, all others the
  rate (Kalra and Barkeshli 2026, arXiv 2605.21486).

At width 32 all three are the same. Said of each: by how many doublings the best rate moves from width 32 to 128; how
much more loss the rate that was best at 32 costs at 128; the loss at the best rate of 128.

Predicted before the first run: one rate moves by -1.5 doublings on Shakespeare and -1 on digits; hidden by width by
-0.5 on both, and its kept rate costs less than half of what one rate's does; embedding by width moves by -1.5, with a
best loss 1 % below one rate's on Shakespeare, and no difference on digits, whose inputs are few and dense.
"""

import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import AdamW

sys.path.insert(0, str(Path(__file__).parents[1]))
from _common import arguments, conclude, progress
from own_tasks import TEXT, examples, text_task, vertex

from stepsize import Control
from stepsize.optim import groups

SMALL, LARGE, STEPS, BATCH = 32, 128, 100, 8
RATES = [10 ** (step / 2) * 1e-4 for step in range(1, 7)]
Recipe = Callable[[nn.Module, float, float], Any]
RECIPES: dict[str, dict[str, Recipe]] = {
    "digits": {
        "one rate": lambda model, *_: model.parameters(),
        "hidden by width": lambda model, lr, ratio: groups(model, {("2", "4"): lr / ratio, "*": lr}),
        "embedding by width": lambda model, lr, ratio: groups(model, {"0": lr * ratio, "*": lr}),
    },
    TEXT: {
        "one rate": lambda model, *_: model.parameters(),
        "hidden by width": lambda model, lr, ratio: groups(model, {"layers.*": lr / ratio, "*": lr}),
        "embedding by width": lambda model, lr, ratio: groups(model, {("character", "place"): lr * ratio, "*": lr}),
    },
}


def perceptron(width: int) -> nn.Module:
    inner = [nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10)]
    return nn.Sequential(*inner)


def setting(
    name: str, width: int, seed: int
) -> tuple[nn.Module, Iterator[Any], Callable[[nn.Module, Any], Tensor], Any]:
    """Model, batches, loss, and what the last loss is measured on."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    if name == TEXT:
        task = text_task("adamw")
        return task.model(width=width), task.batches(generator, BATCH), task.loss, task.score
    x, y = examples("digits")

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            for picked in torch.randperm(len(y), generator=generator).split(BATCH):
                yield x[picked], y[picked]

    def loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        return cross_entropy(model(batch[0]), batch[1])

    return perceptron(width), batches(), loss, lambda model: float(loss(model, (x, y)))


def trained(name: str, recipe: Recipe, width: int, rate: float, seed: int) -> float:
    model, batches, loss, score = setting(name, width, seed)
    optimizer = AdamW(recipe(model, rate, width / SMALL), lr=rate)
    control = Control(optimizer, lr="warmup(5%) >> cosine()", total=STEPS, clip=1.0, remind=False)
    for _ in range(STEPS):
        loss(model, next(batches)).backward()
        control.step()
    with torch.no_grad():
        found = score(model)
    return found if math.isfinite(found) else math.inf


def measured(name: str, recipe: str, seed: int, small: list[float]) -> dict[str, Any]:
    large = [trained(name, RECIPES[name][recipe], LARGE, rate, seed) for rate in RATES]
    kept = RATES[int(np.argmin(small))]
    return {
        "moved": math.log2(vertex(RATES, large) / vertex(RATES, small)),
        "excess": 100 * (large[RATES.index(kept)] / min(large) - 1),
        "best": min(large),
        "losses": large,
    }


def main() -> None:
    given = arguments(__doc__, data=True)
    figures: dict[str, list[dict[str, Any]]] = {}
    head = "doublings by which the best rate moves; % more loss of the rate kept; loss at the best rate"
    lines = [f"width {SMALL} to {LARGE}, mean of seeds: {head}"]
    for name in ["digits"] if given.quick else RECIPES:
        for seed in range(1 if given.quick else 3):
            small = [trained(name, RECIPES[name]["one rate"], SMALL, rate, seed) for rate in RATES]
            for recipe in RECIPES[name]:
                figures.setdefault(f"{name}, {recipe}", []).append(measured(name, recipe, seed, small))
            progress(f"{name}, seed {seed}")
    for key, found in figures.items():
        moved, excess, best = (np.asarray([each[part] for each in found]) for part in ("moved", "excess", "best"))
        range_of = f"({moved.min():+.2f} to {moved.max():+.2f})"
        shown = f"moved {moved.mean():+5.2f} {range_of}   kept {excess.mean():6.2f} %   best {best.mean():.4f}"
        lines.append(f"  {key:32s} {shown}")
    conclude("scale/per_layer", lines, {"figures": figures}, given.quick)


if __name__ == "__main__":
    main()
