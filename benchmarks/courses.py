"""The courses' heavy topics on their data, shortened: MNIST's CNN, IMDB's LSTM, CIFAR-10's ResNet-18 with a plateau.

    python benchmarks/courses.py --data FOLDER

Each row is one run with one seed and one thread, of the built-in task, at a length that a laptop does in a minute;
the table of whole runs at found rates is benchmarks/tasks.md. What is done stands in logs/courses.json, so that a
benchmark that was stopped goes on. The gallery's pages read that log.

Predictions, written before the first run: on MNIST a cycle is ahead of a constant rate of the same size by 0.3 points,
and a rate ten times lower is behind by more than two; on IMDB a cycle is ahead of the constant rate by two points of
accuracy; on CIFAR-10 in one epoch a plateau never cuts, and is behind one cycle by more than five points.
"""

import argparse
import json
import os
from pathlib import Path
from typing import Any

from _common import LOGS, conclude, progress

from stepsize import task_named, train

CYCLE, FLAT = None, "constant()"  # the task's own schedule is the cycle
ROWS: dict[str, tuple[str, dict[str, Any], int]] = {  # name: task, settings, steps
    "mnist, cycle, 0.002": ("mnist", {"lr": 0.002, "schedule": CYCLE}, 200),
    "mnist, constant, 0.002": ("mnist", {"lr": 0.002, "schedule": FLAT}, 200),
    "mnist, constant, 0.0002": ("mnist", {"lr": 0.0002, "schedule": FLAT}, 200),
    "imdb, cycle, 0.003": ("imdb", {"lr": 0.003, "schedule": CYCLE}, 200),
    "imdb, constant, 0.003": ("imdb", {"lr": 0.003, "schedule": FLAT}, 200),
    "cifar10-small, cycle, 0.1": ("cifar10-small", {"lr": 0.1, "schedule": CYCLE}, 350),
    "cifar10-small, plateau, 0.1": ("cifar10-small-plateau", {"lr": 0.1}, 350),
    "mnist, cycle, 0.02": ("mnist", {"lr": 0.02, "schedule": CYCLE}, 200),
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="twenty steps of the first row; writes no log")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the data sets")
    parser.add_argument("--only", help="rows whose name begins so")
    return parser.parse_args()


def measured(name: str, quick: bool) -> dict[str, Any]:
    task, settings, steps = ROWS[name]
    settings = {key: value for key, value in settings.items() if value is not None}
    trained = train(task_named(task), steps=20 if quick else steps, evaluate_every=steps // 2, **settings)
    return {
        "metrics": trained.metrics,
        "history": [dict(row) for row in trained.history],
        "losses": [round(float(loss), 4) for loss in trained.losses],
        "seconds": round(trained.seconds, 1),
    }


def main() -> None:
    options = arguments()
    if options.data.is_dir():
        os.environ["STEPSIZE_DATA"] = str(options.data.resolve())
    stored = LOGS / "courses.json"
    done: dict[str, Any] = {}
    if stored.exists() and not options.quick:
        done = json.loads(stored.read_text())["results"]
    for name in list(ROWS)[: 1 if options.quick else None]:
        if name in done or not name.startswith(options.only or ""):
            continue
        done[name] = measured(name, options.quick)
        progress(f"{name}: {done[name]['metrics']}")
        if not options.quick:
            conclude("courses", lines(done), {"results": done}, quick=False)
    conclude("courses", lines(done), {"results": done}, options.quick)


def lines(done: dict[str, Any]) -> list[str]:
    told = []
    for name, row in done.items():
        figures = "  ".join(f"{key} {value:.4f}" for key, value in row["metrics"].items())
        told.append(f"  {name:28} {len(row['losses']):5} steps  {figures}  {row['seconds']:.0f} s")
    return told


if __name__ == "__main__":
    main()
