"""Axes: one table for what a trial may set, axes of a task's own beside ours, and a rate's walk to the optimizer."""

import inspect
import json
import os
import shutil
import sys
import traceback
from pathlib import Path

import pytest
import torch
from children import ran

from stepsize import Plan, Task, Trial, train, verify
from stepsize.cli import run
from stepsize.engine import Batched, Processes, serial
from stepsize.finder import find, find_plan
from stepsize.schedule import Schedule, from_function
from stepsize.sweeps import Sweep, sweep
from stepsize.task import AXES, Axis, check_takes, table_of, task_named
from stepsize.task._own import RESERVED

pytestmark = pytest.mark.usefixtures("blank_pictures")

# what each of our axes is set to here; a new one needs a row, or the tests below fail
VALUES = {
    "lr": 0.1,
    "schedule": "cosine()",
    "warmup": 5.0,
    "clip": 0.5,
    "guard": "guard(check=3)",
    "optimizer": "adamw",
    "weight_decay": 0.3,
    "momentum": 0.5,
    "batch_size": 16,
}
NET = """
import itertools
import torch
from stepsize import Task
from stepsize.task import Axis

X = torch.linspace(-1, 1, 32).unsqueeze(1)


def model(width=4, relu=True):
    return torch.nn.Sequential(
        torch.nn.Linear(1, width), torch.nn.ReLU() if relu else torch.nn.Tanh(), torch.nn.Linear(width, 1)
    )


def batches(generator, noise=0.0):
    while True:
        yield X, X.sin() + noise * torch.randn(32, 1, generator=generator)


def loss(model, batch, power=2.0):
    return (model(batch[0]) - batch[1]).abs().pow(power).mean()


def optimizer(parameters, lr):
    return torch.optim.SGD(parameters, lr=lr)


task = Task(
    name="net", model=model, batches=batches, loss=loss, optimizer=optimizer, steps=20,
    metrics=lambda model: {"weights": float(sum(p.numel() for p in model.parameters()))},
    axes={
        "width": Axis.whole(least=1, candidates=(2, 8), about="hidden units"),
        "relu": Axis.one_of(True, False),
        "noise": Axis.number(least=0, below=1),
        "power": Axis.number(least=1),
    },
)
"""


@pytest.fixture
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "net.py").write_text(NET)
    yield tmp_path
    sys.modules.pop("net", None)


def facts_of(folder):
    return json.loads((Path(folder) / "run.json").read_text())


def line(**more):
    x = torch.linspace(-1, 1, 32).unsqueeze(1)
    parts = {
        "name": "line",
        "model": lambda: torch.nn.Linear(1, 1),
        "batches": lambda generator: iter(lambda: (x, 3 * x), None),
        "loss": lambda model, batch: (model(batch[0]) - batch[1]).square().mean(),
        "optimizer": lambda parameters, lr: torch.optim.SGD(parameters, lr=lr),
        "steps": 20,
    }
    return Task(**{**parts, **more})


# what was wrong before there was one table


@pytest.mark.parametrize(("over", "axis"), [("weight_decay=0.5|0.3", "weight_decay"), ("momentum=0.5|0.3", "momentum")])
def test_what_a_search_of_plans_chose_is_trained(over, axis, in_a_folder, capsys):
    assert run(["tune", "linear-regression", "--over", over, "--steps", "40", "--out", "a"]) == 0
    facts = facts_of("a")
    settings = {"lr": facts["rate"], axis: facts["said"][axis], "guard": "guard()"}
    assert facts["trial"] == Trial("linear-regression", settings, 0, 40).key


def test_every_axis_can_be_trained():
    task = task_named("digits")
    assert VALUES.keys() == AXES.keys()
    trained = train(task, steps=10, **VALUES)
    assert trained.trial.settings == VALUES
    assert train(task, Trial.of(task, VALUES, steps=10)).losses == trained.losses
    for axis in AXES.keys() - {"lr", "guard"}:  # and each changes what is trained, but a guard of a run that needs none
        assert train(task, lr=0.1, steps=10, **{axis: VALUES[axis]}).losses != train(task, lr=0.1, steps=10).losses


