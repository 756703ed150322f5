"""The oracle of the finders' yardstick: every task trained to its end at a grid of rates, with three seeds.

    regret(task, seed, score) = (score - L*) / (L_init - L*), clipped to [0, 1]; 1 where training diverged

L* is the lowest score of the grid with that seed, L_init the score before training. A score is the loss in eval mode,
with the final weights, on the whole training set or a fixed large part of it.

Rates are 10^(k/4), rounded to three digits. Decades come first: from 1e-4 to 10 with seed 0, the best one of seed 0 and
its neighbours with the others; and on both ways until something is learnt, and then until the best is a decade or more
from both ends. Then come quarters of a decade, up to ``--reach`` decades each side of the best, again until the best is
amid them. What stands in oracle.json is not trained again. Diverged is null.
"""

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import torch
from _data import DEFAULT, PLACE
from _entry import SHAPES, Entry
from _report_tasks import REPORT
from _tuning_tasks import TUNING

from stepsize.engine import serial
from stepsize.task import Trial

STORED = Path(__file__).parent / "oracle.json"
README = Path(__file__).parent / "README.md"
SETS = {"tuning": TUNING, "report": REPORT}
ENTRIES = {entry.name: entry for entries in SETS.values() for entry in entries}
FIRST = list(range(-4, 2))  # decades
LEARNT = 0.1  # share of the initial score that must be gone before the best rate is believed
LIMITS = (-40, 24)  # quarters of a decade: 1e-10 to 1e6
Scores = dict[float, float | None]  # by rate


def rate(quarter: int) -> float:
    return float(f"{10 ** (quarter / 4):.3g}")


def facts(entry: Entry) -> dict:
    """What a stored score hangs on, as far as it is written in the lists."""
    task = entry.task
    said = {"steps": task.steps, "batch": task.batch_size, "schedule": task.schedule, "clip": task.clip}
    return {**said, "optimizer": entry.recipe.name, "scored": entry.scored}


def best_rate(scores: Scores) -> float:
    return min(scores, key=lambda each: math.inf if scores[each] is None else scores[each])


def wanted(scores: Scores, initial: float, decades: list[int], reach: float) -> list[int]:
    """The quarters of a decade to train at next, after certain decades; none when the pair is done."""
    tried = {round(4 * math.log10(each)) for each in scores}
    missing = [4 * decade for decade in decades if 4 * decade not in tried]
    if missing:
        return missing
    found = best_rate(scores)
    best, lowest = round(4 * math.log10(found)), scores[found]
    lost = lowest is None or lowest > initial - LEARNT * abs(initial)
    ends = [min(tried) - 4] * (lost or best - min(tried) < 4) + [max(tried) + 4] * (lost or max(tried) - best < 4)
    ends = [end for end in ends if LIMITS[0] <= end <= LIMITS[1]]
    around = range(best - round(4 * reach), best + round(4 * reach) + 1)
    return ends or [each for each in around if each not in tried and LIMITS[0] <= each <= LIMITS[1]]


def final_score(entry: Entry, seed: int, rate: float) -> float | None:
    """The score of a whole run; None when it diverged."""
    result = next(serial(entry.task, [Trial(entry.name, {"lr": rate}, seed, entry.task.steps)]))
    return None if result.diverged else float(f"{result.score:.6g}")


def initial_score(entry: Entry, seed: int) -> float:
    return entry.task.start(Trial(entry.name, {"lr": 1.0}, seed, entry.task.steps)).score()


def explored(
    name: str, seed: int, scores: Scores, decades: list[int], reach: float
) -> tuple[str, int, float, Scores, float]:
    """A pair's initial score, scores by rate, and the seconds of its slowest run."""
    entry, slowest = ENTRIES[name], 0.0
    initial = float(f"{initial_score(entry, seed):.6g}")
    while quarters := wanted(scores, initial, decades, reach):
        for quarter in quarters:
            began = time.process_time()
            scores[rate(quarter)] = final_score(entry, seed, rate(quarter))
            slowest = max(slowest, time.process_time() - began)
    return name, seed, initial, scores, slowest


