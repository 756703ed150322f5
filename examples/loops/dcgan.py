"""A GAN, its two optimizers stepped in turn, as in pytorch/examples, dcgan."""

import torch
from loop_data import asked_steps, digits, loaders
from torch import nn

from stepsize import RateSearch  # +

NOISE, WIDTH = 16, 8


def generator():
    """From noise to an image of 8 x 8."""
    return nn.Sequential(
        nn.ConvTranspose2d(NOISE, 2 * WIDTH, 2, bias=False),
        nn.BatchNorm2d(2 * WIDTH),
        nn.ReLU(True),
        nn.ConvTranspose2d(2 * WIDTH, WIDTH, 4, 2, 1, bias=False),
        nn.BatchNorm2d(WIDTH),
        nn.ReLU(True),
        nn.ConvTranspose2d(WIDTH, 1, 4, 2, 1, bias=False),
        nn.Sigmoid(),
    )


def discriminator():
    """From an image to the logit of its being real."""
    return nn.Sequential(
        nn.Conv2d(1, WIDTH, 4, 2, 1, bias=False),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(WIDTH, 2 * WIDTH, 4, 2, 1, bias=False),
        nn.BatchNorm2d(2 * WIDTH),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(2 * WIDTH, 1, 2, bias=False),
        nn.Flatten(0),
    )


def weights_init(module):
    """Small normal weights."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1, 0.02)


def main(steps):
    """Train for about so many steps."""
    torch.manual_seed(0)
    images, labels = digits()
    dataloader, _ = loaders(images, labels, 64)
    netG, netD = generator().apply(weights_init), discriminator().apply(weights_init)  # noqa: N806 - their names
    criterion = nn.BCEWithLogitsLoss()
    optimizerD = torch.optim.Adam(netD.parameters(), lr=0.0002, betas=(0.5, 0.999))  # noqa: N806
    optimizerG = torch.optim.Adam(netG.parameters(), lr=0.0002, betas=(0.5, 0.999))  # noqa: N806
    fixed_noise = torch.randn(512, NOISE, 1, 1)

    def distance():
        """Between the images and generated ones: of the means and covariances of their pixels, squared."""
        real, fake = images.flatten(1), netG(fixed_noise).detach().flatten(1)
        return ((real.mean(0) - fake.mean(0)).square().sum() + (real.T.cov() - fake.T.cov()).square().sum()).item()

    def train(batches):
        for real, _ in batches:
            ones, zeros = torch.ones(len(real)), torch.zeros(len(real))
            netD.zero_grad()
            criterion(netD(real), ones).backward()
            fake = netG(torch.randn(len(real), NOISE, 1, 1))
            criterion(netD(fake.detach()), zeros).backward()
            optimizerD.step()
            netG.zero_grad()
            criterion(netD(fake), ones).backward()
            optimizerG.step()

    before, epochs = distance(), max(1, round(steps / len(dataloader)))
    search = RateSearch(  # +
        [optimizerD, optimizerG],
        netG,
        lr="constant()",
        total=epochs * len(dataloader),
        loader=dataloader,
        own_steps=True,
        probe=distance,
        also=[netD],
    )
    for run in search:  # +
        train(run.batches())  # +
    search.apply()  # +
    print(f"learning rate {optimizerG.param_groups[0]['lr']:.3g}")
    for _ in range(epochs):
        train(dataloader)
    print(f"distance {before:.4g}, after training {distance():.4g}")


if __name__ == "__main__":
    main(asked_steps(__doc__, 230))
