"""Autocast, a loss scaler that clips and steps, an average of weights, as in timm's train script."""

import math

import torch
from loop_data import asked_steps, digits, loaders
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from stepsize import RateSearch  # +


class NativeScaler:
    """Scales the loss, and steps once gradients are complete."""

    def __init__(self):
        self.scaler = torch.amp.GradScaler("cpu")

    def __call__(self, loss, optimizer, clip_grad, parameters, need_update):
        """Backward, and where an update is due, the step."""
        self.scaler.scale(loss).backward()
        if need_update:
            self.scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(parameters, clip_grad)
            self.scaler.step(optimizer)
            self.scaler.update()

    def state_dict(self):
        """As the scaler's."""
        return self.scaler.state_dict()

    def load_state_dict(self, state_dict):
        """As the scaler's."""
        self.scaler.load_state_dict(state_dict)


def network(width=32):
    """A small convolutional net for images of 8 x 8."""
    layers = []
    for inputs in (1, width, width):
        layers += [nn.Conv2d(inputs, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.GELU()]
    return nn.Sequential(*layers, nn.AvgPool2d(4), nn.Flatten(), nn.Linear(4 * width, 10))


def train_one_epoch(model, loader, optimizer, loss_fn, amp_autocast, loss_scaler, model_ema, accum_steps):
    """Train for an epoch, an update every few batches."""
    model.train()
    last_idx = len(loader) - 1
    last_accum = len(loader) % accum_steps
    optimizer.zero_grad()
    for batch_idx, (input, target) in enumerate(loader):
        need_update = batch_idx == last_idx or (batch_idx + 1) % accum_steps == 0
        with amp_autocast():
            loss = loss_fn(model(input), target)
        loss = loss / (last_accum if batch_idx > last_idx - last_accum else accum_steps)
        loss_scaler(loss, optimizer, 5.0, model.parameters(), need_update)
        if need_update:
            optimizer.zero_grad()
            model_ema.update_parameters(model)


def validate(model, loader, loss_fn):
    """The loss on held-out images."""
    model.eval()
    with torch.inference_mode():
        return sum(loss_fn(model(input), target).item() for input, target in loader) / len(loader)


def main(steps):
    """Train for about so many updates."""
    torch.manual_seed(42)
    loader_train, loader_eval = loaders(*digits(), 32)
    model, loss_fn, accum_steps = network(), nn.CrossEntropyLoss(label_smoothing=0.1), 2
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-4, weight_decay=0.05)
    model_ema = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.95), use_buffers=True)
    loss_scaler, amp_autocast = NativeScaler(), lambda: torch.autocast("cpu", torch.bfloat16)
    updates_per_epoch = len(loader_train) // accum_steps
    epochs = math.ceil(steps / updates_per_epoch)
    before = validate(model, loader_eval, loss_fn)
    others = (optimizer, loss_fn, amp_autocast, loss_scaler, model_ema, accum_steps)
    search = RateSearch(  # +
        optimizer,
        model,
        lr="cosine()",
        total=epochs * updates_per_epoch,
        loader=loader_train,
        own_steps=True,
        probe=lambda: validate(model, loader_eval, loss_fn),
        also=[model_ema, loss_scaler],
        accumulate=accum_steps,
    )
    for run in search:  # +
        train_one_epoch(model, run.batches(), *others)  # +
    search.apply()  # +
    lr_scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    print(f"learning rate {optimizer.param_groups[0]['lr']:.3g}")
    for _ in range(epochs):
        train_one_epoch(model, loader_train, *others)
        lr_scheduler.step()
    print(f"loss {before:.4g}, after training {validate(model_ema, loader_eval, loss_fn):.4g}")


if __name__ == "__main__":
    main(asked_steps(__doc__, 115))
