"""A GAN as a LightningModule with manual optimization, as in Lightning's example of one."""

import torch
from lightning.pytorch import LightningModule, Trainer
from loop_data import asked_steps, digits, loaders
from torch import nn
from torch.nn import functional

from stepsize.integrations import find_in_module  # +

NOISE = 8


class Gan(LightningModule):
    """A generator and a discriminator, each with its optimizer."""

    def __init__(self, lr, images):
        super().__init__()
        self.automatic_optimization, self.lr, self.images = False, lr, images.flatten(1)
        self.generator = nn.Sequential(nn.Linear(NOISE, 64), nn.ReLU(), nn.Linear(64, 64), nn.Sigmoid())
        self.discriminator = nn.Sequential(nn.Linear(64, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1))
        self.register_buffer("fixed_noise", torch.randn(512, NOISE))

    def adversarial_loss(self, images, real):
        """How badly the discriminator tells that images are real, or not."""
        logits = self.discriminator(images)
        return functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(real)))

    def training_step(self, batch):
        """The generator's step, then the discriminator's."""
        optimizer_g, optimizer_d = self.optimizers()
        images = batch[0].flatten(1)
        noise = torch.randn(len(images), NOISE)
        self.toggle_optimizer(optimizer_g)
        g_loss = self.adversarial_loss(self.generator(noise), real=True)
        self.manual_backward(g_loss)
        optimizer_g.step()
        optimizer_g.zero_grad()
        self.untoggle_optimizer(optimizer_g)
        self.toggle_optimizer(optimizer_d)
        fake = self.generator(noise).detach()
        d_loss = (self.adversarial_loss(images, real=True) + self.adversarial_loss(fake, real=False)) / 2
        self.manual_backward(d_loss)
        optimizer_d.step()
        optimizer_d.zero_grad()
        self.untoggle_optimizer(optimizer_d)

    @torch.no_grad()
    def distance(self):
        """Between the images and generated ones: of the means and covariances of their pixels, squared."""
        real, fake = self.images, self.generator(self.fixed_noise)
        return ((real.mean(0) - fake.mean(0)).square().sum() + (real.T.cov() - fake.T.cov()).square().sum()).item()

    def configure_optimizers(self):
        """Adam for each."""
        return [
            torch.optim.Adam(net.parameters(), self.lr, (0.5, 0.999)) for net in (self.generator, self.discriminator)
        ]


def main(steps):
    """Train for so many steps of each optimizer."""
    torch.manual_seed(0)
    images, labels = digits()
    train_loader, _ = loaders(images, labels, 64)
    module = Gan(lr=0.0002, images=images)
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    trainer = Trainer(max_steps=2 * steps, accelerator="cpu", **quiet)
    before = module.distance()
    find_in_module(module, trainer, train_loader, probe=module.distance)  # +
    print(f"learning rate {module.lr:.3g}")
    trainer.fit(module, train_loader)
    print(f"distance {before:.4g}, after training {module.distance():.4g}")


if __name__ == "__main__":
    main(asked_steps(__doc__, 230))
