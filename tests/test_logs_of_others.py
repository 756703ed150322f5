"""Logs that others wrote are read as runs: made by the real packages; under any names; cut off, damaged, hostile."""

import json
import os
import random
import warnings

import numpy as np
import pytest
from logs_of_others import EVERY, STEPS, lightning_log, transformers_log

from stepsize import Control, JsonLines, Run, TensorBoard, linear
from stepsize.record import RecordWarning


@pytest.fixture(scope="module")
def lightning(tmp_path_factory):
    pytest.importorskip("lightning")
    folder = tmp_path_factory.mktemp("lightning")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return folder, lightning_log(folder)


@pytest.fixture(scope="module")
def transformers(tmp_path_factory):
    pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("transformers")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return folder, transformers_log(folder)


def test_transformers_state_is_read_from_folder_checkpoint_and_file(transformers):
    folder, losses = transformers
    run = Run.open(folder)
    last = folder / "checkpoint-20"
    assert Run.open(last) == run == Run.open(last / "trainer_state.json")
    means = np.array(losses).reshape(-1, EVERY).mean(1)  # its Trainer logs the mean since the last line
    np.testing.assert_allclose(run.column("loss"), means, rtol=1e-5)
    np.testing.assert_array_equal(run.column("step"), np.arange(EVERY, STEPS + 1, EVERY))
    np.testing.assert_allclose(run.column("rate"), 0.01 * (1 - (run.column("step") - 1) / STEPS), rtol=1e-9)
    assert (run.column("gradient_norm") > 0).all()
    assert [entry["step"] for entry in run.observed] == [5, 10, 15, 20]
    assert (run.column("validation_loss", of="observed") > 0).all()
    assert (run.facts["log"], run.facts["steps"], run.facts["status"]) == ("Transformers", STEPS, "finished")
    assert run.facts["settings"]["train_batch_size"] == 4
    assert len(Run.open(folder / "checkpoint-10").steps) == 5
    assert len(list(Run.follow(folder))) == 1  # it is known to be at its end


@pytest.mark.parametrize("kind", ["csv", "board"])
def test_lightnings_table_and_its_event_files_say_the_same(lightning, kind):
    folder, losses = lightning
    run = Run.open(folder / kind / "lightning_logs")
    assert run == Run.open(folder / kind / "lightning_logs" / "version_0")
    entries = [entry for entry in run.steps if "loss" in entry]
    at = [entry["step"] for entry in entries]
    assert at == list(range(EVERY - 1, STEPS, EVERY))
    np.testing.assert_allclose([entry["loss"] for entry in entries], np.array(losses)[at], rtol=1e-6)
    rates = np.array([[entry["rate"], entry["rate/AdamW/pg2"]] for entry in entries])
    factors = 1 - 0.9 * np.array(at) / STEPS
    np.testing.assert_allclose(rates, factors[:, None] * [0.1, 0.01], rtol=1e-6)
    assert [entry["step"] for entry in run.observed] == [9, 19]
    assert [entry["epoch"] for entry in run.observed] == [0, 1]
    assert run.facts["settings"] == {"lr": 0.1, "width": 3}
    assert run.facts["columns"]["loss"] == "train_loss_step"
    assert "steps" not in run.facts  # the log does not say it
    assert ("seconds" in run.steps[-1]) == (kind == "board")


def test_event_files_of_torch_with_parts_settings_and_a_run_that_went_on(tmp_path):
    from torch.utils.tensorboard import SummaryWriter

    for purge in (None, 6):
        with SummaryWriter(tmp_path, purge_step=purge) as board:
            for step in range(purge or 0, 10):
                board.add_scalar("train/loss", 1.0 if purge is None else 0.5, step)
                board.add_scalars("accuracy", {"train": 0.5, "val": 0.75}, step)
                if purge is None:
                    board.add_scalar("extra", step, step)
                else:
                    board.add_hparams({"lr": 0.1, "optimizer": "adam"}, {"score": 1.0})
    run = Run.open(tmp_path)
    assert [entry["loss"] for entry in run.steps] == [1.0] * 6 + [0.5] * 4
    assert [entry["step"] for entry in run.steps if "extra" in entry] == list(range(6))  # purged, and not again
    assert [entry["accuracy"] for entry in run.observed] == [0.75] * 10
    assert run.column("accuracy/train").tolist() == [0.5] * 10
    assert run.facts["settings"] == {"lr": 0.1, "optimizer": "adam"}


