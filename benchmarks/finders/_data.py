"""The data of the finders' yardstick as tensors: real, offline, and read once a process.

What scikit-learn ships comes from there, the rest from the folder of STEPSIZE_DATA: one folder a set, in the columns of
the Hugging Face hub (parquet; tiny_shakespeare is input.txt).
"""

import io
import os
import re
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

PLACE = "STEPSIZE_DATA"
DEFAULT = "../shared/data"


def folder(name: str) -> Path:
    found = Path(os.environ.get(PLACE, DEFAULT)).expanduser() / name
    if not found.is_dir():
        raise FileNotFoundError(f"there is no {found}; say where the data sets are by --data or {PLACE}")
    return found


@cache
def table(name: str) -> tuple[Tensor, Tensor]:
    """Features, float32 [examples, features], and targets of a table that comes with scikit-learn, in random order."""
    from sklearn import datasets

    features, targets = getattr(datasets, f"load_{name}")(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(targets))
    kind = torch.int64 if targets.dtype.kind in "iu" else torch.float32
    return torch.tensor(features[order], dtype=torch.float32), torch.tensor(targets[order]).to(kind)


def standardised(values: Tensor) -> Tensor:
    """Each column with mean 0 and standard deviation 1."""
    return (values - values.mean(0)) / values.std(0).clamp(min=1e-6)


@cache
def diabetes() -> tuple[Tensor, Tensor]:
    """Ten features and the progression [442, 1] of 442 patients, in the original units."""
    from sklearn.datasets import load_diabetes

    features, progression = load_diabetes(return_X_y=True, scaled=False)
    return torch.tensor(features, dtype=torch.float32), torch.tensor(progression, dtype=torch.float32)[:, None]


@cache
def photograph(name: str, every: int) -> tuple[Tensor, Tensor]:
    """A photograph that comes with scikit-learn: places in [-1, 1]^2 and colours in [0, 1] of each n-th pixel."""
    from sklearn.datasets import load_sample_image

    pixels = torch.tensor(load_sample_image(f"{name}.jpg")[::every, ::every].copy(), dtype=torch.float32) / 255
    height, width, _ = pixels.shape
    places = torch.cartesian_prod(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width))
    return places, pixels.reshape(-1, 3)


def rows(name: str, columns: list[str], count: int) -> list[dict]:
    """Evenly spread rows of a set's training split."""
    from pyarrow import parquet

    read = parquet.read_table(next(folder(name).glob("train-*.parquet")), columns=columns)
    return read.take(np.linspace(0, len(read) - 1, count).astype(int)).to_pylist()


@cache
def images(name: str, column: str, count: int) -> tuple[Tensor, Tensor]:
    """Pixels in [0, 1], float32 [count, channels, height, width], and labels."""
    from PIL import Image

    read = rows(name, [column, "label"], count)
    pixels = np.stack([np.asarray(Image.open(io.BytesIO(row[column]["bytes"]))) for row in read])
    x = torch.tensor(pixels, dtype=torch.float32).reshape(*pixels.shape[:3], -1).permute(0, 3, 1, 2) / 255
    return x.contiguous(), torch.tensor([row["label"] for row in read])


@cache
def mnist(size: int = 14) -> tuple[Tensor, Tensor]:
    """5,000 digits of 14 x 14 or 28 x 28 pixels, mean 0 and standard deviation 1 over all."""
    x, y = images("mnist", "image", 5_000)
    x = avg_pool2d(x, 28 // size)
    return (x - x.mean()) / x.std(), y


@cache
def cifar10(size: int = 16) -> tuple[Tensor, Tensor]:
    """4,000 photographs of 16 x 16 or 32 x 32 pixels, mean 0 and standard deviation 1 by channel."""
    x, y = images("cifar10", "img", 4_000)
    x = avg_pool2d(x, 32 // size)
    return (x - x.mean((0, 2, 3), keepdim=True)) / x.std((0, 2, 3), keepdim=True), y


def windows(text: str, length: int, count: int, symbols: str) -> tuple[Tensor, Tensor]:
    """Windows of characters and the same moved on by one, int64 [count, length]; what is no symbol is the last one."""
    code = {symbol: index for index, symbol in enumerate(symbols)}
    codes = torch.tensor([code.get(each, len(symbols)) for each in text[: count * length + 1]])
    return codes[:-1].view(count, length), codes[1:].view(count, length)


@cache
def shakespeare(length: int = 32, count: int = 3_000) -> tuple[Tensor, Tensor]:
    """Windows of the plays; 65 symbols."""
    text = (folder("tiny_shakespeare") / "input.txt").read_text(encoding="utf-8")
    return windows(text, length, count, "".join(sorted(set(text))))


@cache
def review_characters(length: int = 48, count: int = 3_000) -> tuple[Tensor, Tensor]:
    """Windows of the text of reviews of imdb, in lower case; 41 symbols."""
    text = " ".join(row["text"] for row in rows("imdb", ["text"], 300)).lower()
    return windows(text, length, count, "abcdefghijklmnopqrstuvwxyz0123456789 .,'")


@cache
def reviews(name: str, count: int, length: int, vocabulary: int) -> tuple[Tensor, Tensor]:
    """Words of reviews, int64 [count, length]: 0 is padding, 1 a rare word; and whether the review is good."""
    read = rows(name, ["text", "label"], count)
    texts = [re.findall(r"[a-z']+", row["text"].lower()) for row in read]
    common = Counter(word for text in texts for word in text).most_common(vocabulary - 2)
    code = {word: index for index, (word, _) in enumerate(common, 2)}
    coded = torch.zeros(count, length, dtype=torch.int64)
    for index, text in enumerate(texts):
        numbers = [code.get(word, 1) for word in text[:length]]
        coded[index, : len(numbers)] = torch.tensor(numbers)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    return coded[order], torch.tensor([row["label"] for row in read])[order]


@cache
def phrases(before: int, count: int, vocabulary: int) -> tuple[Tensor, Tensor]:
    """So many words of rotten_tomatoes in a row, int64 [count, before], and the word after them [count]."""
    coded, _ = reviews("rotten_tomatoes", 3_000, 30, vocabulary)
    runs = coded.unfold(1, before + 1, 1).reshape(-1, before + 1)
    runs = runs[(runs > 0).all(1)][:count]
    return runs[:, :before], runs[:, before]


@cache
def neighbours(count: int, vocabulary: int, drawn: int) -> tuple[Tensor, Tensor]:
    """Words and [the word after it, words drawn by how often they come], for skip-grams with negative samples."""
    words, after = phrases(1, count, vocabulary)
    chosen = torch.randint(len(after), (len(after), drawn), generator=torch.Generator().manual_seed(0))
    return words[:, 0], torch.cat([after[:, None], after[chosen]], 1)
