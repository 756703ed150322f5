"""A run goes on with the task it was begun with, and follows nothing that others have put into its folder."""

import itertools
import json
import os
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from children import ran

from stepsize import Task, sweep, train
from stepsize.cli import run
from stepsize.engine import serial
from stepsize.task import TaskChangedWarning, task_named

pytestmark = pytest.mark.usefixtures("blank_pictures")

TASK = """
import itertools
from pathlib import Path
import torch
from stepsize import Task
from parts import SCALE, loss
with Path({seen!r}).open("a") as file:
    file.write(__file__ + "\\n")
x = torch.linspace(-1, 1, 8).unsqueeze(1)
y = 3 * x
task = Task(
    name="line",
    model=lambda: torch.nn.Linear(1, 1),
    batches=lambda generator: itertools.repeat((x, y), 10**9),
    loss=lambda model, batch: SCALE * loss(model(batch[0]), batch[1]),
    optimizer=lambda parameters, lr: torch.optim.AdamW(parameters, lr=lr, betas=(0.9, 0.999)),
    score=lambda model: float((model(x) - y).square().mean()),
    metrics=lambda model: {{"validation_loss": float((model(x) - y).square().mean())}},
    steps=20,
    facts={{"slope": 3}},
)
"""
PARTS = """
from package.inner import MORE
SCALE = 1.0
def loss(found, wanted):
    import later
    return (found - wanted).square().mean() + later.NOTHING * MORE
"""


def project(place, seen):
    (place / "package").mkdir(parents=True)
    (place / "train.py").write_text(TASK.format(seen=str(seen)))
    (place / "parts.py").write_text(PARTS)
    (place / "later.py").write_text("NOTHING = 0.0\n")
    (place / "package" / "__init__.py").write_text("")
    (place / "package" / "inner.py").write_text("from . import deep\nMORE = deep.MORE\n")
    (place / "package" / "deep.py").write_text("MORE = 1.0\n")
    (place / "unrelated.py").write_text("1\n")


def forget(*names):
    for name in [*names, "parts", "later", "package", "package.inner", "package.deep", "train"]:
        sys.modules.pop(name, None)


def stepsize(capsys, *words):
    forget()
    capsys.readouterr()
    code = run(words)
    return code, *capsys.readouterr()


@pytest.fixture
def seen(tmp_path):
    """A file with a line for each time that the task's code ran."""
    return tmp_path / "seen"


@pytest.fixture
def stopped(tmp_path, monkeypatch, seen, capsys):
    """A project's folder, in which a run of 20 steps has ended; it counts as stopped."""
    project(tmp_path / "mine", seen)
    monkeypatch.chdir(tmp_path / "mine")
    assert stepsize(capsys, "train", "train.py:task", "--lr", "0.1", "--out", "a")[0] == 0
    seen.unlink()
    return tmp_path / "mine"


def times(seen):
    return len(seen.read_text().splitlines()) if seen.exists() else 0


def contents(folder):
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def refused(capsys, *words, said):
    """See a command refused in one line, with the folder as it was."""
    before = contents(words[words.index("--resume") + 1])
    code, out, err = stepsize(capsys, *words)
    assert (code, [line for line in out.splitlines() if not line.startswith("note ")]) == (2, []), (code, out, err)
    lines = [line for line in err.splitlines() if not line.startswith("train ")]  # the bar
    assert len(lines) == 1
    for each in said:
        assert each in err
    assert contents(words[words.index("--resume") + 1]) == before


@pytest.mark.usefixtures("stopped")
def test_an_unchanged_task_goes_on_also_from_elsewhere_and_in_a_moved_folder(capsys, tmp_path, monkeypatch, seen):
    assert stepsize(capsys, "train", "--resume", "a")[0] == 0
    Path("unrelated.py").write_text("2\n")
    shutil.move("a", tmp_path / "b")
    project(tmp_path / "other", seen)
    (tmp_path / "other" / "train.py").write_text("raise RuntimeError('another file of this name')")
    monkeypatch.chdir(tmp_path / "other")
    code, _, err = stepsize(capsys, "train", "--resume", "../b")
    assert code == 0, err
    assert set(seen.read_text().splitlines()) == {str(tmp_path / "mine" / "train.py")}


