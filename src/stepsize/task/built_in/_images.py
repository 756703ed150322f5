"""Labelled images as tensors, decoded once, and the tasks that classify them."""

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stepsize import _check, _extras
from stepsize.state import write_atomic
from stepsize.task.built_in import _data
from stepsize.task.built_in._data import Source

SPLITS = ("train", "validation", "test")
WORTH_KEEPING = 10_000  # images; fewer are decoded in a second or two
_VERSION = 1


@dataclass(frozen=True)
class Images:
    """Images and their classes.

    Args:
        pixels: uint8 [count, height, width, channels], 0 to 255.
        labels: int64 [count].
    """

    pixels: Tensor
    labels: Tensor

    def __getitem__(self, picked: Tensor) -> "Images":
        return Images(self.pixels[picked], self.labels[picked])

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class ImageData:
    """A set of images, parted.

    Args:
        train: what is trained on.
        validation: the set's own split, or rows held out of its training split.
        mean: of the training pixels, float32 [channels], 0 to 255.
        spread: standard deviation of the training pixels, float32 [channels].
        classes: how many there are.
    """

    train: Images
    validation: Images
    mean: Tensor
    spread: Tensor
    classes: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        _, height, width, channels = self.train.pixels.shape
        return channels, height, width

    def inputs(self, pixels: Tensor) -> Tensor:
        """Pixels uint8 [count, height, width, channels] -> float32 [count, channels, height, width], standardised."""
        return ((pixels.float() - self.mean) / self.spread).permute(0, 3, 1, 2)


def image_data(source: Source) -> ImageData:
    """The training and validation images of a set, once per process."""
    return _image_data(source, _data.folder_of(source))


def final_images(source: Source) -> Images:
    """The test images of a set."""
    folder = _data.folder_of(source)
    classes, splits = _decoded(source, folder)
    return _checked(splits, "test", classes, source)


@cache
def _image_data(source: Source, folder: Path | None) -> ImageData:
    classes, splits = _decoded(source, folder)
    train = _checked(splits, "train", classes, source)
    if "validation" in splits:
        validation = _checked(splits, "validation", classes, source)
    else:
        kept, out = _data.held_out(train.labels)
        train, validation = train[kept], train[out]
    if not len(train) or not len(validation):
        raise ValueError(f"{source} must have at least 10 training images, got {len(train)}")
    mean, spread = _mean_and_spread(train.pixels)
    return ImageData(train, validation, mean, spread, classes)


def _mean_and_spread(pixels: Tensor) -> tuple[Tensor, Tensor]:
    channels = pixels.flatten(0, -2).unbind(-1)
    counts = torch.stack([torch.bincount(channel, minlength=256) for channel in channels]).double()  # [channels, 256]
    values, total = torch.arange(256, dtype=torch.float64), counts.sum(1)
    mean = counts @ values / total
    spread = (counts @ values.square() / total - mean.square()).clamp(min=0).sqrt()
    return mean.float(), torch.where(spread > 0, spread, 1.0).float()


def _checked(splits: Mapping[str, Images], split: str, classes: int, source: Source) -> Images:
    images: Images = _data.split_named(splits, split, source)
    _data.check_labels(images.labels, classes, split, source)
    return images


@cache
def _decoded(source: Source, folder: Path | None) -> tuple[int, Mapping[str, Images]]:
    kept = _kept_file(source, sorted(path for path in folder.rglob("*") if path.is_file())) if folder else None
    if kept is not None and (found := _read(kept)) is not None:
        return found
    rows = {name: split for name, split in _data.load(source, folder).items() if name in SPLITS}
    if kept is None:
        files = sorted(Path(file["filename"]) for split in rows.values() for file in split.cache_files)
        kept = _kept_file(source, files)
        if (found := _read(kept)) is not None:
            return found
    splits, classes = {}, 0
    for name, split in rows.items():
        labels, digest = _data.labels_of(split, source)
        splits[name] = Images(_decode(split, name, source), labels)
        classes = max(classes, digest or _data.largest(labels) + 1)
    if sum(map(len, splits.values())) >= WORTH_KEEPING:
        _keep(kept, classes, splits)
    return classes, splits


def _decode(rows: Any, split: str, source: Source) -> Tensor:
    """The images of a split, uint8 [count, height, width, channels]; all of one size and mode, L or RGB."""
    pillow = _extras.load("PIL.Image", "tasks", str(source))
    datasets = _extras.load("datasets", "tasks", str(source))
    name = _data.column(rows, "Image", source)
    files = rows.cast_column(name, datasets.Image(decode=False))[name][:]
    pixels: np.ndarray[Any, Any] | None = None
    first: tuple[str, tuple[int, int]] | None = None
    for index, file in enumerate(files):
        what = f"image of row {index} of the split {split} of {source}"
        try:
            image = pillow.open(file["path"] if file["bytes"] is None else io.BytesIO(file["bytes"]))
            values = np.asarray(image)
        except (OSError, TypeError, ValueError, SyntaxError) as error:
            raise ValueError(f"{what} cannot be read ({type(error).__name__}: {error})") from error
        if first is None or pixels is None:
            if image.mode not in ("L", "RGB"):
                raise ValueError(_check.message(f"mode of the {what}", image.mode, "L (grey) or RGB"))
            first, shape = (image.mode, image.size), (values.shape if values.ndim == 3 else (*values.shape, 1))
            pixels = np.empty((len(files), *shape), np.uint8)
        elif (image.mode, image.size) != first:
            rule = f"{first[0]} of {first[1]} pixels like row 0"
            raise ValueError(_check.message(what, f"{image.mode} of {image.size}", rule))
        pixels[index] = values.reshape(pixels.shape[1:])
    if pixels is None:
        raise ValueError(f"the split {split} of {source} must have rows, got none")
    return torch.from_numpy(pixels)


def _kept_file(source: Source, files: list[Path]) -> Path:
    """The place of these files' decoded images."""
    stats = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    digest = hashlib.sha256(json.dumps([_VERSION, stats]).encode()).hexdigest()[:16]
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stepsize"
    return folder / f"{source.name}-{digest}.npz"


def _read(path: Path) -> tuple[int, Mapping[str, Images]] | None:
    if not path.is_file():
        return None
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            names = [name.removesuffix("_labels") for name in file.files if name.endswith("_labels")]
            splits = {
                name: Images(torch.from_numpy(file[f"{name}_pixels"]), torch.from_numpy(file[f"{name}_labels"]))
                for name in names
            }
            return int(file["classes"]), splits
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None  # a damaged file is made again


def _keep(path: Path, classes: int, splits: Mapping[str, Images]) -> None:
    arrays: dict[str, Any] = {"classes": np.asarray(classes)}
    for name, images in splits.items():
        arrays |= {f"{name}_pixels": images.pixels.numpy(), f"{name}_labels": images.labels.numpy()}
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, buffer.getvalue())
    except OSError:
        return  # a full or read-only disk costs time, not the run
