"""Users' code that does what it likes: whose an error is, what is printed, where results go, how many threads."""

import contextlib
import json
import os
import pickle
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
import torch
from rich.console import Console

from stepsize import _origin
from stepsize.cli import _job, _main, _picture, _screen, run
from stepsize.cli._problems import problem
from stepsize.engine import Processes
from stepsize.engine._processes import Failed
from stepsize.task import TaskFileError, task_named

pytestmark = pytest.mark.usefixtures("blank_pictures")

TASK = """
import itertools, os, sys, torch
import helper
from stepsize import Task, warmup
{top}
x = torch.linspace(-1, 1, 32).unsqueeze(1)
calls = itertools.count(1)

def model():
{model}
    return torch.nn.Linear(1, 1)

def batches(generator):
    return itertools.repeat((x, 3 * x))

def loss(model, batch):
    call = next(calls)
{loss}
    return (model(batch[0]) - batch[1]).square().mean()

def score(model):
{score}
    return float((model(x) - 3 * x).square().mean())

def sgd(parameters, lr):
    return torch.optim.SGD(parameters, lr=lr)

task = Task({name!r}, model, batches, loss, sgd, score, lambda model: {{"validation_loss": score(model)}}, 30)
"""
HELPER = "def first(x):\n    return second(x)\n\ndef second(x):\n    raise ValueError('from my helper')\n"
TRAIN = ["train", "mine.py:task", "--lr", "0.1", "--out", "o"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    """Everything that the code of a task changes here is put back."""
    dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
    monkeypatch.chdir(tmp_path)
    yield
    torch.set_default_dtype(dtype)
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)
    for name in ("mine", "helper"):
        sys.modules.pop(name, None)


def written(name="mine", **parts):
    """A task's file, with statements of the user's own at some places."""
    top = parts.pop("top", "")
    bodies = {part: textwrap.indent(parts.get(part, "pass"), "    ") for part in ("model", "loss", "score")}
    Path("mine.py").write_text(TASK.format(name=name, top=top, **bodies))
    Path("helper.py").write_text(HELPER)


def status():
    return json.loads(Path("o", "run.json").read_text())["status"]


PLACES = {"top": "while it was read", "model": "in training", "loss": "in training", "score": "in training"}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("code", ["0", "3", "None", "'enough'"])
def test_a_task_that_ends_the_program_has_failed_and_is_named(place, code, capsys):
    written(**{place: f"sys.exit({code})"})
    assert run(TRAIN) == 1
    (said,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("stepsize: ")]
    assert f"mine.py raised SystemExit({code}) {PLACES[place]}" in said
    assert "mine.py" in said.partition(" at ")[2]
    assert place == "top" or status().startswith("failed: SystemExit")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "error",
    ["helper.first(1)", "open('nowhere')", "{}['key']", "torch.ones(2, 3) @ torch.ones(2)", "warmup(-1)", "1 + 'a'"],
)
def test_an_error_in_a_users_code_is_shown_in_the_users_frames_only(place, error, capsys):
    written(**{place: error})
    assert run(TRAIN) == 1
    said = capsys.readouterr().err
    assert f"stepsize: mine.py raised {PLACES[place]}:" in said
    frames = [line for line in said.splitlines() if line.startswith("  File ")]
    assert 0 < len(frames) <= 4
    assert all("mine.py" in frame or "helper.py" in frame for frame in frames)
    assert ("helper.py" in frames[-1]) == ("helper" in error)
    assert "Traceback" not in said
    assert place == "top" or status().startswith("failed: ")


@pytest.mark.parametrize("error", ["GeneratorExit()", "type('Mine', (BaseException,), {})('x')", "StopIteration()"])
def test_unusual_errors_of_a_users_code_end_in_the_users_frames_too(error, capsys):
    written(loss=f"if call == 9: raise {error}")
    assert run(TRAIN) == 1
    assert "mine.py raised in training" in capsys.readouterr().err
    assert status().startswith("failed: ")


def test_what_a_library_raises_when_it_is_called_by_stepsize_is_said_shortly(capsys):
    written(
        loss="out = model(batch[0]).exp(); wrong = out.square().mean(); out.data.mul_(2); out.mul_(2)\nreturn wrong"
    )
    assert run(TRAIN) == 1
    said = capsys.readouterr().err
    assert "mine.py cannot be trained further:" in said
    assert "inplace operation" in said
    assert said.count("  File ") == 2