def test_a_trial_is_given_alone():
    task = task_named("digits")
    with pytest.raises(ValueError, match="trial says all that is set, and clip came beside it"):
        train(task, Trial("digits", {"lr": 0.1}, steps=5), clip=1.0)
    with pytest.raises(TypeError, match="lr must be the rate, got None"):
        train(task, clip=1.0)
    with pytest.raises(TypeError, match="train has no argument 'schedul'; did you mean 'schedule'"):
        train(task, lr=0.1, schedul="cosine()")
    with pytest.raises(ValueError, match="the task 'frozenlake' takes no clip, but lr, schedule; leave it out"):
        train(task_named("frozenlake"), lr=0.1, clip=1.0)


def test_a_schedule_of_a_task_is_a_factor():
    for schedule in ("absolute(constant(value=0.1))", Schedule.parse("absolute(cosine())")):
        with pytest.raises(ValueError, match="schedule must be one schedule, a factor of the trial's lr"):
            line(schedule=schedule)


def test_a_function_can_be_the_schedule_of_a_task(tmp_path):
    ramp = from_function(lambda t: 1 / (1 + t), name="ramp")
    task = line(schedule=ramp)
    run = task.start(Trial("line", {"lr": 0.5}, 0, 20))
    assert run.control.preview([0, 1, 3]).rates["group0"].tolist() == [0.5, 0.25, 0.125]
    whole = train(task, lr=0.5)
    for steps in (5, 20):  # a shorter run has it squeezed
        assert len(train(task, lr=0.5, steps=steps).losses) == steps
    train(task, lr=0.5, folder=tmp_path / "a")
    assert train(task, lr=0.5, folder=tmp_path / "a", resume=True).losses == whole.losses
    assert find(task, budget=100).rate is not None


@pytest.mark.parametrize("command", ["train", "tune", "find", "sweep"])
@pytest.mark.parametrize("name", ["linear-regression", "digits", "frozenlake"])
def test_data_is_refused_where_no_task_reads_it(command, name, in_a_folder, capsys):
    rate = ["--lr", "0.1"] if command in ("train", "sweep") else []
    assert run([command, name, *rate, "--data", str(in_a_folder)]) == 2
    assert f"the task '{name}' reads no data from a folder; leave --data out" in capsys.readouterr().err
    assert not Path("runs").exists()
    assert not Path("sweeps").exists()


# keys and the table


@pytest.mark.parametrize(
    ("trial", "key"),
    [  # computed by the stepsize before the table
        (("digits", {"lr": 0.1}, 0, 400), "2f6128bb3984fead"),
        (
            (
                "digits",
                {
                    "lr": 1,
                    "schedule": "warmup( 10 )>>cosine()",
                    "warmup": "5%",
                    "clip": 1,
                    "optimizer": "sgd(momentum=.9)",
                    "weight_decay": 0.01,
                    "momentum": 0.8,
                    "batch_size": 16,
                },
                3,
                40,
            ),
            "fc81debeacb23014",
        ),
        (("linear-regression", {"lr": 0.397, "clip": "linear()", "warmup": 0}, 0, 40), "52c9d402da238be9"),
    ],
)
def test_keys_are_what_they_were(trial, key):
    assert Trial(*trial).key == key
    assert Trial.of(task_named(trial[0]), *trial[1:]).key == key


PLUGIN = """
import json
from stepsize import _check
from stepsize.task import AXES, Axis


def put(parts, value):
    parts["cap"] = value


def check(name, value):
    return _check.number(name, value, above=0)


AXES["cap"] = Axis(check, (None, 0.01), "The largest rate.", "0.01,1", applies="rate", plan=put)
from stepsize.cli import run

for words in WORDS:
    assert run(words.split()) == 0, words
"""
WORDS = [
    "train --help",
    "train linear-regression --steps 30 --lr 0.1 --cap 0.02 --out a",
    "train --resume a",
    "sweep linear-regression --steps 30 --lr 0.1 --seeds 1 --cap 0.02,0.05 --engine serial --out b",
    "find linear-regression --steps 30 --cap 0.02 --out c",
    "tune linear-regression --steps 30 --over cap --out d",
]


