"""What could be had at all: trees that look at every sign of record, forks of both lengths, and what was begun anew.

    python benchmarks/diagnosis/limit.py --runs FOLDER --out FORKS --anew ANEW

Four hundred trees are fitted on other tasks and judge those left out, all 48 in twelve parts; they may use what no run
could pay for, such as seven forks of 4 %. What they cannot tell apart, no rule on these signs will. Needs scikit-learn.
Runs whose loss broke before a quarter are left out. No prediction was written down.
"""

import argparse
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
from sklearn.model_selection import GroupKFold

sys.path.insert(0, str(Path(__file__).parent))

from verify import FIRST, columns_of, mean, seen_at, verdicts

PARTS = 12


def signs(row: dict[str, Any], run: dict[str, Any]) -> list[float]:
    """Some sixty numbers."""
    start, now = mean(row["start"]), mean(row["now"])
    scale = abs(start) or 1.0
    progress = max(start - now, 1e-3 * scale)
    found = [_log((start - now) / scale), row["steps"]]
    for length in sorted(row["forks"], key=int):
        found += _of_forks(row["forks"][length], now, progress, scale)
    anew = math.inf if row["race"].anew is None else row["race"].anew.score
    found += [_between((now - anew) / max(start - min(now, anew), 1e-3 * scale), 1)]
    return [*found, *_of_record(row, run, progress, scale)]


def _of_forks(forks: dict[str, Any], now: float, progress: float, scale: float) -> list[float]:
    scores = {float(at): mean(each["probe"]) for at, each in forks.items()}
    own, best = min(scores[0.0], now + 10 * scale), min(sorted(scores), key=scores.__getitem__)
    found = [best, _log((now - scores[best]) / progress), _log((now - own) / progress), _log((now - own) / scale)]
    for at in FIRST:
        apart = np.subtract(forks["0.0"]["probe"] or [0.0], forks[str(at)]["probe"] or [0.0])
        error = apart.std(ddof=1) / math.sqrt(len(apart)) if len(apart) > 1 else 0.0
        lead = own - scores[at]
        found += [_between(lead / progress, 5), _log(lead / scale), _between(lead / error if error else 0.0, 20)]
    kept = [at for at, score in scores.items() if score < now]
    return [*found, max(kept, default=-1.5)]


def _of_record(row: dict[str, Any], run: dict[str, Any], progress: float, scale: float) -> list[float]:
    seen, found = seen_at(run, row["at"]), []
    curvature, rate = seen["curvature"].finite, seen["rate"].values
    share = np.interp(curvature.steps, seen["rate"].steps, rate) / rate.max()
    sizes = np.abs(curvature.values)[share > 0.05]
    at_peak = sizes / share[share > 0.05]
    for each in (at_peak, sizes):
        found += [_log(one) for one in (np.median(each), each.max(), each[-1])] if len(each) else [0.0] * 3
    for name in ("loss", "gradient_norm"):
        values = seen[name].finite.values
        levels = [float(np.median(part)) for part in np.array_split(values, 5)]
        noise = float(np.median(np.abs(np.diff(values))))
        found += [_between((each - levels[0]) / scale, 5) for each in levels[1:]]
        found += [
            _log(levels[-1] / (levels[0] or 1.0)),
            _log(noise / progress),
            _log(values.max() / (values[0] or 1.0)),
        ]
    return [*found, float(seen["rate"].values[-1] / rate.max())]


def _log(value: float) -> float:
    """Signed, near zero a line."""
    return math.copysign(math.log10(1 + 1e4 * min(abs(value), 1e6)), value) if value == value else 0.0


def _between(value: float, most: float) -> float:
    return float(min(max(value, -most), most)) if value == value else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--runs", "--out", "--anew"):
        parser.add_argument(name, required=True, type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = [row for row in verdicts(given.runs, given.out, given.anew) if row["race"] is not None]
    stored = {key: columns_of(given.runs, *key) for key in {(row["name"], row["seed"], row["kind"]) for row in rows}}
    shown = np.array([signs(row, stored[row["name"], row["seed"], row["kind"]][row["rate"]]) for row in rows])
    tasks, above = [row["name"] for row in rows], np.array([row["above"] for row in rows])
    guessed, parts = np.zeros(len(rows)), list(GroupKFold(PARTS).split(shown, above, tasks))
    for fitted, left in parts:
        trees = ExtraTreesRegressor(400, min_samples_leaf=3, max_features=0.5, random_state=0)
        guessed[left] = trees.fit(shown[fitted], above[fitted]).predict(shown[left])
    for what in ("low", "high"):
        true, likely = np.array([row["what"] == what for row in rows]), np.zeros(len(rows))
        for fitted, left in parts:
            trees = ExtraTreesClassifier(400, min_samples_leaf=3, max_features=0.5, random_state=0)
            likely[left] = trees.fit(shown[fitted], true[fitted]).predict_proba(shown[left])[:, 1]
        order = np.argsort(-likely, kind="stable")
        hits = true[order].cumsum()
        precision, recall = hits / np.arange(1, len(rows) + 1), hits / true.sum()
        most = max([float(recall[at]) for at in np.flatnonzero(precision >= 0.95)], default=0.0)
        off = np.median(np.abs(guessed - above)[true])
        print(
            f"{what}: {true.sum()} of {len(rows)} runs, {shown.shape[1]} signs: recall at 95 % precision {most:.2f}, "
            f"precision at 90 % recall {precision[recall >= 0.9].max():.2f}, rate off by {off:.2f} decades"
        )


if __name__ == "__main__":
    main()
