"""Runs of Lightning and Transformers are steered from a folder, and resumed as if they had never stopped."""

import copy
import math
import os

import pytest
import torch
from test_trainers import BASE, Model, Module, Two, fit, pl, trainer_of, transformers

from stepsize import Scheduler, Steer, linear
from stepsize.control import Command
from stepsize.control.steering import About, latest, read_answers
from stepsize.integrations import drive_trainer, lightning_callback

pytestmark = [
    pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec:FutureWarning"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory:UserWarning"),
    pytest.mark.filterwarnings("ignore::lightning.pytorch.utilities.warnings.PossibleUserWarning"),
]
TOTAL = 15


def put(folder, *commands):
    folder.mkdir(parents=True)
    descriptor = os.open(folder / "commands.jsonl", os.O_WRONLY | os.O_CREAT, 0o600)
    os.write(descriptor, b"".join(command.line() for command in commands))
    os.close(descriptor)


def states(folder):
    return {answer.id: answer.state for answer in latest(read_answers(folder)).values()}


def steered(folder):
    """Commands, and the rates that they make of a line to zero."""
    commands = [
        Command("scale", 0.5, at=4),
        Command("checkpoint", at=5),
        Command("set", 0.125, at=7),
        Command("release", at=9),
        Command("cooldown", 2, at=11),
    ]
    put(folder, *commands)
    rates = [BASE * (1 - k / TOTAL) * (0.5 if k >= 4 else 1) for k in range(TOTAL)]
    rates[7:9] = 0.125, 0.125
    return commands, [*rates[:11], rates[11], rates[11] / 2]


class Recording(pl.Callback):
    """The rates with which updates were done."""

    def __init__(self):
        self.rates = []

    def on_train_start(self, trainer, pl_module):
        trainer.optimizers[0].register_step_post_hook(lambda o, *_: self.rates.append(o.param_groups[0]["lr"]))


def in_lightning(folder, module, **settings):
    recording, callback = Recording(), lightning_callback(lr="linear()", steer=folder / "steer")
    trainer = fit(folder, module, recording, callback, enable_checkpointing=True, **settings)
    return trainer, recording.rates


def test_lightning_is_steered_and_ends_where_a_cooldown_does(tmp_path):
    commands, rates = steered(tmp_path / "steer")
    straight = Module()
    _, applied = in_lightning(tmp_path, straight)
    assert applied == pytest.approx(rates)
    assert states(tmp_path / "steer") == dict.fromkeys((command.id for command in commands), "done")
    about = About.read(tmp_path / "steer")
    assert (about.step, about.total, about.is_alive) == (13, 13, False)
    told = (tmp_path / "steer" / "answers.jsonl").read_bytes()
    [saved] = tmp_path.rglob("steered-step=6.ckpt")
    resumed = Module()
    _, rest = in_lightning(tmp_path, resumed, ckpt_path=saved)
    assert rest == applied[6:]
    assert all(map(torch.equal, resumed.state_dict().values(), straight.state_dict().values()))
    assert (tmp_path / "steer" / "answers.jsonl").read_bytes() == told


def test_lightning_stops_with_a_checkpoint(tmp_path):
    put(tmp_path / "steer", Command("stop", at=7))
    _, rates = in_lightning(tmp_path, Module())
    assert len(rates) == 8
    [saved] = tmp_path.rglob("steered-step=8.ckpt")
    _, rest = in_lightning(tmp_path, Module(), ckpt_path=saved)
    assert rates + rest == pytest.approx([BASE * (1 - k / TOTAL) for k in range(TOTAL)])


def test_lightnings_two_optimizers_have_a_folder_each(tmp_path):
    put(tmp_path / "steer" / "optimizer1", Command("scale", 0.5, at=2))
    callback = lightning_callback(lr="constant()", steer=str(tmp_path / "steer"), total={0: 15, 1: 30})
    module = Two()
    fit(tmp_path, module, callback)
    first, second = (scheduler.log for scheduler in callback.schedulers)
    assert [event.what for event in first] == []
    assert [(event.what, event.step) for event in second] == [("scale", 2)]