def test_our_own_event_files_and_json_lines_without_a_folder_of_a_run_say_the_same(tmp_path):
    import torch

    weight = torch.full((1,), 0.5, requires_grad=True)
    files = {
        name: tmp_path / "lines" / f"{file}.jsonl" for name, file in (("observed", "validation"), ("events", "events"))
    }
    board, lines = TensorBoard(tmp_path / "board", every=1), JsonLines(tmp_path / "lines" / "metrics.jsonl", **files)
    control = Control(torch.optim.SGD([weight], lr=0.25), lr=linear(), total=8, watch=[board, lines])
    for step in range(8):
        loss = weight.square().sum()
        loss.backward()
        control.step(loss)
        if step in (3, 7):
            control.observe(validation_loss=2 * loss.item(), accuracy=0.5)
    control.scale(0.5, reason="noisy")
    board.close()
    board, lines = Run.open(tmp_path / "board"), Run.open(tmp_path / "lines")
    for name in ("step", "loss", "rate", "gradient_norm"):
        np.testing.assert_allclose(board.column(name), lines.column(name), rtol=1e-6)
    assert lines.column("rate").tolist() == [0.25 * (1 - step / 8) for step in range(8)]
    for run in (board, lines):
        np.testing.assert_array_equal(run.column("accuracy", of="observed"), [0.5, 0.5])
        np.testing.assert_array_equal(run.column("step", of="observed"), [4, 8])
    assert [event["reason"] for event in lines.events] == ["noisy"]


LOSSES = [2.0, 1.0, 0.5]
NAMES = [
    ("step", "train_loss", "lr", "grad_norm", "val_loss"),
    ("global_step", "train/loss", "train/learning_rate", "train/grad_norm", "eval/loss"),
    ("_step", "loss", "lr-AdamW/pg1", "gradient_norm", "eval_loss"),
    ("iteration", "Loss/train", "LearningRate", "total_grad_norm", "Loss/validation"),
    ("trainer/global_step", "training_loss_step", "optim/lr", "gnorm", "valid_loss"),
    ("Step", "trainLoss", "Learning Rate", "grad_2.0_norm_total", "valLoss"),
    ("update", "batch_loss", "lr_0", "global_norm", "dev loss"),
]


def rows_of(step, loss, rate, norm, validation):
    for place, value in enumerate(LOSSES):
        yield {step: place * 10, loss: value, rate: 0.1 / (place + 1), norm: 3.0 + place}
    yield {step: 20, validation: 0.75}


def as_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def as_table(path, rows):
    rows = list(rows)
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = [names, *([str(row.get(name, "")) for name in names] for row in rows)]
    path.write_text("".join(",".join(row) + "\n" for row in table))


@pytest.mark.parametrize("names", NAMES, ids=[names[1] for names in NAMES])
@pytest.mark.parametrize(("file", "write"), [("log.jsonl", as_lines), ("log.csv", as_table)])
def test_usual_names_are_known_in_lines_and_tables(tmp_path, names, file, write):
    write(tmp_path / file, rows_of(*names))
    for run in (Run.open(tmp_path), Run.open(tmp_path / file)):
        assert run.column("step").tolist() == [0, 10, 20]
        assert run.column("loss").tolist() == LOSSES
        assert run.column("rate").tolist() == [0.1, 0.05, 0.1 / 3]
        assert run.column("gradient_norm").tolist() == [3, 4, 5]
        assert run.column("validation_loss", of="observed").tolist() == [0.75]
        assert "status" not in run.facts


def test_names_of_ones_own_are_given_and_all_others_stay(tmp_path):
    rows = [
        {"when": 2 * at, "metric": {"objective": 1 / (at + 1)}, "speed": 0.1, "lr": 5, "note": "x"} for at in range(3)
    ]
    as_lines(tmp_path / "log.jsonl", rows)
    columns = {"step": "when", "loss": "metric/objective", "rate": "speed"}
    run = Run.open(tmp_path, columns)
    assert run.column("loss").tolist() == [1, 1 / 2, 1 / 3]
    assert run.column("step").tolist() == [0, 2, 4]
    assert run.column("rate").tolist() == [0.1] * 3
    assert run.column("lr").tolist() == [5] * 3
    with pytest.raises(
        ValueError, match="loss='metric/objectiv', which the log does not; did you mean 'metric/objective'"
    ):
        Run.open(tmp_path, {"loss": "metric/objectiv"})
    with pytest.raises(TypeError, match="columns must be a mapping"):
        Run.open(tmp_path, ["loss"])
    with pytest.warns(RecordWarning, match="counted from 0"):
        assert Run.open(tmp_path).facts["counts"] == "rows"


