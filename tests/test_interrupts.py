"""Ctrl-C at any moment: exit code 130 or the command's own, never a traceback, and a status that is true."""

import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from children import child, forked, once

from stepsize.cli import _interrupts, _job, _main, run
from stepsize.cli._interrupts import interruptible, uninterrupted
from stepsize.engine import _processes
from stepsize.task import steps_done

STOP = signal.SIGINT


@pytest.fixture(autouse=True)
def _default_handler(tmp_path, monkeypatch):
    """Also where a test has changed it."""
    monkeypatch.chdir(tmp_path)
    yield
    signal.signal(signal.SIGINT, signal.default_int_handler)


def press():
    os.kill(os.getpid(), STOP)


def test_the_first_is_raised_and_those_that_follow_at_once_are_not(monkeypatch):
    with interruptible():
        with pytest.raises(KeyboardInterrupt):
            press()
        for _ in range(20):
            press()
        monkeypatch.setattr(_interrupts, "PATIENCE", 0.0)
        with pytest.raises(KeyboardInterrupt):
            press()
    assert signal.getsignal(STOP) is signal.default_int_handler


def test_where_it_is_ignored_it_stays_so():
    signal.signal(STOP, signal.SIG_IGN)
    with interruptible(), uninterrupted():
        press()
        assert signal.getsignal(STOP) is signal.SIG_IGN
    assert run(["train", "quadratic", "--lr", "0.1", "--steps", "5", "--out", "o"]) == 0
    assert signal.getsignal(STOP) is signal.SIG_IGN


def pressed_in_a_short_block(done):
    with interruptible(), uninterrupted():
        press()
        press()
        done.append(1)


def test_a_short_block_comes_to_its_end_first():
    done = []
    with pytest.raises(KeyboardInterrupt):
        pressed_in_a_short_block(done)
    assert done == [1]


def test_other_threads_change_nothing():
    seen = []

    def work():
        with interruptible(), uninterrupted():
            seen.append(signal.getsignal(STOP))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]


WORDS = ["train", "quadratic", "--lr", "0.1", "--steps", "60", "--out", "o"]


def status():
    with open("o/run.json") as file:  # noqa: PTH123
        return json.loads(file.read())["status"]


def test_while_the_picture_is_drawn_the_run_has_finished(monkeypatch, capsys):
    def drawing(*_):
        press()
        time.sleep(1)

    monkeypatch.setattr(_job, "picture", drawing)
    assert run(WORDS) == 0
    assert status() == "finished"
    assert "picture  none: stopped while it was drawn" in capsys.readouterr().out


def test_while_the_end_is_written_down_the_run_has_finished(monkeypatch, capsys):
    write = _job.Job._write_down

    def pressed(self, trained, status):
        press()
        write(self, trained, status)

    monkeypatch.setattr(_job.Job, "_write_down", pressed)
    assert run(WORDS) == 130
    assert status() == "finished"
    assert "Traceback" not in capsys.readouterr().err


def test_several_while_a_run_stops_leave_a_status_that_is_true(monkeypatch, capsys):
    write = _job.Job._write_down

    def pressed(self, trained, status):
        for _ in range(5):
            press()
        write(self, trained, status)

    advance = _job.train

    def stopped(*task, **words):
        press()
        return advance(*task, **words)

    monkeypatch.setattr(_job.Job, "_write_down", pressed)
    monkeypatch.setattr(_job, "train", stopped)
    assert run(WORDS) == 130
    assert status() == "interrupted"


@pytest.mark.parametrize("error", [_main.StoppedError("stopped at 5"), KeyboardInterrupt()])
def test_one_more_while_it_is_said_that_it_stopped_is_no_fault(monkeypatch, capsys, error):
    say, pressed = _main._say, []

    def saying(*words):
        if not pressed:
            pressed.append(1)
            press()
        return say(*words)

    def stopped(**_):
        raise error

    monkeypatch.setattr(_main, "_say", saying)
    monkeypatch.setattr(_main, "app", stopped)
    assert run(["tasks"]) == 130
    assert capsys.readouterr().err == "stepsize: stopped\n"


COMMANDS = ["tasks", "plot cosine() --total 9", "train quadratic --lr 0.01 --steps 1000000 --out o", "course quadratic"]
SWEEP = "sweep quadratic --lr 0.01,0.02 --steps 1000000 --workers 2 --engine processes --out o"


