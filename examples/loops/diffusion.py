"""Noise to be predicted, Accelerate's accumulation, an average of weights, as in diffusers' unconditional training."""

import math

import torch
from accelerate import Accelerator
from loop_data import asked_steps, digits, loaders
from torch import nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from transformers import get_cosine_schedule_with_warmup

from stepsize import RateSearch  # +

TIMES = 100
KEPT = torch.cumprod(1 - torch.linspace(1e-3, 0.1, TIMES), 0)  # of the image, after so many steps of noise


class UNet(nn.Module):
    """Predicts the noise in an image of 8 x 8 at a time."""

    def __init__(self, width=32):
        super().__init__()
        self.time = nn.Embedding(TIMES, width)
        self.first, self.down = nn.Conv2d(1, width, 3, padding=1), nn.Conv2d(width, width, 3, 2, 1)
        self.middle, self.up = nn.Conv2d(width, width, 3, padding=1), nn.ConvTranspose2d(width, width, 4, 2, 1)
        self.last = nn.Conv2d(2 * width, 1, 3, padding=1)

    def forward(self, x, timesteps):
        """The noise."""
        wide = functional.silu(self.first(x) + self.time(timesteps)[:, :, None, None])
        deep = functional.silu(self.middle(functional.silu(self.down(wide))))
        return self.last(torch.cat([wide, functional.silu(self.up(deep))], 1))


def loss_of(model, clean_images):
    """The squared error of the noise predicted, at times drawn at random."""
    noise, timesteps = torch.randn_like(clean_images), torch.randint(TIMES, (len(clean_images),))
    kept = KEPT[timesteps][:, None, None, None]
    noisy_images = kept.sqrt() * clean_images + (1 - kept).sqrt() * noise
    return functional.mse_loss(model(noisy_images, timesteps), noise)


def main(steps):
    """Train for about so many updates."""
    torch.manual_seed(0)
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=2)
    train_dataloader, held_out = loaders(2 * digits()[0] - 1, digits()[1], 32)
    model = UNet()
    ema_model = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.95))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.95, 0.999), weight_decay=1e-6)
    updates = len(train_dataloader) // accelerator.gradient_accumulation_steps
    epochs = math.ceil(steps / updates)
    lr_scheduler = get_cosine_schedule_with_warmup(optimizer, epochs * updates // 20, epochs * updates)
    model, optimizer, train_dataloader, lr_scheduler = accelerator.prepare(
        model, optimizer, train_dataloader, lr_scheduler
    )

    @torch.no_grad()
    def evaluate(model):
        with torch.random.fork_rng():
            torch.manual_seed(1)
            return sum(loss_of(model, images).item() for images, _ in held_out for _ in range(8)) / 8

    def train(dataloader):
        model.train()
        for clean_images, _ in dataloader:
            with accelerator.accumulate(model):
                loss = loss_of(model, clean_images)
                accelerator.backward(loss)
                if accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                lr_scheduler.step()
                optimizer.zero_grad()
            if accelerator.sync_gradients:
                ema_model.update_parameters(model)

    before = evaluate(model)
    search = RateSearch(  # +
        optimizer,
        model,
        lr="warmup(5%) >> cosine()",
        total=epochs * updates,
        loader=train_dataloader,
        own_steps=True,
        probe=lambda: evaluate(model),
        also=[ema_model, lr_scheduler],
        accumulate=2,
    )
    for run in search:  # +
        train(run.batches())  # +
    search.apply()  # +
    print(f"learning rate {lr_scheduler.scheduler.base_lrs[0]:.3g}")
    for _ in range(epochs):
        train(train_dataloader)
    print(f"loss {before:.4g}, after training {evaluate(ema_model):.4g}")


if __name__ == "__main__":
    main(asked_steps(__doc__, 138))