def in_transformers(folder, **settings):
    data = [{"x": k} for k in range(5)]
    trainer = trainer_of(folder, Model([1.0] * 99), data=5, evaluated=data[:1], **settings)
    drive_trainer(trainer, lr="linear()", steer=folder / "steer")
    rates = []

    class Recorder(transformers.TrainerCallback):
        def on_train_begin(self, args, state, control, optimizer=None, **_):
            optimizer.optimizer.register_step_post_hook(lambda o, *_: rates.append(o.param_groups[0]["lr"]))

    trainer.add_callback(Recorder)
    return trainer, rates


def test_transformers_is_steered_and_ends_where_a_cooldown_does(tmp_path):
    commands, rates = steered(tmp_path / "steer")
    straight, applied = in_transformers(tmp_path)
    straight.train()
    assert applied == pytest.approx(rates)
    assert states(tmp_path / "steer") == dict.fromkeys((command.id for command in commands), "done")
    about = About.read(tmp_path / "steer")
    assert (about.step, about.total, about.is_alive) == (13, 13, False)
    told = (tmp_path / "steer" / "answers.jsonl").read_bytes()
    resumed, rest = in_transformers(tmp_path)
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-6"))
    assert rest == applied[6:]
    assert all(map(torch.equal, resumed.model.state_dict().values(), straight.model.state_dict().values()))
    assert (tmp_path / "steer" / "answers.jsonl").read_bytes() == told


def test_transformers_stops_with_a_checkpoint_and_validates_when_told(tmp_path):
    put(tmp_path / "steer", Command("validate", at=3), Command("stop", at=7))
    trainer, rates = in_transformers(tmp_path)
    trainer.train()
    assert len(rates) == 8
    assert (tmp_path / "checkpoint-8").is_dir()
    assert [entry["step"] for entry in trainer.state.log_history if "eval_loss" in entry] == [4]
    again, rest = in_transformers(tmp_path)
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-8"))
    assert rates + rest == pytest.approx([BASE * (1 - k / TOTAL) for k in range(TOTAL)])


def test_what_the_trainers_loop_cannot_do_is_refused(tmp_path):
    put(tmp_path / "steer", Command("extend", 5), Command("clip", 1.0), Command("cooldown", 99))
    trainer, rates = in_transformers(tmp_path)
    trainer.train()
    reasons = [answer.reason for answer in read_answers(tmp_path / "steer")]
    assert [
        next(part for part in ("takes no extend", "takes no clip", "ends at 15") if part in reason)
        for reason in reasons
    ] == ["takes no extend", "takes no clip", "ends at 15"]
    assert len(rates) == TOTAL


@pytest.mark.parametrize("drive", [lambda **words: lightning_callback(lr="linear()", **words)])
@pytest.mark.parametrize("steer", [3, b"runs/a", True, ["runs/a"]])
def test_steer_is_a_folder(drive, steer):
    with pytest.raises(TypeError, match="steer must be a folder"):
        drive(steer=steer)


def test_a_scheduler_is_steered_and_a_copy_is_not(tmp_path):
    weight = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=1.0)
    scheduler = Scheduler(optimizer, linear(), total=10)
    scheduler.steer_by(tmp_path)
    with pytest.raises(ValueError, match="is steered from"):
        scheduler.steer_by(tmp_path)
    rates = []
    optimizer.register_step_post_hook(lambda o, *_: rates.append(o.param_groups[0]["lr"]))

    def step(times):
        for _ in range(times):
            weight.grad = torch.zeros(1)
            optimizer.step()
            scheduler.step()

    step(1)
    Steer(tmp_path).scale(0.5, at=3)
    with pytest.raises(ValueError, match="takes no clip"):
        Steer(tmp_path).clip(1.0)
    step(2)
    copied = copy.deepcopy(scheduler)
    assert not copied.asked()
    step(2)
    assert rates == pytest.approx([1.0, 0.9, 0.8, 0.35, 0.3])
    scheduler.optimizer = torch.optim.SGD([weight], lr=1.0)  # goes on with it
    Steer(tmp_path).scale(2.0, at=7)
    optimizer = scheduler.optimizer
    step(3)
    assert scheduler.get_last_lr() == pytest.approx([0.2])
    assert math.isclose(scheduler.position, 8)
