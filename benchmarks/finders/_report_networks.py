"""Model families of the report-only set, for tables and pictures; those for words are in _report_words.py."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, cross_entropy, logsigmoid, normalize, softplus


class FactorisationMachine(nn.Module):
    """A bias, weights, and products of pairs of features by factors; [batch, features] -> [batch, 1].

    Source: Rendle 2010, "Factorization machines", equations 1 and 5.
    """

    def __init__(self, features: int, rank: int) -> None:
        super().__init__()
        self.line = nn.Linear(features, 1)
        self.factors = nn.Parameter(0.01 * torch.randn(features, rank))

    def forward(self, x: Tensor) -> Tensor:
        pairs = (x @ self.factors).square() - x.square() @ self.factors.square()
        return self.line(x) + 0.5 * pairs.sum(1, keepdim=True)


class RadialBasis(nn.Module):
    """Gaussian bumps with places and widths that are learned, and a line on them."""

    def __init__(self, features: int, bumps: int) -> None:
        super().__init__()
        self.centres = nn.Parameter(torch.randn(bumps, features))
        self.widths = nn.Parameter(torch.zeros(bumps))
        self.head = nn.Linear(bumps, 1)

    def forward(self, x: Tensor) -> Tensor:
        squares = (x[:, None] - self.centres).square().mean(2)
        return self.head(torch.exp(-squares * self.widths.exp()))


class MixtureDensity(nn.Module):
    """The density of a target as a mixture of Gaussians that hang on the features; gives the mean -log density.

    Source: Bishop 1994, "Mixture density networks", section 3.
    """

    def __init__(self, features: int, parts: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(features, 32), nn.Tanh(), nn.Linear(32, 3 * parts))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        weights, means, spreads = self.inner(x).chunk(3, 1)
        spreads = softplus(spreads) + 0.05
        logs = -0.5 * ((y - means) / spreads).square() - spreads.log() - 0.5 * math.log(2 * math.pi)
        return -torch.logsumexp(weights.log_softmax(1) + logs, 1).mean()


class Highway(nn.Module):
    """Twelve gated layers without any normalisation, gates nearly closed at the start.

    Source: Srivastava et al. 2015, "Highway networks" (arXiv 1505.00387), section 2.
    """

    def __init__(self, features: int, width: int, layers: int = 12) -> None:
        super().__init__()
        self.first, self.head = nn.Linear(features, width), nn.Linear(width, 1)
        self.paths = nn.ModuleList([nn.Linear(width, width) for _ in range(layers)])
        self.gates = nn.ModuleList([nn.Linear(width, width) for _ in range(layers)])
        for gate in self.gates:
            nn.init.constant_(gate.bias, -2.0)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for path, gate in zip(self.paths, self.gates, strict=True):
            share = torch.sigmoid(gate(x))
            x = share * torch.relu(path(x)) + (1 - share) * x
        return self.head(x)


class Flow(nn.Module):
    """Affine couplings that turn data into a Gaussian; gives the mean -log density per dimension.

    Source: Dinh et al. 2017, "Density estimation using Real NVP" (arXiv 1605.08803), section 3.
    """

    def __init__(self, features: int, width: int, layers: int) -> None:
        super().__init__()
        self.parts = nn.ModuleList(
            nn.Sequential(nn.Linear(features, width), nn.ReLU(), nn.Linear(width, 2 * features)) for _ in range(layers)
        )
        self.register_buffer("mask", (torch.arange(features) % 2).float())

    def forward(self, x: Tensor, _: Tensor) -> Tensor:
        volume = x.new_zeros(len(x))
        for index, part in enumerate(self.parts):
            kept = self.mask if index % 2 else 1 - self.mask
            scale, shift = part(x * kept).chunk(2, 1)
            scale = torch.tanh(scale) * (1 - kept)
            x = x * scale.exp() + shift * (1 - kept)
            volume = volume + scale.sum(1)
        logs = -0.5 * x.square().sum(1) - 0.5 * x.shape[1] * math.log(2 * math.pi) + volume
        return -logs.mean() / x.shape[1]


class Prototypes(nn.Module):
    """Classes by the squared distance to learned points, in the units of the data, over a fixed temperature."""

    def __init__(self, classes: int, points: Callable[[], Tensor], temperature: float) -> None:
        super().__init__()
        chosen = points()
        self.points = nn.Parameter(chosen[torch.randperm(len(chosen))[:classes]].clone())
        self.temperature = temperature

    def forward(self, x: Tensor) -> Tensor:
        return -(x[:, None] - self.points).square().sum(2) / self.temperature


class SoftTree(nn.Module):
    """A tree of depth four: each branch is taken with a learned probability, each leaf has its classes.

    Source: Frosst and Hinton 2017, "Distilling a neural network into a soft decision tree" (arXiv 1711.09784), 2.
    """

    def __init__(self, features: int, classes: int, depth: int = 4) -> None:
        super().__init__()
        self.depth = depth
        self.branches = nn.Linear(features, 2**depth - 1)
        self.leaves = nn.Parameter(0.01 * torch.randn(2**depth, classes))
        nn.init.normal_(self.branches.weight, std=0.01)

    def forward(self, x: Tensor) -> Tensor:
        turns = self.branches(x)
        reach = x.new_zeros(len(x), 1)  # log probability of each node of a level
        for level in range(self.depth):
            here = turns[:, 2**level - 1 : 2 ** (level + 1) - 1]
            reach = torch.stack([reach + logsigmoid(here), reach + logsigmoid(-here)], 2).flatten(1)
        return torch.logsumexp(reach[:, :, None] + self.leaves.log_softmax(1), 1)


class Residual(nn.Module):
    """Residual convolutions with group norm; [batch, 3, 16, 16] -> [batch, 10]."""

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, 2, 1)
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.GroupNorm(4, width), nn.ReLU(), nn.Conv2d(width, width, 3, 1, 1),
                nn.GroupNorm(4, width), nn.ReLU(), nn.Conv2d(width, width, 3, 1, 1),
            )
            for _ in range(blocks)
        )  # fmt: skip
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for branch in self.branches:
            x = x + branch(x)
        return self.head(torch.relu(x).mean((2, 3)))


class Mixer(nn.Module):
    """Patches of 4 x 4 mixed over places, then over channels.

    Source: Tolstikhin et al. 2021, "MLP-Mixer" (arXiv 2105.01601), equation 1.
    """

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 4, 4)
        self.norms = nn.ModuleList([nn.LayerNorm(width) for _ in range(2 * layers)])
        self.over_places = nn.ModuleList([_two(16, 32) for _ in range(layers)])
        self.over_channels = nn.ModuleList([_two(width, 2 * width) for _ in range(layers)])
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        for index, (places, channels) in enumerate(zip(self.over_places, self.over_channels, strict=True)):
            x = x + places(self.norms[2 * index](x).transpose(1, 2)).transpose(1, 2)
            x = x + channels(self.norms[2 * index + 1](x))
        return self.head(x.mean(1))


def _two(width: int, inner: int) -> nn.Module:
    return nn.Sequential(nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, width))


class Contrast(nn.Module):
    """The left and the right half of a photograph shall find each other in the batch; gives the loss.

    Source: Chen et al. 2020, "A simple framework for contrastive learning" (arXiv 2002.05709), equation 1.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 4, 96), nn.ReLU(), nn.Linear(96, width))

    def forward(self, x: Tensor, _: Tensor) -> Tensor:
        x = avg_pool2d(x, 2)
        left, right = (normalize(self.encoder(half), dim=1) for half in (x[..., :4], x[..., 4:].flip(3)))
        return cross_entropy(left @ right.T / 0.1, torch.arange(len(left)))


