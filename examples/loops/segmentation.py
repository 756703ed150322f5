"""Two heads, groups with rates of their own, a scheduler stepped in the loop, as in torchvision's segmentation."""

import math

import torch
from loop_data import asked_steps, digits, loaders
from torch import nn
from torch.nn import functional

from stepsize import RateSearch  # +

CLASSES = 11  # ten digits and what is behind them


class Segmentation(nn.Module):
    """A backbone, a classifier of pixels and an auxiliary one."""

    def __init__(self, width=24):
        super().__init__()
        self.backbone = nn.Sequential(*self.block(1, width), *self.block(width, width), *self.block(width, width))
        self.classifier = nn.Sequential(*self.block(width, width), nn.Conv2d(width, CLASSES, 1))
        self.aux_classifier = nn.Conv2d(width, CLASSES, 1)

    @staticmethod
    def block(inputs, outputs):
        """A convolution, normalized."""
        return nn.Conv2d(inputs, outputs, 5, padding=2, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()

    def forward(self, x):
        """Logits of each pixel, by head."""
        features = self.backbone(x)
        return {"out": self.classifier(features), "aux": self.aux_classifier(features)}


def pixels():
    """Digits in noise, and the class of each of their pixels."""
    images, labels = digits()
    noise = 0.4 * torch.rand(images.shape, generator=torch.Generator().manual_seed(0))
    ink = images[:, 0] > 0.4
    return images + noise, torch.where(ink, labels[:, None, None], CLASSES - 1)


def criterion(inputs, target):
    """The loss of the classifier, and half the auxiliary one's."""
    losses = {name: functional.cross_entropy(x, target) for name, x in inputs.items()}
    return losses["out"] + 0.5 * losses["aux"]


def evaluate(model, data_loader):
    """The classifier's loss on held-out pixels."""
    model.eval()
    with torch.inference_mode():
        losses = [functional.cross_entropy(model(image)["out"], target).item() for image, target in data_loader]
    return sum(losses) / len(losses)


def train_one_epoch(model, criterion, optimizer, data_loader, lr_scheduler):
    """Train for an epoch."""
    model.train()
    for image, target in data_loader:
        loss = criterion(model(image), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        lr_scheduler.step()


def main(steps):
    """Train for about so many steps."""
    torch.manual_seed(0)
    data_loader, data_loader_test = loaders(*pixels(), 32)
    model, rate = Segmentation(), 0.01
    params_to_optimize = [
        {"params": model.backbone.parameters()},
        {"params": model.classifier.parameters()},
        {"params": model.aux_classifier.parameters(), "lr": 10 * rate},
    ]
    optimizer = torch.optim.SGD(params_to_optimize, lr=rate, momentum=0.9, weight_decay=1e-4)
    epochs = math.ceil(steps / len(data_loader))
    total = epochs * len(data_loader)
    lr_scheduler = torch.optim.lr_scheduler.PolynomialLR(optimizer, total_iters=total, power=0.9)
    before = evaluate(model, data_loader_test)
    search = RateSearch(  # +
        optimizer,
        model,
        lr="polynomial(power=0.9)",
        total=total,
        loader=data_loader,
        own_steps=True,
        probe=lambda: evaluate(model, data_loader_test),
        also=[lr_scheduler],
    )
    for run in search:  # +
        train_one_epoch(model, criterion, optimizer, run.batches(), lr_scheduler)  # +
    search.apply()  # +
    print(f"learning rate {max(group['lr'] for group in optimizer.param_groups):.3g}")
    for _ in range(epochs):
        train_one_epoch(model, criterion, optimizer, data_loader, lr_scheduler)
    print(f"loss {before:.4g}, after training {evaluate(model, data_loader_test):.4g}")


if __name__ == "__main__":
    main(asked_steps(__doc__, 138))
