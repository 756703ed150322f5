"""MNIST and the course's CNN."""

from collections.abc import Iterable

from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from stepsize import _check
from stepsize.task._catalogue import CATALOGUE
from stepsize.task.built_in._data import MNIST
from stepsize.task.built_in._image_task import image_task


def network(shape: tuple[int, int, int], classes: int) -> nn.Module:
    """Two 3x3 convolutions, 2x2 max-pooling, two linear layers: 1,199,882 parameters for 28x28 grey and 10 classes.

    Args:
        shape: channels, height and width of an image; height and width >= 6.
        classes: how many there are.

    Raises:
        ValueError: the images are too small.
    """
    channels, height, width = shape
    if min(height, width) < 6:
        raise ValueError(_check.message("height and width of the images", (height, width), "at least 6 pixels"))
    features = 64 * ((height - 4) // 2) * ((width - 4) // 2)  # 9,216
    return nn.Sequential(
        nn.Conv2d(channels, 32, 3),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.25),
        nn.Flatten(),
        nn.Linear(features, 128),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(128, classes),
    )


def optimizer(parameters: Iterable[Tensor], lr: float) -> Optimizer:
    """AdamW with weight decay 0.01."""
    return AdamW(parameters, lr=lr, weight_decay=0.01)


mnist = image_task(
    MNIST,
    network,
    optimizer,
    name="mnist",
    batch_size=64,
    steps=2_577,  # 3 epochs of 859
    schedule='linear("30%", start=0.04, end=1) >> cosine(end=1e-4)',
    about=CATALOGUE["mnist"][1],
)
