"""What does the rate do to training? Loss by step, and loss at the end, over four decades of rates.

digits-mlp, SGD without momentum, 2,000 steps at a constant rate, 3 seeds.

Prediction, written before the first run: low rates are slow in proportion; there is no valley's floor but a cliff, the
best rate being the last but one or two before training breaks.
"""

import numpy as np
from _asked import GREY, asked, band, plain, smooth, star, told
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm

from stepsize.views import figure


def main() -> None:
    question = asked("rate", __doc__ or "")
    swept = question.constant_rates()
    (curve,), (best,), (breaks,) = swept.curves(), swept.best(), swept.thresholds()
    sheet = figure(12, 4.6)
    left, right = sheet.subplots(1, 2)
    losses = swept.training_curves(curve.variant)
    scale = ScalarMappable(LogNorm(curve.rates[0], curve.rates[-1]), "viridis")
    for rate, (steps, values) in losses.items():
        left.plot(steps, smooth(np.fmin(values, 2 * swept.initial), 5), color=scale.to_rgba(rate), linewidth=1.5)
    sheet.colorbar(scale, ax=left, label="learning rate")
    left.set(yscale="log", xlabel="step", ylabel="training loss, smoothed, mean of the seeds", title="By step")
    top = 2 * swept.initial
    band(right, curve, top, "#1f5fa8", "loss after training, mean and range of the seeds")
    star(right, best, "#1f5fa8")
    right.axhline(swept.initial, color=GREY, linestyle="--", label="before training")
    right.set(xscale="log", yscale="log", xlabel="learning rate", ylabel="training loss at the end", title="By rate")
    right.legend(fontsize=8, loc="lower left")
    means = curve.values.mean(1)
    lines = [
        f"digits-mlp, SGD, {swept.facts['steps']} steps, {len(curve.seeds)} seeds: {told(best)}",
        f"before training {swept.initial:.3f}; first rate at which a seed ends above that: {breaks[1]:.3g}",
        *(f"  rate {rate:7.3g}  loss {mean:.4f}" for rate, mean in zip(curve.rates, means, strict=True)),
    ]
    data = {
        "rates": curve.rates.tolist(),
        "losses": [[v if np.isfinite(v) else None for v in row] for row in curve.values],
    }
    question.conclude(sheet, lines, {**data, "best": plain(best), "initial": swept.initial})


if __name__ == "__main__":
    main()
