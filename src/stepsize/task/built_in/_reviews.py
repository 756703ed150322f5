"""Film reviews, whole (IMDB) and by the sentence (Rotten Tomatoes), and an LSTM that says whether they are good."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from stepsize.task._batches import Shuffled
from stepsize.task._catalogue import CATALOGUE
from stepsize.task._supervised import Task
from stepsize.task.built_in import _data, _figures
from stepsize.task.built_in._data import IMDB, ROTTEN_TOMATOES, Source
from stepsize.task.built_in._words import PADDING, UNKNOWN, Texts, numbered, vocabulary_of, words_of

CHUNK = 250  # texts measured at once


class Reader(nn.Module):
    """Embedding, LSTM, maximum and mean over time, linear: int64 [count, words] -> [count, classes]; 0 is padding.

    Args:
        words: numbers there are, padding and unknown among them.
        classes: how many there are.
        dropout: the share of the embedding's numbers that is zeroed in training, at random.
    """

    def __init__(self, words: int, classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, 100)
        nn.init.normal_(self.embedding.weight, std=0.1)  # at 1, as torch has it, the first epoch learns little
        self.dropout = nn.Dropout(dropout)
        self.lstm = nn.LSTM(100, 128, batch_first=True)
        self.head = nn.Linear(256, classes)

    def forward(self, numbers: Tensor) -> Tensor:
        """Logits; what padding stands behind a text makes no difference."""
        words = (numbers != PADDING).unsqueeze(2)
        states, _ = self.lstm(self.dropout(self.embedding(numbers)))
        largest = states.masked_fill(~words, -torch.inf).amax(1)
        mean = (states * words).sum(1) / words.sum(1)
        logits: Tensor = self.head(torch.cat([largest, mean], 1))
        return logits


@dataclass(frozen=True)
class ReviewData:
    """A set of texts, parted; the vocabulary is of the texts that are trained on alone."""

    train: Texts
    validation: Texts
    vocabulary: dict[str, int]
    classes: int


@cache
def _review_data(source: Source, folder: Path | None, longest: int) -> ReviewData:
    splits = _data.load(source, folder)
    texts, labels, classes = _read(splits, "train", source)
    if "validation" in splits:
        held_out, held_out_labels, _ = _read(splits, "validation", source, classes)
    else:
        kept, out = _data.held_out(labels)
        held_out, held_out_labels = [texts[index] for index in out.tolist()], labels[out]
        texts, labels = [texts[index] for index in kept.tolist()], labels[kept]
    if not texts or not held_out:
        raise ValueError(f"{source} must have at least 10 training texts, got {len(texts)}")
    vocabulary = vocabulary_of(texts)
    return ReviewData(
        numbered(texts, labels, vocabulary, longest),
        numbered(held_out, held_out_labels, vocabulary, longest),
        vocabulary,
        classes,
    )


@cache
def _test_texts(source: Source, folder: Path | None, longest: int) -> Texts:
    data = _review_data(source, folder, longest)
    texts, labels, _ = _read(_data.load(source, folder), "test", source, data.classes)
    return numbered(texts, labels, data.vocabulary, longest)


def _read(splits: Any, split: str, source: Source, classes: int = 0) -> tuple[list[list[str]], Tensor, int]:
    rows = _data.split_named(splits, split, source)
    name = _data.column(rows, "text", source)
    labels, digest = _data.labels_of(rows, source)
    classes = classes or digest or _data.largest(labels) + 1
    _data.check_labels(labels, classes, split, source)
    texts = rows[name][:]
    if None in texts:
        raise ValueError(f"{name} of row {texts.index(None)} of the split {split} of {source} must be text, got none")
    return [words_of(text) for text in texts], labels, classes


def optimizer(parameters: Iterable[Tensor], lr: float) -> Optimizer:
    """AdamW with weight decay 0.01."""
    return AdamW(parameters, lr=lr, weight_decay=0.01)


def review_task(source: Source, longest: int, scored: int, dropped: float, dropout: float = 0.0, **recipe: Any) -> Task:
    """A task over a set of texts in classes.

    Args:
        source: the data set.
        longest: words of a text that are read.
        scored: training texts that rates are compared by.
        dropped: share of a training text's words that are made unknown.
        dropout: of the embedding.
        recipe: the task's name, steps, batch size and so on.
    """

    def data() -> ReviewData:
        return _review_data(source, _data.folder_of(source), longest)

    def batches(generator: torch.Generator, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        train = data().train

        def make(picked: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
            numbers = train.padded(picked)
            unknown = (torch.rand(numbers.shape, generator=generator) < dropped) & (numbers != PADDING)
            return numbers.masked_fill(unknown, UNKNOWN), train.labels[picked]

        return Shuffled(len(train), size, generator, make, lengths=train.lengths)

    def measure(model: nn.Module, texts: Texts, picked: Tensor) -> tuple[float, float]:
        by_length = picked[texts.lengths[picked].argsort(stable=True)]
        chunks = _figures.chunked(by_length, CHUNK, lambda chunk: (texts.padded(chunk), texts.labels[chunk]))
        return _figures.loss_and_accuracy(model, chunks)

    def score(model: nn.Module) -> float:
        train = data().train
        return measure(model, train, _data.evenly(len(train), scored))[0]

    def metrics(model: nn.Module) -> dict[str, float]:
        texts = data().validation
        loss, accuracy = measure(model, texts, torch.arange(len(texts)))
        return {"validation_loss": loss, "accuracy": accuracy}

    def test(model: nn.Module) -> dict[str, float]:
        texts = _test_texts(source, _data.folder_of(source), longest)
        loss, accuracy = measure(model, texts, torch.arange(len(texts)))
        return {"test_loss": loss, "test_accuracy": accuracy}

    return Task(
        model=lambda: Reader(len(data().vocabulary) + 2, data().classes, dropout),
        batches=batches,
        loss=_figures.loss,
        optimizer=optimizer,
        score=score,
        metrics=metrics,
        test=test,
        examples=lambda: len(data().train),
        example=lambda: data().train.padded(torch.arange(1)),
        schedule='linear("30%", start=0.04, end=1) >> cosine(end=1e-4)',
        clip=1.0,
        **recipe,
    )


imdb = review_task(
    IMDB,
    longest=400,
    scored=2_500,
    dropped=0.2,
    name="imdb",
    batch_size=64,
    steps=1_053,  # 3 epochs of 351
    about=CATALOGUE["imdb"][1],
)
rotten_tomatoes = review_task(
    ROTTEN_TOMATOES,
    longest=60,
    scored=5_000,
    dropped=0.1,
    dropout=0.5,  # few texts: without it the rate with the lowest training loss is one that overfits
    name="rotten-tomatoes",
    batch_size=32,
    steps=532,  # 2 epochs of 266: a third one is learnt by heart
    about=CATALOGUE["rotten-tomatoes"][1],
)
