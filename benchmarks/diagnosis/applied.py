"""What ``train --verify --apply`` is worth: runs at the rates that ``find`` gave, and far from them.

    regret = (L(s) - L*) / (L_init - L*), clipped to [0, 1]; diverged = 1          (see finders/README.md)

Pairs of task and seed of the finders' yardstick are trained in full, each at a multiple of the rate that ``find`` gave
it in ``logs/finders``, by ``train`` with what commands write, a guard, ``verify`` and ``apply``. Where nothing was
applied the run is that without ``verify``, bit for bit; else it is trained without, too.

Prediction, written before the first run of this script: at the rates of ``find`` forks are trained for one run in
seven, and change the rate of one in fifteen, three of four of these for the better; prototypes-wine-raw, seed 1 (98 %
regret, its rate is too low), is seen and ends below 25 %; convolutions-rotten is not seen. At a tenth of the rate nine
runs in ten are suspicious, forks raise the rate of seven in ten, and the median regret falls to a third. At three times
the rate a guard has done what can be done, and nothing changes.

The first run looked at 25, 35, 45 and 55 % of a run, and only where a rule accused the rate: of 153 runs at rates of
``find`` it changed four, one from 98 % to 2 % regret, one from 0 to 70 % and one from 34 to 44 %, both at later looks.
Then every run of both sets was forked at a quarter, whatever its record: where the median curvature is below 0.1, forks
changed one run in 153 at the rates of ``find``, for the better. So that became the one look; its bound was chosen with
the figures of both sets in view.
"""

import argparse
import json
import os
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from _common import conclude, progress
from guard import DEFAULT, ENTRIES, PLACE, QUICK, SETS, Oracle, known, suggested

from stepsize import JsonLines, Trial, train, verify
from stepsize.control import DEFAULT as SIGNALS

FACTORS = (1.0, 0.1, 3.0)
Row = dict[str, Any]


def trained(name: str, seed: int, rate: float, applied: bool) -> Row:
    """A run as commands train it, and what forks said of it."""
    task = ENTRIES[name].task
    trial = Trial.of(task, {"lr": rate, "guard": True}, seed, task.steps)
    with tempfile.TemporaryDirectory() as place, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = Path(place)
        files = (folder / "metrics.jsonl", max(1, task.steps // 200), folder / "validation.jsonl")
        lines = JsonLines(*files, folder / "events.jsonl", None, SIGNALS)
        more = {"verify": verify, "apply": True} if applied else {}
        found = train(task, trial, watch=[lines], folder=folder, evaluate_every=task.steps, **more)
        lines.close()
    said = {} if found.verified is None else {name: found.verified.get(name) for name in ("words", "onward", "cost")}
    score = None if found.diverged else float(f"{found.score:.6g}")
    return {"score": score, "applied": bool(found.verified and found.verified.get("applied")), "said": said}


def measured(found: Row, factor: float, oracle: Oracle) -> Row:
    """A pair at a multiple of its rate, with forks and without."""
    name, seed = found["task"], found["seed"]
    rate = found["rate"] if factor == 1 else float(f"{factor * found['rate']:.3g}")
    after = trained(name, seed, rate, applied=True)
    before = trained(name, seed, rate, applied=False) if after["applied"] else after
    regrets = {kind: oracle.regret(name, seed, row["score"]) for kind, row in (("off", before), ("on", after))}
    pair = {"task": name, "seed": seed, "factor": factor, "rate": rate, "distance": found["distance"]}
    return {**pair, "regrets": regrets, "applied": after["applied"], **after["said"]}


def table(rows: list[Row]) -> list[str]:
    """Regrets without and with it."""
    lines = []
    for kind in ("off", "on"):
        regrets = np.array([row["regrets"][kind] for row in rows])
        median, p90 = np.quantile(regrets, [0.5, 0.9])
        figures = {"median": median, "p90": p90, "worst": regrets.max(), "mean": regrets.mean()}
        told = "   ".join(f"{name} {100 * figure:5.1f} %" for name, figure in figures.items())
        lines.append(f"    verify {kind:3s} {told}   90 % or more: {sum(regrets >= 0.9)} of {len(rows)}")
    tried, changed = ([row for row in rows if row.get("words")], [row for row in rows if row["applied"]])
    gains = [row["regrets"]["off"] - row["regrets"]["on"] for row in changed]
    better, worse = sum(gain > 0.01 for gain in gains), sum(gain < -0.01 for gain in gains)
    cost = sum(row.get("cost") or 0.0 for row in rows) / len(rows)
    lines.append(
        f"    forks in {len(tried)} runs, the rate changed in {len(changed)}: better by a point in {better}, worse in "
        f"{worse}; price {100 * cost:.1f} % of a run in the mean"
    )
    for row in sorted(changed, key=lambda row: row["regrets"]["off"] - row["regrets"]["on"]):
        before, after = (100 * row["regrets"][kind] for kind in ("off", "on"))
        lines.append(
            f"      {row['task']}, seed {row['seed']}, at {row['rate']:g}, times {row['onward']:g}: {before:.1f} % "
            f"without, {after:.1f} % with"
        )
    return lines


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two tasks, one seed; writes no log")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get(PLACE, DEFAULT)), help="folder of the sets")
    parser.add_argument("--set", nargs="*", choices=SETS, default=list(SETS))
    parser.add_argument("--factor", nargs="*", type=float, default=list(FACTORS))
    parser.add_argument("--rows", type=Path, help="file in which rows are kept; what stands there is not trained again")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    os.environ[PLACE] = str(options.data)
    oracle, lines, data = Oracle(), [], {}
    kept = known(options.rows)
    for name in options.set:
        pairs = [row for row in suggested(name) if oracle.has(row["task"], row["seed"])]
        pairs = [row for row in pairs if row["task"] in QUICK and row["seed"] == 0] if options.quick else pairs
        for factor in options.factor:
            rows = []
            for number, pair in enumerate(pairs, 1):
                key = f"{name} {factor} {pair['task']} {pair['seed']}"
                rows.append(kept[key] if key in kept else measured(pair, factor, oracle))
                if options.rows is not None and key not in kept:
                    with options.rows.open("a") as file:
                        file.write(json.dumps([key, rows[-1]]) + "\n")
                last = rows[-1]
                progress(f"{number}/{len(pairs)} {key} {last['regrets']} {last.get('words', '')[:90]}")
            lines += [f"set {name}, {len(rows)} pairs, {factor:g} times the rate that find gave", *table(rows)]
            data[f"{name} {factor:g}"] = rows
    conclude("diagnosis_applied", lines, data, options.quick)


if __name__ == "__main__":
    main()