CHANGES = {
    "data": ("train.py", "y = 3 * x", "y = -3 * x"),
    "batch size": ("train.py", "batch[0]", "batch[0][:4]"),
    "betas": ("train.py", "0.999", "0.95"),
    "optimizer": ("train.py", "AdamW(parameters, lr=lr, betas=(0.9, 0.999))", "SGD(parameters, lr=lr)"),
    "facts": ("train.py", '"slope": 3', '"slope": 4'),
    "loss beside": ("parts.py", "square()", "abs()"),
    "constant beside": ("parts.py", "SCALE = 1.0", "SCALE = 2.0"),
    "imported in a function": ("later.py", "0.0", "1.0"),
    "in a package": ("package/inner.py", "deep.MORE", "2 * deep.MORE"),
    "deep in a package": ("package/deep.py", "1.0", "2.0"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_task_that_has_changed_is_refused_before_any_of_it_runs(capsys, stopped, seen, change):
    name, before, after = CHANGES[change]
    text = (stopped / name).read_text()
    assert before in text
    (stopped / name).write_text(text.replace(before, after))
    refused(capsys, "train", "--resume", "a", said=[f"{name} has changed", "--accept-changes"])
    refused(capsys, "train", "train.py:task", "--resume", "a", said=[f"{name} has changed"])
    assert times(seen) == 0
    if change == "optimizer":
        said = ["a/last.pt", "the optimizer was torch.optim.adamw.AdamW and is torch.optim.sgd.SGD"]
        refused(capsys, "train", "--resume", "a", "--accept-changes", said=said)
    elif change in ("facts", "betas", "deep in a package"):
        code, out, err = stepsize(capsys, "train", "--resume", "a", "--accept-changes")
        assert code == 0, err
        assert f"note     goes on although {name} has changed" in out
        assert stepsize(capsys, "train", "--resume", "a")[0] == 0  # now that is what it is made of


def test_a_file_of_the_same_name_elsewhere_is_another_task(capsys, stopped, tmp_path, seen, monkeypatch):
    project(tmp_path / "copy", seen)
    monkeypatch.chdir(tmp_path / "copy")
    assert stepsize(capsys, "train", "train.py:task", "--resume", "../mine/a")[0] == 0  # the same, moved
    Path("parts.py").write_text(PARTS.replace("1.0", "5.0"))
    refused(capsys, "train", "train.py:task", "--resume", "../mine/a", said=["parts.py has changed"])
    Path("extra.py").write_text("from train import task\nimport parts\n")
    refused(capsys, "train", "extra.py:task", "--resume", "../mine/a", said=["extra.py is new"])
    shutil.rmtree(stopped / "package")
    refused(capsys, "train", "digits", "--resume", "../mine/a", said=["is a run of the task 'line'"])


def test_a_file_that_is_gone_says_how_to_name_it(capsys, stopped, tmp_path):
    shutil.copytree(stopped, tmp_path / "new", ignore=shutil.ignore_patterns("a"))
    (stopped / "train.py").unlink()
    refused(capsys, "train", "--resume", "a", said=["which is not there", "stepsize train train.py:task --resume a"])
    new = str(tmp_path / "new" / "train.py")
    assert stepsize(capsys, "train", f"{new}:task", "--resume", "a")[0] == 0
    assert stepsize(capsys, "train", "--resume", "a")[0] == 0  # it is remembered
    assert json.loads(Path("a/run.json").read_text())["said"]["task"] == f"{new}:task"


def edited(folder, **said):
    path = Path(folder) / "run.json"
    facts = json.loads(path.read_text())
    facts["said"] |= said
    path.write_text(json.dumps(facts))


@pytest.mark.usefixtures("stopped")
@pytest.mark.parametrize("name", ["this:x", "antigravity:x", "{evil}:task", "os.path:task", "{evil}:__builtins__"])
def test_code_that_a_folder_names_is_not_run(capsys, tmp_path, seen, name):
    evil = tmp_path / "evil.py"
    evil.write_text(f"with open({str(seen)!r}, 'a') as file:\n    file.write('evil')\n")
    edited("a", task=name.format(evil=evil))
    refused(capsys, "train", "--resume", "a", said=["a task's code runs as you", "--trust"])
    assert times(seen) == 0
    assert stepsize(capsys, "train", "train.py:task", "--resume", "a")[0] == 0
    assert "evil" not in seen.read_text()
    assert stepsize(capsys, "train", "--resume", "a")[0] == 0  # what was said is what the folder says now


@pytest.mark.usefixtures("stopped")
@pytest.mark.parametrize("how", ["another user's key", "no signature", "another signature", "signature of another run"])
def test_a_folder_of_somebody_else_needs_trust_once(capsys, tmp_path, monkeypatch, seen, how):
    path = Path("a/run.json")
    facts = json.loads(path.read_text())
    if how == "another user's key":
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state of mine"))
    elif how == "no signature":
        del facts["signature"]
    elif how == "another signature":
        facts["signature"] = "0" * 64
    else:
        assert stepsize(capsys, "train", "train.py:task", "--lr", "0.1", "--seed", "1", "--out", "b")[0] == 0
        facts["signature"] = json.loads(Path("b/run.json").read_text())["signature"]
        seen.unlink()
    path.write_text(json.dumps(facts))
    refused(capsys, "train", "--resume", "a", said=["was not written by you on this machine", "train.py:task"])
    assert times(seen) == 0
    assert stepsize(capsys, "train", "--resume", "a", "--trust")[0] == 0
    assert stepsize(capsys, "train", "--resume", "a")[0] == 0


@pytest.mark.skipif(not hasattr(os, "chown") or os.getuid() != 0, reason="needs another user")
@pytest.mark.usefixtures("stopped")
def test_a_file_of_another_user_is_not_mine_whatever_is_in_it(capsys, seen):
    os.chown("a/run.json", 12345, 12345)
    refused(capsys, "train", "--resume", "a", said=["was not written by you"])
    assert times(seen) == 0


def test_built_in_tasks_need_no_trust_but_paths_and_devices_do(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert stepsize(capsys, "train", "quadratic", "--lr", "0.1", "--steps", "5", "--out", "a")[0] == 0
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state of mine"))
    assert stepsize(capsys, "train", "--resume", "a")[0] == 0
    for word, value in (("data", "/somewhere"), ("device", "cuda:0")):
        edited("a", **{word: value})
        refused(capsys, "train", "--resume", "a", said=[f"leads to {word} {value!r}", f"say --{word} yourself"])
        facts = json.loads(Path("a/run.json").read_text())
        del facts["said"][word]
        Path("a/run.json").write_text(json.dumps(facts))


@pytest.mark.usefixtures("stopped")
def test_without_a_place_for_a_key_runs_are_made_and_resumed_with_their_task(capsys, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file" / "state"))
    assert stepsize(capsys, "train", "train.py:task", "--lr", "0.1", "--out", "b")[0] == 0
    assert json.loads(Path("b/run.json").read_text())["signature"] is None
    refused(capsys, "train", "--resume", "b", said=["was not written by you"])
    assert stepsize(capsys, "train", "train.py:task", "--resume", "b")[0] == 0


@pytest.mark.skipif(os.name != "posix", reason="has no modes")
@pytest.mark.usefixtures("stopped")
def test_a_key_that_others_can_read_proves_nothing(capsys):
    key = Path(os.environ["XDG_STATE_HOME"], "stepsize", "key")
    assert key.stat().st_mode & 0o777 == 0o600
    key.chmod(0o644)
    try:
        refused(capsys, "train", "--resume", "a", said=["was not written by you"])
    finally:
        key.chmod(0o600)
    assert stepsize(capsys, "train", "--resume", "a")[0] == 0


@pytest.mark.usefixtures("stopped")
def test_other_versions_are_said(capsys):
    path = Path("a/run.json")
    facts = json.loads(path.read_text())
    facts["versions"]["torch"] = "1.13.0"
    path.write_text(json.dumps(facts))
    code, out, _ = stepsize(capsys, "train", "--resume", "a")
    assert code == 0
    assert "note     begun with torch 1.13.0, and this is " in out


@pytest.mark.parametrize("name", ["../../evil", "a/b", "/tmp/evil"])
@pytest.mark.parametrize("command", ["train", "sweep", "find"])
def test_the_name_of_a_task_is_no_path(capsys, tmp_path, monkeypatch, name, command):
    project(tmp_path / "deep" / "mine", tmp_path / "seen")
    monkeypatch.chdir(tmp_path / "deep" / "mine")
    Path("train.py").write_text(Path("train.py").read_text().replace('name="line"', f"name={name!r}"))
    before = sorted(tmp_path.rglob("*"))
    words = {"train": ["--lr", "0.1"], "sweep": ["--lr", "0.1", "--seeds", "1"], "find": []}[command]
    code, out, err = stepsize(capsys, command, "train.py:task", *words)
    assert (code, out) == (2, "")
    assert "usable in a folder's name" in err
    assert "--out" in err
    assert [path for path in sorted(tmp_path.rglob("*")) if "__pycache__" not in path.parts] == [
        *before,
        tmp_path / "seen",
    ]


@pytest.mark.parametrize("name", ["a\0b", "a\nb", "\x1b[2J", "a\u202eb"])
def test_the_name_of_a_task_is_a_line_of_text(name):
    with pytest.raises(ValueError, match="name must be one line of text"):
        replace(task_named("digits"), name=name)


@pytest.mark.usefixtures("stopped")
def test_a_run_that_has_ended_stays_so_whatever_comes_after(capsys, monkeypatch):
    from stepsize.cli import _job

    def fails(_):
        raise OSError(28, "No space left on device")

    def stops(_):
        raise KeyboardInterrupt

    for number, stop in enumerate((fails, stops)):
        monkeypatch.setattr(_job, "picture", stop)
        for words in (["train.py:task", "--lr", "0.1", "--out", f"b{number}"], ["--resume", f"b{number}"]):
            stepsize(capsys, "train", *words)
            facts = json.loads(Path(f"b{number}/run.json").read_text())
            assert (facts["status"], facts["done"]) == ("finished", 20)


@pytest.mark.usefixtures("stopped")
def test_a_resumed_run_that_is_refused_stays_what_it_was(capsys):
    Path("a/last.pt").write_bytes(b"nothing")
    refused(capsys, "train", "--resume", "a", said=["a/last.pt"])


# in Python, where the program that is run says both what is trained and how


def lines(**parts):
    x = torch.linspace(-1, 1, 8).unsqueeze(1)
    given = {
        "name": "line",
        "model": lambda: torch.nn.Linear(1, 1),
        "batches": lambda generator: itertools.repeat((x, 3 * x)),
        "loss": lambda model, batch: (model(batch[0]) - batch[1]).square().mean(),
        "optimizer": lambda parameters, lr: torch.optim.AdamW(parameters, lr=lr),
        "score": lambda model: 1.0,
        "metrics": lambda model: {},
        "steps": 20,
    }
    return Task(**given | parts)


class Stop(Exception):
    """Raised in the middle of a run."""


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


def stop(task, folder, **more):
    with pytest.raises(Stop):
        train(task, lr=0.1, folder=folder, watch=[StopsAt(9)], save_every=1e-9, **more)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"optimizer": lambda parameters, lr: torch.optim.AdamW(parameters, lr=lr, betas=(0.9, 0.95))}, "(0.9, 0.95)"),
        (
            {"optimizer": lambda parameters, lr: torch.optim.AdamW(parameters, lr=lr, weight_decay=0)},
            "was 0.01 and is 0",
        ),
    ],
)
def test_an_optimizer_that_has_changed_is_refused_or_accepted(tmp_path, parts, said):
    stop(lines(), tmp_path)
    kept = (tmp_path / "last.pt").read_bytes()
    with pytest.raises(ValueError, match="is not what it was") as caught:
        train(lines(**parts), lr=0.1, folder=tmp_path, resume=True)
    assert said in str(caught.value)
    assert (tmp_path / "last.pt").read_bytes() == kept
    with pytest.warns(TaskChangedWarning, match="is gone on with although"):
        trained = train(lines(**parts), lr=0.1, folder=tmp_path, resume=True, accept_changes=True)
    fresh = lines(**parts).optimizer([torch.zeros(1, requires_grad=True)], 0.1).param_groups[0]
    (group,) = trained.state["optimizer"]["param_groups"]
    assert [group[name] for name in ("betas", "weight_decay")] == [fresh[name] for name in ("betas", "weight_decay")]
    train(lines(**parts), lr=0.1, folder=tmp_path, resume=True)


