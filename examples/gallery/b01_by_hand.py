"""
The rate by hand, and steering
==============================

:Topic: B, changing the rate by hand; steering
:Claim: Writing ``group["lr"]`` in the loop is how one changes the rate.
:Result: not held. It works until something else writes the rate; a change that lasts is a factor beside the schedule.

Three changes in mid-run, on a cosine: halve the rate, hold it, let it go. The last comes from outside of the loop, as from another terminal.
"""

import tempfile

import matplotlib.pyplot as plt
import torch

from stepsize import Control, Steer, cosine

folder = tempfile.mkdtemp()
model = torch.nn.Linear(10, 1)
control = Control(torch.optim.SGD(model.parameters(), lr=0.1), lr=cosine(), total=400, steer=folder)
rates = []
for step in range(400):
    if step == 100:
        control.scale(0.5, reason="the loss is noisy")
    if step == 200:
        control.set(0.04)
    if step == 250:
        control.release()
    if step == 300:
        Steer(folder).scale(2.0, reason="in a hurry")  # or: stepsize steer FOLDER scale 2
    x = torch.randn(32, 10)
    loss = (model(x) - x.sum(1, keepdim=True)).square().mean()
    loss.backward()
    control.step(loss)
    rates.append(control.rates["group0"])
print("steered:", [(answer.step, answer.after) for answer in Steer(folder).answers if answer.after])

plt.plot(rates, label="applied")
plt.plot([0.1 * float(cosine().over(400)(step)) for step in range(400)], ":", label="the schedule alone")
plt.xlabel("step")
plt.ylabel("learning rate")
plt.legend()
plt.tight_layout()

# %%
# What writing into the group does
# --------------------------------
# torch's schedulers read the rate back to compute the next one, or overwrite it, as each was made.

from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, StepLR

for kind, argument in ((StepLR, 1000), (LambdaLR, lambda _: 1.0), (CosineAnnealingLR, 1000)):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    scheduler = kind(optimizer, argument)
    optimizer.param_groups[0]["lr"] = 0.01
    optimizer.step()
    scheduler.step()
    print(
        f"{kind.__name__:18} 0.01 written by hand; after the next step the rate is {optimizer.param_groups[0]['lr']:.4f}"
    )
