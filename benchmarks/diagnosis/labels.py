"""What no rule can pass, and what the rules reach on tasks that their bounds were not set on.

    python benchmarks/diagnosis/labels.py --runs FOLDER

*The limit.* ``runs.py`` trained grids of one task and schedule from two seeds. Each run is labelled by its own grid
and by the other, with its loss put between those of the other's rates. An oracle that knows all of the other grid, and
so more than any record shows, is right as often as the two agree.

*Left out.* For each of the 51 tasks, the bounds of both rules are set on the other 50: of too low, the three bounds
with the most hits less 1.5 times the alarms between and 3 times those on good or too high, for 16 and 4 looks together;
of too high, the leap of the gradient's norm at 1.5 times the largest of a run that is good or too low.

No prediction was written down: a first version of both had been seen when this was written.
"""

import argparse
import sys
from collections import Counter, defaultdict
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "finders"))
sys.path.insert(0, str(Path(__file__).parent))

from measure import WAY, grids, interval, label, seen_in

from stepsize.diagnosis.rules import _rate_too_high as too_high
from stepsize.diagnosis.rules import _rate_too_low as too_low

BOUNDS = tuple(product(
    (0.024, 0.03, 0.036, 0.044, 0.05, 0.056, 0.062, 0.07, 0.08, 0.09, 0.1),
    (0.06, 0.08, 0.1, 0.12, 0.16, 0.24, 0.4, 18.0),
    (0.8, 0.85, 0.88, 0.9, 0.92, 0.94, 1.0),
))  # fmt: skip
BETWEEN, GOOD, AWAY = 1.5, 3.0, 9.0  # price of an alarm; the most that a run can have lost
MARGIN = 1.5
Row = dict[str, Any]


def rows(folder: Path) -> list[Row]:
    """Each run with its grid, label, and what the rules look at."""
    found = []
    for (name, seed, schedule), runs, scores, finite, initial in grids(folder):
        best = min(finite.values())
        for rate, run in sorted(runs.items()):
            what, above = label(rate, scores[rate], finite, initial)
            lost = min((scores[rate] - best) / (initial - best), AWAY) if np.isfinite(scores[rate]) else AWAY
            row = {"task": name, "grid": (name, schedule), "seed": seed, "rate": rate, "what": what, "above": above}
            found.append({**row, "lost": lost, **looked_at(run)})
    return found


def looked_at(run: Row) -> Row:
    """The three numbers of too low at 16 and 4 looks; whether too high is said without leaps of the gradient; these."""
    found: Row = {}
    for looks in (16, 4):
        seen = seen_in(run, looks)
        losses = seen["loss"].values
        sizes, shares = too_low.looks_of(seen)
        well = len(losses) >= 20 and np.isfinite(losses).all() and len(sizes) >= too_low.FEWEST
        numbers = (np.quantile(sizes, too_low.LARGE), sizes[0] / shares[0], too_low._gained(losses)) if well else None
        found[f"low{looks}"] = numbers or (np.inf, np.inf, np.inf)
    symptom = too_high.rate_too_high(seen)
    if symptom is not None:
        found["low16"] = found["low4"] = (np.inf, np.inf, np.inf)
    leap = 0.0 if symptom is None else symptom.evidence.get("leap_of_gradient_norm", 0.0)
    return {**found, "high": symptom is not None and not leap, "leap": leap or leap_of(seen)}


def leap_of(seen: Any) -> float:
    """The largest leap of the gradient's norm in a run that did not gain much, whatever its bound."""
    losses, norms = seen["loss"].values, seen["gradient_norm"].finite
    if len(losses) < 20 or not np.isfinite(losses).all() or len(norms.values) < 20 or too_high.spikes(seen):
        return 0.0
    began, last = losses[:3].mean(), np.median(np.array_split(losses, too_high.PARTS)[-1])
    kept, too_high.THROWN = too_high.THROWN, 0.0
    try:
        thrown = too_high._thrown(norms)
    finally:
        too_high.THROWN = kept
    return thrown[1] if thrown and began - last < too_high.UNDONE * abs(began) else 0.0


