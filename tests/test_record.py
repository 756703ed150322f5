"""What a run has written can be read: of every version, while it is written, damaged, cut off, taken back."""

import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from children import child, once

from stepsize import JsonLines, Record, RunFolder, train
from stepsize.pages import picture
from stepsize.record import FORMAT, METRICS, RecordWarning, Run
from stepsize.record._tail import Tail
from stepsize.task import task_named

OF_OLD = Path(__file__).parent / "runs"  # written by stepsize 0.1 as it was at each format of run.json


def line(step, **values):
    return json.dumps({"step": step, **values}) + "\n"


@pytest.mark.parametrize("version", ["format-1", "format-2"])
def test_folders_of_earlier_versions_still_open_and_are_drawn(tmp_path, version):
    folder = tmp_path / version
    shutil.copytree(OF_OLD / version, folder)
    run = Run.open(folder)
    assert (run.facts["task"], run.facts["rate"], run.facts["status"]) == ("linear-regression", 0.362, "finished")
    assert run.column("step").tolist() == list(range(40))
    assert run.column("update_ratio")[0] == pytest.approx(0.9030681)
    assert run.column("validation_loss", of="observed").shape == (5,)
    assert run.finding["rate"] == 0.362
    assert not run.events
    assert RunFolder.existing(folder).facts()["done"] == 40
    assert picture(folder).stat().st_size > 10_000


def test_a_folder_of_a_newer_stepsize_is_refused(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({"format": FORMAT + 1}))
    with pytest.raises(ValueError, match="newer stepsize"):
        Run.open(tmp_path)
    with pytest.raises(ValueError, match="a run folder"):
        Run.follow(tmp_path / "none")


def test_columns_are_arrays_and_what_is_missing_is_nan(tmp_path):
    RunFolder(tmp_path / "a").write(task="x")
    lines = JsonLines(tmp_path / "a" / METRICS)
    lines.on(Record(0, 0.0, values={"loss": 2.0}))
    lines.on(Record(1, 64.0, values={"loss": float("inf"), "rate": 0.1}))
    lines.on(Record(1, 64.0, "event", {"value": 0.5}, {"what": "scale", "group": "*"}))
    run = Run.open(tmp_path / "a")
    np.testing.assert_array_equal(run.column("loss"), [2.0, np.nan])
    np.testing.assert_array_equal(run.column("position"), [0, 64])
    np.testing.assert_array_equal(run.column("value", of="events"), [0.5])
    with pytest.raises(ValueError, match="has no 'los'; did you mean 'loss'"):
        run.column("los")
    with pytest.raises(ValueError, match="of must be"):
        run.column("loss", of="trials")


def test_what_is_damaged_is_left_out_and_said(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({"task": "x", "rate": "high"}))
    (tmp_path / METRICS).write_text(line(0, loss=1.0) + '{"step": 1, "lo\n' + line(2, loss=3.0))
    with pytest.warns(RecordWarning) as said:
        run = Run.open(tmp_path)
    assert dict(run.facts) == {"task": "x"}
    assert run.column("loss").tolist() == [1.0, 3.0]
    assert [str(warning.message)[:6] for warning in said] == ["rate i", "line 2"]


def test_half_a_line_waits_for_its_other_half(tmp_path):
    tail = Tail(tmp_path / METRICS)
    assert not tail.read()
    with (tmp_path / METRICS).open("w") as file:
        file.write(line(0) + '{"step": 1, ')
        file.flush()
        assert tail.read()
        assert [entry["step"] for entry in tail.entries] == [0]
        assert not tail.read()
        file.write('"loss": 2.0}\n')
        file.flush()
        assert tail.read()
    assert tail.entries[1] == {"step": 1, "loss": 2.0}


def test_lines_that_were_taken_back_are_gone_whether_the_file_is_cut_or_written_anew(tmp_path):
    path = tmp_path / METRICS
    path.write_text("".join(line(step, loss=step / 7) for step in range(10)))
    tail = Tail(path)
    assert tail.read()
    assert len(tail.entries) == 10
    os.truncate(path, len(line(0, loss=0.0)) * 2)
    tail.read()
    assert [entry["step"] for entry in tail.entries] == [0]
    lines = JsonLines(path, resume_at=1)  # goes on as a resumed run does
    for step in range(1, 30):
        lines.on(Record(step, step, values={"loss": -1.0}))
    assert tail.read()
    assert [entry["step"] for entry in tail.entries] == list(range(30))
    assert tail.entries[5]["loss"] == -1.0
    path.write_text("".join(line(step, loss=step * 11) for step in range(60)))  # longer, and another
    assert tail.read()
    assert [entry["loss"] for entry in tail.entries] == [step * 11 for step in range(60)]
    path.unlink()
    assert tail.read()
    assert not tail.entries


WRITER = """
import sys, time
from stepsize import JsonLines, Record, RunFolder, train
folder = RunFolder(sys.argv[1])
folder.write(task="x", status="running")
lines = JsonLines(folder.path / "metrics.jsonl")
for step in range(40):
    lines.on(Record(step, step, values={"loss": 1 / (step + 1)}))
    if step == 20:
        lines = JsonLines(folder.path / "metrics.jsonl", resume_at=10)
        for again in range(10, 21):
            lines.on(Record(again, again, values={"loss": 7.0}))
    time.sleep(0.02)
folder.write(status="finished")
"""


def test_a_run_is_followed_while_another_process_writes_and_resumes_it(tmp_path):
    folder = tmp_path / "run"
    with child([sys.executable, "-c", WRITER, str(folder)]) as writer:
        once((folder / "run.json").exists, writer)
        runs = list(Run.follow(folder, every=0.01))
    assert len(runs) > 3
    for run in runs:
        steps = [entry["step"] for entry in run.steps]
        assert steps == list(range(len(steps)))  # never a line twice, never half a line
    assert runs[-1].facts["status"] == "finished"
    assert len(runs[-1].steps) == 40
    assert runs[-1].column("loss")[10] == 7.0


@pytest.mark.parametrize("path", [None, 3, b"x"])
def test_what_is_no_path_is_refused_by_name(path):
    with pytest.raises(TypeError, match="path must be a run's folder or a log"):
        Run.open(path)


def test_a_path_that_is_not_there_is_said_to_be_missing(tmp_path):
    with pytest.raises(ValueError, match="it is not there"):
        Run.open(tmp_path / "nothing")


def test_the_commands_of_a_run_that_is_steered_are_no_log(tmp_path):
    train(task_named("linear-regression"), lr=0.1, steps=3, folder=tmp_path)
    with pytest.raises(ValueError, match="must be a run folder or a log"):
        Run.open(tmp_path)
