"""
Four schedules
==============

:Topic: A, the four schedules: step, exponential, cosine, linear
:Claim: A decaying rate beats a constant one.
:Result: partly. Held where noise is the limit; not in a run too short to reach the noise, where every decay costs distance.

Two trainings, each schedule at five rates: a line through scikit-learn's diabetes data, where SGD ends in a cloud around the best line,
and a perceptron on its digits that is still far from its end after 200 steps.
"""

import matplotlib.pyplot as plt
import numpy as np

from stepsize import Schedule, logspace, sweep, task_named
from stepsize.engine import serial

schedules = ("constant()", "step_decay(every=30%)", "exponential(gamma=0.01)", "cosine()", "linear()")
fig, (shapes, line, digits) = plt.subplots(1, 3, figsize=(13, 3.6))
for text in schedules:
    shapes.plot(Schedule.parse(text).over(200)(np.arange(200)), label=text)
    best = []
    for axes, task, steps, seeds in ((line, "linear-regression", 300, 5), (digits, "digits-mlp", 200, 2)):
        rates = logspace(0.02, 2, 5) if task == "digits-mlp" else logspace(0.003, 0.3, 5)
        swept = sweep(task_named(task), rates, seeds=seeds, steps=steps, engine=serial, optimizer="sgd", schedule=text)
        losses = [np.mean([row["loss"] for row in swept.rows() if row["rate"] == rate]) for rate in rates]
        best.append(f"{min(losses):.4f} at {rates[int(np.argmin(losses))]:.2g}, {losses[0]:.4f} at {rates[0]:.2g}")
        axes.loglog(rates, losses, "o-")
        axes.set(title=task, xlabel="learning rate", ylabel="training loss")
    print(f"{text:24} line: {best[0]};  digits: {best[1]}")
line.set_ylim(0.48, 0.75)  # the highest rate diverges with most schedules
shapes.set(xlabel="step", ylabel="factor of the rate")
shapes.legend(fontsize=7)
fig.tight_layout()

# %%
# What was measured
# -----------------
# On the line, the decays end below the constant rate, at their own best rates. On the digits, 200 steps are too few: the constant rate wins. At
# the lowest rate tried, decays lose on both, because they spend most of the run at an even lower one. A comparison of schedules
# at one rate shows the rate.