class Sines(nn.Module):
    """Colours from places through sines: w0 = 30 in the first layer.

    Source: Sitzmann et al. 2020, "Implicit neural representations" (arXiv 2006.09661), section 3.2.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(2, width), nn.Linear(width, width), nn.Linear(width, 3)])
        nn.init.uniform_(self.layers[0].weight, -0.5, 0.5)
        for layer in self.layers[1:]:
            bound = math.sqrt(6 / width) / 30
            nn.init.uniform_(layer.weight, -bound, bound)

    def forward(self, places: Tensor) -> Tensor:
        x = places
        for layer in self.layers[:-1]:
            x = torch.sin(30 * layer(x))
        return self.layers[-1](x)


class FourierFeatures(nn.Module):
    """Colours from fixed random waves over the places, through a hidden layer and a sigmoid."""

    def __init__(self, waves: int, width: int) -> None:
        super().__init__()
        self.register_buffer("waves", 4 * torch.randn(2, waves))
        self.inner = nn.Sequential(nn.Linear(2 * waves, width), nn.ReLU(), nn.Linear(width, 3), nn.Sigmoid())

    def forward(self, places: Tensor) -> Tensor:
        turned = 2 * math.pi * places @ self.waves
        return self.inner(torch.cat([turned.sin(), turned.cos()], 1))


class ColourMixture(nn.Module):
    """The density of colours as a mixture of Gaussians with diagonal spreads; gives the mean -log density."""

    def __init__(self, parts: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(parts))
        self.means = nn.Parameter(0.5 + 0.1 * torch.randn(parts, 3))
        self.spreads = nn.Parameter(torch.zeros(parts, 3))  # logs

    def forward(self, _: Tensor, colours: Tensor) -> Tensor:
        spreads = self.spreads.exp() + 0.02  # single colours come often: without a floor the density has no bound
        scaled = (colours[:, None] - self.means) / spreads
        logs = -0.5 * scaled.square().sum(2) - spreads.log().sum(1) - 1.5 * math.log(2 * math.pi)
        return -torch.logsumexp(self.weights.log_softmax(0) + logs, 1).mean()
