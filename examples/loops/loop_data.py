"""What the loops train on: digits that ship with scikit-learn, and Shakespeare where STEPSIZE_DATA has it."""

import argparse
import os
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset


def asked_steps(about: str, default: int) -> int:
    """What ``--steps`` says on the command line."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--steps", type=int, default=default, help=f"updates, about ({default})")
    return parser.parse_args().steps


def digits() -> tuple[Tensor, Tensor]:
    """Handwritten digits: images [1797, 1, 8, 8] from 0 to 1, and what they show."""
    images, labels = load_digits(return_X_y=True)
    return torch.tensor(images, dtype=torch.float32).view(-1, 1, 8, 8) / 16, torch.tensor(labels)


def loaders(inputs: Tensor, targets: Tensor, size: int) -> tuple[DataLoader, DataLoader]:
    """Batches to train on and to validate with, the last 297 examples."""
    train, validation = TensorDataset(inputs[:-297], targets[:-297]), TensorDataset(inputs[-297:], targets[-297:])
    return DataLoader(train, size, shuffle=True, drop_last=True), DataLoader(validation, 297)


def text() -> str:
    """Tiny Shakespeare, or this project's licence."""
    shakespeare = Path(os.environ.get("STEPSIZE_DATA", "nowhere")) / "tiny_shakespeare" / "input.txt"
    path = shakespeare if shakespeare.is_file() else Path(__file__).parents[2] / "LICENSE"
    return path.read_text()


def characters() -> tuple[Tensor, Tensor, int]:
    """The text by the character: the first nine tenths, the rest, and how many different ones there are."""
    known = sorted(set(text()))
    numbers = torch.tensor([known.index(each) for each in text()[:200_000]])
    split = len(numbers) * 9 // 10
    return numbers[:split], numbers[split:], len(known)