class Oracle:
    """The stored table, read."""

    def __init__(self, path: Path = STORED) -> None:
        self.tasks: dict[str, dict] = json.loads(path.read_text()) if path.exists() else {}

    def scores(self, name: str, seed: int) -> Scores:
        stored = self.tasks.get(name, {}).get("scores", {}).get(str(seed), {})
        return {float(rate): score for rate, score in stored.items()}

    def has(self, name: str, seed: int) -> bool:
        """Whether the pair is there, and of the task as it is listed today."""
        return bool(self.scores(name, seed)) and self.tasks[name]["facts"] == facts(ENTRIES[name])

    def best(self, name: str, seed: int) -> tuple[float, float]:
        """The best rate of the grid, and its score."""
        scores = self.scores(name, seed)
        found = best_rate(scores)
        score = scores[found]
        if score is None:
            raise ValueError(f"{name}, seed {seed}: every rate of the grid diverged")
        return found, score

    def decades(self, name: str, seed: int) -> list[int]:
        """Where the grid of a pair begins."""
        if seed == 0 or not self.has(name, 0):
            return FIRST
        middle = round(math.log10(self.best(name, 0)[0]))
        return list(range(middle - 1, middle + 2))

    def regret(self, name: str, seed: int, score: float | None) -> float:
        """The share of the possible progress that a final score lacks."""
        if score is None or not math.isfinite(score):
            return 1.0
        initial, lowest = self.tasks[name]["initial"][str(seed)], self.best(name, seed)[1]
        return min(1.0, max(0.0, (score - lowest) / (initial - lowest)))

    def store(self, name: str, seed: int, initial: float, scores: Scores, seconds: float, path: Path = STORED) -> None:
        """Keep a pair, beside what another process wrote meanwhile; a changed task's older pairs are dropped."""
        self.tasks = Oracle(path).tasks
        held = self.tasks.get(name)
        if held is None or held["facts"] != facts(ENTRIES[name]):
            held = self.tasks[name] = {"facts": facts(ENTRIES[name]), "seconds": 0.0, "initial": {}, "scores": {}}
        held["seconds"] = max(held["seconds"], round(seconds, 2))
        held["initial"][str(seed)] = initial
        held["scores"][str(seed)] = {f"{rate:.3g}": score for rate, score in sorted(scores.items())}
        lines = [f"{json.dumps(task)}: {json.dumps(self.tasks[task], sort_keys=True)}" for task in sorted(self.tasks)]
        partial = path.with_suffix(f".{os.getpid()}.partial")
        partial.write_text("{\n" + ",\n".join(lines) + "\n}\n")
        os.replace(partial, path)  # noqa: PTH105


def table(oracle: Oracle, entries: Iterable[Entry]) -> list[str]:
    """The tasks as a table in Markdown."""
    head = ["task", "family", "data", "optimizer", "batch", "steps", "schedule", "clip", "best rates", "CPU s"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for entry in entries:
        task, held = entry.task, oracle.tasks.get(entry.name, {"scores": {}, "seconds": ""})
        rates = ", ".join(f"{oracle.best(entry.name, int(seed))[0]:g}" for seed in held["scores"])
        row = [entry.name, entry.family, entry.data, entry.recipe.name, task.batch_size, task.steps]
        row += [SHAPES.get(task.schedule, task.schedule), task.clip or "", rates, held["seconds"]]
        lines.append("| " + " | ".join(map(str, row)) + " |")
    return lines


def write_tables(oracle: Oracle) -> None:
    """Put the tasks of both sets into the README."""
    text = README.read_text(encoding="utf-8")
    for name, entries in SETS.items():
        before, _, rest = text.partition(f"<!-- {name} -->\n")
        after = rest.partition(f"<!-- end of {name} -->\n")[2]
        lines = [f"<!-- {name} -->", *table(oracle, entries), f"<!-- end of {name} -->", after]
        text = before + "\n".join(lines)
    README.write_text(text, encoding="utf-8")


def warnings_of(oracle: Oracle) -> list[str]:
    """Pairs whose best rate is less than a decade from an end of the grid, or that learn next to nothing."""
    told = []
    for name, held in oracle.tasks.items():
        for seed, scores in held["scores"].items():
            best, lowest = oracle.best(name, int(seed))
            rates = sorted(map(float, scores))
            if best < 9.9 * rates[0] or best > rates[-1] / 9.9:
                told.append(
                    f"{name}, seed {seed}: the best rate {best:g} is near an end of {rates[0]:g} to {rates[-1]:g}"
                )
            if lowest > 0.9 * held["initial"][seed]:
                told.append(f"{name}, seed {seed}: the best score {lowest:g} is near the initial one")
    return told


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(os.environ.get(PLACE, DEFAULT)), help="folder of the sets")
    parser.add_argument("--set", choices=SETS, nargs="*", default=list(SETS))
    parser.add_argument("--only", nargs="*", choices=ENTRIES, metavar="TASK", help="these tasks alone")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--reach", type=float, default=0.75, help="decades of quarters on each side of the best")
    parser.add_argument("--jobs", type=int, default=1, help="processes at once")
    parser.add_argument("--table", action="store_true", help="train nothing, write the tasks into README.md")
    return parser.parse_args()


def explore(oracle: Oracle, names: list[str], seed: int, reach: float, pool: ProcessPoolExecutor) -> None:
    """Complete the grids of one seed."""
    running = []
    for name in names:
        scores = oracle.scores(name, seed) if oracle.has(name, seed) else {}
        decades = oracle.decades(name, seed)
        if not scores or wanted(scores, oracle.tasks[name]["initial"][str(seed)], decades, reach):
            running.append(pool.submit(explored, name, seed, scores, decades, reach))
    for count, done in enumerate(as_completed(running), 1):
        name, _, *found = done.result()
        oracle.store(name, seed, *found)
        best, lowest = oracle.best(name, seed)
        note = f"{name}, seed {seed}: {found[0]:.4g} to {lowest:.4g} at {best:g}, {len(found[1])} rates"
        print(f"{count}/{len(running)} {note}, {found[2]:.2f} s", file=sys.stderr, flush=True)


def main() -> None:
    options = arguments()
    oracle = Oracle()
    names = options.only or [entry.name for each in options.set for entry in SETS[each]]
    if options.table:
        write_tables(oracle)
        return
    os.environ[PLACE] = str(options.data)
    with ProcessPoolExecutor(options.jobs, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        for seed in range(options.seeds):
            explore(oracle, names, seed, options.reach, pool)
    print("\n".join(warnings_of(oracle) or ["every best rate is a decade or more from both ends of its grid"]))


if __name__ == "__main__":
    main()
