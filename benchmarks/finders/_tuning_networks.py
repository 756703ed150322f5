"""Model families of the tuning set: lines, perceptrons, convolutions, LSTM, GRU, transformer, autoencoder, factors."""

import itertools
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

SYMBOLS = 65


def perceptron(sizes: list[int], activation: type[nn.Module], spread: float | None = None) -> nn.Module:
    """A multilayer perceptron; with a spread, all weights are drawn with that standard deviation, biases are 0."""
    layers: list[nn.Module] = [nn.Flatten()]
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), activation()]
    network = nn.Sequential(*layers[:-1])
    if spread is not None:
        for parameter in network.parameters():
            nn.init.normal_(parameter, std=spread) if parameter.ndim > 1 else nn.init.zeros_(parameter)
    return network


def zero_line(inputs: int, classes: int) -> nn.Module:
    """Softmax regression that starts at zero."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(inputs, classes))
    nn.init.zeros_(network[1].weight)
    nn.init.zeros_(network[1].bias)
    return network


def convolutions(widths: tuple[int, ...], size: int, normalised: bool) -> nn.Module:
    """3x3 convolutions with ReLU, each followed by pooling, and a linear head; with batch norm or without."""
    layers: list[nn.Module] = []
    inputs = 1
    for width in widths:
        layers += [nn.Conv2d(inputs, width, 3, padding=1)] + [nn.BatchNorm2d(width)] * normalised
        layers += [nn.ReLU(), nn.MaxPool2d(2)]
        inputs, size = width, size // 2
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(inputs * size**2, 10))


class Recurrent(nn.Module):
    """Characters through an embedding and LSTM or GRU to the next character; [batch, time] -> [batch, time, 65]."""

    def __init__(self, kind: Callable[..., nn.Module], hidden: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(SYMBOLS, 16)
        self.cells = kind(16, hidden, batch_first=True)
        self.head = nn.Linear(hidden, SYMBOLS)

    def forward(self, codes: Tensor) -> Tensor:
        return self.head(self.cells(self.embedding(codes))[0])


class RecurrentWhole(nn.Module):
    """Characters through an embedding and a GRU; the mean of its states is classified; [batch, time] -> [batch, 2]."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(SYMBOLS, 16)
        self.cells = nn.GRU(16, hidden, batch_first=True)
        self.head = nn.Linear(hidden, 2)

    def forward(self, codes: Tensor) -> Tensor:
        return self.head(self.cells(self.embedding(codes))[0].mean(1))


class RecurrentRows(nn.Module):
    """An image read row by row by a GRU; the last state is classified."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.cells = nn.GRU(inputs, hidden, batch_first=True)
        self.head = nn.Linear(hidden, 10)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.cells(images)[0][:, -1])


class Block(nn.Module):
    """Causal self-attention and a perceptron, each beside a straight path; layer norm before them, or after."""

    def __init__(self, width: int, heads: int, before: bool) -> None:
        super().__init__()
        self.heads, self.before = heads, before
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.joint, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.inner = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def attend(self, x: Tensor) -> Tensor:
        batch, time, width = x.shape
        parts = self.joint(x).view(batch, time, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        mixed = scaled_dot_product_attention(*parts, is_causal=True)
        return self.out(mixed.transpose(1, 2).reshape(batch, time, width))

    def forward(self, x: Tensor) -> Tensor:
        if self.before:
            x = x + self.attend(self.norms[0](x))
            return x + self.inner(self.norms[1](x))
        x = self.norms[0](x + self.attend(x))
        return self.norms[1](x + self.inner(x))


class Transformer(nn.Module):
    """A small decoder of characters; [batch, time] -> [batch, time, 65]."""

    def __init__(self, width: int, layers: int, before: bool = True, time: int = 32) -> None:
        super().__init__()
        self.symbols, self.places = nn.Embedding(SYMBOLS, width), nn.Embedding(time, width)
        self.blocks = nn.Sequential(*(Block(width, 4, before) for _ in range(layers)))
        self.head = nn.Linear(width, SYMBOLS)

    def forward(self, codes: Tensor) -> Tensor:
        return self.head(self.blocks(self.symbols(codes) + self.places.weight[: codes.shape[1]]))


class Autoencoder(nn.Module):
    """Images through a narrow middle and back; sigmoid outputs if asked for."""

    def __init__(self, sizes: list[int], bounded: bool) -> None:
        super().__init__()
        last = [nn.Sigmoid()] if bounded else []
        self.layers = nn.Sequential(perceptron([*sizes, *reversed(sizes[:-1])], nn.ReLU), *last)

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)


class Factors(nn.Module):
    """Entries of a matrix as products of a row's factors and a column's, and biases; small at the start."""

    def __init__(self, rows: int, columns: int, rank: int, spread: float) -> None:
        super().__init__()
        self.rows, self.columns = nn.Embedding(rows, rank), nn.Embedding(columns, rank)
        self.level = nn.Parameter(torch.zeros(()))
        for table in (self.rows, self.columns):
            nn.init.normal_(table.weight, std=spread)

    def forward(self, places: Tensor) -> Tensor:
        return (self.rows(places[:, 0]) * self.columns(places[:, 1])).sum(1) + self.level
