"""Predicted rates on tasks of one's own: batch x 16, length x 8, width x 4, beside the pure rules, on a CPU.

    python benchmarks/scale/own_tasks.py --data FOLDER

Three tasks: scikit-learn's digits (1,437 images) and MNIST (the first 4,000 images, each a row of 784 numbers), each a
perceptron with one hidden layer; Shakespeare by the character, a transformer of one layer on 32 of them, its gradient's
norm clipped at 1. Each by SGD with momentum 0.9 and by AdamW, with a task's usual schedule. Three axes, one at a time:
the batch at 8 epochs (16, 32 and 64 for 256, 16 times the smallest), the length (50, 100 and 200 steps for 400, 8
times), the width at 150 steps (32, 64 and 128 for 512, 16 times). Of Shakespeare the batch at a quarter of an epoch (4,
8 and 16 for 64), and the width from 16, 32 and 64 for 256.

`find_law` trains the small runs. Then the target is trained at nine rates, a factor of 1.78 apart, about the middle of
all predictions; its best rate is the vertex of the parabola through the lowest three losses, by their logarithms.
Error: |log2(rate / best)|. Beside: the largest small point's best rate kept, times the batch's ratio, times its root.
The price counts steps times batch, and a width as nothing.

Predicted before the first run: the law's mean error 0.4 doublings, keep's 0.7 on the batch and 0.4 on length and width,
linear's 1.5 and root's 0.6 on the batch; so at most half of the best pure rule on the batch, and not on length. A first
run, whose rates lay on no common grid, had 0.37, 0.87, 1.17 and 0.45 on the batch, 0.16 and 0.17 on length, 0.43 and
0.49 on width. Predicted before Shakespeare was added: the law's 0.4 on the batch, 0.3 on length
and 0.5 on width, keep's 0.7, 0.2 and 0.7.
"""

import math
import sys
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

sys.path.insert(0, str(Path(__file__).parents[1]))
from _common import arguments, conclude, progress

from stepsize import Task
from stepsize.engine import serial
from stepsize.scale import find_law
from stepsize.task import Axis, Shuffled, Trial
from stepsize.task.built_in import _shakespeare as shakespeare
from stepsize.task.built_in._data import MNIST, evenly
from stepsize.task.built_in._digits import data as digits_data
from stepsize.task.built_in._images import image_data
from stepsize.task.built_in._transformer import Transformer

AXES = {
    "batch": ({"batch_size": [16, 32, 64]}, {"batch_size": 256}, {"epochs": 8}),
    "length": ({"steps": [50, 100, 200]}, {"steps": 400}, {}),
    "width": ({"width": [32, 64, 128]}, {"width": 512}, {"steps": 150}),
}
TEXT_AXES = {
    "batch": ({"batch_size": [4, 8, 16]}, {"batch_size": 64}, {"epochs": 0.25}),
    "length": AXES["length"],
    "width": ({"width": [16, 32, 64]}, {"width": 256}, {"steps": 150}),
}
TEXT, TIME = "shakespeare", 32  # characters at once
OPTIMIZERS = {
    "sgd": lambda parameters, lr: torch.optim.SGD(parameters, lr=lr, momentum=0.9),
    "adamw": lambda parameters, lr: torch.optim.AdamW(parameters, lr=lr),
}
RULES = ("law", "keep", "linear", "root")
RATES = [10 ** (step / 4) for step in range(-4, 5)]


@cache
def examples(name: str) -> tuple[Tensor, Tensor]:
    if name == "digits":
        x, y, _, _ = digits_data()
        return x.flatten(1), y
    data = image_data(MNIST)
    return data.inputs(data.train.pixels[:4000]).flatten(1), data.train.labels[:4000]


