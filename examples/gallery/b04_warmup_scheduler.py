"""
Warm-up as a scheduler
======================

:Topic: B, warm-up as a scheduler
:Claim: A warm-up is a scheduler of its own, chained before another.
:Result: partly. It can be; the seam is where it goes wrong. As a piece of one schedule there is no seam.

Three ways to write "ten steps up, then a cosine": torch's chain, a warm-up with its target left at a millionth, as in the slide, and one schedule.
"""

import itertools

import matplotlib.pyplot as plt
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR

from stepsize import Scheduler, cosine, warmup

TOTAL, UP = 100, 10


def chained(optimizer):
    up = LinearLR(optimizer, start_factor=0.1, total_iters=UP)
    return SequentialLR(optimizer, [up, CosineAnnealingLR(optimizer, TOTAL - UP)], milestones=[UP])


class SlideWarmup(torch.optim.lr_scheduler.LRScheduler):
    """Up to a rate that was given for the warm-up alone; the decay then begins at the optimizer's own."""

    def get_lr(self):
        return [base if self.last_epoch >= UP else 1e-6 * (1 + self.last_epoch) / UP for base in self.base_lrs]


kinds = {
    "torch's SequentialLR": chained,
    "the slide's warm-up": SlideWarmup,
    "one schedule": lambda optimizer: Scheduler(optimizer, warmup(UP) >> cosine(), total=TOTAL),
}
for name, make in kinds.items():
    driven = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1e-3)
    scheduler, rates = make(driven), []
    for _ in range(TOTAL):
        rates.append(driven.param_groups[0]["lr"])
        driven.step()
        scheduler.step()
    jump = max(after / before for before, after in itertools.pairwise(rates) if before > 0)
    at_end = f"at {UP}: {rates[UP]:.3g}, largest step up: x {jump:.4g}, last {rates[-1]:.2g}"
    print(f"{name:22} first {rates[0]:.3g}, {at_end}")
    plt.semilogy([max(rate, 1e-8) for rate in rates], label=name)
plt.xlabel("step")
plt.ylabel("learning rate")
plt.legend()
plt.tight_layout()

# %%
# What was measured
# -----------------
# The slide's warm-up climbs to 1e-6, and the next rate is a thousand times higher: it warms up nothing. torch's chain is right, but for its first
# steps: ``LinearLR`` starts at a factor that has to be given, a third by default. One schedule spends no step at zero and none twice at the peak.
