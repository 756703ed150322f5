"""One run, written by four programs, has one diagnosis."""

import math

import numpy as np
import pytest

from stepsize import JsonLines, Record, diagnose

STEPS = np.arange(200)
RATE = 0.05 * (1 + np.cos(np.pi * STEPS / 200))
NOISE = 0.01 * np.random.default_rng(0).normal(size=200)
RUNS = {
    "well": (0.05 + np.exp(-STEPS / 40) + NOISE, RATE),
    "too high": (2.3 + 6 * np.minimum(STEPS / 20, 1) + NOISE, RATE),
    "too low": (2.3 - 4e-4 * STEPS + 0.1 * NOISE, np.full(200, 1e-5)),
    "not finite": (np.where(STEPS < 120, 0.05 + np.exp(-STEPS / 40), math.nan), RATE),
    "cut off": (0.05 + np.exp(-STEPS / 40) + NOISE, 0.05 * (1 + np.cos(np.pi * STEPS / 400))),
}


def by_stepsize(folder, losses, rates):
    lines = JsonLines(folder / "metrics.jsonl", 1)
    for step, (loss, rate) in enumerate(zip(losses, rates, strict=True)):
        lines.on(Record(step, float(step), values={"loss": float(loss), "rate": float(rate)}))
    lines.close()
    return folder / "metrics.jsonl"


def by_transformers(folder, losses, rates):
    trainer = pytest.importorskip("transformers")
    history = [
        {"step": step + 1, "epoch": 1.0, "loss": float(loss), "learning_rate": float(rate)}
        for step, (loss, rate) in enumerate(zip(losses, rates, strict=True))
    ]
    state = trainer.TrainerState(log_history=history, global_step=len(losses), max_steps=len(losses))
    state.save_to_json(str(folder / "trainer_state.json"))
    return folder / "trainer_state.json"


def by_lightning(folder, losses, rates):
    logger = pytest.importorskip("lightning.pytorch.loggers").CSVLogger(folder)
    for step, (loss, rate) in enumerate(zip(losses, rates, strict=True)):
        logger.log_metrics({"train_loss": float(loss), "lr-SGD": float(rate), "epoch": 0}, step)
    logger.save()
    return next(folder.rglob("metrics.csv"))


def by_tensorboard(folder, losses, rates):
    pytest.importorskip("tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder)) as writer:
        for step, (loss, rate) in enumerate(zip(losses, rates, strict=True)):
            writer.add_scalar("loss", float(loss), step)
            writer.add_scalar("rate", float(rate), step)
    return next(folder.glob("events.out.tfevents.*"))


@pytest.mark.parametrize("write", [by_transformers, by_lightning, by_tensorboard], ids=lambda write: write.__name__)
@pytest.mark.parametrize("name", RUNS)
def test_who_wrote_the_log_changes_no_verdict(tmp_path, name, write):
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    ours.mkdir()
    theirs.mkdir()
    found = [diagnose(by_stepsize(ours, *RUNS[name])), diagnose(write(theirs, *RUNS[name]))]
    verdicts = [[(symptom.name, symptom.severity, symptom.factor) for symptom in symptoms] for symptoms in found]
    assert verdicts[0] == verdicts[1]
    assert bool(verdicts[0]) == (name != "well")
