"""A training stopped at any moment goes on and ends as if it had never been stopped, bit for bit."""

import errno
import itertools
import os
from pathlib import Path

import pytest
import torch
from children import ran
from hypothesis import given, settings
from hypothesis import strategies as st
from test_task import DIGITS, with_dropout

from stepsize import Task, Trial, train
from stepsize.cli import run
from stepsize.state import RandomState
from stepsize.task import steps_done, task_named


def same(first, second):
    """Whether two nested states are equal, tensors bit for bit."""
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    return first == second


class Drawing:
    """Batches that can go on where they were."""

    def __init__(self, generator):
        self.generator = generator

    def __iter__(self):
        return self

    def __next__(self):
        return torch.randn(8, 4, generator=self.generator)

    def state_dict(self):
        return {"generator": self.generator.get_state()}

    def load_state_dict(self, state):
        self.generator.set_state(state["generator"])


def task(batches=Drawing, **more):
    layers = lambda: torch.nn.Sequential(  # noqa: E731
        torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Dropout(0.3), torch.nn.Linear(8, 1)
    )
    return Task(
        name="small",
        model=layers,
        batches=batches,
        loss=lambda model, batch: (model(batch) - batch.sum(1, keepdim=True)).square().mean(),
        optimizer=lambda parameters, lr: torch.optim.AdamW(parameters, lr=lr),
        score=lambda model: float(model(torch.ones(1, 4))),
        metrics=lambda model: {"validation_loss": float((model(torch.ones(1, 4)) - 4).square())},
        steps=30,
        **more,
    )


def replayed(generator):
    while True:
        yield torch.randn(8, 4, generator=generator)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 30), st.sampled_from([Drawing, replayed]), st.sampled_from([1, 3]))
def test_a_run_loaded_into_a_fresh_one_is_the_run_never_stopped(split, batches, accumulate):
    trial = Trial("small", {"lr": 0.01}, seed=1, steps=30)
    chosen = task(batches, accumulate=accumulate)
    whole, half, again = (chosen.start(trial) for _ in range(3))
    losses = whole.advance(30)
    before = half.advance(split)
    again.load_state(half.state())
    assert before + again.advance(30 - split) == losses
    assert same(again.state(), whole.state())


def test_random_states_survive_being_saved(tmp_path):
    state = RandomState.seeded(5)
    torch.save(state.state_dict(), tmp_path / "state")
    again = RandomState.from_state_dict(torch.load(tmp_path / "state", weights_only=True))
    assert again.equals(state)
    assert not again.equals(RandomState.seeded(6))


def test_batches_that_cannot_be_put_back_are_refused():
    trial = Trial("dropout", {"lr": 0.01}, seed=1, steps=30)
    run_ = with_dropout().start(trial)
    run_.advance(3)
    with pytest.raises(ValueError, match="draw from the global generators"):
        with_dropout().start(trial).load_state(run_.state())


class Stop(Exception):
    """Raised by an observer in the middle of a step."""


class StopsAt:
    def __init__(self, step):
        self.step = step

    def wants(self, step):
        if step == self.step:
            raise Stop
        return ()

    def on_step(self, record):
        """Nothing."""

    def on_observe(self, step, values):
        """Nothing."""

    def on_event(self, step, event):
        """Nothing."""


@pytest.mark.parametrize("stops", [[7], [1, 2, 20], [29], [1, 15, 16]])
def test_training_stopped_anywhere_ends_as_if_it_had_not_been(tmp_path, stops):
    whole = train(task(), lr=0.01, steps=30, evaluate_every=4)
    for stop in stops:
        with pytest.raises(Stop):
            train(
                task(), lr=0.01, steps=30, evaluate_every=4, folder=tmp_path, watch=[StopsAt(stop)],
                resume=(tmp_path / "last.pt").exists(), save_every=1e-9,
            )  # fmt: skip
        assert steps_done(tmp_path) <= stop
    trained = train(task(), lr=0.01, steps=30, evaluate_every=4, folder=tmp_path, resume=True)
    assert trained.losses == whole.losses
    assert trained.history == whole.history
    assert same(trained.state, whole.state)


