"""Feedback of a task: decided by validations, resumed exactly, absent where nothing is validated."""

import os
import signal
from dataclasses import replace

import pytest
import torch
from test_checkpoints import Drawing, Stop, StopsAt, same, task
from test_task import DIGITS

from stepsize import JsonLines, Task, find, plateau, train
from stepsize.control import Plan
from stepsize.engine import serial
from stepsize.task import TrainingInterrupted, Trial, steps_done, task_named
from stepsize.task._pause import pause_of

CUT = 'plateau(of="validation_loss", factor=0.5, patience=0)'


def steered(**more):
    """A task whose validation loss goes up and down, so that its feedback cuts often."""
    return task(
        Drawing,
        **{"schedule": "constant()", "feedback": CUT, "evaluate_every": 3, **more},
    )


def test_the_rate_is_cut_when_the_validation_loss_no_longer_falls():
    class Events:
        def __init__(self):
            self.events, self.seen = [], []

        def wants(self, step):
            return ()

        def on_step(self, record):
            """Nothing."""

        def on_observe(self, step, values):
            self.seen.append((step, values["validation_loss"]))

        def on_event(self, step, event):
            self.events.append((step, event["value"]))

    watch = Events()
    trained = train(steered(), lr=0.05, watch=[watch])
    assert [step for step, _ in watch.seen] == list(range(0, 31, 3))
    # torch's own class, shown the same losses
    weight = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=1.0)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
    expected = []
    for step, loss in watch.seen:
        before = optimizer.param_groups[0]["lr"]
        scheduler.step(loss)
        if optimizer.param_groups[0]["lr"] != before:
            expected.append((step, optimizer.param_groups[0]["lr"]))
    assert watch.events == expected
    assert len(expected) >= 2
    assert trained.losses != train(steered(feedback=None), lr=0.05).losses


@pytest.mark.parametrize("stops", [[3], [7], [1, 2, 20], [9, 12, 28], [29]])
def test_training_with_feedback_stopped_anywhere_ends_as_if_it_had_not_been(tmp_path, stops):
    whole = train(steered(), lr=0.05)
    for stop in stops:
        with pytest.raises(Stop):
            train(
                steered(), lr=0.05, folder=tmp_path, watch=[StopsAt(stop)],
                resume=(tmp_path / "last.pt").exists(), save_every=1e-9,
            )  # fmt: skip
    trained = train(steered(), lr=0.05, folder=tmp_path, resume=True)
    assert trained.losses == whole.losses
    assert trained.history == whole.history
    assert same(trained.state, whole.state)


def test_the_files_of_a_stopped_run_are_those_of_one_never_stopped(tmp_path):
    names = "metrics.jsonl", "validation.jsonl", "events.jsonl"

    def go(folder, stop=None):
        folder.mkdir(exist_ok=True)
        again = steps_done(folder) if (folder / "last.pt").exists() else None
        files = [folder / name for name in names]
        lines = JsonLines(files[0], 1, files[1], files[2], resume_at=again)
        watch = [lines] if stop is None else [lines, StopsAt(stop)]
        try:
            train(steered(), lr=0.05, folder=folder, watch=watch, resume=again is not None)
        finally:
            lines.close()

    go(tmp_path / "whole")
    for stop in (7, 9, 20, 27):
        with pytest.raises(Stop):
            go(tmp_path / "stopped", stop)
    go(tmp_path / "stopped")
    for name in names:
        assert (tmp_path / "stopped" / name).read_text() == (tmp_path / "whole" / name).read_text()
    assert (tmp_path / "whole" / "events.jsonl").read_text().count("feedback") >= 2


@pytest.mark.parametrize("presses", [[3], [9, 12], [4, 15]])
def test_ctrl_c_at_a_validation_does_not_show_it_to_feedback_twice(tmp_path, presses):
    class PressesAt(StopsAt):
        def wants(self, step):
            if step == self.step - 1:  # Ctrl-C is heard after the step, and after the validation that belongs to it
                os.kill(os.getpid(), signal.SIGINT)
            return ()

    whole = train(steered(), lr=0.05)
    for press in presses:
        with pytest.raises(TrainingInterrupted) as caught:
            train(
                steered(), lr=0.05, folder=tmp_path, watch=[PressesAt(press)], resume=(tmp_path / "last.pt").exists()
            )  # fmt: skip
        assert caught.value.trained.steps >= press
    trained = train(steered(), lr=0.05, folder=tmp_path, resume=True)
    assert trained.losses == whole.losses
    assert trained.history == whole.history
    assert same(trained.state, whole.state)


