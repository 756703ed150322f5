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

from stepsize import Control, cosine, layerwise, logspace

images, labels = (torch.tensor(array) for array in load_digits(return_X_y=True))
images = ((images.float() - 4.9) / 6.0).view(-1, 1, 8, 8)


def trained(model, x, y, lr, decay, steps):
    optimizer = torch.optim.SGD(layerwise(model, lr=lr, decay=decay), momentum=0.9)
    control = Control(optimizer, lr=cosine(), total=steps)
    for _ in range(steps):
        batch = torch.randint(len(y), (32,))
        loss = torch.nn.functional.cross_entropy(model(x[batch]), y[batch])
        loss.backward()
        control.step(loss)
    return model


def network():
    layers = []
    for inputs, outputs in ((1, 16), (16, 16), (16, 32)):
        layers += [torch.nn.Conv2d(inputs, outputs, 3, stride=2 if outputs == 32 else 1, padding=1), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Linear(512, 10))


torch.manual_seed(0)
first = trained(network(), images[labels < 5], labels[labels < 5], lr=0.05, decay=1.0, steps=150).state_dict()
rates = logspace(0.003, 0.3, 5)
for decay in (1.0, 0.5, 0.1):
    right = []
    for rate in rates:
        shares = []
        for seed in range(3):
            torch.manual_seed(seed)
            new = torch.nonzero(labels >= 5)[:, 0][torch.randperm(int((labels >= 5).sum()))]
            few, rest = new[:64], new[64:]
            model = network()
            model.load_state_dict(first)
            trained(model, images[few], labels[few], rate, decay, steps=40)
            with torch.no_grad():
                shares.append(float((model(images[rest]).argmax(1) == labels[rest]).float().mean()))
        right.append(np.mean(shares))
    print(f"factor {decay}: " + "  ".join(f"{rate:.2g}: {share:.1%}" for rate, share in zip(rates, right, strict=True)))
    plt.semilogx(rates, right, "o-", label=f"factor {decay} from layer to layer")
plt.xlabel("rate of the head")
plt.ylabel("accuracy on the other images of 5 to 9")
plt.legend()
plt.tight_layout()

# %%
# What was measured
# -----------------
# Means of three draws of the 64 images. One rate for all is best at 0.03, with 87.9 %, and falls to 75 % at 0.0095 and 74 % at 0.095. With a
# factor of a half from layer to layer it is 91.3 % at 0.095, with a tenth 91.1 %, and every rate from 0.0095 to 0.3 reaches 85 % or more. A network with
# pooling instead of a stride, tried first, reached 88 % with all three factors: there the factor bought tolerance only.