def test_the_best_checkpoint_has_the_lowest_validation_loss(tmp_path):
    trained = train(task(), lr=0.05, steps=30, evaluate_every=2, folder=tmp_path)
    best = torch.load(tmp_path / "best.pt", weights_only=True)
    lowest = min(figures["validation_loss"] for figures in trained.history)
    assert best["history"][-1]["validation_loss"] == lowest == best["best"]


def test_another_trial_or_a_broken_file_is_refused(tmp_path):
    train(task(), lr=0.01, steps=10, folder=tmp_path)
    with pytest.raises(ValueError, match=r"'small' with lr 0.01, seed 0, 10 steps, and this is .* lr 0.02"):
        train(task(), lr=0.02, steps=10, folder=tmp_path, resume=True)
    content = (tmp_path / "last.pt").read_bytes()
    for broken, said in ((content[:100], "cannot be read"), (b"", "cannot be read")):
        (tmp_path / "last.pt").write_bytes(broken)
        with pytest.raises(ValueError, match=said):
            train(task(), lr=0.01, steps=10, folder=tmp_path, resume=True)
    torch.save({"step": 3}, tmp_path / "last.pt")
    with pytest.raises(ValueError, match="is not a checkpoint"):
        train(task(), lr=0.01, steps=10, folder=tmp_path, resume=True)
    with pytest.raises(ValueError, match="there is no checkpoint"):
        train(task(), lr=0.01, steps=10, folder=tmp_path / "other", resume=True)
    with pytest.raises(ValueError, match="no folder was given"):
        train(task(), lr=0.01, steps=10, resume=True)


@pytest.mark.parametrize("fault", ["write", "fsync", "replace"])
def test_a_fault_while_a_checkpoint_is_written_leaves_the_one_before(tmp_path, monkeypatch, fault):
    whole = train(task(), lr=0.01, steps=30, evaluate_every=5)
    train(task(), lr=0.01, steps=30, evaluate_every=5, folder=tmp_path)
    before = (tmp_path / "last.pt").read_bytes()
    writes = itertools.count()

    def failing(*arguments):
        if next(writes) >= 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*arguments)

    def opening(path, mode="r", *arguments, **named):
        file = opened(path, mode, *arguments, **named)
        if "w" in mode:
            monkeypatch.setattr(file.raw if hasattr(file, "raw") else file, "name", path, raising=False)
            if next(writes) >= 3:
                file.close()
                raise OSError(errno.ENOSPC, "No space left on device")
        return file

    opened = Path.open
    if fault == "write":
        monkeypatch.setattr(Path, "open", opening)
    else:
        owner, real = (os, os.fsync) if fault == "fsync" else (Path, Path.replace)
        monkeypatch.setattr(owner, fault, failing)
    (tmp_path / "other").mkdir()
    with pytest.raises(OSError, match="No space left") as caught:
        train(task(), lr=0.01, steps=30, evaluate_every=5, folder=tmp_path / "other")
    assert "last.pt" in str(caught.value) or "best.pt" in str(caught.value)
    monkeypatch.undo()
    assert not list((tmp_path / "other").glob(".*partial"))
    trained = train(task(), lr=0.01, steps=30, evaluate_every=5, folder=tmp_path / "other", resume=True)
    assert trained.losses == whole.losses
    assert (tmp_path / "last.pt").read_bytes() == before


LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from stepsize.cli import run
from stepsize.task import train
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
sys.exit(run(["train", "digits", "--lr", "0.1", "--steps", "40", "--out", sys.argv[1]]))
"""


@pytest.mark.slow
def test_a_file_that_cannot_grow_is_one_clear_line(tmp_path):
    done = ran(["-c", LIMITED, tmp_path / "run"])
    assert done.returncode == 2
    assert "last.pt: File too large" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_device_batch_size_and_accumulation_of_a_task_are_checked():
    with pytest.raises(ValueError, match="device must be one that is here: cpu"):
        task(device="cuda:7")
    with pytest.raises(ValueError, match="device must be a device of torch"):
        task(device="gpu")
    with pytest.raises(ValueError, match="the task 'small' takes no batch_size, but lr, "):
        train(task(), lr=0.1, steps=3, batch_size=4)
    with pytest.raises(ValueError, match="accumulate must be"):
        task(accumulate=0)


def test_accumulation_is_one_step_of_the_mean_of_its_batches():
    ones = task(lambda generator: itertools.repeat(torch.ones(4, 4)))
    twos = task(lambda generator: itertools.repeat(torch.ones(4, 4)), accumulate=2)
    plain = [each.start(Trial("small", {"lr": 0.01}, 0, 5)) for each in (ones, twos)]
    assert len(plain[1].advance(5)) == 5
    assert plain[1].control.position == 5


def test_tasks_of_ones_own_come_from_files_and_modules(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text("from stepsize.task import task_named\ntask = task_named('digits')\nother = 3\n")
    assert task_named("mine.py:task") is DIGITS
    assert task_named("stepsize.task.built_in._digits:digits") is DIGITS
    for name, said in {
        "mine.py:tusk": "mine.py has no 'tusk'; did you mean 'task'",
        "mine.py:other": "must be a task",
        "yours.py:task": "a Python file that is there",
        "no.such.module:task": "a module that is there",
        "digit": "did you mean 'digits'",
    }.items():
        with pytest.raises((TypeError, ValueError), match=said):
            task_named(name)


BROKEN = """
from stepsize.task import task_named
from dataclasses import replace
def nonsense(model, batch):
    return model(batch) / 0
broken = replace(task_named("digits"), name="broken", loss=nonsense)
"""


def test_errors_in_ones_own_file_are_shown_in_ones_own_frames(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("bad.py").write_text("x = 3\n\ndef f():\n    return x.nothing\n\nf()\n")
    assert run(["train", "bad.py:task", "--lr", "0.1"]) == 1
    said = capsys.readouterr().err
    assert 'bad.py", line 6' in said
    assert "AttributeError: 'int' object has no attribute 'nothing'" in said
    assert "stepsize/" not in said
    Path("broken.py").write_text(BROKEN)
    assert run(["train", "broken.py:broken", "--lr", "0.1", "--steps", "3"]) == 1
    said = capsys.readouterr().err
    assert 'broken.py", line 5, in nonsense' in said
    assert "_supervised" not in said


def test_words_that_do_not_go_together_are_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for words, said in {
        ("train",): "train needs TASK",
        ("train", "digits"): "train needs --lr",
        ("train", "digits", "--resume", "x"): "x holds no run",
        ("train", "digits", "--lr", "0.1", "--resume", "x"): "leave --lr out",
        ("train", "--steps", "3", "--resume", "x"): "leave --steps out",
        ("train", "digits", "--lr", "0.1", "--trust"): "--trust goes with --resume RUN",
        ("train", "digits", "--lr", "0.1", "--accept-changes"): "--accept-changes goes with --resume RUN",
        ("train", "--resume", "nowhere"): "nowhere holds no run",
        ("train", "digits", "--lr", "0.1", "--epochs", "2", "--steps", "3"): "give one of them",
        ("train", "digits", "--lr", "0.1", "--scale-rate", "linear"): "--scale-rate needs --batch-size",
        ("train", "digits", "--lr", "0.1", "--device", "cuda:9"): "device must be one that is here",
    }.items():
        assert run(list(words)) == 2, words
        assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_new_run_does_not_write_over_the_checkpoint_of_another(tmp_path):
    task = task_named("linear-regression")
    train(task, lr=0.1, steps=5, folder=tmp_path)
    kept = (tmp_path / "last.pt").read_bytes()
    with pytest.raises(ValueError, match=r"last\.pt is of another run, which this one would write over"):
        train(task, lr=0.2, steps=5, folder=tmp_path)
    assert (tmp_path / "last.pt").read_bytes() == kept
    train(task, lr=0.1, steps=5, folder=tmp_path)  # the same once more
