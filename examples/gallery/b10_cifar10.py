"""
CIFAR-10, ResNet-18, and a plateau
==================================

:Topic: B, CIFAR-10 with ReduceLROnPlateau
:Claim: Cutting the rate on a plateau needs no plan, and reaches what a schedule does.
:Result: not held in a run of known length: after one epoch a plateau has never cut, and is at 48.7 % where one cycle is at 61.7 %.

ResNet-18 at a quarter of its width, on a CPU. The short runs were measured by ``python benchmarks/courses.py --only cifar10`` (350 steps of
128 images, about one epoch, one seed), the whole ones by ``python benchmarks/tasks.py`` (3 epochs of one cycle, 3 seeds).
"""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

from stepsize import Control, plateau, warmup

short = json.loads(Path("../../benchmarks/logs/courses.json").read_text())
whole = json.loads(Path("../../benchmarks/logs/tasks.json").read_text())["results"]
for name, row in short["results"].items():
    if name.startswith("cifar10"):
        print(f"{name:30} accuracy {row['metrics']['accuracy']:.1%} after {len(row['losses'])} steps")
        plt.plot(np.convolve(row["losses"], np.ones(20) / 20, "valid"), label=name)
for seed in range(3):
    row = whole[f"cifar10-small {seed}"]
    reached = row["metrics"]["test_accuracy"]
    print(f"three epochs of one cycle, seed {seed}: rate {row['rate']}, test accuracy {reached:.1%}")
plt.gca().set(xlabel="step", ylabel="training loss, mean of 20 steps")
plt.legend()
plt.tight_layout()

# %%
# A plateau under a warm-up
# -------------------------
# torch's ReduceLROnPlateau cannot stand behind a warm-up: both write the rate. Here one is a schedule and the other a factor.

optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
control = Control(optimizer, lr=warmup(50), feedback=plateau(of="validation_loss", patience=1, factor=0.3, after=50))
written = []
for validation_loss in (2.0, 1.2, 1.0, 1.01, 1.0, 0.8, 0.81, 0.82, 0.79, 0.8, 0.8):
    for _ in range(25):
        written.append(control.rates["group0"])
        control.step()
    control.observe(validation_loss=validation_loss)
for event in control.log:
    print(event.reason)
plt.subplots()[1].semilogy(written)
plt.gca().set(xlabel="step", ylabel="learning rate")
plt.tight_layout()

# %%
# What was measured
# -----------------
# At the same rate, 0.1, and 350 steps, one cycle is right on 61.7 % of the validation images and the plateau on 48.7 %: it waits for a validation
# loss that no longer falls, and in one epoch that never comes. This was predicted. Three epochs of one cycle reach 76.5 to 76.7 % on the test images.
#
# In full (width 64, 30 epochs, bfloat16, one seed, one NVIDIA H200; ``benchmarks/logs/cifar10_cuda.json``) the plateau ends at 88.1 % of the test
# images, one cycle at 90.1 % with the same rate. A plateau is for runs whose length is not known.