@pytest.mark.slow
def test_a_new_axis_is_one_row(in_a_folder):
    program = PLUGIN.replace("WORDS", repr(WORDS))
    done = ran(["-c", program])
    assert done.returncode == 0, done.stderr
    assert "The largest rate." in done.stdout  # of --help
    facts = facts_of("a")
    assert facts["plan"] == "lr: warmup(5%) >> cosine()\ncap: 0.02"
    assert facts["said"]["cap"] == 0.02
    assert facts["status"] == "finished"
    rates = [json.loads(each)["rate"] for each in Path("a/metrics.jsonl").read_text().splitlines()]
    assert max(rates) == 0.02
    assert Path("a/picture.png").stat().st_size > 10_000
    rows = {row["cap"]: row["loss"] for row in Sweep.open("b").rows()}
    assert rows.keys() == {0.02, 0.05}
    assert rows[0.02] != rows[0.05]
    assert {json.loads(each)["cap"] for each in Path("c/trials.jsonl").read_text().splitlines()} == {0.02}
    assert {each.get("cap") for each in json.loads(Path("d/plans.json").read_text())["plans"]} == {None, 0.01}


# axes of a task's own


def test_settings_of_a_tasks_own_reach_its_functions(in_a_folder):
    task = task_named("net.py")
    assert [*table_of(task)][-4:] == ["width", "relu", "noise", "power"]
    assert "batch_size" not in table_of(task)
    plain = train(task, lr=0.1)
    assert plain.metrics["weights"] == 13
    assert train(task, lr=0.1, width=8).metrics["weights"] == 25
    for setting in ({"relu": False}, {"noise": 0.5}, {"power": 1}):
        assert train(task, lr=0.1, **setting).losses != plain.losses
    given = {"width": 4, "relu": True, "noise": 0, "power": 2}  # the defaults, said
    assert train(task, lr=0.1, **given).losses == plain.losses


def test_own_axes_are_in_keys_and_checked():
    task = line(model=lambda bias=True: torch.nn.Linear(1, 1, bias=bias), axes={"bias": Axis.one_of(True, False)})
    trial = Trial.of(task, {"lr": 0.1, "bias": False})
    assert trial.key != Trial.of(task, {"lr": 0.1}).key
    assert trial == Trial(task, {"bias": False, "lr": 0.1})
    with pytest.raises(ValueError, match="settings has 'bias', which is not an axis"):
        Trial("line", {"lr": 0.1, "bias": False})
    with pytest.raises(ValueError, match="bias must be one of True, False, got 3"):
        Trial.of(task, {"lr": 0.1, "bias": 3})
    with pytest.raises(ValueError, match="settings has 'bia', which is not an axis; did you mean 'bias'"):
        Trial.of(task, {"lr": 0.1, "bia": True})
    with pytest.raises(ValueError, match="there is no axis 'bias'"):
        line().start(trial)
    check_takes(task, ["lr", "bias"])


@pytest.mark.parametrize(
    ("axes", "error"),
    [
        (3, "axes must be a mapping by name"),
        ({"bias": 3}, "must be an Axis, got 3"),
        (
            {"bias": Axis.one_of(True, False), "colour": Axis.one_of("red")},
            "'colour', which no function of the task takes",
        ),
        ({"clip": Axis.number()}, "a name in axes must be one that nothing else has, got 'clip'"),
        ({"folder": Axis.number()}, "a name in axes must be one that nothing else has, got 'folder'"),
        ({"a b": Axis.number()}, "a name in axes must be one that a function's parameter can have, got 'a b'"),
        ({"class": Axis.number()}, "a function's parameter can have, got 'class'"),
    ],
)
def test_axes_that_are_none(axes, error):
    with pytest.raises((TypeError, ValueError), match=error):
        line(model=lambda bias=True: torch.nn.Linear(1, 1, bias=bias), axes=axes)


