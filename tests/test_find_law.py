"""Laws from small runs that are planned and trained: known laws are found, and nothing is lost."""

import csv
import json
import math

import pytest
import torch
from torch import nn

from stepsize import Task
from stepsize.cli import run
from stepsize.engine import serial
from stepsize.scale import find_law
from stepsize.task import Axis, task_named

pytestmark = pytest.mark.usefixtures("blank_pictures")


class Bowl(nn.Module):
    def __init__(self, steep=1.0, colour=1.0):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, dtype=torch.float64))
        self.steep = steep


def slope(model, _):
    """Every step moves the weight by the rate."""
    return -model.weight.sum()


def height(model):
    return 1 + 0.1 * math.log(float(model.weight) * model.steep) ** 2


def bowl(**more):
    """In three steps the weight is to come to one over ``steep``, so that the best rate is a third of that."""
    axes = {"steep": Axis.number(least=0), "colour": Axis.number(least=0)}
    given = {
        "name": "bowl",
        "model": Bowl,
        "batches": lambda _: iter(lambda: torch.ones(1), None),
        "loss": slope,
        "optimizer": lambda parameters, lr: torch.optim.SGD(parameters, lr=lr),
        "score": height,
        "schedule": "constant()",
        "steps": 3,
    }
    return Task(**given | more, axes=axes)


OVER, AT = {"steep": [1.0, 2.0, 4.0]}, {"steep": 16.0}


def test_a_known_law_is_found_and_verified_at_the_target():
    found = find_law(bowl(), OVER, AT, verify=True, engine=serial)
    mean, deviation = found.law.exponents()["steep"]
    assert abs(mean + 1) < 2 * deviation < 0.8
    assert found.verified.inside
    assert abs(found.verified.residual) < math.log(2)
    assert found.verified.excess < 0.05
    assert found.verified.lr == pytest.approx(1 / 48, rel=0.2)
    assert found.prediction.doubts == ()


@pytest.mark.slow
def test_a_run_that_was_interrupted_goes_on_to_what_it_would_have_been(tmp_path):
    def rows(folder):
        with (folder / "runs.csv").open(newline="") as file:
            return sorted(csv.reader(file))

    whole = find_law(bowl(), OVER, AT, folder=tmp_path / "whole", engine=serial)

    for stop in (2, 4, 5, 8):

        def press(done, total, note, stop=stop):
            if done == stop:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            find_law(bowl(), OVER, AT, folder=tmp_path / str(stop), engine=serial, progress=press)
        assert len(rows(tmp_path / str(stop))) == stop + 1
        again = find_law(bowl(), OVER, AT, folder=tmp_path / str(stop), engine=serial)
        assert rows(tmp_path / str(stop)) == rows(tmp_path / "whole")
        assert again.prediction == whole.prediction

    def never(*_):
        raise AssertionError("nothing is left to train")

    find_law(bowl(), OVER, AT, folder=tmp_path / "whole", engine=lambda task, trials: map(never, trials))


@pytest.mark.slow
def test_values_that_are_chosen_keep_within_the_budget():
    task = bowl()
    for budget, most in (("0.5x", 0.5), ("2x", 2.0), (None, 1.0)):
        found = find_law(
            task, {"steps": None, "steep": None}, {"steps": 512, "steep": 2.0}, budget=budget, engine=serial
        )
        assert 0.1 < found.price <= 1.5 * most  # four rates a point are expected, and three to six come
        assert max(found.runs["steps"]) < 512


