"""Do the intervals of ``find`` hold the rate that is best on average over five fresh seeds?

The best rate of a task is that of a grid of four rates in a decade with the lowest mean loss after whole runs with
seeds that no finder saw; a run that diverged or ended above its start counts as its start.

    interval score = width + 2 / 0.15 * (decades that the best rate lies outside), in decades; lower is better

It is the proper score of an 85 % interval (Gneiting and Raftery 2007, Eq. 43). Beside it stands that of a fixed
interval, 0.35 decades to both sides of the suggested rate. What stands in fresh.json is not trained again.

Prediction, written before the first run: 80 % of the intervals hold the best rate at a width of 0.7 decades, and the
score is a little better than that of the fixed interval, since errors are mostly low.
"""

import argparse
import math
import os
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from _common import conclude, progress
from _data import DEFAULT, PLACE
from measure import read, write
from oracle import ENTRIES, SETS, Oracle, facts, final_score, rate

from stepsize import find

FRESH = Path(__file__).parent / "fresh.json"
SEEDS = range(100, 105)
AROUND, FIXED, MISSED = 2, 0.35, 0.15  # quarters tried first on each side; decades; share that an interval may miss


def means(name: str, held: dict[str, float]) -> dict[str, float]:
    """Mean loss over the fresh seeds by rate, as far as it takes to have the best one inside."""
    oracle, entry = Oracle(), ENTRIES[name]
    middle = round(4 * float(np.median([math.log10(oracle.best(name, seed)[0]) for seed in range(3)])))
    start = float(np.mean(list(oracle.tasks[name]["initial"].values())))
    todo, found = list(range(middle - AROUND, middle + AROUND + 1)), dict(held)
    while todo:
        for quarter in todo:
            if f"{rate(quarter):g}" not in found:
                scores = [final_score(entry, seed, rate(quarter)) for seed in SEEDS]
                found[f"{rate(quarter):g}"] = float(np.mean([min(start, math.inf if s is None else s) for s in scores]))
        tried = sorted(round(4 * math.log10(float(each))) for each in found)
        best = min(tried, key=lambda each: found[f"{rate(each):g}"])
        todo = [tried[0] - 1] * (best == tried[0]) + [tried[-1] + 1] * (best == tried[-1])
    return found


def asked(name: str, seed: int, budget: str | None) -> tuple[str, int, float, float, float] | None:
    """A finding's rate and interval in decades; None without one."""
    finding = find(ENTRIES[name].task, seed=seed, budget=budget)
    if finding.rate is None or finding.low is None or finding.high is None:
        return None
    return name, seed, *map(math.log10, (finding.rate, finding.low, finding.high))


def interval_score(low: float, high: float, best: float) -> float:
    return high - low + 2 / MISSED * max(0.0, low - best, best - high)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(os.environ.get(PLACE, DEFAULT)), help="folder of the sets")
    parser.add_argument("--set", choices=SETS, default="report")
    parser.add_argument("--only", nargs="*", choices=ENTRIES, metavar="TASK", help="these tasks alone; writes no log")
    parser.add_argument("--seeds", type=int, default=3, help="of the finder")
    parser.add_argument("--budget", help="of the finder")
    parser.add_argument("--jobs", type=int, default=1, help="processes at once")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    os.environ[PLACE] = str(options.data)
    names = options.only or [entry.name for entry in SETS[options.set]]
    held = {name: each for name, each in read(FRESH).items() if each["facts"] == facts(ENTRIES[name])}
    with ProcessPoolExecutor(options.jobs, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        running = {pool.submit(means, name, held.get(name, {}).get("means", {})): name for name in names}
        for count, done in enumerate(as_completed(running), 1):
            name = running[done]
            write(FRESH, {**read(FRESH), name: {"facts": facts(ENTRIES[name]), "means": done.result()}})
            progress(f"{count}/{len(names)} {name}")
        findings = [pool.submit(asked, name, seed, options.budget) for name in names for seed in range(options.seeds)]
        rows = [row for row in (finding.result() for finding in findings) if row is not None]
    fresh = {name: each["means"] for name, each in read(FRESH).items()}
    best = {name: math.log10(float(min(fresh[name], key=fresh[name].__getitem__))) for name in names}
    inside = [low - 1e-6 <= best[name] <= high + 1e-6 for name, _, _, low, high in rows]
    widths = [high - low for *_, low, high in rows]
    ours = [interval_score(low, high, best[name]) for name, _, _, low, high in rows]
    fixed = [interval_score(at - FIXED, at + FIXED, best[name]) for name, _, at, _, _ in rows]
    by_fixed = [abs(best[name] - at) <= FIXED + 1e-6 for name, _, at, _, _ in rows]
    spans = [np.ptp([at for each, _, at, _, _ in rows if each == name]) for name in names]
    near = np.mean(np.array(spans) <= 0.5)
    held_by_fixed = f"{np.mean(by_fixed):.1%}; median width {np.median(widths):.2f} and {2 * FIXED:.2f} decades"
    spread = f"{np.median(spans):.2f} decades in the median, at most half a decade in {near:.0%} of tasks"
    lines = [
        f"set {options.set}: {len(rows)} intervals of {len(findings)} findings",
        f"the best rate over {len(SEEDS)} fresh seeds is in {np.mean(inside):.1%}, of fixed ones in {held_by_fixed}",
        f"mean interval score {np.mean(ours):.3f}, of the fixed ones {np.mean(fixed):.3f}",
        f"suggested rates over {options.seeds} seeds span {spread}, at most {max(spans):.2f}",
    ]
    lines += [
        f"  outside: {name}, seed {seed}: {10**low:.3g} to {10**high:.3g}, best {10 ** best[name]:.3g}"
        for (name, seed, _, low, high), held_it in zip(rows, inside, strict=True)
        if not held_it
    ]
    kept = [dict(zip(("task", "seed", "rate", "low", "high"), row, strict=True)) for row in rows]
    conclude(f"finders/intervals_{options.set}", lines, {"rows": kept, "best": best}, bool(options.only))


if __name__ == "__main__":
    main()