def test_of_several_names_for_one_thing_that_with_most_values_is_taken(tmp_path):
    rows = [{"step": step, "train_loss_step": 1.0} for step in range(9)]
    rows[4]["train_loss_epoch"] = rows[8]["train_loss_epoch"] = 7.0
    rows.append({"step": 8, "train_loss": 3.0, "loss_scale": 65536.0, "train/accuracy": 0.5})
    as_lines(tmp_path / "log.jsonl", rows)
    run = Run.open(tmp_path)
    assert run.column("loss").tolist() == [1.0] * 9
    assert run.steps[8]["loss_scale"] == 65536.0
    assert run.steps[8]["train/accuracy"] == 0.5


def test_a_table_that_weights_and_biases_pages_export(tmp_path):
    header = '"Step","lively-sun-1 - train/loss","lively-sun-1 - train/loss__MIN","lively-sun-1 - train/loss__MAX"\n'
    (tmp_path / "wandb.csv").write_text(header + '"0","2.5","2.5","2.5"\n"10","1.5","1.5","1.5"\n')
    run = Run.open(tmp_path / "wandb.csv")
    assert run.column("loss").tolist() == [2.5, 1.5]
    assert run.steps[1] == {"step": 10, "loss": 1.5}
    (tmp_path / "history.csv").write_text(",_step,_runtime,train/loss\n0,0,1.5,2.5\n1,10,3,1.5\n")  # pandas' index
    assert Run.open(tmp_path / "history.csv").steps[1] == {"step": 10, "seconds": 3, "loss": 1.5}
    (tmp_path / "two.csv").write_text('"Step","a - loss","b - loss"\n"0","2.5","3.5"\n')
    with pytest.raises(ValueError, match=r"two\.csv has columns of 2 runs: a, b; .*columns="):
        Run.open(tmp_path / "two.csv")
    assert Run.open(tmp_path / "two.csv", {"loss": "b - loss"}).column("loss").tolist() == [3.5]


def test_a_table_by_epochs_says_that_it_counts_these_and_of_a_clock_seconds_are_made(tmp_path):
    (tmp_path / "log.csv").write_text("epoch,loss,val_loss,_timestamp\n0,2,3,1700000000\n1,1,2.5,1700000060\n")
    run = Run.open(tmp_path / "log.csv")
    assert run.facts["counts"] == "epochs"
    assert run.column("seconds").tolist() == [0, 60]
    assert run.observed == [
        {"step": 0, "validation_loss": 3, "seconds": 0},
        {"step": 1, "validation_loss": 2.5, "seconds": 60},
    ]
    (tmp_path / "log.csv").write_text("step,loss,time\n0,2,0.3\n1,1,0.2\n")  # the time of each step
    run = Run.open(tmp_path / "log.csv")
    assert run.column("time").tolist() == [0.3, 0.2]
    assert "seconds" not in run.steps[0]


def test_what_is_not_finite_is_there_as_none_and_what_is_absent_is_not(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"step": 0, "loss": NaN}\n{"step": 1, "lr": 0.5}\n{"step": 2, "loss": 1e999}\n')
    (tmp_path / "a.csv").write_text("step,loss,lr\n0,nan,\n1,,0.5\n2,inf,\n")
    for name in ("a.jsonl", "a.csv"):
        assert Run.open(tmp_path / name).steps == [
            {"step": 0, "loss": None},
            {"step": 1, "rate": 0.5},
            {"step": 2, "loss": None},
        ]


def test_of_a_run_that_went_on_in_the_same_file_the_later_steps_count(tmp_path):
    rows = [{"step": step, "loss": 1.0} for step in range(10)] + [{"step": step, "loss": 2.0} for step in (4, 6)]
    as_lines(tmp_path / "log.jsonl", rows)
    with pytest.warns(RecordWarning, match="goes back in its steps, and 4 that were written before do not come again"):
        found = Run.open(tmp_path)
    assert [(entry["step"], entry["loss"]) for entry in found.steps] == [
        *((step, 1.0) for step in range(4)),
        (4, 2.0),
        (6, 2.0),
    ]


@pytest.mark.parametrize("order", ["newest first", "shuffled", "second half first"])
def test_one_run_in_another_order_is_put_in_order(tmp_path, order):
    steps = list(range(101))
    written = {
        "newest first": steps[::-1],
        "shuffled": random.Random(0).sample(steps, len(steps)),
        "second half first": steps[50:] + steps[:50],
    }[order]
    as_table(tmp_path / "log.csv", [{"step": step, "loss": 100.0 - step} for step in written])
    assert [(entry["step"], entry["loss"]) for entry in Run.open(tmp_path).steps] == [
        (step, 100.0 - step) for step in steps
    ]


