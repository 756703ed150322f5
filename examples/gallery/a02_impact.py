"""
The rate's impact on training
=============================

:Topic: A, impact of the rate
:Claim: Too low a rate is slow, too high a rate diverges, and the best lies between.
:Result: partly. A slope that ends in a cliff: every larger rate is better, until a factor of three further nothing is learnt.

A perceptron on the 1,797 images of scikit-learn's digits, plain SGD, 400 steps at a constant rate.
"""

import matplotlib.pyplot as plt
import numpy as np

from stepsize import logspace, sweep, task_named
from stepsize.engine import serial

rates = logspace(1e-3, 10, 9)
swept = sweep(
    task_named("digits-mlp"), rates, seeds=2, steps=400, engine=serial, optimizer="sgd", schedule="constant()"
)
rows = swept.rows()
losses = [np.mean([row["loss"] for row in rows if row["rate"] == rate]) for rate in rates]
for rate, loss in zip(rates, losses, strict=True):
    print(f"rate {rate:7.3g}: loss {loss:.4f}")
print(swept.best()[0], "before training", round(float(np.mean(swept.initial)), 2))

plt.loglog(rates, losses, "o-")
plt.axhline(float(np.mean(swept.initial)), color="gray", linestyle=":", label="before training")
plt.xlabel("learning rate")
plt.ylabel("training loss after 400 steps")
plt.legend()
plt.tight_layout()

# %%
# What was measured
# -----------------
# The loss falls with the rate over three decades and rises within one step of the grid. It does not become infinite above the
# edge: the network is stuck at the loss of guessing. So a rate that is too low by a factor of three costs a little, and one that is too high
# by a factor of three costs everything. With 2,000 steps, 17 rates and 3 seeds the picture is the same
# (``python benchmarks/questions/rate.py``): the best rate is 1, and 1.78 ends where training began.
