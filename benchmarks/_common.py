"""What the benchmarks share: where logs go, and what machine they ran on."""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stepsize import Control
from stepsize.watch import environment

torch.set_num_threads(1)  # small networks; and figures then do not depend on the number of cores
LOGS = Path(__file__).parent / "logs"


def arguments(description: str | None, data: bool = False) -> argparse.Namespace:
    """The options of a benchmark; with ``data`` also the folder of the data sets, which goes into STEPSIZE_DATA."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few repetitions, as CI runs it; writes no log")
    if data:
        parser.add_argument("--data", help="the folder of the data sets; STEPSIZE_DATA or the hub when left out")
    found = parser.parse_args()
    if data and found.data:
        os.environ["STEPSIZE_DATA"] = found.data
    return found


def conclude(name: str, lines: list[str], data: dict[str, Any], quick: bool) -> None:
    """Print the report, and keep it with its figures under logs/ when it was a full run."""
    facts = environment()
    head = f"{name}: {facts['versions']}, {facts['threads']} threads"
    report = "\n".join([head, *lines])
    print(report)
    if not quick:
        (LOGS / name).parent.mkdir(parents=True, exist_ok=True)
        (LOGS / f"{name}.log").write_text(report + "\n", encoding="utf-8")
        (LOGS / f"{name}.json").write_text(json.dumps({**facts, **data}, indent=1) + "\n", encoding="utf-8")


def interval(values: list[float]) -> tuple[float, float, float]:
    """Median and the 2.5 % and 97.5 % quantiles of its bootstrap."""
    generator = np.random.default_rng(0)
    sample = np.asarray(values, dtype=float)
    medians = np.median(generator.choice(sample, (2_000, len(sample))), axis=1)
    low, high = np.quantile(medians, [0.025, 0.975])
    return float(np.median(sample)), float(low), float(high)


def progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def train_epochs(
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: str,
    train: tuple[torch.Tensor, torch.Tensor],
    batch: int,
    epochs: int,
) -> None:
    """Train a classifier by Control, each epoch on whole batches in a new order from torch's own generator."""
    inputs, labels = train
    per_epoch = len(labels) // batch
    control = Control(optimizer, lr=schedule, total=epochs * per_epoch, remind=False)
    for _ in range(epochs):
        for part in torch.randperm(len(labels))[: per_epoch * batch].split(batch):
            loss = torch.nn.functional.cross_entropy(model(inputs[part]), labels[part])
            loss.backward()
            control.step(loss)


def accuracy(model: torch.nn.Module, split: tuple[torch.Tensor, torch.Tensor]) -> float:
    """The share of a split's examples that a classifier gets right."""
    model.eval()
    with torch.no_grad():
        return float((model(split[0]).argmax(1) == split[1]).double().mean())
