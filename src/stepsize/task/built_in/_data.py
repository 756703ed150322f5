"""Where the data of the built-in tasks comes from: a folder in the hub's layout, or the hub itself."""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stepsize import _check, _extras

PLACE = "STEPSIZE_DATA"
HELD_OUT = 5_000  # of the training rows, at most a tenth
PATIENCE = 5  # seconds for the hub's first answer
_TEXT = ("string", "large_string", "string_view")
_WHOLE = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32")


@dataclass(frozen=True)
class Source:
    """A data set: the name of its folder, its id on the hub, and the hub's revision if it is not the main one."""

    name: str
    hub: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"the data set {self.name}"


MNIST = Source("mnist", "ylecun/mnist")
CIFAR10 = Source("cifar10", "uoft-cs/cifar10")
IMDB = Source("imdb", "stanfordnlp/imdb")
ROTTEN_TOMATOES = Source("rotten_tomatoes", "cornell-movie-review-data/rotten_tomatoes")
SHAKESPEARE = Source("tiny_shakespeare", "karpathy/tiny_shakespeare", "refs/convert/parquet")
SOURCES = (MNIST, CIFAR10, IMDB, ROTTEN_TOMATOES, SHAKESPEARE)


def folder_of(source: Source) -> Path | None:
    """The folder that STEPSIZE_DATA says: the set's own, or one that has a sub-folder of its name; None if unset."""
    place = os.environ.get(PLACE)
    if not place:
        return None
    folder, rule = Path(place).expanduser(), f"the folder of {source}, or one with a sub-folder {source.name!r}"
    if not folder.is_dir():
        raise FileNotFoundError(_check.message(PLACE, place, rule, "there is no such folder"))
    own = folder / source.name
    if own.is_dir():
        folder = own
    elif others := [other.name for other in SOURCES if (folder / other.name).is_dir()]:
        raise FileNotFoundError(_check.message(PLACE, place, rule, f"it has {', '.join(others)}"))
    if not any(path.is_file() for path in folder.rglob("*")):
        raise FileNotFoundError(_check.message(PLACE, str(folder), "a folder with data", "it is empty"))
    return folder


def load(source: Source, folder: Path | None) -> Mapping[str, Any]:
    """The splits of a data set by name, from a folder, or from the hub and its cache.

    Raises:
        ValueError: the folder holds no readable data set.
        OSError: there is no folder, and the hub does not answer or does not have the set.
    """
    datasets = _extras.load("datasets", "tasks", str(source))
    with _quiet(datasets):
        if folder is None:
            return _from_hub(source, datasets)
        try:
            return dict(datasets.load_dataset(str(folder)))
        except Exception as error:
            raise ValueError(
                _check.message("data", str(folder), f"a folder with {source} in the hub's layout", _first_line(error))
            ) from error


def _from_hub(source: Source, datasets: Any) -> Mapping[str, Any]:
    constants = _extras.load("huggingface_hub.constants", "tasks", str(source))
    problem = _unreachable(source)
    offline, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE or problem is not None
    try:  # without the hub, what was loaded before is taken from its cache, without minutes of trying again
        return dict(datasets.load_dataset(source.hub, revision=source.revision))
    except Exception as error:
        raise OSError(
            f"{source} is not here: give its folder by --data DIR or {PLACE}, or connect to the hub, where it is "
            f"{source.hub} ({_first_line(problem or error)})"
        ) from error
    finally:
        constants.HF_HUB_OFFLINE = offline


def _unreachable(source: Source) -> Exception | None:
    hub = _extras.load("huggingface_hub", "tasks", str(source))
    try:
        hub.HfApi().dataset_info(source.hub, timeout=PATIENCE)
    except Exception as error:
        return error
    return None


@contextmanager
def _quiet(datasets: Any) -> Iterator[None]:
    bars = datasets.are_progress_bars_disabled()
    loggers = [logging.getLogger(name) for name in ("datasets", "huggingface_hub")]
    levels = [logger.level for logger in loggers]
    datasets.disable_progress_bars()
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)  # what matters of it comes as an error
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if not bars:
            datasets.enable_progress_bars()


def _first_line(error: Exception) -> str:
    error = error.__cause__ if isinstance(error.__cause__, Exception) else error  # what went wrong, not where
    return f"{type(error).__name__}: {str(error).strip() or 'no message'}".splitlines()[0][:200]


def column(rows: Any, kind: str, source: Source) -> str:
    """The first column of a kind: ``Image``, ``ClassLabel`` (or whole numbers called label) or ``text``."""
    for name, feature in rows.features.items():
        type_name, dtype = type(feature).__name__, getattr(feature, "dtype", "")
        if type_name == kind or (kind == "text" and type_name == "Value" and dtype in _TEXT):
            return str(name)
        if kind == "ClassLabel" and name == "label" and type_name == "Value" and dtype in _WHOLE:
            return str(name)
    kinds = [f"{name} ({getattr(feature, 'dtype', '')})" for name, feature in rows.features.items()]
    shown = ", ".join(kinds).replace("PIL.Image.Image", "Image")
    raise ValueError(f"{source} must have a column of the kind {kind}, got {shown}")


def labels_of(rows: Any, source: Source) -> tuple[Tensor, int]:
    """The labels, int64 [rows], -1 where there is none, and the number of classes, 0 where the set does not say."""
    name = column(rows, "ClassLabel", source)
    values = [-1 if value is None else int(value) for value in rows[name][:]]
    return torch.tensor(values, dtype=torch.int64), int(getattr(rows.features[name], "num_classes", 0))


def largest(labels: Tensor) -> int:
    """The largest label, -1 if there is none."""
    return int(labels.max()) if len(labels) else -1


def check_labels(labels: Tensor, classes: int, split: str, source: Source) -> None:
    """Raise ValueError unless every label is a class."""
    wrong = ((labels < 0) | (labels >= classes)).nonzero().flatten()
    if len(wrong):
        row = int(wrong[0])
        name = f"label of row {row} of the split {split} of {source}"
        raise ValueError(_check.message(name, int(labels[row]), f"one of 0 to {classes - 1}"))


def split_named(splits: Mapping[str, Any], name: str, source: Source) -> Any:
    """A split, or an error that says which there are."""
    if name not in splits:
        raise ValueError(f"{source} must have a split {name!r}, got {', '.join(splits) or 'none'}")
    return splits[name]


def held_out(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Rows to train on and rows to validate on, of a training split: 5,000, or a tenth if that is less.

    The last rows, as is usual; of a split that is sorted by class, rows by a fixed permutation.
    """
    sorted_by_class = bool((labels.diff() >= 0).all())
    order = torch.arange(len(labels))
    if sorted_by_class:
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    count = min(HELD_OUT, len(labels) // 10)
    return order[: len(labels) - count].sort().values, order[len(labels) - count :].sort().values


def shuffled(x: Tensor, y: Tensor, generator: torch.Generator, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Epoch after epoch of shuffled pairs; what is left over of an epoch is passed over.

    What ``Shuffled`` gives, drawn at the first batch and kept nowhere: resuming draws again up to where it was.
    """
    while True:
        order = torch.randperm(len(y), generator=generator)
        for first in range(0, len(order) - size + 1, size):
            picked = order[first : first + size]
            yield x[picked], y[picked]


def evenly(count: int, most: int) -> Tensor:
    """Indices of at most so many of ``count`` examples, evenly spread, int64."""
    return torch.arange(count) if count <= most else torch.arange(most) * count // most
