"""
Monitoring a run
================

:Topic: B, monitoring
:Claim: Loss, gradient norm and the ratio of update to weight show whether the rate is right.
:Result: partly. The loss tells too low from right; gradient norm and update ratio at the end do not. Too high shows in the ratio.

The same perceptron at a rate that is too low, right and too high. ``JsonLines`` writes what is asked for, and nothing else is computed.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from stepsize import JsonLines, Run, task_named, train

signals = ("loss", "gradient_norm", "update_ratio")
fig, panels = plt.subplots(1, 3, figsize=(13, 3.6))
for rate, name in ((0.002, "too low"), (0.1, "right"), (1.0, "too high")):
    folder = Path(tempfile.mkdtemp())
    lines = JsonLines(folder / "metrics.jsonl", every=2, signals=signals)
    train(
        task_named("digits-mlp"), lr=rate, steps=300, optimizer="sgd(momentum=0.9)", watch=[lines], evaluate_every=300
    )
    run = Run.open(folder / "metrics.jsonl")
    for panel, signal in zip(panels, signals, strict=True):
        panel.semilogy(run.column("step"), run.column(signal), label=f"{name}, {rate}")
        panel.set(xlabel="step", title=signal)
    last = {signal: float(np.median(run.column(signal)[-50:])) for signal in signals}
    print(f"{name:9} rate {rate:5}: " + "  ".join(f"{key} {value:.2g}" for key, value in last.items()))
panels[0].legend()
fig.tight_layout()

# %%
# What was measured
# -----------------
# Medians at the end: the update ratio is 0.00012 at a rate that is fifty times too low, 0.00011 at the right one, and 0.00036 at one that is ten times too
# high. The often quoted 0.001 fits none of them. The gradient norm is ten times smaller at the right rate than at the low one because the
# network is nearly done, and the same at a rate that ruins it. A number needs its history, and a comparison.