@pytest.mark.parametrize(
    ("over", "at", "more", "words"),
    [
        ({"batch_size": [8, 16, 2000]}, {"batch_size": 64}, {}, "batch_size of over must be at most the data's 1437"),
        ({"batch_size": [8, 16]}, {"batch_size": 6400}, {}, "batch_size of at must be at most the data's 1437"),
        ({"width": [8, 16]}, {"width": 64}, {}, "at has 'width', which is no axis"),
        ({"steps": [8, 16]}, {"batch_size": 64}, {}, "at must be a number for each of steps"),
        ({"steps": [8, 16]}, {"steps": 32, "epochs": 3}, {}, "steps and epochs, which both say how long"),
        ({"steps": [8, 16]}, {"steps": 32}, {"budget": "0.1x"}, "budget must be at least 3x for these axes"),
        ({"steps": [8, 16]}, {"steps": 32}, {"epochs": 2}, "epochs must be left out where something else"),
        ({"batch_size": [8, 16]}, {"batch_size": 32}, {"batch_size": 8}, "batch_size is what the runs differ in"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_trained(over, at, more, words):
    with pytest.raises(ValueError, match=words):
        find_law(task_named("digits-mlp"), over, at, engine=lambda *_: pytest.fail("trained"), **more)


def test_an_axis_that_changes_nothing_is_said():
    found = find_law(bowl(), {"colour": [1.0, 2.0]}, {"colour": 4.0}, engine=serial)
    runs = found.runs
    alike = {lr: {loss for each, loss in zip(runs["lr"], runs["loss"], strict=True) if each == lr} for lr in runs["lr"]}
    assert all(len(losses) == 1 for losses in alike.values())
    assert any("colour changes nothing" in doubt for doubt in found.prediction.doubts)


def test_a_target_below_the_runs_is_doubted():
    found = find_law(bowl(), {"steep": [4.0, 8.0]}, {"steep": 1.0}, engine=serial)
    assert any("steep 1 is below all the runs" in doubt for doubt in found.prediction.doubts)


def test_runs_that_all_break_are_an_error():
    broken = bowl(loss=lambda model, batch: slope(model, batch) * math.nan, score=lambda model: math.nan)
    with pytest.raises(ValueError, match="every run broke or none learnt at steep 1"):
        find_law(broken, OVER, AT, engine=serial)


def test_a_folder_of_other_runs_is_refused(tmp_path):
    find_law(bowl(), {"steep": [1.0, 2.0]}, {"steep": 4.0}, folder=tmp_path, engine=serial)
    with pytest.raises(ValueError, match="holds runs over steep; choose another folder"):
        find_law(bowl(), {"steps": [4, 8]}, {"steps": 16}, folder=tmp_path, engine=serial)
    with pytest.raises(ValueError, match="holds runs of another task or seed"):
        find_law(bowl(), {"steep": [1.0, 2.0]}, {"steep": 4.0}, folder=tmp_path, engine=serial, seed=3)


def test_the_command_plans_trains_draws_and_answers(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = "linear-regression --over steps --at steps=160 --budget 2x --verify --engine serial --json"
    assert run(["scale", *words.split()]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["low"] < answer["lr"] < answer["high"]
    assert {"inside", "lr", "residual", "excess"} == set(answer["verified"])
    assert (tmp_path / "scales" / "linear-regression-0001" / "scale.png").exists()
    again = ["scale", "--runs", f"{answer['folder']}/runs.csv", "--over", "steps", "--at", "steps=160", "--json"]
    assert run(again) == 0
    assert json.loads(capsys.readouterr().out)["runs"] > answer["runs"]  # the target's own are among them


TASK_FILE = """
import math
from pathlib import Path

import torch
from torch import nn

from stepsize import Task

model = lambda: nn.Linear(1, 1, bias=False)


def score(model):
    if Path("press").exists() and len(Path("press").read_text()) == 4:
        raise KeyboardInterrupt
    if Path("press").exists():
        Path("press").write_text(Path("press").read_text() + ".")
    return 1 + float((model.weight - 1).square())


task = Task(
    "line", model, lambda _: iter(lambda: torch.ones(1, 1), None),
    lambda model, x: (model(x) - 1).square().mean(), lambda weights, lr: torch.optim.SGD(weights, lr=lr), score,
    steps=8,
)
"""


def test_a_line_that_a_kill_cut_is_run_again(tmp_path):
    """Wherever in its last line, or in its first, the file ends: the same runs in the end, and a note."""
    whole = find_law(bowl(), OVER, AT, folder=tmp_path / "whole", engine=serial)
    held = (tmp_path / "whole" / "runs.csv").read_bytes()
    last = held[:-2].rindex(b"\n") + 1
    for number, end in enumerate((7, last + 1, last + 9, len(held) - 3, len(held) - 1)):
        folder, notes = tmp_path / str(number), []
        folder.mkdir()
        (folder / "runs.csv").write_bytes(held[:end])
        found = find_law(
            bowl(), OVER, AT, folder=folder, engine=serial, progress=lambda _, __, note, to=notes: to.append(note)
        )
        assert found.runs == whole.runs
        assert found.prediction == whole.prediction
        assert (folder / "runs.csv").read_bytes() == held
        assert sum("cut off" in note for note in notes) == 1


def test_ctrl_c_says_how_to_go_on_and_that_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "line.py").write_text(TASK_FILE)
    (tmp_path / "press").write_text("")
    words = ["scale", "line.py", "--over", "steps=2|4|8", "--at", "steps=32", "--engine", "serial", "--out", "kept"]
    assert run(words) == 130
    error = capsys.readouterr().err
    assert "runs are in kept, the same command with --out kept goes on" in error
    with (tmp_path / "kept" / "runs.csv").open() as file:
        before = file.read()
    (tmp_path / "press").unlink()
    assert run(words) == 0
    with (tmp_path / "kept" / "runs.csv").open() as file:
        assert file.read().startswith(before)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("digits --at steps=3", "give --over and --at"),
        ("digits --batch --over steps", "--batch goes with a task and --lr"),
        ("frozenlake --batch --lr 0.1", "has no batch size that could be another"),
        ("digits --batch --lr 0.1 --rule none", "rule must be 'sqrt' or 'linear'"),
        ("digits --lr 0.1 --over steps --at steps=80", "--lr is for --batch"),
        ("--over steps --at steps=3", "give a task, whose small runs are trained, or your own runs by --runs"),
        ("digits --runs a.csv --over N --at N=3", "and one of the two"),
        ("--runs a.csv --over N --at N=3 --verify", "--verify is for a task's runs"),
        ("--runs a.csv --over N --at N=3 --batch-size 8", "--batch-size is for a task's runs"),
        ("digits --over steps --at steps=80 --rate bs", "--rate is for --runs"),
        ("digits --over steps=a|b --at steps=80", "--over steps must be numbers with bars between"),
        ("digits --over steps,steps --at steps=80", "--over must be axes, each once"),
        ("digits --over steps=8|16 --at steps=80 --budget 0.1x", "budget must be at least"),
    ],
)
def test_words_that_do_not_fit_are_refused_in_one_line(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["scale", *words.split()]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
    assert not list(tmp_path.glob("scales/*"))
