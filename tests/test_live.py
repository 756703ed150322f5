"""A run at a glance: what is shown is what its record says, at any width, while it runs, is killed and goes on."""

import io
import json
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from children import child
from rich.console import Console

from stepsize import Control, JsonLines, Live, Record, Run, RunFolder
from stepsize.cli import run as command
from stepsize.cli._screen import Bar
from stepsize.record import Course, Standing, standing_of
from stepsize.state import at_work
from stepsize.watch import Painter
from stepsize.watch._chart import BLOCKS, bars, columns_of
from stepsize.watch._face import face_of, line_of

PLAN = "lr: warmup(10) >> cosine()"


def written(folder, steps=60, total=100, status="running", **last):
    """A run's folder with so many lines, of a loss that halves every ten steps."""
    place = RunFolder(folder)
    place.write(task="mine", plan=PLAN, rate=0.1, seed=0, steps=total, done=0, status=status)
    lines = JsonLines(place.path / "metrics.jsonl", observed=place.path / "validation.jsonl")
    schedule = np.interp(np.arange(total), [0, 10, total], [0.1, 1.0, 1.0])
    for step in range(steps):
        values = {"loss": 2.0 ** (-step / 10), "rate": 0.1 * float(schedule[step]), "gradient_norm": 1.5}
        lines.on(Record(step, float(step), values=values | (last if step == steps - 1 else {})))
    lines.on(Record(steps // 2, float(steps // 2), "observed", {"validation_loss": 0.5}))
    lines.on(Record(steps, float(steps), "observed", {"validation_loss": 0.75}))
    lines.close()
    return place.path


def text(standing, width, rows=3, plain=False):
    return ["".join(part for part, _ in line) for line in face_of(standing, width, rows, plain)]


def test_the_standing_is_what_the_record_says(tmp_path):
    ratios = {"update_ratio": 0.5, "update_ratio/a": 1e-3, "update_ratio/b": 2e-2, "update_ratio/c": 5e-4}
    standing = standing_of(Run.open(written(tmp_path / "a", **ratios)), "a", pace=4.0)
    assert (standing.done, standing.position, standing.total, standing.task) == (60, 60.0, 100.0, "mine")
    assert standing.seconds_left == (100 - 60) / 4
    assert standing.loss.values[-1] == 2.0**-5.9
    assert standing.figures == {"gradient_norm": 1.5, "update_ratio": 0.5}
    assert [name for name, _ in standing.ratios] == ["b", "a", "c"]
    assert list(standing.seen["validation_loss"].values) == [0.5, 0.75]
    assert not standing.is_over


def test_the_course_to_come_is_the_plans_through_the_last_rate(tmp_path):
    standing = standing_of(Run.open(written(tmp_path / "a")), "a")
    here, ahead = standing.rate.steps[-1], standing.ahead
    shape = (1 + np.cos(np.pi * (ahead.steps - 10) / 90)) / 2
    assert ahead.steps[0] == here
    assert ahead.steps[-1] == 100
    assert ahead.values == pytest.approx(0.1 * shape / shape[0], abs=1e-12)


@pytest.mark.parametrize("plan", ["lr: warmup(3ep) >> cosine()", 'lr:\n  "*": cosine()', "no plan", ""])
def test_where_the_plan_does_not_say_what_is_to_come_there_is_none(plan):
    lines = [{"step": 3, "position": 3.0, "rate": 0.1}]
    assert standing_of(Run(".", {"plan": plan, "steps": 10}, lines), "a").ahead is None


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("width", [20, 40, 60, 80, 139, 140, 200])
def test_no_line_is_wider_than_the_terminal_and_nothing_hides_the_figures(width, plain, tmp_path):
    ratios = {f"update_ratio/layer{index}.weight": 10.0**-index for index in range(5)}
    standing = standing_of(Run.open(written(tmp_path / "a", **ratios)), "runs/a", pace=0.5)
    for rows in (1, 3):
        lines = text(standing, width, rows, plain)
        assert max(map(len, lines)) <= max(width, 40)
        whole = " ".join(lines)
        for shown in ("runs/a", "60 of 100, 60 %", "1:20 min", "0.01675", "gradient norm 1.5", "lowest 0.5 at 30"):
            assert shown in whole or (width < 60 and shown[0] == "l")
        assert re.search(r"layer0.weight 1 +layer1.weight 0.1 ", whole)
        assert not plain or whole.isascii()


def test_a_curve_is_drawn_as_high_as_it_is():
    course = Course(np.arange(8.0), np.array([0.0, 1, 2, 3, 4, 5, 6, 7]))
    assert list(columns_of(course, 8, 0, 8)) == list(course.values)
    assert bars(columns_of(course, 8, 0, 8)) == [BLOCKS[1:]]
    top, bottom = bars(np.array([1.0, 16.0]), 2)
    assert (top, bottom) == (" █", "▁█")
    assert bars(np.array([np.nan, np.nan]), 2) == ["  ", "  "]
    assert bars(np.array([1.0, np.nan, 1.0])) == ["▁ ▁"]
    halves = bars(np.array([1e-4, 1e-2, 1.0]), 1)  # far apart: by logarithm the middle is in the middle
    assert halves == ["▁▅█"]
    assert bars(np.array([2.0, 2.0, 0.0]), 1, from_zero=True) == ["██▁"]


def test_a_loss_that_is_not_finite_is_said():
    lines = [{"step": 0, "loss": 1.0}, {"step": 1, "loss": None}]
    standing = standing_of(Run(".", {"steps": 10}, lines), "a")
    assert "not finite" in " ".join(text(standing, 60))
    assert "loss not finite" in line_of(standing)


def test_names_that_would_move_the_cursor_do_not(tmp_path):
    standing = Standing("a\x1b[2J", "b\nc", "running", 1, 1.0, 10.0, events=["step 1: x\x1b]0;me\x07"])
    for line in text(standing, 60):
        assert line.isprintable()


def trained(live, steps=30):
    weight = torch.ones(4, requires_grad=True)
    control = Control(torch.optim.SGD([weight], lr=0.1), lr="cosine()", total=steps, watch=live, remind=False)
    for step in range(steps):
        loss = weight.square().sum()
        loss.backward()
        control.step(loss, again=lambda: weight.square().sum())
        if step == steps // 2:
            control.scale(0.5, reason="too loud")
    control.detach()
    return weight.detach()


def test_an_observer_shows_the_run_and_changes_nothing(capsys):
    assert torch.equal(trained(Live(every=5)), trained(()))
    said = capsys.readouterr()
    assert said.out == ""
    lines = said.err.splitlines()
    assert lines[0] == "training"
    assert any(line.startswith("step 16: scale 0.5") and "too loud" in line for line in lines)
    assert lines[-1] == "finished"
    assert re.match(r"step \d+ of 30, \d+ %.*  loss .*  rate ", lines[-2])


def test_in_a_terminal_it_is_painted_in_place_and_the_cursor_comes_back():
    screen = io.StringIO()
    painter = Painter(Console(file=screen, force_terminal=True, width=60, height=30, color_system=None))
    for done in (10, 20):
        painter.show(Standing("a", "", "running", done, float(done), 100.0, rates={"": 0.1}))
    painter.stop()
    shown = screen.getvalue()
    assert shown.count("10 of 100") == 1
    assert shown.rindex("20 of 100") > shown.rindex("\x1b[1A\x1b[2K")  # over what was there
    assert "\x1b[?25l" in shown
    assert shown.rstrip().endswith("\x1b[?25h")
    assert not re.search(r"\x1b\[[\d;]*m", shown)


@pytest.mark.parametrize("argument", [{"every": 0}, {"refresh": 0}, {"name": ""}, {"signals": ["los"]}])
def test_nonsense_is_refused(argument):
    with pytest.raises((TypeError, ValueError), match=next(iter(argument))):
        Live(**argument)


def test_a_finished_run_is_shown_once_and_as_json(tmp_path, capsys):
    place = written(tmp_path / "a", steps=100, status="finished")
    assert command(["watch", str(place)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "finished"
    assert command(["watch", str(tmp_path), "--json"]) == 0  # of a folder of runs the newest
    found = json.loads(capsys.readouterr().out)
    assert (found["name"], found["status"], found["done"]) == (str(place), "finished", 100)
    assert found["validation"] == {"validation_loss": 0.75}


def test_records_of_others_are_watched_too(tmp_path, capsys):
    log = {"log_history": [{"step": 5, "loss": 2.5, "learning_rate": 1e-4}], "max_steps": 20, "global_step": 5}
    (tmp_path / "trainer_state.json").write_text(json.dumps(log))
    assert command(["watch", str(tmp_path), "--once"]) == 0
    shown = capsys.readouterr().out
    assert "of 20" in shown
    assert "2.5" in shown


@pytest.mark.parametrize("words", [["nowhere", "--once"], [".", "--every", "0"], [".", "--column", "loss"]])
def test_what_cannot_be_watched_is_an_error_in_a_line(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert command(["watch", *words]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


PIPES = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
# a shell's background ignores Ctrl-C, and what a test begins inherits that
WATCH = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from stepsize.cli import run
sys.exit(run(["watch", sys.argv[1], "--every", "0.1"]))
"""


def test_a_run_that_has_not_begun_is_waited_for_and_ctrl_c_leaves_it_alone(tmp_path):
    with child([sys.executable, "-c", WATCH, tmp_path / "a"], **PIPES) as process:
        assert "waiting for a run in" in process.stderr.readline()
        place = written(tmp_path / "a")
        before = {file.name: file.read_bytes() for file in place.iterdir()}
        assert process.stdout.readline().split() == [str(place), "mine"]
        assert process.stdout.readline().startswith("step 60 of 100, 60 %")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1] == f"stepsize: no longer watched; nothing has changed for {place}"
    assert {file.name: file.read_bytes() for file in place.iterdir()} == before


def test_of_a_process_that_was_killed_the_lock_tells(tmp_path):
    program = "import time; from stepsize.state import locked\nwith locked('.'): print(1, flush=True); time.sleep(60)"
    with child([sys.executable, "-c", program], cwd=tmp_path, **PIPES) as process:
        process.stdout.readline()
        assert at_work(tmp_path) is True
    assert at_work(tmp_path) is False
    for content in ("", "process x on y", f"process {os.getpid()} on elsewhere\n", "\0" * 500):
        (tmp_path / ".lock").write_text(content)
        assert at_work(tmp_path) is None
    (tmp_path / ".lock").unlink()
    assert at_work(tmp_path) is None


def test_a_killed_run_is_said_to_be_and_goes_on_when_it_is_resumed(tmp_path, capsys):
    place = written(tmp_path / "a")
    with child([sys.executable, "-c", ""]) as dead:
        dead.wait()
    (place / ".lock").write_text(f"process {dead.pid} on {os.uname().nodename}\n")
    assert command(["watch", str(place), "--once"]) == 0
    assert "was killed; train --resume goes on" in capsys.readouterr().out


def test_a_pipe_gets_a_line_at_each_tenth_and_no_line_twice():
    screen = io.StringIO()
    painter = Painter(Console(file=screen, width=200))
    events = []
    for done in range(101):
        if done == 50:
            events.append("step 50: scale 0.5")
        status = "finished" if done == 100 else "running"
        painter.show(Standing("a", "t", status, done, float(done), 100.0, rates={"": 0.1}, events=tuple(events)))
        painter._lines._at -= 1.0  # a second has gone by
    lines = screen.getvalue().splitlines()
    assert lines[0] == "a  t"
    assert lines[-1] == "finished"
    assert len(lines) == len(set(lines)) == 1 + 11 + 1 + 1
    assert lines.count("step 50: scale 0.5") == 1


@pytest.mark.parametrize(
    ("done", "position", "total", "text"),
    [
        (50, 49.0, 100.0, "50 of 100, 50 %"),  # a line's position is that before its step
        (100, 90.0, 100.0, "100 of 100, 100 %"),  # lines are written each ten steps
        (50, 1568.0, 6400.0, "50, 1,568 of 6,400, 24 %"),  # a clock of samples
        (50, 2.0, 10.0, "50, 2 of 10, 20 %"),  # of epochs
    ],
)
def test_the_share_is_that_of_the_number_beside_it(done, position, total, text):
    line = line_of(Standing("a", "", "running", done, position, total))
    assert line == f"step {text}"


def test_progress_says_loss_and_rate_while_the_run_is_validated(capsys):
    noted = []
    bar = Bar(Console(stderr=True), 100, lambda *each: noted.append(each))
    bar(0, 100, "validating")
    bar.on(Record(9, 9.0, values={"loss": 0.5, "rate": 0.01}))
    bar(10, 100, "validating")
    assert noted == [
        (0, 100, "validating"),
        (10, 100, "loss 0.5  rate 0.01"),
        (10, 100, "loss 0.5  rate 0.01  validating"),
    ]
