"""Does ``find`` give the same rate on another engine? Serial and batched, in float32 and float64, over tasks and seeds.

Batched steps round differently, and training amplifies it. A notch is the distance of the last rung's rates, 0.35
decades.

Predicted before the first run: the same rate to three digits in float64 always, in float32 in most searches, and never
more than one notch apart.
"""

import math
from dataclasses import replace

import torch
from _common import arguments, conclude, progress

from stepsize import Task, find
from stepsize.engine import Batched, serial
from stepsize.task import task_named

NOTCH = 0.35  # decades
NAMES = ("digits-mlp", "linear-regression", "quadratic")


def in_double(task: Task) -> Task:
    """The task in float64."""

    def doubled(batch: object) -> object:
        if isinstance(batch, torch.Tensor):
            return batch.double() if batch.is_floating_point() else batch
        return type(batch)(map(doubled, batch)) if isinstance(batch, tuple | list) else batch

    return replace(
        task, model=lambda: task.model().double(), loss=lambda model, batch: task.loss(model, doubled(batch))
    )


def both(task: Task, seed: int, steps: int) -> list[float | None]:
    """What serial and batched find."""
    return [find(task, seed=seed, steps=steps, engine=engine).rate for engine in (serial, Batched())]


def main() -> None:
    quick = arguments(__doc__ or "").quick
    seeds, steps = (1, 40) if quick else (10, 200)
    lines = [f"rates found by serial and batched, {seeds} seeds of each task, {steps} steps"]
    lines.append(f"  {'task':20s} {'precision':10s} {'same to 3 digits':>17s} {'largest distance':>17s}")
    data: dict[str, list[list[float | None]]] = {}
    for name in NAMES[:1] if quick else NAMES:
        task = task_named(name)
        assert isinstance(task, Task)
        for precision, kind in (("float64", in_double(task)), ("float32", task)):
            found = [
                [find(kind, seed=s, steps=steps, engine=e).rate for e in (serial, Batched())] for s in range(seeds)
            ]
            data[f"{name} {precision}"] = found
            apart = [abs(math.log10(one / other)) if one and other else math.inf for one, other in found]
            same = sum(one == other for one, other in found)
            lines.append(f"  {name:20s} {precision:10s} {same:>11d} of {seeds:2d} {max(apart) / NOTCH:>11.3f} notch")
            progress(lines[-1])
    conclude("agreement", lines, {"rates": data}, quick)


if __name__ == "__main__":
    main()
