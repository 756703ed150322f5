"""What a page costs: its size and the time of the processor for a run, a sweep of 1,000 trials, ten runs, 10^6 steps.

Expected before it was measured: 130 kB and 0.1 s for a run of 400 steps; 600 kB and 0.4 s for the sweep; 350 kB and
0.2 s for ten runs; for a million recorded steps 6 s, nearly all of it for going through the lines.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from _common import arguments, conclude, interval

from stepsize import JsonLines, Run, RunFolder, report, sweep, task_named, train
from stepsize.engine import serial

BOUNDS = {"run": (300, 1.0), "sweep of 1,000 trials": (1_500, 3.0), "ten runs": (1_500, 3.0)}


def trained(folder: Path, seed: int, steps: int) -> Path:
    kept = RunFolder(folder)
    facts = {
        "task": "linear-regression",
        "rate": 0.05 + 0.01 * seed,
        "steps": steps,
        "seed": seed,
        "plan": "lr: cosine()",
    }
    kept.write(**facts, status="finished", done=steps)
    lines = JsonLines(folder / "metrics.jsonl", max(1, steps // 200), folder / "validation.jsonl")
    train(task_named("linear-regression"), lr=facts["rate"], seed=seed, steps=steps, schedule="cosine()", watch=lines)
    lines.close()
    return folder


def measured(write: Callable[[], Path], times: int) -> tuple[float, list[float]]:
    """The size in kilobytes, and seconds of the processor for each writing."""
    spent = []
    for _ in range(times):
        began = time.process_time()
        path = write()
        spent.append(time.process_time() - began)
    return path.stat().st_size / 1_000, spent


def main() -> None:
    quick = arguments(__doc__ or "").quick
    times, count, most = (1, 2, 10_000) if quick else (7, 10, 1_000_000)
    lines, data = [], {}
    with tempfile.TemporaryDirectory() as root:
        folders = [trained(Path(root, f"run-{seed}"), seed, 400) for seed in range(10)]
        momenta = [round(0.1 * number, 1) for number in range(count)]
        rates = np.geomspace(1e-3, 1, count).tolist()
        swept = sweep(
            task_named("quadratic"), rates, count, steps=20, folder=Path(root, "sweep"), engine=serial, momentum=momenta
        )
        losses = 0.5 + np.random.default_rng(0).normal(size=most) / 10
        long = Run(
            Path(root), {"task": "long"}, [{"step": step, "loss": loss} for step, loss in enumerate(losses.tolist())]
        )
        cases: dict[str, Callable[[], Path]] = {
            "run": lambda: report(folders[0]),
            "sweep of 1,000 trials": lambda: report(swept),
            "ten runs": lambda: report(folders, Path(root, "ten.html")),
            "10^6 recorded steps": lambda: report(long, Path(root, "long.html")),
        }
        for name, write in cases.items():
            size, spent = measured(write, 1 if name.startswith("10^6") else times)
            middle, low, high = interval(spent)
            times_of = f"{middle:.3f} s of the processor ({low:.3f} to {high:.3f}), the first {spent[0]:.3f}"
            first = f"{name:<22} {size:7.1f} kB   {times_of}"
            bound = f"; at most {BOUNDS[name][0]} kB and {BOUNDS[name][1]:g} s" if name in BOUNDS else ""
            lines.append(first + bound)
            data[name] = {"kilobytes": size, "seconds": spent}
            if name in BOUNDS and (size > BOUNDS[name][0] or max(spent) > BOUNDS[name][1]):
                lines.append("BEYOND ITS BOUND")
    conclude("report", lines, data, quick)


if __name__ == "__main__":
    main()
