"""How good are the suggested learning rates? Finders over tasks and seeds, by the regret of training to the end.

    regret = (L(s) - L*) / (L_init - L*), clipped to [0, 1]; diverged = 1

with L the final loss on the training data (see oracle.py): at the suggested rate s, at the best rate of the oracle's
grid, and before training. ruined, stuck: regret >= 90 % with the rate too high, too low (or none suggested). distance:
decades from the grid's best rate; bias: the median signed one. runs: gradients spent, in whole training runs; cost: the
same with losses that were computed without a gradient, such as scores, as a third.
Intervals (95 %) are of bootstraps over all pairs of task and seed.

Finders are tuned on the set ``tuning`` alone. The set ``report`` is for reporting.

Prediction, written before the first run: the rivals stand about where an earlier measurement on thirty other tasks had
them: range tests at a median of 2 % with a p90 above 50 %, Optuna's ASHA with ten runs the best at 0.3 % and 8 %.

Prediction for PriorBand and polling, written before they first ran, on the report-only set: PriorBand at one run has a
median of 8 % and a p90 of 90 %, since Hyperband's first rung, a 27th of the run, is all that it gets to, and warm-ups
make high rates look good there; at three runs 3 % and 40 %; on ASHA's rungs 8 % and 60 % at one run, 3 % and 30 % at
three. Polling looks one step ahead and so ends up too low: 15 % and 80 %, at 0.2 runs.
"""

import argparse
import ast
import json
import math
import os
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from _common import conclude, progress
from _data import DEFAULT, PLACE
from _rivals import FINDERS, Suggestion, installed
from oracle import ENTRIES, SETS, Oracle, facts, final_score

HERE = Path(__file__).parent
FINALS = HERE / "finals.json"  # final scores by task, seed and rate
RIVALS = HERE / "rivals.json"  # what others suggested; ours changes, and is asked again
PACKAGES = {
    "torch-lr-finder": "torch-lr-finder",
    "lightning": "lightning",
    "asha": "optuna",
    "priorband": "neural-pipeline-search",
    "prodigy": "prodigyopt",
    "polling": "efficient-polling-lr-scheduler",
}
TRAINERS = ("prodigy", "polling")  # they train in a way of their own, and suggest nothing
QUICK = ("softmax-digits", "softmax-cancer-rmsprop")
Row = dict[str, Any]


def three_digits(rate: float) -> float:
    return float(f"{rate:.3g}")


def asked(finder: str, name: str, seed: int, known: dict[float, float | None], row: Row | None) -> Row:
    """What a finder suggests for a pair, and the final score of it; both may be known."""
    entry = ENTRIES[name]
    if row is None:
        began = time.process_time()
        kind, _, words = finder.partition(":")
        options = {
            key: ast.literal_eval(value) for key, value in (word.split("=") for word in words.split(",") if word)
        }
        said: Suggestion = FINDERS[kind][0](entry, seed, options)
        row = {"finder": finder, "task": name, "seed": seed, **vars(said), "seconds": time.process_time() - began}
        row["rate"] = None if said.rate is None else three_digits(said.rate)
        row["runs"] = said.gradients / entry.task.steps
        row["cost"] = (said.gradients + said.forwards / 3) / entry.task.steps
        row |= {key: round(row[key], 3) for key in ("seconds", "runs", "cost", "forwards")}
    if row["rate"] is not None:
        rate = row["rate"]
        row["score"] = known[rate] if rate in known else final_score(entry, seed, rate)
    return row


