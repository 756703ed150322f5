"""
Rates by layer
==============

:Topic: B, per-layer rates
:Claim: In fine-tuning, the layers near the input want lower rates than the head.
:Result: held. Lower rates near the input reach 91 % at their best rate, one rate for all 88 %, and the range of good rates is ten times wider.

A CNN is trained on the digits 0 to 4, and fine-tuned on 64 images of 5 to 9, with rates that fall by a factor from layer to layer.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

from stepsize import Control, cosine, layerwise, logspace

images, labels = (torch.tensor(array) for array in load_digits(return_X_y=True))
images = ((images.float() - 4.9) / 6.0).view(-1, 1, 8, 8)
old, new = torch.nonzero(labels < 5)[:, 0], torch.nonzero(labels >= 5)[:, 0]


def trained(model, x, y, lr, decay, steps):
    control = Control(torch.optim.SGD(layerwise(model, lr=lr, decay=decay), momentum=0.9), lr=cosine(), total=steps)
    for batch in torch.randint(len(y), (steps, 32)):
        loss = nn.functional.cross_entropy(model(x[batch]), y[batch])
        loss.backward()
        control.step(loss)
    return model


def network():
    first, second, third = nn.Conv2d(1, 16, 3, 1, 1), nn.Conv2d(16, 16, 3, 1, 1), nn.Conv2d(16, 32, 3, 2, 1)
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), third, nn.ReLU(), nn.Flatten(), nn.Linear(512, 10))


torch.manual_seed(0)
first = trained(network(), images[old], labels[old], lr=0.05, decay=1.0, steps=150).state_dict()
rates = logspace(0.003, 0.3, 5)
for decay in (1.0, 0.5, 0.1):
    right = []
    for rate in rates:
        shares = []
        for seed in range(3):
            torch.manual_seed(seed)
            few, rest = new[torch.randperm(len(new))].split([64, len(new) - 64])
            model = network()
            model.load_state_dict(first)
            trained(model, images[few], labels[few], rate, decay, steps=40)
            shares.append(float((model(images[rest]).argmax(1) == labels[rest]).float().mean()))
        right.append(np.mean(shares))
    print(f"factor {decay}: " + "  ".join(f"{rate:.2g}: {share:.1%}" for rate, share in zip(rates, right, strict=True)))
    plt.semilogx(rates, right, "o-", label=f"factor {decay} from layer to layer")
plt.gca().set(xlabel="rate of the head", ylabel="accuracy on the other images of 5 to 9")
plt.legend()
plt.tight_layout()

# %%
# What was measured
# -----------------
# Means of three draws of the 64 images. One rate for all is best at 0.03, with 87.9 %, and falls to 75 % at 0.0095 and 74 % at 0.095. With a factor of a
# half from layer to layer 0.095 reaches 91.3 %, with a tenth 91.1 %, and every rate from 0.0095 to 0.3 reaches 85 % or more. A network with pooling
# instead of a stride, tried first, reached 88 % with all three factors: there the factor bought only tolerance.
