"""
Cyclical rates on an optimizer
==============================

:Topic: B, CyclicLR on an optimizer
:Claim: ``CyclicLR`` cycles the rate of any optimizer.
:Result: partly. It cycles the momentum as well, and gives an SGD that was made without momentum one of 0.9; Adagrad is refused.

torch's scheduler, and the same as a schedule. ``from_torch`` reads what the scheduler would write.
"""

import matplotlib.pyplot as plt
import torch

from stepsize import Control, from_torch, triangular


def optimizer():
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.01, momentum=0.9)


driven = optimizer()
scheduler = torch.optim.lr_scheduler.CyclicLR(driven, base_lr=0.01, max_lr=0.1, step_size_up=50)
plan = from_torch(scheduler)
print(plan)
theirs, ours = [], []
for _ in range(300):
    theirs.append((driven.param_groups[0]["lr"], driven.param_groups[0]["momentum"]))
    driven.step()
    scheduler.step()
mine = optimizer()
control = Control(mine, plan=plan, total=300)
for _ in range(300):
    ours.append((mine.param_groups[0]["lr"], mine.param_groups[0]["momentum"]))
    control.step()
apart = max(abs(a - b) for pair in zip(theirs, ours, strict=True) for a, b in zip(*pair, strict=True))
print(f"largest difference over 300 steps: {apart:.1e}")

fig, (rate, momentum) = plt.subplots(2, 1, figsize=(8, 5), sharex=True)
rate.plot([pair[0] for pair in ours])
momentum.plot([pair[1] for pair in ours])
rate.set(ylabel="learning rate")
momentum.set(ylabel="momentum", xlabel="step")
fig.tight_layout()

# %%
# An optimizer without momentum
# -----------------------------

weight = torch.zeros(1, requires_grad=True)
plain = torch.optim.SGD([weight], lr=0.01)
torch.optim.lr_scheduler.CyclicLR(plain, base_lr=0.01, max_lr=0.1)
print("SGD that was made without momentum has", plain.param_groups[0]["momentum"])
try:
    torch.optim.lr_scheduler.CyclicLR(torch.optim.Adagrad([weight], lr=0.01), base_lr=0.01, max_lr=0.1)
except ValueError as error:
    print(f"Adagrad: {error}")
simple = Control(torch.optim.SGD([weight], lr=0.01), lr=triangular(up=50), total=300)
print("a schedule of the rate alone:", simple.rates)