class Store:
    """Final scores and rivals' rows in two small files; what is of a task changed since is passed over."""

    def __init__(self, oracle: Oracle, keep: bool) -> None:
        self.oracle, self.keep = oracle, keep
        self.finals, self.rivals = read(FINALS), read(RIVALS)

    def known(self, name: str, seed: int) -> dict[float, float | None]:
        held = self.finals.get(f"{name} {seed}", {})
        rates = held["scores"] if held.get("facts") == facts(ENTRIES[name]) else {}
        return {**{float(rate): score for rate, score in rates.items()}, **self.oracle.scores(name, seed)}

    def row(self, finder: str, name: str, seed: int) -> Row | None:
        held = self.rivals.get(f"{finder} {name} {seed}")
        return None if held is None or held["facts"] != facts(ENTRIES[name]) else dict(held)

    def add(self, row: Row) -> None:
        """Keep a row; what another process wrote meanwhile stays."""
        if not self.keep:
            return
        name, seed, said = row["task"], row["seed"], facts(ENTRIES[row["task"]])
        if row["rate"] is not None:
            self.finals = read(FINALS)
            held = self.finals.get(f"{name} {seed}", {})
            scores = held["scores"] if held.get("facts") == said else {}
            scores[f"{row['rate']:g}"] = row["score"]
            self.finals[f"{name} {seed}"] = {"facts": said, "scores": dict(sorted(scores.items()))}
            write(FINALS, self.finals)
        if not row["finder"].startswith(("stepsize", "search", "range-", "other-")):
            self.rivals = {**read(RIVALS), f"{row['finder']} {name} {seed}": {**row, "facts": said}}
            write(RIVALS, self.rivals)


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.exists() else {}


def write(path: Path, value: dict[str, Any]) -> None:
    lines = [f"{json.dumps(key)}: {json.dumps(finite(value[key]))}" for key in sorted(value)]
    partial = path.with_suffix(f".{os.getpid()}.partial")
    partial.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    os.replace(partial, path)  # noqa: PTH105


