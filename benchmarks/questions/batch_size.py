"""How does the best rate go with the batch size? A grid of both at equal epochs, and two rules beside it.

digits (CNN with batch norm, 3 epochs, 1 seed) and digits-mlp (5 epochs, 3 seeds), SGD with momentum 0.9, warm-up of
5 % and cosine; batches of 8 to 512. Equal epochs: a batch of 512 gets a 64th of the steps of a batch of 8.

Prediction, written before the first run: the best rate rises with the batch size, slower than in proportion: an
exponent between 0.5 and 1 up to 128, and flatter beyond, where there are few steps.
"""

from typing import Any

import numpy as np
from _asked import asked, plain, told

from stepsize.sweeps import Best, logspace
from stepsize.task import task_named
from stepsize.views import figure

SIZES, IMAGES, OWN = (8, 16, 32, 64, 128, 256, 512), 1_437, 64
TASKS = {  # name: rates, seeds, epochs
    "digits": (logspace(0.005, 5, 10), 1, 3),
    "digits-mlp": (logspace(0.001, 4, 13), 3, 5),
}


def exponent(sizes: list[int], bests: list[Best]) -> float:
    """Of the power law best rate = c size^exponent, by least squares over the logarithms."""
    return float(np.polyfit(np.log(sizes), np.log([best.rate for best in bests]), 1)[0])


def drawn(ax: Any, name: str, sizes: list[int], rates: np.ndarray, table: np.ndarray, bests: list[Best]) -> None:
    """Loss over rate and batch size, the best ridge, and both rules through the task's own batch size."""
    edges = [
        np.exp(np.interp(np.arange(len(v) + 1) - 0.5, np.arange(-1, len(v) + 1), _longer(v))) for v in (rates, sizes)
    ]
    # each row beside its own best: rows of few steps end higher throughout
    worse = np.log10(table / np.nanmin(table, 1, keepdims=True))
    image = ax.pcolormesh(*edges, np.clip(worse, 0, 1.5), cmap="viridis_r")
    ax.figure.colorbar(image, ax=ax, label="log10(loss / best loss of the row)")
    ends = [best.rate for best in bests]
    ax.plot(ends, sizes, "*-", color="white", markersize=14, markeredgecolor="black", label="best rate measured")
    for best, size in zip(bests, sizes, strict=True):
        if best.low is not None:
            ax.plot([best.low, best.high], [size, size], color="white", linewidth=3, alpha=0.6)
    own = min(range(len(sizes)), key=lambda place: abs(sizes[place] - OWN))
    for power, style, words in ((1.0, "--", "linear rule"), (0.5, ":", "square-root rule")):
        rule = ends[own] * (np.array(sizes) / sizes[own]) ** power
        ax.plot(rule, sizes, style, color="#b8232f", linewidth=2, label=f"{words}, from {sizes[own]}")
    ax.set(xscale="log", yscale="log", xlabel="learning rate", ylabel="batch size", title=f"{name}, equal epochs")
    ax.set_xlim(edges[0][0], edges[0][-1])
    ax.set_yticks(sizes, [str(size) for size in sizes])
    ax.minorticks_off()
    ax.legend(fontsize=8, loc="upper left")


def _longer(values: Any) -> np.ndarray:
    """The logarithms with one more at each end."""
    logs = np.log(np.asarray(values, dtype=float))
    return np.concatenate([[2 * logs[0] - logs[1]], logs, [2 * logs[-1] - logs[-2]]])


def main() -> None:
    question = asked("batch_size", __doc__ or "")
    sizes = list(SIZES[::3] if question.quick else SIZES)
    lines: list[str] = []
    data: dict[str, Any] = {"sizes": sizes}
    tasks = question.of(TASKS)
    sheet = figure(6.5 * len(tasks), 5.0)
    axes = np.atleast_1d(sheet.subplots(1, len(tasks)))
    for ax, (name, (rates, seeds, epochs)) in zip(axes, tasks.items(), strict=True):
        bests, rows = [], []
        for size in sizes:
            steps = epochs * (IMAGES // size)
            swept = question.sweep(f"{name}-batches/{size}", task_named(name), rates, seeds, steps, batch_size=size)
            bests += swept.best()
            rows.append(np.where(np.isfinite(means := swept.curves()[0].values.mean(1)), means, np.nan))
        drawn(ax, name, sizes, swept.curves()[0].rates, np.array(rows), bests)
        power = exponent(sizes, bests)
        small = [place for place, size in enumerate(sizes) if size <= 64]
        lower = exponent([sizes[i] for i in small], [bests[i] for i in small])
        lines.append(f"{name}, {epochs} epochs, {seeds} seeds: best rate ~ size^{power:.2f}; size^{lower:.2f} up to 64")
        lines += [f"  batch size {size:3d}  {told(best)}" for size, best in zip(sizes, bests, strict=True)]
        data[name] = {"exponent": power, "exponent up to 64": lower, "best": [plain(best) for best in bests]}
    question.conclude(sheet, lines, data)


if __name__ == "__main__":
    main()
