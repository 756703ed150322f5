"""How much loss a rate costs that is predicted from small runs: Step Law's dense language models.

Targets are grids of size and length of which three or more others cost at most an eighth; at every batch size of a
target whose best rate lies between others, each method names a rate from those small runs alone. The file, of
github.com/step-law/steplaw, is read where it lies: `python benchmarks/scale/steplaw.py --data FOLDER`.

Wanted, before the first run: 0.05 / 0.15 / 0.25 % of loss (median, 90 %, worst) from all rates, with intervals that
hold the best rate in 90 %; 0.1 / 0.3 / 0.5 % from three rates a point. Known: Step Law as published 0.06 / 0.40 / 0.99,
the largest small grid's rate kept 0.18 / 0.88 / 1.47.
"""

import argparse
import math
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from _common import conclude, progress

from stepsize.scale import fit_law, read_runs

NEAR = 0.01  # batches whose best loss is within this share of the target's best count as worth using
FILE, SHARE, LEAST = Path("steplaw", "dense_lr_bs_loss.csv"), 8, 3
AXES = ("N", "D", "bs")
Grid = tuple[float, float]
Method = Callable[[Any, Grid, float], tuple[float, float, float]]


def table(path: Path) -> np.ndarray:
    """Size, tokens, batch, rate and loss of every run, [runs, 5]."""
    columns = read_runs(path)
    return np.stack([np.asarray(columns[name], dtype=float) for name in (*AXES, "lr", "smooth loss")], axis=1)


def small(runs: np.ndarray, grid: Grid, share: float) -> np.ndarray:
    return runs[runs[:, 0] * runs[:, 1] * share <= grid[0] * grid[1] * (1 + 1e-9)]


def targets(runs: np.ndarray, share: float) -> list[Grid]:
    grids = sorted({(n, d) for n, d in runs[:, :2]})
    return [grid for grid in grids if len({(n, d) for n, d in small(runs, grid, share)[:, :2]}) >= LEAST]


def curve(runs: np.ndarray, grid: Grid, batch: float) -> tuple[np.ndarray, np.ndarray]:
    there = runs[(runs[:, 0] == grid[0]) & (runs[:, 1] == grid[1]) & (runs[:, 2] == batch)]
    there = there[there[:, 3].argsort()]
    return np.log(there[:, 3]), np.log(there[:, 4])


def vertex(logs: np.ndarray, losses: np.ndarray) -> float:
    """The lowest point of the parabola through the best run and its neighbours."""
    index = int(losses.argmin())
    a, b, _ = np.polyfit(logs[index - 1 : index + 2] - logs[index], losses[index - 1 : index + 2], 2)
    return float(logs[index] - b / (2 * a))


def law(runs: np.ndarray) -> Any:
    columns = dict(zip((*AXES, "lr", "loss"), runs.T.tolist(), strict=True))
    return fit_law(columns, AXES)


def thinned(thin: Callable[[np.ndarray], np.ndarray], runs: np.ndarray) -> Any:
    return law(thin(runs))


def ours(fitted: Any, grid: Grid, batch: float) -> tuple[float, float, float]:
    found = fitted.predict(dict(zip(AXES, (*grid, batch), strict=True)))
    return math.log(found.lr), math.log(found.low), math.log(found.high)


def published(_: Any, grid: Grid, __: float) -> tuple[float, float, float]:
    rate = math.log(1.79 * grid[0] ** -0.713 * grid[1] ** 0.307)
    return rate, rate, rate


def kept(power: float) -> Method:
    """The largest small grid's best rate: at the same batch (power 0), or at its best, times a power of the ratio."""

    def rate(runs: Any, _: Grid, batch: float) -> tuple[float, float, float]:
        largest = max({(n, d) for n, d in runs[:, :2]}, key=lambda each: (each[0] * each[1], each))
        there = runs[(runs[:, 0] == largest[0]) & (runs[:, 1] == largest[1])]
        if power == 0:
            sizes = np.unique(there[:, 2])
            there = there[there[:, 2] == sizes[np.abs(np.log(sizes / batch)).argmin()]]
        best = there[there[:, 4].argmin()]
        found = math.log(best[3]) + power * math.log(batch / best[2])
        return found, found, found

    return rate