@pytest.mark.parametrize("fault", [lambda: int("x"), lambda: len(3), lambda: {}["x"], lambda: (1, 2)[5], lambda: 1 / 0])
def test_a_fault_of_stepsize_itself_is_no_bad_input(fault, monkeypatch, capsys):
    code = compile("def plan(_): return fault()", str(_origin.HERE / "cli" / "_job.py"), "exec")
    scope = {"fault": fault}
    exec(code, scope)
    monkeypatch.setattr(_job.Job, "_plan", scope["plan"])
    monkeypatch.setattr(_origin, "_is_users", lambda file, theirs: "mine.py" in str(file))  # these tests are no user's
    written()
    with pytest.raises(Exception) as caught:
        run(TRAIN)
    assert type(caught.value) in (ValueError, TypeError, KeyError, IndexError, ZeroDivisionError)
    assert any("a fault of stepsize" in note for note in caught.value.__notes__)


def test_checks_are_told_from_faults_by_the_statement_that_raised():
    with pytest.raises(ValueError) as refused:
        run_check()
    assert _origin.origin_of(refused.value).refused
    with pytest.raises(TypeError) as fault:
        task_named([1])  # a list is looked up in a dictionary
    assert not _origin.origin_of(fault.value).refused
    with pytest.raises(ValueError) as own:
        raise ValueError("of a user")
    assert not _origin.origin_of(own.value).refused
    assert "test_users_code.py" in _origin.origin_of(own.value).theirs


def run_check():
    Processes(0)


def test_origins_travel_with_what_a_worker_raises():
    try:
        raise KeyError("mine")
    except KeyError as error:
        failed = pickle.loads(pickle.dumps(Failed.of(error)))
    origin = _origin.origin_of(failed.raised())
    assert "test_users_code.py" in origin.theirs
    assert not origin.refused


def test_what_a_tasks_file_raised_in_a_worker_travels_with_its_reason():
    written(top="raise KeyError('only here')")
    with pytest.raises(TaskFileError) as caught:
        task_named("mine.py:task")
    sent = pickle.loads(pickle.dumps(Failed.of(caught.value))).raised()
    said, code = problem(sent, TRAIN)
    assert code == 1
    assert "mine.py raised while it was read" in said
    assert "KeyError: 'only here'" in said
    assert said.count("  File ") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("parts", "code", "said"),
    [
        ({"loss": "helper.first(1)"}, 1, "ValueError: from my helper"),
        ({"loss": "sys.exit(0)"}, 1, "raised SystemExit(0) in training at File"),
        ({"loss": "import signal; os.kill(os.getpid(), signal.SIGKILL)"}, 1, "died 3 times (killed by SIGKILL)"),
        ({"top": "torch.set_num_threads(2)", "loss": "assert torch.get_num_threads() == 1"}, 0, "sweep"),
        ({"loss": "os.write(1, b'raw'); print('garbage'); os.system('echo more')"}, 0, "garbage"),
    ],
)
def test_workers_keep_what_is_promised_and_end_in_a_line(parts, code, said, capfd, request):
    if "garbage" not in said:  # what is printed comes here from a child alone
        request.getfixturevalue("quick_workers")
    written(**parts)
    words = ["sweep", "mine.py:task", "--lr", "0.1", "--seeds", "1", "--workers", "1", "--steps", "4", "--out", "o"]
    assert run([*words, "--json"]) == code
    out, err = capfd.readouterr()
    assert said in err
    assert "Traceback" not in err
    assert err.count("  File ") <= 4
    assert json.loads(out)["trials"] if code == 0 else out == ""


NOISE = "print('garbage'); os.write(1, b'raw'); os.system('echo more'); sys.__stdout__.write('late')"


@pytest.mark.parametrize("place", PLACES)
def test_standard_output_is_the_one_json_object_whatever_a_users_code_prints(place, capfd):
    written(**{place: NOISE})
    assert run([*TRAIN, "--json"]) == 0
    out, err = capfd.readouterr()
    assert json.loads(out)["task"] == "mine"
    assert len(out.strip().splitlines()) == 1
    for noise in ("garbage", "raw", "more"):
        assert noise in err


