"""Do high rates overfit? Training and validation loss at the end, against the rate, on three tasks.

digits (CNN, 100 steps, 2 seeds), digits-mlp (400 steps, 5 seeds) and rotten-tomatoes (LSTM, four epochs, 2 seeds), each
with its own recipe. Beside the gap between both losses, the fair comparison: a rate above the best one against the
lower rate that ends with the same training loss. Which one validates better?

Prediction, written before the first run: no. The gap is largest where training loss is lowest, that is at the best
rates; at the same training loss the higher rate validates as well or better.
"""

from typing import Any

import numpy as np
from _asked import COLOURS, GREY, asked, band, plain, star, told

from stepsize.sweeps import Curve, best_rate, logspace
from stepsize.task import task_named
from stepsize.views import figure

TASKS = {  # name: rates, seeds, steps
    "digits": (logspace(1e-3, 10, 9), 2, 100),
    "digits-mlp": (logspace(1e-3, 10, 13), 5, 400),
    "rotten-tomatoes": ([0.0003, *logspace(1e-3, 0.3, 6)], 2, 1_064),
}


def pairs(train: Curve, validation: Curve, initial: float) -> list[dict[str, float]]:
    """Each rate above the best one with the lower rate of the same training loss, and what both validate."""
    losses, others = train.values.mean(1), validation.values.mean(1)
    best = int(np.argmin(losses))
    if best == 0 or not np.isfinite(losses[: best + 1]).all():
        return []
    # from the best one down to the lowest rate the loss rises; where it does not, it is made to
    rising = np.maximum.accumulate(np.log(losses[: best + 1][::-1]))
    rates, theirs = np.log(train.rates[: best + 1][::-1]), np.log(others[: best + 1][::-1])
    found = []
    for high in range(best + 1, len(losses)):
        if not np.isfinite(losses[high]) or not losses[high] < min(initial, np.exp(rising[-1])):
            continue
        at = np.log(losses[high])
        low, other = np.exp(np.interp(at, rising, rates)), np.exp(np.interp(at, rising, theirs))
        row = {"rate": train.rates[high], "lower": low, "training": losses[high]}
        found.append({name: float(value) for name, value in {**row, "high": others[high], "low": other}.items()})
    return found


def main() -> None:
    question = asked("validation", __doc__ or "")
    tasks = question.of(TASKS)
    sheet = figure(5.2 * len(tasks) + 1, 4.6)
    lines: list[str] = []
    data: dict[str, Any] = {}
    for ax, (name, (rates, seeds, steps)) in zip(
        np.atleast_1d(sheet.subplots(1, len(tasks))), tasks.items(), strict=True
    ):
        task = task_named(name)
        swept = question.sweep(f"{name}-recipe", task, rates, seeds, task.steps if steps is None else steps)
        (train,), (validation,) = swept.curves(), swept.curves("validation_loss")
        right = swept.curves("accuracy")[0].values.mean(1)
        best, other = best_rate(train.rates, train.values), best_rate(validation.rates, validation.values)
        top = 2 * swept.initial
        band(ax, train, top, COLOURS[0], "training")
        band(ax, validation, top, COLOURS[1], "validation", "s--")
        star(ax, best, COLOURS[0])
        star(ax, other, COLOURS[1])
        ax.axhline(swept.initial, color=GREY, linestyle=":", label="before training")
        ax.set(xscale="log", yscale="log", xlabel="learning rate", ylabel="loss at the end", title=name)
        ax.legend(fontsize=8)
        ax.grid(alpha=0.25)
        found = pairs(train, validation, swept.initial)
        rows = [
            {"rate": float(rate), "training": float(a), "validation": float(b), "accuracy": float(c)}
            for rate, a, b, c in zip(train.rates, train.values.mean(1), validation.values.mean(1), right, strict=True)
            if np.isfinite(a + b)
        ]
        lines += [
            f"{name}, {swept.facts['steps']} steps, {len(train.seeds)} seeds",
            f"  training:   {told(best)}",
            f"  validation: {told(other)}",
            *(
                f"  rate {row['rate']:7.3g}  training {row['training']:.4f}  validation {row['validation']:.4f}  "
                f"gap {row['validation'] - row['training']:+.4f}  accuracy {100 * row['accuracy']:.1f} %"
                for row in rows
            ),
            *(
                f"  at training loss {row['training']:.4f}: rate {row['rate']:.3g} validates {row['high']:.4f}, rate "
                f"{row['lower']:.3g} {row['low']:.4f}"
                for row in found
            ),
        ]
        data[name] = {"training": plain(best), "validation": plain(other), "rows": rows, "pairs": found}
    question.conclude(sheet, lines, data)


if __name__ == "__main__":
    main()