def finite(value: Any) -> Any:
    """Infinity has no place in JSON: null."""
    if isinstance(value, dict):
        return {key: finite(each) for key, each in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def judged(row: Row, oracle: Oracle) -> Row:
    """The row with its regret, its distance in decades, and whether the run was ruined or stuck."""
    name, seed, rate = row["task"], row["seed"], row["rate"]
    silent = rate is None and row["score"] is None and not row["finder"].startswith(TRAINERS)
    regret = 1.0 if silent else oracle.regret(name, seed, row["score"])
    distance = None if rate is None else math.log10(rate / oracle.best(name, seed)[0])
    bad = regret >= 0.9
    ruined, stuck = bad and distance is not None and distance > 0, bad and (silent or (distance or 0) < 0)
    return {**row, "regret": regret, "distance": distance, "ruined": ruined, "stuck": stuck}


def summary(finder: str, rows: list[Row]) -> str:
    """A line of the table."""
    regrets = np.array([row["regret"] for row in rows])
    drawn = np.random.default_rng(0).choice(regrets, (2_000, len(regrets)))

    def shown(value: float, samples: np.ndarray) -> str:
        low, high = np.quantile(samples, [0.025, 0.975])
        return f"{100 * value:5.1f} [{100 * low:4.1f},{100 * high:5.1f}]"

    cells = [
        shown(float(np.median(regrets)), np.median(drawn, axis=1)),
        shown(float(np.quantile(regrets, 0.9)), np.quantile(drawn, 0.9, axis=1)),
        f"{100 * regrets.max():5.1f}",
        shown(float((regrets < 0.05).mean()), (drawn < 0.05).mean(axis=1)),
        *(f"{100 * np.mean([row[kind] for row in rows]):5.1f}" for kind in ("ruined", "stuck")),
    ]
    distances = [row["distance"] for row in rows if row["distance"] is not None]
    away = f"{np.median(np.abs(distances)):5.2f} {np.median(distances):+6.2f}" if distances else f"{'':12s}"
    spent = " ".join(f"{np.mean([row[kind] for row in rows]):6.2f}" for kind in ("runs", "cost"))
    return f"{finder:24s} {len(rows):4d}  {'  '.join(cells)}  {away} {spent}"


HEAD = (
    f"{'finder':24s} {'n':>4s}  {'median %':19s}{'p90 %':20s}{'worst':7s}{'< 5 %':20s}{'ruined':7s}{'stuck':6s}"
    f"{'|dist|':>7s} {'bias':>6s} {'runs':>6s} {'cost':>6s}"
)


def details(rows: Iterable[Row], worst: int) -> list[str]:
    """The pairs of the highest regret."""
    lines = []
    for row in sorted(rows, key=lambda each: -each["regret"])[:worst]:
        rate = "none" if row["rate"] is None else f"{row['rate']:g}"
        away = "" if row["distance"] is None else f", {row['distance']:+.2f} decades"
        told = f"{row['task']}, seed {row['seed']}: {100 * row['regret']:.1f} % at {rate}{away}, {row['cost']:.2f} runs"
        lines.append(f"  {row['finder']}: {told}")
    return lines


def known_finder(name: str) -> str:
    if name.partition(":")[0] not in FINDERS:
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(FINDERS)}")
    return name


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two small tasks, one seed; writes nothing")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get(PLACE, DEFAULT)), help="folder of the sets")
    parser.add_argument("--set", choices=SETS, default="tuning")
    parser.add_argument("--only", nargs="*", choices=ENTRIES, metavar="TASK", help="these tasks alone; writes no log")
    parser.add_argument("--finder", nargs="*", default=list(FINDERS), metavar="NAME",
                        help="such as asha, or stepsize:low=1e-7,steps=200 with options")  # fmt: skip
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=1, help="processes at once")
    parser.add_argument("--worst", type=int, default=5, help="how many bad pairs are told of each finder")
    parser.add_argument("--log", metavar="NAME", help="of the log; the name of the set when left out")
    parser.add_argument("--no-log", action="store_true", help="keep scores, but write no log")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    os.environ[PLACE] = str(options.data)
    oracle = Oracle()
    names = QUICK if options.quick else options.only or [entry.name for entry in SETS[options.set]]
    chosen = ["stepsize", "default"] if options.quick else options.finder
    seeds = range(1 if options.quick else options.seeds)
    pairs = [(name, seed) for name in names for seed in seeds if oracle.has(name, seed)]
    lines = [f"set {options.set}: {len({name for name, _ in pairs})} tasks, {len(pairs)} pairs of task and seed"]
    missing = len(names) * len(seeds) - len(pairs)
    lines += [f"{missing} pairs are not in oracle.json: run oracle.py"] * bool(missing)
    lines += [f"{name} is not installed: skipped" for name in chosen if not installed(name.partition(":")[0])]
    finders = [name for name in chosen if installed(name.partition(":")[0])]
    kinds = dict.fromkeys(name.partition(":")[0] for name in finders)
    rivals = [f"{PACKAGES[kind]} {version(PACKAGES[kind])}" for kind in kinds if kind in PACKAGES]
    lines += [f"rivals: {', '.join(rivals)}"] * bool(rivals)
    store, rows = Store(oracle, not options.quick), []
    with ProcessPoolExecutor(options.jobs, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        running = [
            pool.submit(asked, finder, *pair, store.known(*pair), store.row(finder, *pair))
            for finder in finders
            for pair in pairs
        ]
        for count, done in enumerate(as_completed(running), 1):
            row = done.result()
            store.add(row)
            rows.append(judged(row, oracle))
            progress(f"{count}/{len(running)}{details(rows[-1:], 1)[0]}")
    lines.append(HEAD)
    by_finder = {finder: [row for row in rows if row["finder"] == finder] for finder in finders}
    lines += [summary(finder, by_finder[finder]) for finder in finders if by_finder[finder]]
    lines += ["worst pairs:"] + [line for finder in finders for line in details(by_finder[finder], options.worst)]
    kept = [
        finite(row)
        for finder in finders
        for row in sorted(by_finder[finder], key=lambda each: (each["task"], each["seed"]))
    ]
    log, unkept = options.log or options.set, options.quick or options.no_log or bool(options.only)
    conclude(f"finders/{log}", lines, {"rows": kept}, unkept)


if __name__ == "__main__":
    main()