def test_of_a_run_that_went_on_between_its_old_steps_the_later_count(tmp_path):
    rows = [{"step": step, "loss": 1.0} for step in range(0, 100, 10)]
    as_lines(tmp_path / "log.jsonl", rows + [{"step": step, "loss": 2.0} for step in range(55, 155, 10)])
    with pytest.warns(RecordWarning, match="and 4 that were written before do not come again"):
        found = Run.open(tmp_path)
    assert [entry["step"] for entry in found.steps] == [*range(0, 60, 10), *range(55, 155, 10)]


def test_a_log_is_followed_while_it_grows(tmp_path):
    path = tmp_path / "log.jsonl"
    as_lines(path, [{"step": 0, "loss": 1.0}])
    runs = Run.follow(path, every=0.001)
    assert len(next(runs).steps) == 1
    with path.open("a") as file:
        file.write('{"step": 1, "loss": 0.5}\n{"step": 2')
    assert next(runs).column("loss").tolist() == [1.0, 0.5]


def test_several_logs_in_a_folder_are_named_and_none_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"path must be a run folder or a log .*trainer_state\.json.*event files"):
        Run.open(tmp_path)
    with pytest.raises(ValueError, match="a log of training"):
        Run.open(tmp_path / "none")
    for name in ("a.jsonl", "b.jsonl"):
        as_lines(tmp_path / name, [{"step": 0, "loss": 1}])
    with pytest.raises(ValueError, match=r"single log, .*; name one of 2: a\.jsonl, b\.jsonl"):
        Run.open(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(ValueError, match="columns are for logs of others"):
        Run.open(tmp_path, {"loss": "x"})


def test_truncated_logs_are_read_as_far_as_they_are_whole(tmp_path, transformers, lightning):
    state = (transformers[0] / "checkpoint-20" / "trainer_state.json").read_bytes()
    (tmp_path / "trainer_state.json").write_bytes(state[: len(state) // 2])
    with pytest.raises(ValueError, match=r"trainer_state\.json is damaged"):
        Run.open(tmp_path / "trainer_state.json")
    table = next((lightning[0] / "csv").rglob("metrics.csv")).read_bytes()
    (tmp_path / "metrics.csv").write_bytes(table[: len(table) // 2])
    events = next((lightning[0] / "board").rglob("*.tfevents.*")).read_bytes()
    (tmp_path / "events.out.tfevents.1.cut").write_bytes(events[: len(events) // 2])
    flipped = bytearray(events)
    flipped[len(events) // 2] ^= 255
    (tmp_path / "events.out.tfevents.1.flipped").write_bytes(flipped)
    (tmp_path / "log.jsonl").write_text('{"step": 0, "loss": 1}\n{"step": 1, "lo')
    for name in ("metrics.csv", "events.out.tfevents.1.cut", "events.out.tfevents.1.flipped", "log.jsonl"):
        with pytest.warns(RecordWarning, match=r"left out$"):
            run = Run.open(tmp_path / name)
        assert run.column("loss").size >= 1


HOSTILE = {
    "trainer_state.json": [
        b"",
        b"{}",
        b"[]",
        b'{"log_history": 3}',
        b'{"log_history": [3, {"step": "a"}]}',
        b"[" * 10**5,
    ],
    "a.csv": [
        b"",
        b"\xff\xfe\x00",
        b"a,a\n1,2\n",
        b'"step\n1',
        b"step,loss\n",
        b"a\0,b\nx,y",
        b"x" * 200_000,
        b"step,loss\n-1,2\n",
    ],
    "a.jsonl": [b"", b"\x80\x81", b"[" * 10**5, b"3\n4\n", b'{"step": {}}\n', b'{"step": -1, "loss": 1}\n'],
    "x.tfevents.1": [b"", b"\0" * 50, os.urandom(500), (2**63).to_bytes(8, "little") + b"\0" * 99],
    "a.bin": [b"\x89PNG\r\n", b""],
}


@pytest.mark.parametrize(("name", "content"), [(name, each) for name in HOSTILE for each in HOSTILE[name]])
@pytest.mark.filterwarnings("ignore::stepsize.record.RecordWarning")
def test_what_cannot_be_read_is_an_error_of_one_line(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=name) as raised:
        Run.open(tmp_path / name)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 500


def test_numbers_beyond_all_bounds_do_no_harm(tmp_path):
    (tmp_path / "a.jsonl").write_text(f'{{"step": 0, "loss": {"9" * 400}}}\n{{"step": 1e400, "loss": 1}}\n')
    with pytest.warns(RecordWarning, match="1 of 2 rows"):
        assert Run.open(tmp_path).steps == [{"step": 0, "loss": None}]
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "b.jsonl")
        with pytest.raises(ValueError, match=r"regular file|pipe"):
            Run.open(tmp_path / "b.jsonl")
