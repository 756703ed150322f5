"""Scores of short runs of the tuning tasks, so that races can be tried on stored figures instead of trained anew.

For each pair of task and seed: whole schedules squeezed into 1/32, 1/16, 1/8 and 1/4 of the run, at decades from 1e-4
to 10 and at quarters of a decade up to 1.5 decades around the oracle's best. What stands in short_runs.json is not
trained again. With each score stand the mean training losses of the run's last tenth and fifth. Only tuning tasks: the
report-only ones are never looked at here.
"""

import argparse
import json
import math
import os
import time
from pathlib import Path

import torch
from _data import DEFAULT, PLACE
from _tuning_tasks import TUNING
from oracle import Oracle, best_rate, rate

from stepsize.engine import serial
from stepsize.task import Trial

STORED = Path(__file__).parent / "short_runs.json"
LENGTHS = (32, 16, 8, 4)  # parts of a run
LEAST = 10  # steps


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(os.environ.get(PLACE, DEFAULT)))
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    os.environ[PLACE] = str(options.data)
    torch.set_num_threads(1)
    stored: dict[str, dict[str, dict[str, list[float] | None]]] = (
        json.loads(STORED.read_text()) if STORED.exists() else {}
    )
    oracle = Oracle()
    for seed in range(options.seeds):
        for entry in TUNING:
            if not oracle.has(entry.name, seed):
                print(f"{entry.name}, seed {seed}: not in the oracle yet", flush=True)
                continue
            held, began = stored.setdefault(f"{entry.name} {seed}", {}), time.time()
            middle = round(4 * math.log10(best_rate(oracle.scores(entry.name, seed))))
            quarters = sorted({4 * decade for decade in range(-4, 2)} | set(range(middle - 6, middle + 7)))
            for part in LENGTHS:
                steps = min(entry.task.steps, max(LEAST, math.ceil(entry.task.steps / part)))
                scores = held.setdefault(str(part), {})
                trials = [
                    Trial(entry.name, {"lr": 10 ** (quarter / 4)}, seed, steps)
                    for quarter in quarters
                    if f"{rate(quarter):.3g}" not in scores
                ]
                for result in serial(entry.task, trials):
                    tails = [sum(result.losses[-k:]) / k for k in (math.ceil(steps / 10), math.ceil(steps / 5))]
                    kept = [float(f"{each:.6g}") for each in (result.score, *tails)]
                    scores[f"{result.trial.settings['lr']:.3g}"] = None if result.diverged else kept
            partial = STORED.with_suffix(".partial")
            lines = [f"{json.dumps(name)}: {json.dumps(stored[name])}" for name in sorted(stored)]
            partial.write_text("{\n" + ",\n".join(lines) + "\n}\n")
            os.replace(partial, STORED)  # noqa: PTH105
            print(f"{entry.name}, seed {seed}: {time.time() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
