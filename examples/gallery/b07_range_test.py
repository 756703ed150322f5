"""
The range test
==============

:Topic: B, the range test
:Claim: Raise the rate over a hundred steps, and take the one where the loss falls fastest.
:Result: partly. The curve shows the edge; every rule that reads it chose a rate 4 to 15 times below the best.

``range_test`` runs your own loop at rising rates, and then restores everything.
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

rules = {
    rule.__name__: rule(test.result.rates, test.result.losses).rate
    for rule in (steepest_by_log_rate, valley, minimum_tenth)
}
for name, rate in {**rules, "best of a sweep": 0.2}.items():
    trained = train(task_named("digits-mlp"), lr=rate, optimizer="sgd(momentum=0.9)", steps=200)
    print(f"{name:22} {rate:.3g}: training loss {trained.score:.4f}")

# %%
# The slide takes ``next(iter(loader))`` at each step. That shuffles anew at each step: images come again, and others never.

for name, stream in (("next(iter(loader))", (next(iter(loader)) for _ in range(29))), ("one iterator", iter(loader))):
    seen = torch.cat([x.flatten(1) for x, _ in stream]).unique(dim=0)
    print(f"{name:20} {len(seen)} different images in 29 batches of 64")

# %%
# What was measured
# -----------------
# The best rate of a sweep is near 0.2. The rules say 0.027, 0.013 and 0.049, and whole runs at these end at 0.11, 0.20 and 0.06, where 0.2
# ends at 0.004. The test knows neither the length of the run nor its schedule. ``find`` and ``RateSearch`` train short runs with both.
