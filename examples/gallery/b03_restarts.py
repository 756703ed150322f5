"""
Cosine, and warm restarts
=========================

:Topic: B, cosine annealing and warm restarts
:Claim: Restarts give a good model at the end of every cycle, and a better one at the end than a single cosine.
:Result: not held here. At every quarter of the run a single cosine validates better than the restarts did at their ends.

A perceptron on the digits. The loss of the whole training set is measured along the run: "anytime" is what one would have, had the run ended there.
"""

import matplotlib.pyplot as plt
import numpy as np

from stepsize import Schedule, logspace, sweep, task_named, train
from stepsize.engine import serial

task, rates = task_named("digits-mlp"), logspace(0.05, 0.5, 3)
fig, (shape, panel) = plt.subplots(2, 1, figsize=(8, 5.5), sharex=True, height_ratios=(1, 2))
for text in ("cosine()", "cosine_restarts(every=100)", "cosine_restarts(every=57.2, growth=2)", "constant()"):
    said = {"steps": 400, "schedule": text, "optimizer": "sgd(momentum=0.9)"}
    swept = sweep(task, rates, seeds=3, engine=serial, **said)
    losses = [np.mean([row["loss"] for row in swept.rows() if row["rate"] == rate]) for rate in rates]
    best = rates[int(np.argmin(losses))]
    run = train(task, lr=rates[1], evaluate_every=10, **said)
    steps = [row["step"] for row in run.history]
    along = [row["validation_loss"] for row in run.history]
    at = {step: round(along[steps.index(step)], 3) for step in (100, 200, 300, 400)}
    print(f"{text:38} best rate {best:.2g}: training loss {min(losses):.4f}; validation at {rates[1]:.2g}: {at}")
    panel.semilogy(steps, along, label=text)
    shape.plot(Schedule.parse(text).over(400)(np.arange(400)))
shape.set(ylabel="factor of the rate")
panel.set(xlabel="step", ylabel="validation loss")
panel.legend()
fig.tight_layout()

# %%
# What was measured
# -----------------
# MEASURED
