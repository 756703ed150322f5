"""Short runs of the finders' tasks, 51 tasks of 38 families, over four decades and more of rates, and what was seen.

Every task is trained with a constant rate and with warm-up and cosine (seed 0), and with the schedule of its own (seed
1), at rates around the best one of the finders' oracle. A run is kept as arrays: loss and rate of each step, signals of
about fifty, and the score at its end: the loss in eval mode on a fixed set of training data. Bounds are set on the
tuning set, and figures are of the report set.

    python benchmarks/diagnosis/runs.py --out FOLDER [--data FOLDER] [--workers 2]

What is in the folder already is not trained again.
"""

import argparse
import math
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1] / "finders"))

from _data import DEFAULT, PLACE
from _entry import CONSTANT, WARM
from oracle import SETS, Oracle

from stepsize import Record, Signal
from stepsize.task import Trial

LOOKS = 50  # times that the costly signals are measured in a run
OFFSETS = (-2.5, -2.0, -1.5, -1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0, 1.5)  # decades from the oracle's best rate
MORE = (-1.5, -1.0, -0.5, -0.25, -0.12, 0.0, 0.12, 0.25, 0.5, 1.0)
ENTRIES = {entry.name: (kind, entry) for kind, entries in SETS.items() for entry in entries}
STEP = ("loss", "rate", "gradient_norm")
COSTLY = ("curvature", "decrease_ratio", "cosine", "update_cosine", "update_ratio", "update_norm")


class Again:
    """A task's loss that remembers its last batch, so that the update can be looked at on the same one."""

    def __init__(self, loss) -> None:
        self.loss = loss
        self.last = None

    def __call__(self, model, batch) -> Tensor:
        self.last = model, batch
        return self.loss(model, batch)


def along_update(again: Again) -> Signal:
    """Curvature along the update, (g1 - g0)·d / |g0·d|, and what else two gradients on one batch tell."""

    def before(update):
        kept = [parameter for parameter in update.parameters.values() if parameter.grad is not None]
        return [(each, each.detach().clone(), each.grad.detach().clone()) for each in kept]

    def after(update, kept):
        model, batch = again.last
        drawn = torch.get_rng_state()
        buffers = [buffer.clone() for buffer in model.buffers()]
        loss = again.loss(model, batch)
        found = torch.autograd.grad(loss, [each for each, *_ in kept], allow_unused=True)
        torch.set_rng_state(drawn)
        for held, buffer in zip(buffers, model.buffers(), strict=True):
            buffer.copy_(held)
        zero = torch.zeros(())
        sums = dict.fromkeys(("gd", "hd", "gg", "dd", "ee", "ge", "ww"), 0.0)
        for (parameter, old, first), second in zip(kept, found, strict=True):
            moved = parameter.detach() - old
            second = zero.expand_as(first) if second is None else second
            sums["gd"] += float((first * moved).sum())
            sums["hd"] += float(((second - first) * moved).sum())
            sums["gg"] += float(first.square().sum())
            sums["dd"] += float(moved.square().sum())
            sums["ee"] += float(second.square().sum())
            sums["ge"] += float((first * second).sum())
            sums["ww"] += float(old.square().sum())
        with np.errstate(all="ignore"):
            number = {name: np.float64(value) for name, value in sums.items()}
            return {
                "curvature": number["hd"] / abs(number["gd"]),
                "decrease_ratio": (float(loss.detach()) - float(update.loss)) / number["gd"],
                "cosine": number["ge"] / np.sqrt(number["gg"] * number["ee"]),
                "update_cosine": number["gd"] / np.sqrt(number["gg"] * number["dd"]),
                "update_ratio": np.sqrt(number["dd"] / number["ww"]),
                "update_norm": np.sqrt(number["dd"]),
            }

    return Signal("along", after, before, cost="copies")


class Kept:
    """An observer that keeps every step's loss and rate, and the rest at some."""

    def __init__(self, signal: Signal, every: int) -> None:
        self.signal, self.every = signal, every
        self.steps: list[Record] = []

    def wants(self, step: int):
        return [*STEP, self.signal] if step % self.every == self.every - 1 else STEP

    def begin(self, facts): ...

    def on(self, record: Record) -> None:
        if record.kind == "step":
            self.steps.append(record)

    def end(self, status): ...

    def columns(self) -> dict[str, np.ndarray]:
        looked = [record for record in self.steps if "along/curvature" in record.values]
        found = {name: np.array([step.values.get(name, math.nan) for step in self.steps]) for name in STEP}
        found |= {name: np.array([each.values[f"along/{name}"] for each in looked]) for name in COSTLY}
        return {**found, "looked": np.array([each.step for each in looked])}


def train(name: str, schedule: str, seed: int, rate: float) -> dict[str, np.ndarray]:
    """A whole run's columns, its score before and after."""
    task = ENTRIES[name][1].task
    again = Again(task.loss)
    seen = Kept(along_update(again), max(1, task.steps // LOOKS))
    task = replace(task, loss=again, schedule=schedule)
    run = task.start(Trial(name, {"lr": rate}, seed, task.steps), watch=[seen])
    initial, done, began = run.score(), 0, time.process_time()
    while done < task.steps:
        wanted = min(50, task.steps - done)
        if len(run.advance(wanted)) < wanted:
            break  # the loss is not finite any more
        done += wanted
    score = run.score() if np.isfinite([step.values["loss"] for step in seen.steps]).all() else math.inf
    facts = {
        "initial": initial,
        "score": score,
        "steps": task.steps,
        "lr": rate,
        "seconds": time.process_time() - began,
    }
    return {**seen.columns(), **{key: np.array(value) for key, value in facts.items()}}


def group(folder: str, name: str, schedule: str, seed: int, offsets: tuple[float, ...]) -> str:
    """All rates of a task, schedule and seed, in one file."""
    torch.set_num_threads(1)
    path = Path(
        folder, f"{name}-{seed}-{'constant' if schedule == CONSTANT else 'warm' if schedule == WARM else 'own'}.npz"
    )
    if path.exists():
        return ""
    best = Oracle().best(name, min(seed, 2))[0]
    kept = {}
    for offset in offsets:
        rate = float(f"{best * 10**offset:.4g}")
        found = train(name, schedule, seed, rate)
        kept |= {f"{rate}/{key}": value for key, value in found.items()}
    partial = path.with_suffix(".partial.npz")
    np.savez_compressed(partial, **kept)
    partial.rename(path)
    return path.name


def groups() -> Iterator[tuple[str, str, int, tuple[float, ...]]]:
    """What to train: the quickest tasks first, both sets in turn."""
    seconds = Oracle().tasks
    names = sorted(ENTRIES, key=lambda name: seconds[name]["seconds"])
    for schedule in (WARM, CONSTANT):
        yield from ((name, schedule, 0, OFFSETS) for name in names)
    for seed in (1, 2):
        for name in names:
            own = ENTRIES[name][1].task.schedule
            yield (
                name,
                own if seed == 1 and own not in (CONSTANT, WARM) else (WARM if own == CONSTANT else CONSTANT),
                seed,
                MORE,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True)
    parser.add_argument("--data", default=os.environ.get(PLACE, DEFAULT))
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    os.environ[PLACE] = given.data
    Path(given.out).mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(given.workers, mp_context=get_context("spawn")) as pool:
        waiting = [pool.submit(group, given.out, *part) for part in groups()]
        for done in as_completed(waiting):
            try:
                print(time.strftime("%H:%M:%S"), done.result(), flush=True)
            except Exception as error:
                print("FAILED", repr(error)[:300], flush=True)


if __name__ == "__main__":
    main()
