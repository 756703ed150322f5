"""A convolutional net and a step decay once an epoch, as in pytorch/examples, mnist."""

import math

import torch
from loop_data import asked_steps, digits, loaders
from torch import nn
from torch.nn import functional
from torch.optim.lr_scheduler import StepLR

from stepsize import RateSearch  # +


class Net(nn.Module):
    """Two convolutions and two layers, with dropout."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 16, 3), nn.Conv2d(16, 32, 3)
        self.dropout1, self.dropout2 = nn.Dropout(0.25), nn.Dropout(0.5)
        self.fc1, self.fc2 = nn.Linear(128, 64), nn.Linear(64, 10)

    def forward(self, x):
        """The log-probability of each digit."""
        x = functional.relu(self.conv2(functional.relu(self.conv1(x))))
        x = self.dropout1(functional.max_pool2d(x, 2)).flatten(1)
        x = self.dropout2(functional.relu(self.fc1(x)))
        return functional.log_softmax(self.fc2(x), dim=1)


def train(model, device, train_loader, optimizer, epoch):
    """Train for an epoch."""
    model.train()
    for batch_idx, (data, target) in enumerate(train_loader):
        data, target = data.to(device), target.to(device)
        optimizer.zero_grad()
        output = model(data)
        loss = functional.nll_loss(output, target)
        loss.backward()
        optimizer.step()
        if batch_idx % 100 == 0 and epoch > 0:
            done, of = batch_idx * len(data), len(train_loader.dataset)
            print(f"epoch {epoch} [{done}/{of} ({100 * batch_idx / len(train_loader):.0f}%)] loss {loss.item():.4f}")


def test(model, device, test_loader):
    """The loss on held-out digits."""
    model.eval()
    with torch.no_grad():
        losses = [functional.nll_loss(model(data.to(device)), target.to(device)) for data, target in test_loader]
    return sum(losses).item() / len(losses)


def main(steps):
    """Train for about so many steps."""
    torch.manual_seed(1)
    device = torch.device("cpu")
    train_loader, test_loader = loaders(*digits(), 64)
    model = Net().to(device)
    before = test(model, device, test_loader)
    epochs = math.ceil(steps / len(train_loader))
    optimizer = torch.optim.Adadelta(model.parameters(), lr=1.0)
    search = RateSearch(  # +
        optimizer,
        model,
        lr=f"step_decay(gamma=0.7, every={len(train_loader)})",
        total=epochs * len(train_loader),
        loader=train_loader,
        own_steps=True,
        probe=lambda: test(model, device, test_loader),
    )
    for run in search:  # +
        train(model, device, run.batches(), optimizer, 0)  # +
    search.apply()  # +
    scheduler = StepLR(optimizer, step_size=1, gamma=0.7)
    print(f"learning rate {optimizer.param_groups[0]['lr']:.3g}")
    for epoch in range(1, epochs + 1):
        train(model, device, train_loader, optimizer, epoch)
        scheduler.step()
    print(f"loss {before:.4g}, after training {test(model, device, test_loader):.4g}")


if __name__ == "__main__":
    main(asked_steps(__doc__, 240))
