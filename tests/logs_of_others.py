"""Short runs of trainers that never saw stepsize, each with the logs that it writes itself."""

import torch
from torch import nn

STEPS, EVERY, BATCH = 20, 2, 4


def data():
    torch.manual_seed(0)
    inputs = torch.randn(40, 2)
    return inputs, inputs.sum(1, keepdim=True)


def lightning_log(folder):
    """Two epochs of ten steps; AdamW with two groups, logged every second step, and the rates beside."""
    import lightning
    from lightning.pytorch.callbacks import LearningRateMonitor
    from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

    class Module(lightning.LightningModule):
        def __init__(self, lr=0.1, width=3):
            super().__init__()
            self.save_hyperparameters()
            self.net = nn.Linear(2, 1)
            self.losses = []

        def training_step(self, batch, index):
            loss = (self.net(batch[0]) - batch[1]).square().mean()
            self.losses.append(loss.item())
            self.log("train_loss", loss, on_step=True, on_epoch=True)
            return loss

        def validation_step(self, batch, index):
            self.log("val_loss", (self.net(batch[0]) - batch[1]).square().mean())

        def configure_optimizers(self):
            groups = [{"params": [self.net.weight]}, {"params": [self.net.bias], "lr": 0.01}]
            optimizer = torch.optim.AdamW(groups, lr=self.hparams.lr)
            schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0.1, STEPS)
            return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*data()), batch_size=BATCH)
    module = Module()
    trainer = lightning.Trainer(
        max_epochs=2,
        logger=[CSVLogger(folder / "csv"), TensorBoardLogger(folder / "board")],
        callbacks=[LearningRateMonitor()],
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        log_every_n_steps=EVERY,
        accelerator="cpu",
    )
    trainer.fit(module, loader, loader)
    return module.losses


def transformers_log(folder):
    """Twenty steps, logged every second, evaluated every fifth, saved twice."""
    from transformers import Trainer, TrainingArguments

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Linear(2, 1)
            self.losses = []

        def forward(self, inputs, labels=None):
            outputs = self.net(inputs)
            loss = (outputs - labels).square().mean()
            if self.training:
                self.losses.append(loss.item())
            return {"loss": loss, "logits": outputs}

    examples = [{"inputs": x, "labels": y} for x, y in zip(*data(), strict=True)]
    arguments = TrainingArguments(
        str(folder),
        per_device_train_batch_size=BATCH,
        max_steps=STEPS,
        logging_steps=EVERY,
        eval_strategy="steps",
        eval_steps=5,
        save_steps=10,
        learning_rate=0.01,
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
    )
    net = Net()
    Trainer(net, arguments, train_dataset=examples, eval_dataset=examples).train()
    return net.losses