def test_no_axis_is_called_like_an_argument_of_what_takes_axes():
    for function in (train, find, find_plan, sweep, verify, Trial):
        assert inspect.signature(function).parameters.keys() - AXES.keys() <= RESERVED


def test_a_function_needs_a_default_for_trials_that_say_nothing():
    with pytest.raises((TypeError, ValueError), match="loss"):
        line(loss=lambda model, batch, power: 0, axes={"power": Axis.number()})


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: Axis(3), "check must be a function of"),
        (lambda: Axis.whole(least=1, candidates=(0,)), "candidates must be a whole number >= 1, got 0"),
        (lambda: Axis(lambda name, value: value, candidates="ab"), "candidates must be several values"),
        (lambda: Axis(lambda name, value: [value], candidates=(1,)), "canonical form of candidates"),
        (lambda: Axis.whole(candidates=3), "candidates must be several values, got 3"),
        (lambda: Axis.number(least=2, below=1), "below must be above least, 2, got 1"),
        (lambda: Axis.one_of(), r"Axis.one_of needs values, got none; write for example"),
        (lambda: Axis.number(below=1).canonical("dropout", 1), "dropout must be below 1, got 1"),
    ],
)
def test_an_axis_that_is_none(make, error):
    with pytest.raises((TypeError, ValueError), match=error):
        make()


def test_own_axes_in_every_engine(in_a_folder, quick_workers):
    task = task_named("net.py")
    trials = [
        Trial.of(task, {"lr": lr, "width": w, "power": p}, 0, 10) for lr in (0.1, 0.2) for w in (4, 8) for p in (1, 2)
    ]
    alone = {result.trial.key: result for result in serial(task, trials)}
    assert len({tuple(result.losses) for result in alone.values()}) == len(trials)
    for engine, close in ((Processes(1), 0), (Batched(), 1e-5)):
        found = {result.trial.key: result for result in engine(task, trials)}
        assert found.keys() == alone.keys()
        for key, result in found.items():
            assert result.losses == pytest.approx(alone[key].losses, rel=close, abs=close)
            assert result.trial.settings == alone[key].trial.settings


def test_own_axes_in_sweeps_and_searches(in_a_folder):
    task = task_named("net.py")
    swept = sweep(task, [0.1], seeds=1, folder="s", width=[None, 2, 8], relu=False, engine=serial)
    assert {row.get("width") for row in swept.rows()} == {None, 2, 8}
    assert {row["relu"] for row in Sweep.open("s").rows()} == {False}
    assert [curve.name for curve in swept.curves()] == ["relu False", "relu False, width 2", "relu False, width 8"]
    assert find(task, width=8, budget=60).results[0].trial.settings["width"] == 8
    found = find_plan(task, {"width": None, "relu": [True, False]}, budget=200)
    assert {tuple(entry.settings.values()) for entry in found.entries} == {
        (w, r) for w in (2, 8) for r in (True, False)
    }
    with pytest.raises(TypeError, match="find has no argument 'widht'; did you mean 'width'"):
        find(task, widht=8)


