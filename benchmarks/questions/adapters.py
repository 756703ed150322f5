"""Which rate for an adapter? A network trained on the digits 0 to 4 learns 5 to 9: all weights, the head, adapters.

An adapter is that of LoRA (Hu et al. 2021), of rank 4: w + (8 / rank) b a, with b zero at first; w stays. The head is
trained in full beside the adapters. AdamW, warm-up over 5 % and linear to zero, 100 steps of 32 images, rates a factor
of 10 ** 0.5 apart, three seeds.

Prediction, written before the first run: the best rate of the adapters is ten times that of full fine-tuning. In that
run the head was adapted too, and its biases frozen at the old classes: 42 % at a best rate of 0.1, against 0.03.
"""

import sys
from pathlib import Path

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[1]))

from _common import arguments, conclude, progress

from stepsize import Control
from stepsize.task.built_in._digits import data

RANK, RATES = 4, tuple(10 ** (half / 2) for half in range(-8, 1))


class Adapted(nn.Module):
    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.layer = layer.requires_grad_(False)
        self.a = nn.Parameter(torch.randn(RANK, layer.in_features) / layer.in_features**0.5)
        self.b = nn.Parameter(torch.zeros(layer.out_features, RANK))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.layer(inputs) + (8 / RANK) * inputs @ self.a.T @ self.b.T


def adapted(part: nn.Module) -> nn.Module:
    return Adapted(part) if isinstance(part, nn.Linear) else part


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10)
    )


def fit(model: nn.Module, rate: float, images: Tensor, labels: Tensor, steps: int) -> None:
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    control = Control(torch.optim.AdamW(trained, lr=rate), lr="warmup(5%) >> linear()", total=steps)
    for _ in range(steps):
        batch = torch.randint(len(labels), (32,))
        loss = nn.functional.cross_entropy(model(images[batch]), labels[batch])
        loss.backward()
        control.step(loss)


def main() -> None:
    quick = arguments(__doc__ or "").quick
    seeds, steps = (1, 10) if quick else (3, 100)
    x, y, held_x, held_y = data()
    torch.manual_seed(0)
    first = network()
    fit(first, 3e-3, x[y < 5], y[y < 5], 10 if quick else 300)
    lines, figures = [], {}
    for kind in ("all weights", "the head", "adapters"):
        right = {}
        for rate in RATES:
            shares = []
            for seed in range(seeds):
                torch.manual_seed(seed)
                model = network()
                model.load_state_dict(first.state_dict())
                if kind == "the head":
                    model[:-1].requires_grad_(False)
                if kind == "adapters":
                    model = nn.Sequential(*(adapted(part) for part in model[:-1]), model[-1])
                fit(model, rate, x[y >= 5], y[y >= 5], steps)
                with torch.no_grad():
                    shares.append(float((model(held_x[held_y >= 5]).argmax(1) == held_y[held_y >= 5]).float().mean()))
            right[f"{rate:.3g}"] = shares
        mean = {rate: sum(three) / len(three) for rate, three in right.items()}
        best = max(mean, key=lambda rate: mean[rate])
        good = [rate for rate in mean if mean[rate] > mean[best] - 0.01]
        figures[kind] = right
        lines.append(
            f"  {kind:12} best rate {best}, accuracy {mean[best]:.1%}; within a point from {good[0]} to {good[-1]}"
        )
        progress(lines[-1])
    conclude("questions/adapters", lines, {"accuracy": figures}, quick)


if __name__ == "__main__":
    main()
