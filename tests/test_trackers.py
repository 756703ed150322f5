"""Experiment trackers get what the run is, once, and nothing twice: real ones where they are installed."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from stepsize import Control, JsonLines, Record, Run, Tracker, linear, plateau
from stepsize.control import Bus
from stepsize.record import RecordWarning

STEPS = 12


class Kept:
    """A tracker that keeps what it is told."""

    def __init__(self):
        self.config, self.summary, self.points, self.alerts = {}, {}, [], []

    def log(self, values, step):
        self.points.append((step, values))

    def alert(self, title, text):
        self.alerts.append((title, text))


def train(*watch, begin=0, total=STEPS):
    """A few steps on a bowl, validated once, the rate scaled once."""
    weight = torch.full((1,), 0.5, requires_grad=True)
    control = Control(torch.optim.SGD([weight], lr=0.25), lr=linear(), total=total, watch=watch)
    for step in range(total):
        loss = weight.square().sum()
        loss.backward()
        control.step(loss)
        if step == 5:
            control.observe(validation_loss=loss.item())
            control.scale(0.5, reason="noisy")
    control.detach()


def lines_of(folder):
    return [entry for entry in Run.open(folder).steps if "loss" in entry]


def test_a_tracker_has_the_values_of_the_lines_the_plan_and_the_end(tmp_path):
    kept = Kept()
    train(Tracker(kept, every=3), JsonLines(tmp_path / "metrics.jsonl", every=3))
    points = [(step, values) for step, values in kept.points if "loss" in values]
    lines = lines_of(tmp_path)
    assert points == [
        (line["step"], {k: v for k, v in line.items() if k not in ("step", "position")}) for line in lines
    ]
    assert (6, {"events/scale": 0.5}) in kept.points
    assert [step for step, values in kept.points if "validation_loss" in values] == [6]
    assert kept.config["plan"] == f"lr: linear({STEPS})"
    assert kept.summary == {"status": "finished"}
    assert not kept.alerts


def test_a_function_will_do_and_a_clock_of_its_own_is_written(tmp_path):
    points = []
    bus = Bus(Tracker(lambda values, step: points.append((step, values)), every=1))
    bus.send(Record(2, 128.0, "step", {"loss": 1.0}))
    bus.end("finished")
    assert points == [(2, {"loss": 1.0, "position": 128.0})]


def test_settings_and_the_finding_are_flat_and_symptoms_and_bad_ends_alert():
    class Found:
        rate = 0.1

        def __str__(self):
            return "rate 0.1, by 12 runs"

    kept = Kept()
    bus = Bus(Tracker(kept, finding=Found()), {"task": "digits", "settings": {"lr": 0.1, "warmup": None}})
    text = {"what": "rate-too-high", "group": "*", "severity": "error", "reason": "halve it"}
    bus.send(Record(7, 7.0, "event", {"value": 0.5}, text))
    bus.send(Record(7, 7.0, "event", {}, {**text, "severity": "note"}))
    bus.end("diverged")
    assert kept.config == {
        "task": "digits",
        "settings/lr": 0.1,
        "finding": "rate 0.1, by 12 runs",
        "found_rate": 0.1,
    }
    assert kept.alerts == [
        ("error: rate-too-high", "step 7: error: rate-too-high 0.5 of *: halve it"),
        ("run diverged", "diverged"),
    ]


def test_a_tracker_that_fails_is_said_once_and_the_training_goes_on():
    class Away:
        def log(self, values, step):
            raise OSError("no route")

    with pytest.warns(RecordWarning, match=r"tracker failed \(OSError: no route\)") as said:
        train(Tracker(Away(), every=1))
    assert len(said) == 1


def test_what_is_no_tracker_is_refused():
    with pytest.raises(TypeError, match=r"run must be a run of W&B or trackio.* got 'wandb'"):
        Tracker("wandb")


def test_of_a_run_that_goes_on_nothing_is_written_twice():
    kept = Kept()
    kept.step = 8  # as of W&B, where the next step is this one
    train(Tracker(kept, every=1))
    assert sorted({step for step, _ in kept.points}) == [8, 9, 10, 11]


def test_feedback_is_drawn(tmp_path):
    kept = Kept()
    weight = torch.ones(1, requires_grad=True)
    feedback = plateau(patience=0)
    control = Control(torch.optim.SGD([weight], lr=0.5), feedback=feedback, watch=Tracker(kept))
    for _ in range(3):
        control.step(1.0)
    assert any("events/feedback" in values for _, values in kept.points)


@pytest.mark.filterwarnings("ignore")  # its own, and those of what it uses
def test_mlflow_for_real(tmp_path):
    mlflow = pytest.importorskip("mlflow")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/runs.db")
    with mlflow.start_run() as run:
        train(Tracker(mlflow, every=3), JsonLines(tmp_path / "metrics.jsonl", every=3))
    key, client = run.info.run_id, mlflow.MlflowClient()
    with mlflow.start_run(run_id=key):  # it goes on, and one step more comes
        train(Tracker(mlflow, every=1), total=STEPS)
    for line in lines_of(tmp_path):
        for name in ("loss", "rate"):
            found = {each.step: each.value for each in client.get_metric_history(key, name)}
            assert found[line["step"]] == line[name]
    steps = [each.step for each in client.get_metric_history(key, "loss")]
    assert len(steps) == len({*steps})
    data = client.get_run(key).data
    assert data.params["plan"] == f"lr: linear({STEPS})"
    assert data.tags["stepsize.status"] == "finished"
    mlflow.end_run()
    with pytest.raises(ValueError, match="without an active run"):
        Tracker(mlflow)


IN_TRACKIO = """
import sys
sys.path.insert(0, {tests!r})
import trackio
from test_trackers import train
from stepsize import JsonLines, Tracker
run = trackio.init(project="bowl", name="a", resume="allow", auto_log_cpu=False, auto_log_gpu=False)
train(Tracker(run, every=3), JsonLines("metrics.jsonl", every=3))
run.finish()
"""


def in_folder(tmp_path, code, **environment):
    environment = {**os.environ, **environment, "PYTHONWARNINGS": "ignore"}
    code = code.format(tests=str(Path(__file__).parent))
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env=environment, capture_output=True)


def test_trackio_for_real(tmp_path):
    trackio = pytest.importorskip("trackio")
    for _ in range(2):  # the second time it goes on, and writes what is new: nothing
        in_folder(tmp_path, IN_TRACKIO, TRACKIO_DIR=str(tmp_path / "trackio"), HF_HUB_OFFLINE="1")
    read = "import json, trackio\nrun, = trackio.Api().runs('bowl')\nfrom trackio import SQLiteStorage as store\n"
    read += "print(json.dumps([dict(run.config), store.get_logs('bowl', 'a')], default=str))"
    environment = {**os.environ, "TRACKIO_DIR": str(tmp_path / "trackio"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", read], check=True, capture_output=True, text=True, env=environment)
    config, logs = json.loads(done.stdout.splitlines()[-1])
    assert config["plan"] == f"lr: linear({STEPS})"
    found = [(entry["step"], entry["loss"]) for entry in logs if "loss" in entry]
    assert found == [(line["step"], line["loss"]) for line in lines_of(tmp_path)][: len(found)]
    assert len(found) == STEPS // 3
    assert trackio.__version__


IN_WANDB = """
import sys
sys.path.insert(0, {tests!r})
import wandb
from test_trackers import train
from stepsize import JsonLines, Tracker
run = wandb.init(project="bowl", mode="offline", settings=wandb.Settings(console="off", x_disable_stats=True))
train(Tracker(run, every=3), JsonLines("metrics.jsonl", every=3))
run.finish()
"""


def wandb_records(content, size=2**15):
    """The records of W&B's file: LevelDB's log, in blocks, after seven bytes of its own."""
    place, begun = 7, b""
    while place + 7 <= len(content):
        if size - place % size < 7:
            place += size - place % size
            continue
        length, kind = int.from_bytes(content[place + 4 : place + 6], "little"), content[place + 6]
        begun += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or its last part
            yield begun
            begun = b""


def test_weights_and_biases_offline_for_real(tmp_path):
    pytest.importorskip("wandb")
    from wandb.proto import wandb_internal_pb2

    in_folder(tmp_path, IN_WANDB, WANDB_MODE="offline", WANDB_SILENT="true", WANDB_ERROR_REPORTING="false")
    (file,) = tmp_path.rglob("*.wandb")
    rows, config = [], {}
    for content in wandb_records(file.read_bytes()):
        record = wandb_internal_pb2.Record.FromString(content)
        for update in (*record.config.update, *record.run.config.update):
            config[update.key or update.nested_key[-1]] = json.loads(update.value_json)
        if record.HasField("history"):
            items = {item.key or item.nested_key[-1]: json.loads(item.value_json) for item in record.history.item}
            rows.append({**items, "_step": record.history.step.num})
    found = [(row["_step"], row["loss"], row["rate"]) for row in rows if "loss" in row]
    assert found == [(line["step"], line["loss"], line["rate"]) for line in lines_of(tmp_path)]
    assert config["plan"] == f"lr: linear({STEPS})"
    assert not any(math.isnan(row["loss"]) for row in rows if "loss" in row)