def test_own_axes_on_the_command_line(in_a_folder, capsys):
    assert run(["train", "net.py", "--lr", "0.1", "--set", "width=8", "--set", "relu=false", "--out", "a"]) == 0
    facts = facts_of("a")
    assert facts["said"]["set"] == {"relu": False, "width": 8}
    task = task_named("net.py")
    assert facts["trial"] == Trial.of(task, {"lr": 0.1, "width": 8, "relu": False}, 0, 20).key
    assert facts["metrics"]["weights"] == 25
    assert run(["train", "--resume", "a"]) == 0
    assert facts_of("a")["trial"] == facts["trial"]
    assert (
        run(
            ["sweep", "net.py", "--lr", "0.1", "--set", "width=2,8", "--seeds", "1", "--engine", "serial", "--out", "b"]
        )
        == 0
    )
    assert [row["width"] for row in Sweep.open("b").rows()] == [2, 8]
    assert run(["tune", "net.py", "--over", "width", "--set", "noise=0.1", "--budget", "200", "--out", "c"]) == 0
    facts = facts_of("c")
    assert facts["said"]["set"].keys() == {"width", "noise"}
    settings = {"lr": facts["rate"], "guard": "guard()", **facts["said"]["set"]}
    assert facts["trial"] == Trial.of(task, settings, 0, 20).key
    assert run(["tune", "net.py", "--over", "relu=true|false,width=3", "--budget", "200", "--out", "d"]) == 0
    assert facts_of("d")["said"]["set"]["width"] == 3


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--set", "width"], "--set must be NAME=VALUE, got 'width'"),
        (["--set", "width=0"], "width must be a whole number >= 1, got 0"),
        (["--set", "width=a"], "width must be a whole number >= 1, got 'a'"),
        (["--set", "widht=2"], "there is no axis 'widht'; did you mean 'width'"),
        (["--set", "width=2", "--set", "width=3"], "--set has 'width' twice"),
        (["--set", "clip=1", "--clip", "1"], "--set has 'clip', which --clip says"),
        (["--set", "lr=1"], "--set has 'lr', which --lr says"),
    ],
)
def test_settings_that_are_none(words, error, in_a_folder, capsys):
    assert run(["train", "net.py", "--lr", "0.1", *words]) == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert error in told
    assert not Path("runs").exists()


def test_a_figure_is_not_called_like_an_axis():
    task = line(
        model=lambda bias=True: torch.nn.Linear(1, 1, bias=bias),
        axes={"bias": Axis.one_of(True, False)},
        metrics=lambda model: {"bias": 1.0},
    )
    with pytest.raises(ValueError, match="must not be called 'bias'"):
        train(task, lr=0.1)


# the walk of a rate


def test_a_text_is_read_twice_and_one_trial_and_one_plan_are_built(in_a_folder, monkeypatch, capsys):
    text, counts = "warmup(7) >> cosine(end=0.01)", {"read": 0, "trial": 0, "plan": 0}

    def counted(name, function, is_counted):
        def call(*args, **named):
            counts[name] += is_counted(*args) and not is_drawn()
            return function(*args, **named)

        return call

    def is_drawn():  # picture and page are made of the record afterwards, and read the text that stands there
        return any(f"{os.sep}views{os.sep}" in frame.filename for frame in traceback.extract_stack())

    def is_no_copy(*_):  # as a plan in numbers of steps is, of which Control keeps one and two are for checks
        return sys._getframe(2).f_code.co_name not in ("changed", "over")

    read = counted("read", Schedule.parse, lambda said: said == text)
    monkeypatch.setattr(Schedule, "parse", staticmethod(read))
    monkeypatch.setattr(Trial, "__post_init__", counted("trial", Trial.__post_init__, lambda _: True))
    monkeypatch.setattr(Plan, "__init__", counted("plan", Plan.__init__, is_no_copy))
    assert run(["train", "linear-regression", "--lr", "0.1", "--schedule", text, "--steps", "20", "--out", "a"]) == 0
    assert counts == {"read": 2, "trial": 1, "plan": 1}


# what was written before there was the table


def test_a_run_and_a_sweep_from_before_the_table_go_on(tmp_path, monkeypatch, capsys):
    shutil.copytree(Path(__file__).parent / "fixtures" / "axes", tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    before = facts_of("run")
    assert run(["train", "--resume", "run"]) == 0
    after = facts_of("run")
    assert (after["trial"], after["plan"], after["said"]) == (before["trial"], before["plan"], before["said"])
    assert after["metrics"] == pytest.approx(before["metrics"], rel=1e-4)
    rows = Sweep.open("sweep").rows()
    assert {(row["rate"], row["weight_decay"]) for row in rows} == {(0.05, 0), (0.05, 0.1), (0.1, 0), (0.1, 0.1)}
    words = "sweep linear-regression --lr 0.05,0.1,0.2 --weight-decay 0,0.1 --schedule cosine() --seeds 1 --steps 20"
    assert run([*words.split(), "--engine", "serial", "--out", "sweep"]) == 0
    again = Sweep.open("sweep").rows()
    assert len(again) == 6
    assert [row for row in again if row["rate"] != 0.2] == rows  # nothing was trained twice
