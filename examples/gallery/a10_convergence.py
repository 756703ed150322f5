"""
How long to converge
====================

:Topic: A, convergence
:Claim: The steps needed go as 1 / rate.
:Result: held at low rates, and ends near the top: the slope is -0.89 to -0.97 over decades, and the last factor of two buys nothing.

The figures come from ``python benchmarks/questions/convergence.py`` (17 rates, 2,000 steps, 3 seeds; minutes): a perceptron on
scikit-learn's digits, SGD at a constant rate. The program below repeats five of the rates.
"""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from stepsize import logspace, task_named, train

log = json.loads(Path("../../benchmarks/logs/questions/convergence.json").read_text())
print("measured on", log["versions"]["torch"], "at commit", log["git"]["commit"][:7])

rates = logspace(0.01, 1, 5)
for bound in (1.0, 0.3):
    needed = []
    for rate in rates:
        run = train(
            task_named("digits-mlp"), lr=rate, steps=600, schedule="constant()", optimizer="sgd", evaluate_every=600
        )
        below = np.convolve(run.losses, np.ones(20) / 20, "valid") < bound
        needed.append(20 + np.argmax(below) if below.any() else np.nan)
    print(f"loss {bound}: " + "  ".join(f"{rate:.2g}: {steps:.0f}" for rate, steps in zip(rates, needed, strict=True)))
    plt.loglog(rates, needed, "o-", label=f"a loss of {bound}")
    plt.loglog(rates, needed[1] * rates[1] / np.array(rates), ":", color="gray")
plt.xlabel("learning rate")
plt.ylabel("steps needed (dotted: 1 / rate)")
plt.legend()
plt.tight_layout()

# %%
# What was measured
# -----------------
# In the full comparison the slopes, a decade and more below the quickest rate, are -0.89 for a loss of 1 and -0.97 for 0.03. A loss of
# 1 is there soonest at a rate of 0.56 (22 steps), one of 0.03 at 1 (162 steps). Above 1 even a loss of 1 is never reached.
