"""
Trajectories on a bowl
======================

:Topic: A, trajectories in one dimension
:Claim: A small rate creeps, a good one converges, a large one oscillates, a larger one diverges.
:Result: held. On a quadratic the border is 2 / λ with λ the largest curvature; 0.2 here, and 0.21 diverges.

The descent of a quadratic loss is the one case where theory says everything: along a direction of curvature λ each step
multiplies the distance by 1 - rate · λ.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

from stepsize import Control

curvature = torch.tensor([1.0, 10.0])  # 2 / 10 = 0.2 is the border
fig, axes = plt.subplots(1, 4, figsize=(13, 3.4), sharey=True)
grid = np.linspace(-2.2, 2.2, 101)
for axis, rate in zip(axes, (0.02, 0.1, 0.19, 0.21), strict=True):
    point = torch.tensor([-2.0, 1.0], requires_grad=True)
    control = Control(torch.optim.SGD([point], lr=rate), remind=False)
    path = [point.detach().clone()]
    for _ in range(40):
        loss = 0.5 * (curvature * point.square()).sum()
        loss.backward()
        control.step(loss)
        path.append(point.detach().clone())
    left = loss.item() / 7.0
    print(f"rate {rate:4}: {left:8.2g} of the first loss is left after 40 steps")
    xs, ys = torch.stack(path).T
    axis.contour(grid, grid, 0.5 * (grid[None, :] ** 2 + 10 * grid[:, None] ** 2), levels=12, linewidths=0.5)
    axis.plot(xs, ys.clamp(-2.2, 2.2), ".-", color="tab:red", linewidth=1)
    axis.set_title(f"rate {rate}")
fig.tight_layout()

# %%
# In one dimension
# ----------------
# With one curvature there is a rate that arrives in a single step, 1 / λ.

for rate in (0.01, 0.1, 0.15, 0.2, 0.21):
    print(f"rate {rate:4}: each step multiplies the distance by {1 - rate * 10:+.2f}")

# %%
# The courses' own program reaches NaN at a rate of 0.1. There is nothing wrong with 0.1: the border is 2 / λ, and for features
# that are not scaled to unit size λ is easily above 20. The rate belongs to the problem.

features = torch.randn(100, 1, generator=torch.Generator().manual_seed(0)) * 5 + 2
curvature = 2 * features.square().mean()
print(f"mean squared error over unscaled features: curvature {curvature:.0f}, diverges above {2 / curvature:.3f}")
weight = torch.zeros(1, requires_grad=True)
control = Control(torch.optim.SGD([weight], lr=0.1), remind=False)
for _ in range(200):
    loss = (features * weight - 3 * features).square().mean()
    loss.backward()
    control.step(loss)
print(f"at a rate of 0.1 after 200 steps: weight {weight.item()}")
