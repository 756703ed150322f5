"""Which optimizer is best? Each at thirteen rates with three seeds, not at one rate for all.

digits-mlp (300 steps) and digits (CNN, 60 steps), warm-up of 5 % and cosine as the tasks have it; rates from 1e-4 to
10. Each optimizer has its defaults; the weight decay of the tasks' own SGD is left out.

    width        decades of rates that lose at most 5 % of what training can gain: loss - best <= 0.05 (initial - best)
    sensitivity  mean over the rates of min(loss, initial) - best (Wortsman et al. 2023)

Prediction, written before the first run: at their own best rates all six are within a factor of three in loss; their
best rates span three decades, so that a comparison at one rate says nothing; AdaGrad is the widest.
"""

from typing import Any

import numpy as np
from _asked import COLOURS, GREY, asked, band, plain, star, told

from stepsize.sweeps import Curve, Sweep, logspace
from stepsize.task import task_named
from stepsize.views import figure

NAMES = {
    "sgd": "SGD",
    "sgd(momentum=0.9)": "SGD, momentum 0.9",
    "adagrad": "AdaGrad",
    "rmsprop": "RMSprop",
    "adam": "Adam",
    "adamw": "AdamW",
}
RATES, SEEDS, SHARE = logspace(1e-4, 10, 13), 3, 0.05
TASKS = {"digits-mlp": 300, "digits": 60}  # steps


def width(curve: Curve, initial: float) -> float:
    """Decades of rates that lose little, by linear interpolation over the logarithm of the rate."""
    fine = np.linspace(np.log10(curve.rates[0]), np.log10(curve.rates[-1]), 10_001)
    losses = np.interp(fine, np.log10(curve.rates), np.minimum(curve.values.mean(1), initial))
    good = losses - losses.min() <= SHARE * (initial - losses.min())
    return float(good.mean() * (fine[-1] - fine[0]))


def drawn(ax: Any, swept: Sweep) -> dict[str, Any]:
    """The curves of all optimizers; their figures by name."""
    rows: dict[str, Any] = {}
    accuracies = swept.curves("accuracy")
    for colour, curve, best, lost, accuracy in zip(
        COLOURS, swept.curves(), swept.best(), swept.sensitivities(), accuracies, strict=False
    ):
        name = NAMES[dict(curve.variant)["optimizer"]]
        band(ax, curve, 1.6 * swept.initial, colour, f"{name}: {best.rate:.3g}")
        star(ax, best, colour)
        rows[name] = {
            **plain(best),
            "told": told(best),
            "accuracy": float(accuracy.values[np.searchsorted(accuracy.rates, best.rate)].mean()),
            "width": width(curve, swept.initial),
            "sensitivity": lost,
            "losses": [each if np.isfinite(each) else None for each in curve.values.mean(1)],
        }
    ax.axhline(swept.initial, color=GREY, linestyle="--", label="before training")
    ax.set(xscale="log", yscale="log", xlabel="learning rate", ylabel="training loss at the end")
    ax.set_title(f"{swept.facts['task']}, {swept.facts['steps']} steps", fontsize=10)
    ax.legend(fontsize=8, title="best rate", title_fontsize=8)
    ax.grid(alpha=0.25)
    return rows


def main() -> None:
    question = asked("optimizers", __doc__ or "")
    tasks = question.of(TASKS)
    sheet = figure(6.5 * len(tasks), 5.0)
    lines: list[str] = []
    data: dict[str, Any] = {}
    for ax, (name, steps) in zip(np.atleast_1d(sheet.subplots(1, len(tasks))), tasks.items(), strict=True):
        swept = question.sweep(f"{name}-optimizers", task_named(name), RATES, SEEDS, steps, optimizer=list(NAMES))
        rates = swept.curves()[0].rates
        data[name] = rows = drawn(ax, swept)
        lines.append(f"{name}, {swept.facts['steps']} steps, {len(swept.curves()[0].seeds)} seeds")
        lines += [
            f"  {each:18s} {row['told']}; accuracy there {100 * row['accuracy']:.2f} %; width {row['width']:.2f} "
            f"decades; sensitivity {row['sensitivity']:.3f}"
            for each, row in rows.items()
        ]
        for place, rate in enumerate(rates):
            there = {each: row["losses"][place] for each, row in rows.items() if row["losses"][place] is not None}
            if there:
                winner = min(there, key=lambda each: there[each])
                lines.append(f"  all at rate {rate:7.3g}: best is {winner} ({there[winner]:.4f})")
    question.conclude(sheet, lines, data)


if __name__ == "__main__":
    main()
