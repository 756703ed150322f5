"""
Batch size and rate
===================

:Topic: A, batch size
:Claim: The rate grows in proportion to the batch size.
:Result: held from 16 to 256, and ends at both sides; and no rate brings back the steps that a large batch saves.

The figures come from ``python benchmarks/questions/batch_size.py --only digits-mlp``: SGD with momentum, five epochs at every batch size,
rates a factor of two apart, three seeds.
"""

import json
from pathlib import Path

import matplotlib.pyplot as plt

log = json.loads(Path("../../benchmarks/logs/questions/batch_size.json").read_text())
sizes, found = log["sizes"], log["digits-mlp"]
best = [entry["rate"] for entry in found["best"]]
for size, entry in zip(sizes, found["best"], strict=True):
    print(
        f"batch {size:4}: best rate {entry['rate']:.3g} ({entry['low']:.2g} to {entry['high']:.2g}), loss {entry['value']:.3f}"
    )
print(f"best rate ~ batch size ^ {found['exponent']:.2f}")

plt.loglog(sizes, best, "o-", label="measured")
plt.loglog(sizes, [best[1] * size / 16 for size in sizes], ":", label="linear rule")
plt.loglog(sizes, [best[1] * (size / 16) ** 0.5 for size in sizes], "--", label="square-root rule")
plt.xlabel("batch size")
plt.ylabel("best rate")
plt.legend()
plt.tight_layout()

# %%
# In a loop of your own
# ---------------------
# Find the rate at the batch size that you train with. Where that is too expensive, scale, and check one rate above and below.

from stepsize import task_named, train

for size, rate in ((32, 0.126), (128, 0.126), (128, 4 * 0.126)):
    trained = train(
        task_named("digits-mlp"), lr=rate, batch_size=size, steps=5 * 1437 // size, optimizer="sgd(momentum=0.9)"
    )
    print(f"batch {size:3}, rate {rate:.3f}: training loss {trained.score:.4f}")
