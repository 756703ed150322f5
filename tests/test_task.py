"""Tasks: the same trial is the same run to the last bit, whatever happens around it."""

import os
import random
import signal
import threading

import numpy as np
import pytest
import torch

from stepsize import Task, Trial, train
from stepsize.engine import serial
from stepsize.task import Startable, Training, TrainingInterrupted, task_named

DIGITS = task_named("digits")


def with_dropout():
    x = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))

    def batches(generator):
        while True:
            yield x[torch.randint(64, (8,), generator=generator)] + random.random() * np.random.rand()

    return Task(
        name="dropout",
        model=lambda: torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 1)),
        batches=batches,
        loss=lambda model, batch: model(batch).square().mean(),
        optimizer=lambda parameters, lr: torch.optim.SGD(parameters, lr=lr),
        score=lambda model: float(model(x).square().mean()),
        metrics=lambda model: {"validation_loss": float(model(x).square().mean())},
        steps=30,
    )


def test_the_contract():
    assert isinstance(DIGITS, Startable)
    run = DIGITS.start(Trial("digits", {"lr": 0.1}, 0, 10))
    assert isinstance(run, Training)
    first = run.score()
    assert len(run.advance(10)) == 10
    assert run.score() < first
    assert run.metrics().keys() == {"validation_loss", "accuracy"}


def test_the_split_of_digits_is_by_index_and_disjoint():
    from stepsize.task.built_in._digits import data

    x, y, x_held_out, y_held_out = data()
    assert (len(x), len(x_held_out)) == (1437, 360)
    assert sorted(set(y.tolist())) == sorted(set(y_held_out.tolist())) == list(range(10))
    together = torch.cat([x, x_held_out]).flatten(1)
    assert len(torch.unique(together, dim=0)) == 1797


def test_two_runs_with_one_seed_have_the_same_losses_to_the_last_bit():
    first, second = (train(DIGITS, lr=0.1, seed=3, steps=40) for _ in range(2))
    assert first.losses == second.losses
    assert first.metrics == second.metrics
    assert all(
        torch.equal(a, b) for a, b in zip(first.state["model"].values(), second.state["model"].values(), strict=True)
    )
    assert train(DIGITS, lr=0.1, seed=4, steps=40).losses != first.losses


def test_a_run_neither_feels_nor_changes_the_randomness_around_it():
    task = with_dropout()
    alone = train(task, lr=0.1, seed=1).losses
    torch.manual_seed(5)
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    runs = [task.start(Trial("dropout", {"lr": 0.1}, 1, 30)) for _ in range(2)]
    losses = [[], []]
    for _ in range(10):  # in turns, with other draws in between
        for run, kept in zip(runs, losses, strict=True):
            kept += run.advance(3)
    assert before[1:] == (random.getstate(), np.random.get_state()[1].tolist())
    assert torch.equal(before[0], torch.get_rng_state())
    assert tuple(losses[0]) == tuple(losses[1]) == alone


def test_engine_and_trainer_agree_and_a_broken_run_stops():
    trials = [Trial("digits", {"lr": rate}, 0, 30) for rate in (0.05, 1e9)]
    good, broken = serial(DIGITS, trials)
    assert good.losses == train(DIGITS, lr=0.05, steps=30).losses
    assert not good.diverged
    assert broken.diverged
    assert len(broken.losses) <= 30
    assert broken.score == float("inf")
    assert train(DIGITS, lr=1e9, steps=30).diverged


def test_measuring_draws_the_same_each_time_and_leaves_training_as_it_was():
    from dataclasses import replace

    task = replace(with_dropout(), score=lambda model: float(model(torch.randn(16, 4)).square().mean()))
    measured, plain = (each.start(Trial("dropout", {"lr": 0.1}, 1, 30)) for each in (task, with_dropout()))
    outside = torch.get_rng_state()
    assert measured.score() == measured.score()
    assert torch.equal(outside, torch.get_rng_state())
    assert measured.advance(30) == plain.advance(30)


def test_batches_that_run_out_and_losses_after_the_first_broken_one():
    from dataclasses import replace

    finite = replace(with_dropout(), batches=lambda generator: [torch.ones(2, 4)] * 3)
    with pytest.raises(ValueError, match="batches of the task 'dropout' ran out"):
        finite.start(Trial("dropout", {"lr": 0.1}, 1, 30)).advance(5)
    broken = train(DIGITS, lr=3e4, steps=30)
    assert not np.isfinite(broken.losses[-1])
    assert np.isfinite(broken.losses[:-1]).all()


def test_lengths_in_epochs_are_the_tasks():
    run = DIGITS.start(Trial("digits", {"lr": 0.1, "schedule": "warmup(2ep) >> cosine()"}, 0, 100))
    assert str(run.control.plan.lr) == "warmup(44) >> cosine(56)"


def test_a_schedule_with_numbers_is_squeezed_into_a_shorter_run():
    from dataclasses import replace

    task = replace(with_dropout(), schedule="warmup(6) >> cosine(24)")
    run = task.start(Trial("dropout", {"lr": 0.1}, 0, 10))
    assert str(run.control.plan.lr) == "warmup(2) >> cosine(8)"


def test_trials_are_hashed_canonically():
    trial = Trial("digits", {"lr": 0.1, "clip": 1.0}, 2, 50)
    assert trial.key == Trial("digits", {"clip": 1.0, "lr": 0.1}, 2, 50).key
    assert len(trial.key) == len(bytes.fromhex(trial.key)) * 2 == 16
    assert len({trial.key, Trial("digits", {"lr": 0.1}, 2, 50).key, Trial("digits", {"lr": 0.1}, 3, 50).key}) == 3


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "with a rate"),
        ({"lr": 0.1, "schedule": "warmup(500) >> cosine()"}, "leaves nothing for cosine"),
        ({"lr": 0.1, "clip": -1.0}, "clip must be"),
    ],
)
def test_a_trial_that_does_not_fit_is_refused_before_anything_is_built(settings, said):
    with pytest.raises(ValueError, match=said):
        DIGITS.start(Trial("digits", settings, 0, 10))
    with pytest.raises(ValueError, match="one of the task 'digits'"):
        DIGITS.start(Trial("other", {"lr": 0.1}, 0, 10))


def test_ctrl_c_stops_after_a_whole_step_and_keeps_what_was_trained():
    begun = threading.Event()

    class Begun:
        def wants(self, step):
            if step == 20:
                begun.set()
            return ()

        def begin(self, control):
            pass

        on = end = begin

    def press():
        if begun.wait(60):
            os.kill(os.getpid(), signal.SIGINT)

    presser = threading.Thread(target=press)
    presser.start()
    with pytest.raises(TrainingInterrupted) as caught:
        train(DIGITS, lr=0.1, steps=100_000, watch=[Begun()])
    presser.join()
    trained = caught.value.trained
    assert 0 < trained.steps < 100_000
    assert len(trained.losses) == trained.steps == trained.state["control"]["steps"]
    assert str(caught.value) == f"stopped at step {trained.steps} of 100000"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