def task_of(name: str, optimizer: str) -> Task:
    x, y = examples(name)

    def model(width: int = 64) -> nn.Module:
        return nn.Sequential(nn.Linear(x.shape[1], width), nn.ReLU(), nn.Linear(width, 10))

    def batches(generator: torch.Generator, size: int) -> Shuffled:
        return Shuffled(len(y), size, generator, lambda picked, _: (x[picked], y[picked]))

    def loss(network: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        return cross_entropy(network(batch[0]), batch[1])

    return Task(
        f"{name}-{optimizer}",
        model,
        batches,
        loss,
        OPTIMIZERS[optimizer],
        score=lambda network: float(cross_entropy(network(x), y)),
        steps=200,
        batch_size=32,
        examples=partial(len, y),
        axes={"width": Axis.whole(least=1)},
    )


def text_task(optimizer: str) -> Task:
    def model(width: int = 32) -> nn.Module:
        return Transformer(len(shakespeare.data().characters), TIME, width, heads=2, layers=1)

    def loss(network: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        x, y = (each[:, :TIME] for each in batch)
        return cross_entropy(network(x).flatten(0, 1), y.flatten())

    def score(network: nn.Module) -> float:
        text, picked = shakespeare.data().train, evenly(shakespeare.examples(), 300) * shakespeare.CONTEXT
        return float(loss(network, shakespeare.windows(text, picked)))

    return Task(
        f"{TEXT}-{optimizer}",
        model,
        shakespeare.batches,
        loss,
        OPTIMIZERS[optimizer],
        score=score,
        steps=200,
        batch_size=8,
        clip=1.0,
        examples=shakespeare.examples,
        axes={"width": Axis.whole(least=2)},
    )


def vertex(rates: list[float], losses: list[float]) -> float:
    """The best rate between those that were tried."""
    place = int(np.argmin(losses))
    if place in (0, len(rates) - 1):
        return rates[place]
    around = slice(place - 1, place + 2)
    logs, heights = np.log(rates[around]), np.log(losses[around])
    if not np.isfinite(heights).all():
        return rates[place]
    a, b, _ = np.polyfit(logs - logs[1], heights, 2)
    return rates[place] * math.exp(float(np.clip(-b / (2 * a), logs[0] - logs[1], logs[2] - logs[1])))


def measured(name: str, optimizer: str, axis: str, seed: int) -> dict[str, float]:
    task = text_task(optimizer) if name == TEXT else task_of(name, optimizer)
    over, at, length = (TEXT_AXES if name == TEXT else AXES)[axis]
    found = find_law(task, over, at, seed=seed, engine=serial, **length)
    law, there = found.law, found.prediction
    kept = max(law.bests(), key=lambda best: best[0][next(iter(over))])[1]
    ratio = at["batch_size"] / over["batch_size"][-1] if axis == "batch" else 1.0
    rules = {"law": there.lr, "keep": kept, "linear": kept * ratio, "root": kept * math.sqrt(ratio)}
    middle = math.exp((math.log(there.lr) + math.log(kept)) / 2)
    rates = [middle * each for each in RATES]
    steps = at.get("steps", length.get("steps"))
    if steps is None:
        steps = max(1, round(length["epochs"] * task.epoch(at["batch_size"])))
    settings = {key: value for key, value in at.items() if key != "steps"}
    trials = [Trial.of(task, {**settings, "lr": rate}, seed, steps) for rate in rates]
    losses = [result.score for result in serial(task, trials)]
    best = vertex(rates, losses)
    errors = {rule: abs(math.log2(rate / best)) for rule, rate in rules.items()}
    inside = there.low <= best <= there.high
    return {**errors, "best": best, "inside": inside, "border": best in (rates[0], rates[-1]), "price": found.price}


def line_of(key: str, found: list[dict[str, float]]) -> str:
    means = "".join(f"{np.mean([each[rule] for each in found]):9.2f}" for rule in RULES)
    held, price = sum(each["inside"] for each in found), np.mean([each["price"] for each in found])
    edge = "  at the grid's edge" * any(each["border"] for each in found)
    return f"  {key:24s}{means}   {held:.0f} of {len(found)}   {price:5.2f}{edge}"


def summary(figures: dict[str, list[dict[str, float]]]) -> list[str]:
    """All of an axis together."""
    lines = []
    for axis in {key.split(",")[0]: None for key in figures}:
        every = [each for key, found in figures.items() if key.startswith(axis) for each in found]
        means = "".join(f"{np.mean([each[rule] for each in every]):9.2f}" for rule in RULES)
        lines.append(f"  {'all of ' + axis:24s}{means}   {sum(each['inside'] for each in every):.0f} of {len(every)}")
    return lines


def main() -> None:
    given = arguments(__doc__, data=True)
    names, seeds = (["digits"], 1) if given.quick else (["digits", "mnist", TEXT], 3)
    figures: dict[str, list[dict[str, float]]] = {}
    lines = ["|log2(rate / best)|, mean of seeds; how many intervals hold the best rate; price in runs at the target"]
    lines.append(f"  {'':24s}" + "".join(f"{rule:>9s}" for rule in RULES) + "   inside   price")
    for axis in ["width"] if given.quick else AXES:
        for name in names:
            for optimizer in ["sgd"] if given.quick else OPTIMIZERS:
                key = f"{axis}, {name}, {optimizer}"
                found = [measured(name, optimizer, axis, seed) for seed in range(seeds)]
                figures[key] = found
                lines.append(line_of(key, found))
                progress(lines[-1])
    lines += summary(figures)
    conclude("scale/own_tasks", lines, {"figures": figures}, given.quick)


if __name__ == "__main__":
    main()