def by_the_other(row: Row, grid: list[Row]) -> str:
    """The label of a run by another grid; beyond its ends, the loss is that of the end."""
    at, rates = np.log10(row["rate"]), np.log10([each["rate"] for each in grid])
    good = [np.log10(each["rate"]) for each in grid if each["lost"] <= 0.02]
    lost = np.interp(at, rates, [each["lost"] for each in grid])
    away = at - max(good) if at > max(good) else min(0.0, at - min(good))
    if lost <= 0.02:
        return "good"
    return "high" if away >= 0.4 - 1e-9 and lost > 0.1 else "low" if away <= -0.9 + 1e-9 and lost > 0.1 else "between"


def limit(every: list[Row]) -> None:
    grids = defaultdict(list)
    for row in every:
        grids[row["grid"], row["seed"]].append(row)
    pairs = [
        (row["what"], by_the_other(row, other), row["task"])
        for (grid, seed), here in grids.items()
        for (again, also), other in grids.items()
        if again == grid and also != seed
        for row in here
    ]
    print(f"{len(pairs)} labels by two seeds, {len({task for *_, task in pairs})} tasks")
    print(f"the same: {interval(sum(own == other for own, other, _ in pairs), len(pairs))}")
    for side in ("low", "high"):
        hits = sum(own == other == side for own, other, _ in pairs)
        called, are = sum(other == side for _, other, _ in pairs), sum(own == side for own, *_ in pairs)
        print(f"too {side}, an oracle that knows the other seed's grid: recall {interval(hits, are)}, "
              f"precision {interval(hits, called)}")  # fmt: skip


def left_out(every: list[Row]) -> None:
    what, task = np.array([row["what"] for row in every]), np.array([row["task"] for row in every])
    price = np.select([what == "low", what == "between"], [1.0, -BETWEEN], -GOOD)
    said = {}
    for looks in (16, 4):
        numbers = np.array([row[f"low{looks}"] for row in every])
        said[looks] = np.array([(numbers < bounds).all(axis=1) for bounds in BOUNDS])
    leap = np.array([row["leap"] for row in every])
    fair = (what == "good") | (what == "low")
    found = {"low16": np.zeros(len(every), bool), "low4": np.zeros(len(every), bool)}
    found["high"] = np.array([row["high"] for row in every])
    for name in sorted(set(task)):
        here = task == name
        chosen = middle(sum(marks[:, ~here] @ price[~here] for marks in said.values()) / 2)
        for looks, marks in said.items():
            found[f"low{looks}"][here] = marks[chosen][here]
        found["high"][here] |= (leap > MARGIN * leap[~here & fair].max())[here]
    for name, marks in found.items():
        side = "high" if name == "high" else "low"
        hits, right = (marks & (what == side)).sum(), [
            WAY[f"rate-too-{side}"](row["above"]) for row, mark in zip(every, marks, strict=True) if mark
        ]  # fmt: skip
        print(f"{name}: recall {interval(hits, (what == side).sum())}, precision {interval(hits, marks.sum())}, "
              f"right way {interval(sum(right), len(right))}; {dict(Counter(what[marks].tolist()))}")  # fmt: skip


def middle(worth: np.ndarray) -> int:
    """Of the bounds that are worth about the most, those nearest to their median."""
    bounds, near = np.array(BOUNDS), np.flatnonzero(worth >= worth.max() - 1.5)
    away = np.abs(bounds[near] - np.median(bounds[near], axis=0)) / bounds.std(axis=0)
    return int(near[away.sum(axis=1).argmin()])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", required=True, type=Path)
    every = rows(parser.parse_args().runs)
    print("# the limit")
    limit(every)
    print("\n# each task left out while bounds were set")
    left_out(every)


if __name__ == "__main__":
    main()
