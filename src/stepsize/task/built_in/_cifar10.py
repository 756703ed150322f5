"""CIFAR-10 and the ResNet-18 of its size."""

from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from torch.optim import SGD, Optimizer

from stepsize import _check
from stepsize.task._catalogue import CATALOGUE
from stepsize.task.built_in._data import CIFAR10
from stepsize.task.built_in._image_task import Change, Network, image_task

STRIDES = (1, 2, 2, 2)  # of the four stages of two blocks; each stage is twice as wide as the one before


class Block(nn.Module):
    """Two 3x3 convolutions beside a straight path; [count, inputs, h, w] -> [count, outputs, h/stride, w/stride].

    Source: He et al. 2016, "Deep residual learning for image recognition" (arXiv 1512.03385), figure 2 and section 4.1.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            *_convolution(inputs, outputs, 3, stride), nn.ReLU(inplace=True), *_convolution(outputs, outputs, 3, 1)
        )
        same = inputs == outputs and stride == 1
        self.straight = nn.Identity() if same else nn.Sequential(*_convolution(inputs, outputs, 1, stride))

    def forward(self, images: Tensor) -> Tensor:
        """The sum of both paths, rectified."""
        return torch.relu(self.branch(images) + self.straight(images))


def _convolution(inputs: int, outputs: int, size: int, stride: int) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False), nn.BatchNorm2d(outputs)


def resnet18(width: int) -> Network:
    """ResNet-18 with a 3x3 stem and no max-pooling: 11.2 million parameters at width 64, 0.70 million at 16.

    Args:
        width: channels of the first stage, >= 1.

    Returns:
        ((channels, height, width of an image), classes) -> the model, channels-last; height and width >= 8.
    """

    def network(shape: tuple[int, int, int], classes: int) -> nn.Module:
        channels, *size = shape
        if min(size) < 8:
            raise ValueError(_check.message("height and width of the images", tuple(size), "at least 8 pixels"))
        layers: list[nn.Module] = [*_convolution(channels, width, 3, 1), nn.ReLU(inplace=True)]
        inputs = width
        for stage, stride in enumerate(STRIDES):
            outputs = width * 2**stage
            layers += [Block(inputs, outputs, stride), Block(outputs, outputs, 1)]
            inputs = outputs
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes)]
        return nn.Sequential(*layers).to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    return network


def crop_and_flip(edge: int) -> Change:
    """Each image moved at random over a black edge, and every second one, at random, mirrored.

    Args:
        edge: pixels an image is moved each way at most.

    Returns:
        (pixels uint8 [count, height, width, channels], what is drawn from) -> the same, as they are trained on.
    """

    def change(pixels: Tensor, generator: torch.Generator) -> Tensor:
        count, height, width, _ = pixels.shape
        down, right = torch.randint(2 * edge + 1, (2, count, 1), generator=generator)
        mirrored = torch.randint(2, (count, 1), generator=generator, dtype=torch.bool)
        across = torch.arange(width)
        rows = down + torch.arange(height)  # [count, height]
        columns = right + torch.where(mirrored, across.flip(0), across)  # [count, width]
        edged = pad(pixels, (0, 0, edge, edge, edge, edge))
        return edged[torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]

    return change


def optimizer(parameters: Iterable[Tensor], lr: float) -> Optimizer:
    """SGD with Nesterov momentum 0.9 and weight decay 5e-4."""
    return SGD(parameters, lr=lr, momentum=0.9, nesterov=True, weight_decay=5e-4)


_RECIPE = {"batch_size": 128, "schedule": 'linear("30%", start=0.04, end=1) >> cosine(end=1e-4)'}

cifar10 = image_task(
    CIFAR10,
    resnet18(64),
    optimizer,
    crop_and_flip(4),
    name="cifar10",
    steps=10_530,  # 30 epochs of 351
    about=CATALOGUE["cifar10"][1],
    **_RECIPE,
)
cifar10_small = image_task(
    CIFAR10,
    resnet18(16),
    optimizer,
    crop_and_flip(1),  # what is moved by 4 pixels takes longer to learn than three epochs
    name="cifar10-small",
    steps=1_053,  # 3 epochs of 351
    about=CATALOGUE["cifar10-small"][1],
    **_RECIPE,
)

# the course's other way: a rate that stays, until the validation loss no longer falls
cifar10_plateau = replace(
    cifar10,
    name="cifar10-plateau",
    schedule="constant()",
    feedback='plateau(of="validation_loss", factor=0.1, patience=3)',
    evaluate_every="1ep",
    about=CATALOGUE["cifar10-plateau"][1],
)
cifar10_small_plateau = replace(
    cifar10_small,
    name="cifar10-small-plateau",
    steps=2_106,  # 6 epochs of 351
    schedule="constant()",
    feedback='plateau(of="validation_loss", factor=0.2, patience=1)',
    evaluate_every="0.5ep",
    about=CATALOGUE["cifar10-small-plateau"][1],
)
