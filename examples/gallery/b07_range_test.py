"""
The range test
==============

:Topic: B, the range test
:Claim: Raise the rate over a hundred steps, and take the one where the loss falls fastest.
:Result: RESULT

``range_test`` lends the rates to a loop of one's own, and puts everything back.
"""

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset

from stepsize import draw, range_test, task_named, train
from stepsize.probe import minimum_tenth, steepest_by_log_rate, valley

torch.manual_seed(0)
images, labels = (torch.tensor(array) for array in load_digits(return_X_y=True))
loader = DataLoader(TensorDataset((images.float() - 4.9) / 6.0, labels), batch_size=64, shuffle=True)
model = torch.nn.Sequential(torch.nn.Linear(64, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
batches = (batch for _ in range(9) for batch in loader)  # goes on from epoch to epoch
with range_test(optimizer, model, loader=loader, low=1e-4, high=10) as test:
    for _, (x, y) in zip(test, batches, strict=False):
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        test.record(loss)
draw(test.result, plt.subplots(figsize=(7, 4))[1])
plt.tight_layout()

# %%
# Whole runs at what the rules say
# --------------------------------

for rule in (steepest_by_log_rate, valley, minimum_tenth):
    rate = rule(test.result.rates, test.result.losses).rate
    trained = train(task_named("digits-mlp"), lr=rate, optimizer="sgd(momentum=0.9)", steps=200)
    print(f"{rule.__name__:22} {rate:.3g}: training loss {trained.score:.4f}")

# %%
# The slide takes ``next(iter(loader))`` at each step. That starts a new epoch every time, and only ever sees first batches.

for name, stream in (("next(iter(loader))", (next(iter(loader)) for _ in range(29))), ("one iterator", iter(loader))):
    seen = torch.cat([x.flatten(1) for x, _ in stream]).unique(dim=0)
    print(f"{name:20} {len(seen)} different images in 29 batches of 64")

# %%
# What was measured
# -----------------
# MEASURED
