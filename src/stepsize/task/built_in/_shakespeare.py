"""Shakespeare by the character, and a small transformer."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from stepsize.task._batches import Shuffled
from stepsize.task._catalogue import CATALOGUE
from stepsize.task._supervised import Task
from stepsize.task.built_in import _data, _figures
from stepsize.task.built_in._data import SHAKESPEARE
from stepsize.task.built_in._transformer import Transformer

CONTEXT = 64  # characters a guess is made from, at most
SCORED = 1_000  # windows of the training text
CHUNK = 100  # windows measured at once


@dataclass(frozen=True)
class TextData:
    """A text as numbers of characters: the first nine tenths to train on, the rest for validation; int64 [length]."""

    train: Tensor
    validation: Tensor
    characters: str


def data() -> TextData:
    """The text, once per process."""
    return _text_data(_data.folder_of(SHAKESPEARE))


@cache
def _text_data(folder: Path | None) -> TextData:
    splits = _data.load(SHAKESPEARE, folder)
    named = [splits[name] for name in ("train", "validation", "test") if name in splits]
    if not named:
        _data.split_named(splits, "train", SHAKESPEARE)
    # a row is a line of a text file, or all of a split
    text = "".join("\n".join(rows[_data.column(rows, "text", SHAKESPEARE)][:]) for rows in named)
    least = 30 * CONTEXT
    if len(text) < least:
        raise ValueError(f"{SHAKESPEARE} must have at least {least:,} characters of text, got {len(text):,}")
    characters = "".join(sorted(set(text)))
    number = {character: index for index, character in enumerate(characters)}
    numbers = torch.tensor([number[character] for character in text], dtype=torch.int64)
    kept = len(text) * 9 // 10
    return TextData(numbers[:kept], numbers[kept:], characters)


def windows(text: Tensor, starts: Tensor) -> tuple[Tensor, Tensor]:
    """Pieces of 64 characters and the characters that follow each of theirs, both int64 [count, 64].

    Args:
        text: int64 [length].
        starts: where the pieces begin, int64 [count], at most length - 65.
    """
    pieces = text[starts[:, None] + torch.arange(CONTEXT + 1)]
    return pieces[:, :-1], pieces[:, 1:]


def examples() -> int:
    """Windows of the training text, one after the other; an epoch has each of its characters about once."""
    return (len(data().train) - 1) // CONTEXT - 1


def batches(generator: torch.Generator, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Windows in random order, each moved on by 0 to 63 characters at random."""
    train = data().train

    def make(picked: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        moved = torch.randint(CONTEXT, picked.shape, generator=generator)
        return windows(train, picked * CONTEXT + moved)

    return Shuffled(examples(), size, generator, make)


def optimizer(parameters: Iterable[Tensor], lr: float) -> Optimizer:
    """AdamW with betas 0.9 and 0.99; weight decay 0.1 on matrices, none on the norms' factors."""
    every = list(parameters)
    groups = [
        {"params": [parameter for parameter in every if parameter.ndim >= 2], "weight_decay": 0.1},
        {"params": [parameter for parameter in every if parameter.ndim < 2], "weight_decay": 0.0},
    ]
    return AdamW(groups, lr=lr, betas=(0.9, 0.99))


def _measure(model: nn.Module, text: Tensor, picked: Tensor) -> tuple[float, float]:
    chunks = _figures.chunked(picked * CONTEXT, CHUNK, lambda starts: windows(text, starts))
    return _figures.loss_and_accuracy(model, chunks)


def score(model: nn.Module) -> float:
    """Cross entropy on 1,000 windows, evenly spread over the training text."""
    return _measure(model, data().train, _data.evenly(examples(), SCORED))[0]


def metrics(model: nn.Module) -> dict[str, float]:
    """Cross entropy and share of characters guessed, on all windows of the validation text."""
    text = data().validation
    loss, accuracy = _measure(model, text, torch.arange((len(text) - 1) // CONTEXT))
    return {"validation_loss": loss, "accuracy": accuracy}


shakespeare = Task(
    name="shakespeare",
    model=lambda: Transformer(len(data().characters), CONTEXT),
    batches=batches,
    loss=_figures.loss,
    optimizer=optimizer,
    score=score,
    metrics=metrics,
    steps=2_000,
    schedule="warmup(5%) >> cosine(end=0.1)",
    clip=1.0,
    batch_size=12,
    examples=examples,
    example=lambda: windows(data().train, torch.zeros(1, dtype=torch.int64))[0],
    about=CATALOGUE["shakespeare"][1],
)