def test_another_optimizer_cannot_go_on(tmp_path):
    stop(lines(), tmp_path)
    for accept in (False, True):
        with pytest.raises(ValueError, match=r"AdamW and is torch\.optim\.sgd\.SGD.*; put it back$"):
            train(
                lines(optimizer=lambda parameters, lr: torch.optim.SGD(parameters, lr=lr)),
                lr=0.1, folder=tmp_path, resume=True, accept_changes=accept,
            )  # fmt: skip


SCRIPT = """
import itertools, sys
import torch
from stepsize import Task, train
from stepsize.task import TaskChangedWarning
SLOPE = 3
x = torch.linspace(-1, 1, 8).unsqueeze(1)
def distance(found, wanted):
    return (found - wanted).square()
task = Task(
    name="line",
    model=lambda: torch.nn.Linear(1, 1),
    batches=lambda generator: itertools.repeat((x, SLOPE * x)),
    loss=lambda model, batch: distance(model(batch[0]), batch[1]).mean(),
    optimizer=lambda parameters, lr: torch.optim.SGD(parameters, lr=lr),
    score=lambda model: 1.0,
    metrics=lambda model: {},
    steps=5,
)
try:
    train(task, lr=0.1, folder="a", resume=False)
except ValueError as error:
    print(error)
"""