def three(offset: int) -> Callable[[np.ndarray], np.ndarray]:
    """Three rates a point, a factor of four apart, from another one of the lowest on."""

    def thin(runs: np.ndarray) -> np.ndarray:
        picked = []
        for place in sorted({tuple(row) for row in runs[:, :3]}):
            there = runs[(runs[:, :3] == place).all(1)]
            there = there[there[:, 3].argsort()]
            picked.append(there[np.unique(np.clip([offset, offset + 4, offset + 8], 0, len(there) - 1))])
        return np.concatenate(picked)

    return thin


def measured(runs: np.ndarray, method: Method, prepare: Callable[[np.ndarray], Any], share: float) -> dict[str, Any]:
    excess, apart, held, tried, wide, worth = [], [], [], [], [], []
    for grid in targets(runs, share):
        fitted = prepare(small(runs, grid, share))
        lowest = runs[(runs[:, 0] == grid[0]) & (runs[:, 1] == grid[1]), 4].min()
        for batch in np.unique(runs[(runs[:, 0] == grid[0]) & (runs[:, 1] == grid[1]), 2]):
            logs, losses = curve(runs, grid, batch)
            if losses.argmin() in (0, len(losses) - 1):
                continue
            rate, low, high = method(fitted, grid, float(batch))
            best = vertex(logs, losses)
            excess.append(100 * math.expm1(_between(rate, logs, losses) - losses.min()))
            apart.append(abs(rate - best) / math.log(2))
            held.append(low <= best <= high)
            tried.append(low <= logs[losses.argmin()] <= high)
            wide.append((high - low) / math.log(2))
            worth.append(losses.min() <= math.log(lowest * (1 + NEAR)))
    median, most, worst = np.quantile(excess, [0.5, 0.9, 1.0])
    used = np.quantile(np.asarray(excess)[worth], [0.5, 0.9, 1.0])
    return {
        "used": int(np.sum(worth)),
        "used_excess": [float(each) for each in used],
        "slices": len(excess),
        "median": float(median),
        "p90": float(most),
        "worst": float(worst),
        "apart": float(np.median(apart)),
        "held": float(np.mean(held)),
        "held_tried": float(np.mean(tried)),
        "width": float(np.median(wide)),
    }


def _between(rate: float, logs: np.ndarray, losses: np.ndarray) -> float:
    """The loss by the parabola through the three nearest runs, not below the lowest of them; beyond all, the end's."""
    if not logs[0] < rate < logs[-1]:
        return float(losses[0] if rate <= logs[0] else losses[-1])
    index = int(np.clip(np.abs(logs - rate).argmin(), 1, len(logs) - 2))
    near = slice(index - 1, index + 2)
    found = np.polyval(np.polyfit(logs[near] - rate, losses[near], 2), 0.0)
    return float(max(found, losses[near].min()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds steplaw/dense_lr_bs_loss.csv")
    parser.add_argument("--quick", action="store_true", help="our fit on all rates alone; writes no log")
    given = parser.parse_args()
    runs = table(given.data / FILE)
    methods: dict[str, tuple[Method, Callable[[np.ndarray], Any], float]] = {"fitted, all rates": (ours, law, SHARE)}
    if not given.quick:
        for offset in range(4):
            thin = three(offset)
            methods[f"fitted, three rates from number {offset + 1}"] = (ours, partial(thinned, thin), SHARE)
        methods["fitted, runs at most a quarter"] = (ours, law, 4)
        methods["fitted, runs at most a half"] = (ours, law, 2)
        methods["Step Law as published (knows these grids)"] = (published, np.asarray, SHARE)
        for name, power in (("kept", 0.0), ("square root", 0.5), ("linear", 1.0)):
            methods[f"the largest small grid's rate, {name}"] = (kept(power), np.asarray, SHARE)
    head = (
        "loss above the best rate's, %: median / 90 % / worst; factors of 2 off; the same at batches within 1 % of "
        "the best; best rate and best tried inside the interval"
    )
    lines, figures = [head], {}
    for name, (method, prepare, share) in methods.items():
        progress(name)
        found = figures[name] = measured(runs, method, prepare, share)
        shown = f"{found['median']:.3f} / {found['p90']:.3f} / {found['worst']:.3f}   {found['apart']:.2f}"
        inside = f"{found['held']:.0%}, {found['held_tried']:.0%} of {found['slices']}" if found["width"] else ""
        near = " / ".join(f"{each:.3f}" for each in found["used_excess"])
        lines.append(f"{name:<45} {shown}   {near} of {found['used']}   {inside}")
    conclude("scale/steplaw", lines, {"methods": figures}, given.quick)


if __name__ == "__main__":
    main()