GO = "os.chdir('{0}/elsewhere')"


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("command", ["train", "find", "sweep"])
def test_results_stay_where_the_command_was_begun(command, place, tmp_path, capsys):
    (tmp_path / "elsewhere").mkdir()
    written(**{place: GO.format(tmp_path)})
    words = {
        "train": ["--lr", "0.1"],
        "find": ["--budget", "0.5x", "--low", "1e-3", "--high", "0.5"],
        "sweep": ["--lr", "0.1,0.2", "--seeds", "1", "--engine", "serial", "--stop-at", "0.5"],
    }
    assert run([command, "mine.py:task", *words[command]]) == 0
    (folder,) = (tmp_path / ("sweeps" if command == "sweep" else "runs")).iterdir()
    there = {path.name for path in folder.iterdir()}
    expected = {"train": {"metrics.jsonl", "last.pt"}, "find": {"trials.jsonl", "finding.json"}, "sweep": {"sweep.db"}}
    assert expected[command] | {"sweep.png" if command == "sweep" else "picture.png"} <= there
    assert not list((tmp_path / "elsewhere").iterdir())
    assert command == "sweep" or json.loads((folder / "run.json").read_text())["status"] == "finished"


@pytest.mark.parametrize("place", ["model", "loss", "score"])
def test_threads_that_a_task_sets_itself_are_written_down_and_said(place, capsys):
    written(**{place: "torch.set_num_threads(2)"})
    assert run(TRAIN) == 0
    assert json.loads(Path("o", "run.json").read_text())["threads"] == 2
    assert "threads  2, which the task has set itself, instead of the 1 of --threads" in capsys.readouterr().out


def test_threads_of_the_command_line_hold_against_a_file_that_is_read(capsys):
    written(top="torch.set_num_threads(2)", loss="assert torch.get_num_threads() == 1")
    assert run(TRAIN) == 0
    assert json.loads(Path("o", "run.json").read_text())["threads"] == 1


@pytest.mark.parametrize(
    "top",
    ["torch.set_default_dtype(torch.float64)", "torch.use_deterministic_algorithms(True)", "torch.manual_seed(3)"],
)
def test_settings_of_torch_in_a_file_are_taken_as_they_are_and_hold_on_resume(top, capsys):
    written(top=top)
    assert run(TRAIN) == 0
    whole = Path("o", "metrics.jsonl").read_text()
    written(top=top, loss="if call == 20: raise RuntimeError('stop')")
    assert run([*TRAIN[:-1], "again"]) == 1
    written(top=top)
    sys.modules.pop("mine")
    assert run(["train", "--resume", "again", "--accept-changes"]) == 0  # it no longer stops
    assert Path("again", "metrics.jsonl").read_text() == whole


@pytest.mark.parametrize("gone", ["shutil.rmtree('o')", "os.rename('o', 'moved')"])
def test_a_run_folder_that_goes_away_is_said_in_a_line(gone, capsys):
    written(loss=f"import shutil\nif call == 9: {gone}")
    assert run(TRAIN) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("train ")]
    assert len(said) == 1
    assert "No such file or directory" in said[0]


def test_a_task_whose_function_cannot_be_called_as_it_will_be_is_refused_where_it_is_made(capsys):
    written()
    text = Path("mine.py").read_text()
    for name, wrong in {
        "sgd": "lambda p: p",
        "loss": "lambda m: m",
        "score": "lambda: 0.0",
        "model": "lambda a: a",
    }.items():
        Path("mine.py").write_text(text.replace("\ntask =", f"\n{name} = {wrong}\ntask ="))
        assert run(TRAIN) == 1
        assert "must be a function" in capsys.readouterr().err
    assert not Path("o").exists()


NAMES = ["a [bold]b[/x]", "[/]", "[link=x]y", ":smile:", "{0} %s", "[", "ä"]


