"""A LightningModule with automatic optimization and a scheduler, as in Lightning's examples of image classifiers."""

import torch
from lightning.pytorch import LightningModule, Trainer
from loop_data import asked_steps, digits, loaders
from torch import nn
from torch.nn import functional

from stepsize.integrations import find_in_module  # +


class ImageClassifier(LightningModule):
    """A small convolutional net."""

    def __init__(self, learning_rate, steps):
        super().__init__()
        self.learning_rate, self.steps = learning_rate, steps
        self.model = nn.Sequential(
            nn.Conv2d(1, 16, 3),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Flatten(),
            nn.Linear(576, 64),
            nn.ReLU(),
            nn.Linear(64, 10),
        )

    def training_step(self, batch, batch_idx):
        """The loss of a batch."""
        x, y = batch
        return functional.cross_entropy(self.model(x), y)

    def validation_step(self, batch, batch_idx):
        """Log the loss of a batch."""
        self.log("loss", self.training_step(batch, batch_idx))

    def configure_optimizers(self):
        """SGD and a cosine, stepped with each update."""
        optimizer = torch.optim.SGD(self.parameters(), lr=self.learning_rate, momentum=0.9)
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.steps)
        return [optimizer], [{"scheduler": scheduler, "interval": "step"}]


def main(steps):
    """Train for so many steps."""
    torch.manual_seed(0)
    train_loader, val_loader = loaders(*digits(), 32)
    module = ImageClassifier(learning_rate=0.001, steps=steps)
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    trainer = Trainer(max_steps=steps, accelerator="cpu", num_sanity_val_steps=0, **quiet)
    before = trainer.validate(module, val_loader, verbose=False)[0]["loss"]
    find_in_module(module, trainer, train_loader)  # +
    print(f"learning rate {module.learning_rate:.3g}")
    trainer.fit(module, train_loader)
    print(f"loss {before:.4g}, after training {trainer.validate(module, val_loader, verbose=False)[0]['loss']:.4g}")


if __name__ == "__main__":
    main(asked_steps(__doc__, 150))
