"""What goes wrong at a first try with a task of one's own, or with its data, is said plainly."""

import itertools
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from stepsize import Task, find, train
from stepsize.cli import run
from stepsize.task import task_named

X = torch.linspace(-1, 1, 8).unsqueeze(1)
GOOD = {
    "name": "mine",
    "model": lambda: torch.nn.Linear(1, 1),
    "batches": lambda generator: itertools.repeat(X),
    "loss": lambda model, batch: (model(batch) - 1).square().mean(),
    "optimizer": lambda parameters, lr: torch.optim.SGD(parameters, lr=lr),
    "score": lambda model: float(model(X).square().mean()),
    "metrics": lambda model: {"validation_loss": 0.5},
    "steps": 10,
}


def mine(**parts):
    return Task(**GOOD | parts)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"model": lambda: None}, r"model\(\) of the task 'mine' must be a torch.nn.Module, got None"),
        ({"optimizer": lambda parameters, lr: None}, r"optimizer must be a torch.optim.Optimizer.* got None"),
        ({"batches": lambda generator: 3}, r"batches\(...\) of the task 'mine' must be an endless iterator.* got 3"),
        ({"batches": lambda generator: [X] * 3}, "batches of the task 'mine' ran out"),
        ({"loss": lambda model, batch: 3.0}, r"loss\(...\) of the task 'mine' must be a tensor of one element, got 3"),
        ({"loss": lambda model, batch: model(batch)}, r"shape of loss\(...\) .* got \(8, 1\); take its mean"),
        ({"loss": lambda model, batch: torch.ones(())}, r"loss\(...\) .* must depend on the model's parameters"),
        (
            {"loss": lambda model, batch: model(batch).mean().detach().requires_grad_()},
            "must depend on the model's parameters: after its backward pass none has a gradient",
        ),
        (
            {"loss": lambda model, batch: model(batch).mean().reshape(1).to_sparse()},
            r"layout of loss\(...\) .* must be torch.strided, got torch.sparse_coo; take its .to_dense",
        ),
        ({"score": lambda model: None}, r"score\(...\) of the task 'mine' must be one number, got None"),
        (
            {"score": lambda model: model(X)},
            r"shape of score\(...\) of the task 'mine' must be of one element.*\(8, 1\)",
        ),
        ({"metrics": lambda model: 0.5}, r"metrics\(...\) of the task 'mine' must be figures by name, got 0.5"),
        ({"metrics": lambda model: {"r2": "a"}}, r"'r2' in metrics\(...\) of the task 'mine' must be one number"),
        ({"test": lambda model: [1]}, r"test\(...\) of the task 'mine' must be figures by name, got \[1\]"),
    ],
)
def test_what_a_part_gives_back_is_checked_where_it_comes(parts, said):
    with pytest.raises((TypeError, ValueError), match=said) as caught:
        train(mine(**parts), lr=0.1)
    assert "\n" not in str(caught.value)


def test_batches_take_the_generator_and_a_size_if_there_is_one():
    with pytest.raises(TypeError, match=r"a function of \(generator, batch_size\).* since batch_size is given"):
        mine(batch_size=4)
    with pytest.raises(TypeError, match=r"a function of \(generator\).* since batch_size is left out"):
        mine(batches=lambda generator, size: itertools.repeat(X))
    assert mine(batch_size=4, batches=lambda *both: itertools.repeat(X)).batch_size == 4
    assert mine(batches=max).batches is max  # what does not say how it is called is left to the call


def test_figures_are_numbers_whatever_carries_them():
    trained = train(
        mine(metrics=lambda model: {"a": torch.tensor(2.0), "b": 3}, score=lambda model: torch.ones(())), lr=0.1
    )
    assert (trained.metrics, trained.score) == ({"a": 2.0, "b": 3.0}, 1.0)
    assert all(type(value) is float for value in trained.metrics.values())


BROKEN = {"batches": lambda generator: itertools.repeat(X * math.nan)}


def test_a_first_loss_that_is_not_finite_is_not_the_rates_fault():
    trained = train(mine(**BROKEN), lr=0.1)
    assert trained.diverged
    assert len(trained.losses) == 1
    assert trained.complaint == (
        "the training loss is nan at the first step, before anything was changed: look at the data and the model, "
        "not at the rate"
    )
    finding = find(mine(**BROKEN), low=0.01, high=1.0)
    assert finding.rate is None
    assert finding.verdict == "the loss is nan before any training; look at the data and the model"


def test_every_figure_that_is_not_finite_is_said_and_a_good_run_says_nothing():
    assert train(mine(), lr=0.1).complaint == ""
    assert "try a lower rate" in train(mine(), lr=1e30).complaint
    assert train(mine(), lr=1e30).complaint.startswith("diverged: the training loss was not finite at step")
    assert train(mine(score=lambda model: math.nan), lr=0.1).complaint.startswith("the score is not finite")
    bad = {"metrics": lambda model: {"validation_loss": math.nan, "r2": 0.3}}
    assert train(mine(**bad), lr=0.1).complaint.startswith("validation_loss is not finite, though the training loss is")
    assert not train(mine(**bad), lr=0.1).diverged