@pytest.mark.parametrize("name", NAMES)
def test_names_are_shown_as_they_are(name, capsys):
    written(name=name)
    text = Path("mine.py").read_text().replace('"validation_loss"', repr(name))
    Path("mine.py").write_text(text)
    assert run(TRAIN) == 0
    out, err = capsys.readouterr()
    assert f"train {name} 0/30" in err
    assert name.replace("_", " ") in out
    assert run(["sweep", "mine.py:task", "--lr", "0.1", "--seeds", "1", "--engine", "serial", "--out", "s"]) == 0
    assert f"sweep {name} " in capsys.readouterr().err


@pytest.mark.parametrize("name", NAMES)
def test_a_moving_bar_shows_names_as_they_are(name):
    screen = _screen.Screen(as_json=False)
    screen.errors = Console(markup=False, force_terminal=True, width=200, file=Path(os.devnull).open("w"), record=True)  # noqa: SIM115
    with screen.progress(f"train {name}", 3) as bar:
        bar(3, 3, name)
    screen.errors.file.close()
    assert screen.errors.export_text().count(name) >= 2


def test_what_is_not_seen_moving_is_said_in_lines_now_and_then(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    console = Console(markup=False, file=Path(os.devnull).open("w"), record=True)  # noqa: SIM115
    lines = _screen.Lines(console, "train", 100_000)
    for done in range(1, 100_001):  # a minute and a half
        now[0] += 0.0009
        lines(done, 100_000, "note")
    said = console.export_text().splitlines()
    console.file.close()
    assert said[0] == "train 0/100000"
    assert 10 <= len(said) <= 12
    assert said[-1].startswith("train 100000/100000 100%")


def test_a_long_piece_of_work_is_heard_of_every_minute(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    console = Console(markup=False, file=Path(os.devnull).open("w"), record=True)  # noqa: SIM115
    lines = _screen.Lines(console, "train", 1_000_000)
    for done in range(1, 601):  # ten minutes
        now[0] += 1.0
        lines(done, 1_000_000, "")
    assert 9 <= len(console.export_text().splitlines()) <= 12
    console.file.close()


def test_a_thread_that_keeps_its_error_prints_no_traceback(capsys):
    class Keeping(threading.Thread):
        exception = None

        def run(self):
            try:
                raise OSError("the folder is gone")
            except OSError as error:
                self.exception = error
                raise

    with _screen.quiet_threads():
        thread = Keeping()
        thread.start()
        thread.join()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("error", [ValueError("no"), MemoryError(), KeyboardInterrupt(), OSError(28, "disk full")])
def test_a_run_that_has_finished_stays_finished_whatever_its_picture_does(error, monkeypatch, capsys):
    def fails(_):
        raise error

    monkeypatch.setattr(_job, "picture", fails)
    written()
    assert run(TRAIN) == 0
    assert status() == "finished"
    out = capsys.readouterr().out
    assert "picture  none: " in out
    assert "`stepsize plot o` draws it later" in out
    assert "trained  30 steps" in out


def test_the_words_of_a_picture_that_is_there(capsys):
    made = _picture.drawn(_screen.Screen(as_json=False), lambda: None, Path("a.png"), "again")
    assert made == Path("a.png")
    assert capsys.readouterr().out == "picture  a.png\n"


@pytest.mark.slow
def test_a_closed_or_broken_output_is_no_traceback_and_characters_are_never_lost():
    def done(script):
        environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHON": sys.executable}
        return subprocess.run(["sh", "-c", script], capture_output=True, text=True, env=environment)

    written(name="ä")
    for script in (
        "$PYTHON -m stepsize train mine.py:task --lr 0.1",
        "$PYTHON -m stepsize schedules | head -1",
        "$PYTHON -m stepsize schedules >&-",
        "$PYTHON -m stepsize schedules > /dev/full",
        "$PYTHON -m stepsize train mine.py:task --lr 0.1 2>&-",
    ):
        finished = done(script)
        assert "Traceback" not in finished.stderr, script
        assert "Exception ignored" not in finished.stderr, script
    assert [json.loads(path.read_text())["status"] for path in Path("runs").glob("*/run.json")] == ["finished"] * 2


def test_interrupts_and_answers_are_put_back():
    before = sys.stdout, threading.excepthook
    with contextlib.suppress(SystemExit):
        run(["tasks", "--json"])
    assert (sys.stdout, threading.excepthook) == before
    assert _main.run(["nonsense"]) == 2