@pytest.mark.slow
def test_a_script_may_be_edited_to_resume_but_not_its_task(tmp_path):
    def said(*edits):
        text = SCRIPT
        for before, after in edits:
            assert before in text
            text = text.replace(before, after)
        (tmp_path / "script.py").write_text(text)
        done = ran(["script.py"], cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout

    resume = ("resume=False", "resume=True")
    assert said() == ""
    assert said(resume, ("import itertools, sys", "# the same\nimport itertools, sys")) == ""
    assert "loss in Python" in said(resume, (".square()", ".abs()"))
    assert "batches in Python" in said(resume, ("SLOPE = 3", "SLOPE = 4"))


def test_seconds_are_those_of_all_sessions(tmp_path):
    class Slow(StopsAt):
        def wants(self, step):
            time.sleep(0.02)
            return super().wants(step)

    with pytest.raises(Stop):
        train(lines(), lr=0.1, folder=tmp_path, watch=[Slow(15)], save_every=1e-9)
    trained = train(lines(), lr=0.1, folder=tmp_path, resume=True)
    assert trained.seconds > 0.2
    assert train(lines(), lr=0.1, folder=tmp_path, resume=True).seconds >= trained.seconds - 0.05


def test_a_sweep_knows_all_files_of_its_task(tmp_path, monkeypatch, seen):
    project(tmp_path / "mine", seen)
    monkeypatch.chdir(tmp_path / "mine")
    for index, name in enumerate(["later.py", "package/deep.py", "parts.py", None]):
        forget()
        sweep(task_named("train.py:task"), [0.1], 1, folder=f"s{index}", steps=2, engine=serial)
        forget()
        if name is None:
            Path("unrelated.py").write_text("3\n")
            sweep(task_named("train.py:task"), [0.1], 2, folder=f"s{index}", steps=2, engine=serial)
            continue
        Path(name).write_text(Path(name).read_text() + "# changed\n")
        with pytest.warns(TaskChangedWarning, match=f"{name} has changed since the sweep"):
            sweep(task_named("train.py:task"), [0.1], 2, folder=f"s{index}", steps=2, engine=serial)
