"""Under Lightning, Transformers and Accelerate each update has the formula's rate, and a resumed run never stopped."""

import json
import math
import os
import pickle
import socket
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR

from stepsize import Scheduler, cosine, linear, plateau
from stepsize.control.feedback import _steering
from stepsize.integrations import drive_trainer, lightning_callback

pl = pytest.importorskip("lightning.pytorch")
transformers = pytest.importorskip("transformers")
accelerate = pytest.importorskip("accelerate")

BASE = 0.5
BATCHES, EPOCHS = 5, 3
pytestmark = [
    pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec:FutureWarning"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory:UserWarning"),
    pytest.mark.filterwarnings("ignore::lightning.pytorch.utilities.warnings.PossibleUserWarning"),
]
both = pytest.mark.parametrize("library", ["stepsize", pytest.param("torch", marks=pytest.mark.xfail(strict=True))])


def halves(updates, total):
    return [BASE * (1 + math.cos(math.pi * k / total)) / 2 for k in updates]


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))


def loss_of(model, step):
    x = torch.randn(8, 3, generator=torch.Generator().manual_seed(step))
    return (model(x) - x.sum(1, keepdim=True)).square().mean()


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def recorded(optimizer, rates):
    optimizer.register_step_pre_hook(lambda o, *_: rates.append(o.param_groups[0]["lr"]))
    return optimizer


class Module(pl.LightningModule):
    """Its data depend on the step alone; its validation losses are given."""

    def __init__(self, configure=None, losses=(1.0,) * EPOCHS):
        super().__init__()
        self.net, self.configure, self.losses, self.rates = net(), configure, losses, []

    def train_dataloader(self):
        return torch.utils.data.DataLoader(range(BATCHES))

    val_dataloader = train_dataloader

    def training_step(self, batch, index):
        loss = loss_of(self.net, self.trainer.global_step)
        self.log("train_loss", self.losses[self.current_epoch], on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, index):
        self.log("val_loss", 0.0 if self.trainer.sanity_checking else self.losses[self.current_epoch])

    def configure_optimizers(self):
        optimizer = recorded(torch.optim.SGD(self.parameters(), lr=BASE, momentum=0.9), self.rates)
        return self.configure(optimizer, self.trainer.estimated_stepping_batches) if self.configure else optimizer


def fit(folder, module, callbacks=(), ckpt_path=None, **settings):
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    settings = {"max_epochs": EPOCHS, "limit_val_batches": 0, "enable_checkpointing": False, **quiet, **settings}
    trainer = pl.Trainer(accelerator="cpu", default_root_dir=folder, callbacks=[*callbacks], **settings)
    trainer.fit(module, ckpt_path=ckpt_path)
    return trainer


def each_step(make):
    return lambda optimizer, total: ([optimizer], [{"scheduler": make(optimizer, total), "interval": "step"}])


def under_lightning(driver, lr="cosine()", losses=(1.0,) * EPOCHS, **plan):
    """The module and the callbacks by which Lightning is driven in one of two ways."""
    if driver == "callback":
        return Module(losses=losses), [lightning_callback(lr=lr, **plan)]
    return Module(each_step(lambda optimizer, total: Scheduler(optimizer, lr, total, **plan)), losses), []


drivers = pytest.mark.parametrize("driver", ["scheduler", "callback"])


@drivers
@pytest.mark.parametrize(("accumulate", "total"), [(1, 15), (2, 9)])
def test_lightning_gives_each_update_the_rate_of_the_formula(tmp_path, driver, accumulate, total):
    module, callbacks = under_lightning(driver)
    fit(tmp_path, module, callbacks, accumulate_grad_batches=accumulate)
    assert module.rates == pytest.approx(halves(range(total), total))


@both
def test_lightning_may_step_a_scheduler_of_updates_once_an_epoch_as_it_does_unless_told(tmp_path, library):
    make = Scheduler if library == "stepsize" else CosineAnnealingLR
    lr = (cosine(),) if library == "stepsize" else ()
    module = Module(lambda optimizer, total: ([optimizer], [make(optimizer, *lr, total)]))
    fit(tmp_path, module)
    assert module.rates == pytest.approx(halves([0] * 5 + [5] * 5 + [10] * 5, 15))


def looking_twice(optimizer, total):
    """One scheduler in two entries: for the steps, and for what was validated."""
    scheduler = Scheduler(optimizer, "cosine()", total, feedback=CUTS)
    looks = {"scheduler": scheduler, "interval": "epoch", "reduce_on_plateau": True, "monitor": "val_loss"}
    return [optimizer], [{"scheduler": scheduler, "interval": "step"}, looks]


CUTS = plateau(of="val_loss", patience=0, factor=0.5)


def cutting(driver, losses):
    if driver == "callback":
        return Module(losses=losses), [lightning_callback(lr=cosine(), feedback=CUTS)]
    return Module(looking_twice, losses), []


@drivers
def test_lightning_cuts_the_rate_when_what_is_validated_in_training_does_not_improve(tmp_path, driver):
    module, callbacks = cutting(driver, losses=(1.0, 2.0, 0.5, 0.5))
    trainer = fit(tmp_path, module, callbacks, max_epochs=4, limit_val_batches=1)
    factors = [1.0] * 10 + [0.5] * 10
    assert module.rates == pytest.approx([r * f for r, f in zip(halves(range(20), 20), factors, strict=True)])
    trainer.fit_loop.epoch_progress.current.completed = 3
    cuts = [scheduler.log for scheduler in callbacks[0].schedulers] if callbacks else []
    trainer.validate(module, verbose=False)
    assert [scheduler.log for scheduler in callbacks[0].schedulers] == cuts if callbacks else True


@drivers
@pytest.mark.parametrize("step", [4, 5, 10, 12])
def test_lightning_resumed_from_any_step_is_the_run_never_stopped(tmp_path, driver, step):
    def run(**settings):
        module, callbacks = cutting(driver, losses=(1.0, 2.0, 0.5))
        files = pl.callbacks.ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=1, save_top_k=-1)
        settings |= {"limit_val_batches": 1, "enable_checkpointing": True}
        fit(tmp_path, module, [*callbacks, files], **settings)
        return module

    whole, again = run(), run(ckpt_path=tmp_path / f"step={step}.ckpt")
    factors = [1.0] * 10 + [0.5] * 5
    assert whole.rates == pytest.approx([r * f for r, f in zip(halves(range(15), 15), factors, strict=True)])
    assert again.rates == whole.rates[step:]
    assert torch.equal(weights(again), weights(whole))