def test_the_checkpoint_of_another_plan_is_refused(tmp_path):
    with pytest.raises(Stop):
        train(steered(), lr=0.05, folder=tmp_path, watch=[StopsAt(20)])
    with pytest.raises(ValueError, match="plan") as caught:
        train(steered(feedback=None), lr=0.05, folder=tmp_path, resume=True)
    assert "feedback" in str(caught.value)
    trained = train(steered(), lr=0.05, folder=tmp_path, resume=True)
    assert trained.losses == train(steered(), lr=0.05).losses


def test_short_runs_without_validations_are_as_if_without_feedback():
    plain, with_feedback = steered(feedback=None), steered(feedback='plateau(of="validation_loss", after="2ep")')
    with_feedback = replace(with_feedback, per_epoch=25)
    for length in (5, 30):  # also one that ends before the feedback would begin to look
        trials = [Trial("small", {"lr": 0.05}, 0, length)]
        first, second = (next(serial(each, trials)) for each in (plain, with_feedback))
        assert (first.losses, first.score) == (second.losses, second.score)
    rates = [find(each, steps=30).rate for each in (plain, with_feedback)]
    assert rates[0] == rates[1]


def test_a_feedback_and_a_pause_are_checked_where_they_are_given():
    with_object, with_text = steered(feedback=plateau(of="validation_loss", factor=0.5, patience=0)), steered()
    assert with_object == with_text or str(with_object.feedback) == str(with_text.feedback) == CUT
    with pytest.raises(ValueError, match="did you mean 'plateau'"):
        steered(feedback="plateu()")
    with pytest.raises(ValueError, match="evaluate_every must be longer than 0, got '0%'"):
        steered(evaluate_every="0%")
    with pytest.raises(ValueError, match=r"evaluate_every=1ep counts epochs.*give the task per_epoch"):
        train(steered(evaluate_every="1ep"), lr=0.1)
    with pytest.raises(ValueError, match="feedback looks at 'val_loss', and observe got 'validation_loss'"):
        train(steered(feedback='plateau(of="val_loss")'), lr=0.1)


@pytest.mark.parametrize(
    ("length", "steps", "per_epoch", "pause"),
    [
        (None, 400, None, 20), (None, 60, None, 10), (None, 4, None, 4), (7.0, 3, None, 7),
        ("1ep", 400, 22, 22), ("0.5ep", 400, 351, 176), ("0.01ep", 400, 22, 1), ("0.5%", 100, None, 1),
        ("10%", 55, 3, 6),
    ],
)  # fmt: skip
def test_a_pause_in_steps_shares_and_epochs(length, steps, per_epoch, pause):
    assert pause_of(length, steps, per_epoch) == pause


def test_a_task_says_when_it_is_validated_and_a_call_may_say_otherwise():
    task = replace(DIGITS, evaluate_every="1ep")
    at = [figures["step"] for figures in train(task, lr=0.1, steps=50).history]
    assert at == [0, 22, 44, 50]
    assert task.pause(50, 128) == 11
    at = [figures["step"] for figures in train(task, lr=0.1, steps=50, evaluate_every=25).history]
    assert at == [0, 25, 50]


@pytest.mark.parametrize("name", ["cifar10-plateau", "cifar10-small-plateau"])
def test_the_built_in_tasks_with_plateau_differ_in_nothing_else(name):
    steered, plain = task_named(name), task_named(name.removesuffix("-plateau"))
    assert isinstance(steered, Task)
    assert str(Plan(steered.schedule, feedback=steered.feedback)).startswith(
        'lr: constant()\nfeedback: plateau(of="validation_loss"'
    )
    for part in ("model", "batches", "loss", "optimizer", "score", "metrics", "test", "batch_size", "examples"):
        assert getattr(steered, part) is getattr(plain, part)
    assert steered.steps % 351 == 0  # whole epochs of 45,000 images in batches of 128
    assert pause_of(steered.evaluate_every, steered.steps, 351) in (351, 176)
