"""Long runs: what ``find`` costs and how good it is where a run has 5,000 steps and more, on mnist and shakespeare.

Tasks of the yardstick are trained ten times and more as long as there, their schedules stretched along, at a grid of
nine rates a quarter of a decade apart around the best rate of the short run, or more until the best is inside. The
suggested rate is trained to the end too; regret is that of measure.py. What stands in scale.json is not trained again.

Prediction, written before the first run: a cost of 0.12 runs, since a search takes about 600 steps however long the
run, and regrets below 2 %: long runs are less sensitive than short ones.
"""

import argparse
import math
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from _common import conclude, progress
from _data import DEFAULT, PLACE
from measure import read, write
from oracle import ENTRIES, Oracle, rate

from stepsize import Trial, find
from stepsize.engine import serial

STORED = Path(__file__).parent / "scale.json"
NAMES = ("perceptron-mnist", "convolutions-plain", "gru-rows", "transformer-plays")
QUARTERS = 4  # on each side


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(os.environ.get(PLACE, DEFAULT)), help="folder of the sets")
    parser.add_argument("--only", nargs="*", choices=NAMES, default=NAMES, metavar="TASK")
    parser.add_argument("--steps", type=int, default=5_000)
    return parser.parse_args()


def main() -> None:
    options = arguments()
    os.environ[PLACE] = str(options.data)
    lines = ["task, steps            found   best of the grid  regret %  cost, runs  what find says"]
    kept: list[dict[str, Any]] = []
    for name in options.only:
        task = replace(ENTRIES[name].task, steps=options.steps)
        key = f"{name} {options.steps}"

        def score(at: float, task: Any = task, key: str = key) -> float:
            """The final loss at a rate, infinite if it diverged."""
            held = read(STORED).get(key, {})
            if f"{at:.3g}" not in held:
                result = next(serial(task, [Trial(task.name, {"lr": at}, 0, task.steps)]))
                progress(f"{key} at {at:.3g}: {result.score:.4g} in {result.seconds:.0f} s")
                held = {**read(STORED).get(key, {}), f"{at:.3g}": None if result.diverged else result.score}
                write(STORED, {**read(STORED), key: held})
            found = held[f"{at:.3g}"]
            return math.inf if found is None else float(found)

        finding = find(task, seed=0)
        progress(f"{key}: {finding}")
        middle = round(4 * math.log10(Oracle().best(name, 0)[0]))
        tried = list(range(middle - QUARTERS, middle + QUARTERS + 1))
        while (best := min(tried, key=lambda each: score(rate(each)))) in (tried[0], tried[-1]):
            tried = [tried[0] - 1, *tried] if best == tried[0] else [*tried, tried[-1] + 1]
        lowest = score(rate(best))
        if finding.rate is None:
            regret, suggested = 1.0, math.nan
        else:
            suggested = float(f"{finding.rate:.3g}")
            initial = Oracle().tasks[name]["initial"]["0"]
            regret = min(1.0, max(0.0, (score(suggested) - lowest) / (initial - lowest)))
        row = {"task": name, "steps": options.steps, "rate": suggested, "best": rate(best), "regret": regret}
        kept.append({**row, "runs": finding.cost.runs})
        lines.append(
            f"{name:18s} {options.steps}  {suggested:6.3g}  {rate(best):16.3g}  {100 * regret:8.2f}  "
            f"{finding.cost.runs:10.2f}  {finding.verdict}"
        )
    conclude("finders/scale", lines, {"rows": kept}, False)


if __name__ == "__main__":
    main()