def processor_time(pid):
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return math.inf  # it has ended
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def stopped(command, seconds, times, folder, ready=None, begin=child):
    """A command that gets Ctrl-C, as its whole group does at a terminal.

    It comes so many seconds after a file is there, or after so many of processor time, which on a busy machine is the
    same moment of its work.
    """
    words, pipes = ["-m", "stepsize", *command.split()], {}
    if begin is child:
        words = [sys.executable, *words]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with begin(words, cwd=folder, **pipes) as process:
        if ready is not None:
            once(ready.exists, process)
            time.sleep(seconds)
        else:
            end = time.monotonic() + 30
            while process.poll() is None and processor_time(process.pid) < seconds and time.monotonic() < end:
                time.sleep(0.01)
        for _ in range(times):
            if process.poll() is None:  # a quick command may have ended
                os.killpg(process.pid, STOP)
            time.sleep(0.05)
        out, err = process.communicate(timeout=90)
    return process.returncode, out, err


def test_ctrl_c_within_executed_text_changes_no_exit_code(tmp_path):
    """As while a dataclass is made: Python remembers it, and would end itself by the signal, although it was caught."""
    script = """
import signal
from stepsize import __main__ as command
import stepsize.cli

def run(words):
    try:
        exec("signal.raise_signal(signal.SIGINT)", {"signal": signal})
    except KeyboardInterrupt:
        return 130

stepsize.cli.run = run
signal.signal = lambda *_: None
command.main()
"""
    (tmp_path / "pressed.py").write_text(script)
    assert subprocess.run([sys.executable, "-m", "pressed"], cwd=tmp_path, check=False).returncode == 130


@pytest.mark.slow
@pytest.mark.parametrize("command", [*COMMANDS, SWEEP])
@pytest.mark.parametrize(("seconds", "times"), [(0.3, 1), (0.8, 3), (2.0, 2)])
def test_from_the_first_moments_on_there_is_no_traceback(command, seconds, times, tmp_path):
    code, _, err = stopped(command, seconds, times, tmp_path)
    assert code in ((0, 130) if command.split()[0] in ("tasks", "plot", "course") else (130,)), err
    assert "Traceback" not in err
    assert "KeyboardInterrupt" not in err


@pytest.mark.slow
@pytest.mark.parametrize(("command", "sign"), [(COMMANDS[2], "metrics.jsonl"), (SWEEP, "sweep.db")])
@pytest.mark.parametrize("seconds", [0.2, 3.0])
def test_while_it_works_it_says_how_far_it_came(command, sign, seconds, tmp_path):
    code, _, err = stopped(command, seconds, 3, tmp_path, tmp_path / "o" / sign, forked)
    assert code == 130, err
    assert "Traceback" not in err
    assert "stepsize: stopped" in err
    if sign == "metrics.jsonl":
        assert status().startswith("interrupted")


@pytest.mark.slow
@pytest.mark.parametrize("ignored", [False, True])
def test_a_run_that_is_ended_by_sigterm_goes_on(ignored, tmp_path, monkeypatch):
    if ignored:  # Ctrl-C, as in the background of a shell, which hands that on
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    command = "train quadratic --lr 0.01 --steps 1000000 --out o"
    with monkeypatch.context() as patch:
        patch.setattr(sys.modules[__name__], "STOP", signal.SIGTERM)
        begin = child if ignored else forked
        code, _, err = stopped(command, 1.0, 1, tmp_path, tmp_path / "o" / "last.pt", begin)
    assert (code, "Traceback" in err) == (130, False)
    assert status() == "interrupted"
    assert json.loads((tmp_path / "o" / "run.json").read_text())["done"] == steps_done(tmp_path / "o") > 0


@pytest.mark.slow
def test_in_the_background_of_a_shell_it_is_ignored(tmp_path):
    words = [sys.executable, "-m", "stepsize", "train", "quadratic", "--lr", "0.01", "--steps", "3000", "--out", "o"]
    signal.signal(STOP, signal.SIG_IGN)  # which is handed on
    with child(words, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            process.send_signal(STOP)
            time.sleep(0.2)
    assert process.returncode == 0
    assert status() == "finished"


def test_ctrl_c_waits_until_a_worker_is_begun_whichever_thread_receives_it():
    began, over = threading.Event(), threading.Event()
    other = threading.Thread(target=lambda: (began.set(), over.wait(30)))  # as a progress bar has one
    other.start()
    began.wait(30)
    came = False
    try:
        with _processes._interrupts_held_back():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.1)
            came = True
        pytest.fail("it was lost")
    except KeyboardInterrupt:
        assert came
    finally:
        over.set()
        other.join()
