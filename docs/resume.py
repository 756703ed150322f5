"""Draws docs/images/resume.png, every choice of going on, from real controls: ``python docs/resume.py``."""

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import torch

from stepsize import Control, Schedule, constant, cosine, linear, warmup
from stepsize.schedule import one_minus_sqrt

HERE = Path(__file__).parent
HERE_AND_NOW, TOTAL, LONGER = 600, 1_000, 1_600
WARM_COSINE = warmup(100) >> cosine()


def begin(schedule: Schedule, total: float | None, base: float = 0.1) -> Control:
    """A control of one weight."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=base)
    return Control(optimizer, lr=schedule, total=total, remind=False)


def saved(schedule: Schedule, total: float | None) -> dict:
    """The state of a run at HERE_AND_NOW."""
    control = begin(schedule, total)
    control.step(advance=HERE_AND_NOW)
    return control.state_dict()


def choices() -> dict[str, Control]:
    """Each choice by the words that make it."""
    found = {}
    for how in ("keep", "stretch", "cooldown"):
        found[f'extend="{how}"'] = begin(WARM_COSINE, LONGER)
        found[f'extend="{how}"'].load_state_dict(saved(WARM_COSINE, TOTAL), extend=how)
    found['plan="new": linear over 1,600'] = begin(linear(), LONGER)
    found['plan="new": linear over 1,600'].load_state_dict(saved(WARM_COSINE, TOTAL), plan="new")
    found['base="new": 0.05'] = begin(WARM_COSINE, TOTAL, base=0.05)
    found['base="new": 0.05'].load_state_dict(saved(WARM_COSINE, TOTAL), base="new")
    stable = warmup(100) >> constant()
    found["a cool-down off a stable phase"] = begin(stable, None)
    found["a cool-down off a stable phase"].load_state_dict(saved(stable, None))
    found["a cool-down off a stable phase"].extend(800, one_minus_sqrt())
    return found


def main() -> None:
    """Write the picture."""
    mpl.use("agg")
    positions = np.arange(LONGER + 1.0)
    done = positions <= HERE_AND_NOW
    figure, axes = plt.subplots(2, 3, figsize=(11, 5), sharex=True, sharey=True, layout="constrained")
    for ax, (title, control) in zip(axes.flat, choices().items(), strict=True):
        stable = title.startswith("a cool")
        before = begin(warmup(100) >> constant() if stable else WARM_COSINE, None if stable else TOTAL)
        rates = before.preview(positions).rates["group0"]
        ax.plot(positions[done], rates[done], color="C0", label="done")
        ax.plot(positions[~done], rates[~done], color="C0", linestyle=":", label="as it was planned")
        after = control.preview(positions[positions >= HERE_AND_NOW]).rates["group0"]
        ax.plot(positions[positions >= HERE_AND_NOW], after, color="C1", label="goes on")
        ax.axvline(HERE_AND_NOW, color="0.8", linewidth=1)
        ax.set_title(title, fontsize=10)
    for ax in axes[1]:
        ax.set_xlabel("step")
    for ax in axes[:, 0]:
        ax.set_ylabel("learning rate")
    axes[0, 0].legend(fontsize=8)
    figure.savefig(HERE / "images" / "resume.png", dpi=110)


if __name__ == "__main__":
    main()
