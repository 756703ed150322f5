"""How long does it take to converge, by rate? Steps until the training loss is below a bound, at constant rates.

digits-mlp, SGD without momentum, 2,000 steps, 3 seeds; a step counts when the mean loss of the 40 steps up to it and of
the seeds is below the bound.

Prediction, written before the first run: at low rates the steps go as 1 / rate (a line of slope -1), because gradient
descent follows the same path at another speed; at high rates they stop falling and rise before training breaks.
"""

import numpy as np
from _asked import COLOURS, GREY, asked, smooth
from matplotlib.ticker import ScalarFormatter

from stepsize.views import figure

BOUNDS, WIDTH = (1.0, 0.3, 0.1, 0.03), 40


def steps_needed(steps: np.ndarray, losses: np.ndarray, bound: float) -> float:
    """The first step at which the mean over the ones before is below the bound; NaN if there is none."""
    stride = steps[1] - steps[0] if len(steps) > 1 else 1.0
    below = np.flatnonzero(smooth(losses, max(1, round(WIDTH / stride))) <= bound)
    return float(steps[below[0]] + 1) if len(below) else np.nan


def main() -> None:
    question = asked("convergence", __doc__ or "")
    swept = question.constant_rates()
    seeds = len(swept.curves()[0].seeds)
    losses = swept.training_curves(swept.variants[0])
    rates = np.array(list(losses))
    needed = {bound: np.array([steps_needed(*losses[rate], bound) for rate in rates]) for bound in BOUNDS}
    sheet = figure(7.4, 4.8)
    ax = sheet.subplots()
    lines = [f"digits-mlp, SGD, {swept.facts['steps']} steps, {seeds} seeds; steps until the loss is below a bound"]
    found = {}
    for colour, (bound, steps) in zip(COLOURS, needed.items(), strict=False):
        there = np.isfinite(steps)
        if not there.any():
            lines.append(f"  loss {bound:g}: not reached")
            continue
        ax.plot(rates[there], steps[there], "o-", color=colour, label=f"loss below {bound:g}")
        quickest = int(np.nanargmin(steps))
        slow = there & (rates <= rates[quickest] / 10)
        slope = float(np.polyfit(np.log(rates[slow]), np.log(steps[slow]), 1)[0]) if slow.sum() > 1 else None
        if slope is not None:
            first = int(np.flatnonzero(slow)[0])
            ax.plot(rates, steps[first] * rates[first] / rates, ":", color=colour, linewidth=1)
        found[bound] = {
            "steps": [None if np.isnan(step) else step for step in steps],
            "quickest": float(rates[quickest]),
            "slope": slope,
        }
        shown = "too few points" if slope is None else f"{slope:.2f}"
        lines.append(
            f"  loss {bound:g}: quickest at rate {rates[quickest]:.3g} with {steps[quickest]:.0f} steps; slope a "
            f"decade and more below: {shown}; rates that reach it: {rates[there][0]:.3g} to {rates[there][-1]:.3g}"
        )
    ax.plot([], [], ":", color=GREY, label="in proportion to 1 / rate")
    too_high = rates[rates > rates[np.isfinite(needed[BOUNDS[0]])].max(initial=0)]
    if len(too_high):
        ax.axvspan(too_high[0], rates[-1], color="#b8232f", alpha=0.12, linewidth=0, label="loss 1 is never reached")
    ax.set(xscale="log", yscale="log", xlabel="learning rate (constant)", ylabel="steps needed")
    ax.set_ylim(8, 1.2 * swept.facts["steps"])
    ax.yaxis.set_major_formatter(ScalarFormatter())
    ax.set_title(f"No point: not reached in {swept.facts['steps']:,} steps", fontsize=10)
    ax.legend(fontsize=8)
    ax.grid(alpha=0.25)
    question.conclude(
        sheet, lines, {"rates": rates.tolist(), "bounds": {str(bound): row for bound, row in found.items()}}
    )


if __name__ == "__main__":
    main()
