"""
Monitoring a run
================

:Topic: B, monitoring
:Claim: Loss, gradient norm and the ratio of update to weight show whether the rate is right.
:Result: partly. The loss tells the three rates apart; the update ratio orders them, but no threshold of it does: 0.0017, 0.0063, 0.0097.

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
    middle = {signal: float(np.median(run.column(signal)[25:75])) for signal in signals}  # steps 50 to 150
    print(f"{name:9} rate {rate:5}: " + "  ".join(f"{key} {value:.2g}" for key, value in middle.items()))
panels[0].legend()
fig.tight_layout()

# %%
# What was measured
# -----------------
# Medians between steps 50 and 150: the update is 0.0017 of the weights at a rate fifty times too low, 0.0063 at the right one, and 0.0097 at one
# ten times too high. The often quoted 0.001 would call the low one healthy. The gradient norm is 0.98, 0.41 and 0.82: low only where the
# network learns. A schedule moves the ratio by orders of magnitude by itself, down to 1e-6 at the end of a cosine, so look early or compare runs.
