"""
Monitoring a run
================

:Topic: B, monitoring
:Claim: Loss, gradient norm and the ratio of update to weight show whether the rate is right.
:Result: RESULT

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
    train(task_named("digits-mlp"), lr=rate, steps=300, optimizer="sgd(momentum=0.9)", watch=[lines], evaluate_every=300)
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
# MEASURED