FILE = """
import itertools, math, torch
from stepsize import Task
x = torch.linspace(-1, 1, 8).unsqueeze(1)
def make(name, **parts):
    return Task(**{
        "name": name,
        "model": lambda: torch.nn.Linear(1, 1),
        "batches": lambda generator: itertools.repeat(x),
        "loss": lambda model, batch: (model(batch) - 1).square().mean(),
        "optimizer": lambda parameters, lr: torch.optim.SGD(parameters, lr=lr),
        "score": lambda model: float(model(x).square().mean()),
        "metrics": lambda model: {"validation_loss": 0.5},
        "steps": 40,
        **parts,
    })
task = make("mine")
nan = make("nan", batches=lambda generator: itertools.repeat(x * math.nan))
pair = make("pair", metrics=lambda model: 3)
labels = make(
    "labels", model=lambda: torch.nn.Linear(1, 2),
    loss=lambda model, batch: torch.nn.functional.cross_entropy(model(batch), torch.full((8,), 7)),
)
nothing_there = make("nothing", optimizer=lambda parameters, lr: torch.optim.Adamm(parameters, lr=lr))
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mistakes.py").write_text(FILE)


def refused(capsys, words, code, *said):
    assert run(words.split()) == code
    captured = capsys.readouterr()
    both = captured.out + captured.err
    for part in said:
        assert part in both, both
    assert "Traceback" not in both
    return both


@pytest.mark.usefixtures("file")
def test_mistakes_of_a_first_try_at_the_command_line(capsys):
    refused(capsys, "train mistakes.py:nan --lr 0.1 --out a", 1, "the training loss is nan at the first step")
    assert json.loads(Path("a/run.json").read_text())["status"] == "diverged"
    refused(capsys, "tune mistakes.py:nan --out b", 1, "no usable rate: the loss is nan before any training")
    refused(capsys, "train mistakes.py:pair --lr 0.1 --out c", 2, "must be figures by name, got 3")
    assert "figures by name" in json.loads(Path("c/run.json").read_text())["status"]
    refused(capsys, "train mistakes.py:labels --lr 0.1 --out d", 1, "mistakes.py", "Target 7 is out of bounds")
    refused(capsys, "train mistakes.py:nothing_there --lr 0.1 --out e", 1, "has no attribute 'Adamm'")
    refused(capsys, "train mistakes.py:task --lr 0.1 --batch-size 4", 2, "takes no batch_size")
    refused(capsys, "train mistakes.py:task --lr 0.1 --batch-size 4 --steps 3 --out f", 2, "takes no batch_size")
    refused(capsys, "train mistakes.py:tusk --lr 0.1", 2, "did you mean 'task'")


@pytest.mark.usefixtures("file")
def test_a_checkpoint_of_another_run_or_a_broken_one_is_refused_and_left(capsys):
    assert run(["train", "mistakes.py:task", "--lr", "0.1", "--steps", "12", "--out", "a"]) == 0
    assert run(["train", "mistakes.py:task", "--lr", "0.2", "--steps", "12", "--out", "b"]) == 0
    capsys.readouterr()
    mine, other = Path("a/last.pt"), Path("b/last.pt").read_bytes()
    kept = mine.read_bytes()
    mine.write_bytes(other)
    refused(
        capsys, "train --resume a", 2, "lr 0.2", "and this is the task 'mine' with lr 0.1", "what it was begun with"
    )
    assert mine.read_bytes() == other
    mine.write_bytes(kept[:50])
    refused(capsys, "train --resume a", 2, "cannot be read as a checkpoint")
    mine.write_bytes(kept)
    assert run(["train", "--resume", "a"]) == 0
    facts = json.loads(Path("a/run.json").read_text())
    assert (facts["status"], facts["done"]) == ("finished", 12)


@pytest.mark.usefixtures("file")
def test_a_file_that_has_changed_since_is_refused_by_its_content_and_by_its_weights(capsys):
    assert run(["train", "mistakes.py:task", "--lr", "0.1", "--steps", "12", "--out", "a"]) == 0
    Path("mistakes.py").write_text(FILE.replace("torch.nn.Linear(1, 1)", "torch.nn.Linear(1, 3)"))
    capsys.readouterr()
    refused(capsys, "train --resume a", 2, "the task of a is not what it was: mistakes.py has changed")
    accepted = "train --resume a --accept-changes"
    refused(capsys, accepted, 2, "a/last.pt cannot be gone on with: state does not fit", "of shape (3, 1)")
    assert json.loads(Path("a/run.json").read_text())["status"] == "finished"


def test_devices_and_words_that_do_not_go_with_a_task(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for words, said in {
        "train digits --lr 0.1 --device gpu": "device must be a device of torch",
        "train frozenlake --lr 0.1 --amp": "trains by itself and takes no amp",
        "train frozenlake --lr 0.1 --clip 1": "the task 'frozenlake' takes no clip, but lr, schedule; leave it out",
        "train frozenlake --lr 0.1 --batch-size 3": "the task 'frozenlake' takes no batch_size, but lr, schedule",
        "train quadratic --lr 0.1 --epochs 3": "the length of an epoch of 'quadratic' is not known",
        "train digits --lr 0.1 --batch-size 2000": "batch_size must be at most 1,437",
        "train linear-regression --lr 0.1 --batch-size 354": "batch_size must be at most 353",
        "train digits --lr 0.1 --accumulate 0": "--accumulate",
        "train digits --lr 0.1 --epochs 0": "epochs must be a finite number > 0, got 0",
        "train digits --lr 0.1 --epochs nan": "epochs must be a finite number > 0, got nan",
    }.items():
        refused(capsys, words, 2, said)
    assert not list(tmp_path.iterdir())


def test_the_rate_of_a_good_task_is_found_as_before():
    finding = find(replace(task_named("linear-regression"), steps=40))
    assert finding.rate is not None
