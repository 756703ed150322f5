"""The command that sweeps: what it prints, going on, tables, and bad input in one or two lines."""

import csv
import json

import pytest

from stepsize.cli import run

WORDS = ["sweep", "linear-regression", "--lr", "0.01:1:3", "--seeds", "2", "--steps", "20", "--engine", "serial"]


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def answer(capsys, *words):
    assert run([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_sweep_goes_on_in_its_folder_and_is_drawn_again(in_a_folder, capsys):
    first = answer(capsys, *WORDS, "--out", "s")
    assert [(each["rate"], each["seed"]) for each in first["trials"]] == [
        (rate, seed) for seed in (0, 1) for rate in (0.01, 0.1, 1.0)
    ]
    assert all(each["loss"] > 0 and each["status"] == "finished" for each in first["trials"])
    more = answer(capsys, *WORDS, "--out", "s", "--seeds", "3", "--export", "t.csv")
    assert more["trials"][:6] == first["trials"]  # seconds too: nothing was trained again
    assert len(more["trials"]) == 9
    with (in_a_folder / "t.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["loss"]) for row in rows] == [each["loss"] for each in more["trials"]]
    (in_a_folder / "s" / "sweep.png").unlink()
    assert answer(capsys, "plot", "s")["best"] == more["best"]
    assert (in_a_folder / "s" / "sweep.png").stat().st_size > 10_000
    assert run(["plot", "s", "-o", "other.png"]) == 0
    assert (in_a_folder / "other.png").exists()


def test_epochs_are_counted_with_the_batch_size_that_is_swept(capsys):
    words = ["sweep", "linear-regression", "--lr", "0.1", "--seeds", "1", "--engine", "serial", "--epochs", "2"]
    found = answer(capsys, *words, "--batch-size", "100")
    assert [each["steps"] for each in found["trials"]] == [2 * (353 // 100)]


def test_axes_from_the_shell(capsys):
    words = ["--lr", "0.1", "--seeds", "7,9", "--optimizer", "sgd(momentum=0.9, nesterov=True),adam", "--warmup", "0,5"]
    found = answer(capsys, "sweep", "linear-regression", *words, "--steps", "10", "--engine", "serial")
    settings = {(each["optimizer"], each["warmup"], each["seed"]) for each in found["trials"]}
    assert settings == {
        (name, length, seed)
        for name in ("sgd(momentum=0.9, nesterov=True)", "adam")
        for length in (0.0, 5.0)
        for seed in (7, 9)
    }
    assert found["folder"] == "sweeps/linear-regression-0001"


def test_rates_at_which_nothing_is_left_are_an_answer_too(capsys):
    assert run([*WORDS[:2], "--lr", "1e20", "--seeds", "1", "--steps", "20", "--engine", "serial"]) == 1
    assert "every rate diverged" in capsys.readouterr().out


def test_stopping_early_from_the_shell(capsys):
    found = answer(capsys, *WORDS, "--stop-at", "25%,0.5", "--out", "s")
    statuses = [each["status"] for each in found["trials"]]
    assert statuses.count("finished") == 2
    assert statuses.count("stopped") == 4


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--lr", "0"], "rates must be a finite number > 0, got 0.0"),
        (["--lr", "a"], "--lr must be a number, got 'a'"),
        (["--lr", "1:0.1:3"], "high must be a finite number > 1"),
        (["--lr", "0.1:1"], "--lr must be LOW:HIGH:COUNT"),
        (["--lr", "0.1:1:1"], "count must be a whole number >= 2"),
        (["--lr", "0.1:1:2.5"], "count must be a whole number >= 2"),
        (["--lr", ","], "a list must be values with commas between"),
        (["--seeds", "0"], "seeds must be a whole number >= 1"),
        (["--seeds", "1.5"], "--seeds must be a whole number, or a list of them"),
        (["--seeds", "1,1"], "seeds must be different seeds"),
        (["--optimizer", "adamx"], "there is no optimizer 'adamx'; did you mean"),
        (["--optimizer", "sgd(momentun=0.9)"], "sgd has no argument 'momentun'"),
        (["--schedule", "cosin()"], "there is no piece 'cosin'"),
        (["--batch-size", "x"], "batch_size must be a whole number"),
        (["--batch-size", "354"], "at most 353, the patients there are"),
        (["--clip", "0"], "clip must be a finite number > 0"),
        (["--stop-at", "2"], "rungs must be rising shares of the run below 1"),
        (["--stop-at", "x"], "--stop-at must be a number"),
        (["--engine", "rai"], "there is no engine 'rai'"),
        (["--export", "t.xls"], "export must be a file ending in .csv or .parquet"),
        (["--epochs", "2"], "--steps and --epochs both say how long"),
        (["--epochs", "2", "--batch-size", "8,16"], "--epochs has other steps at each batch size"),
        (["--workers", "0"], "--workers"),
    ],
)
def test_bad_input_is_told_in_a_line_or_two(words, said, in_a_folder, capsys):
    assert run([*WORDS, *words]) == 2
    told = capsys.readouterr().err
    assert said in told.replace("\n", " ")
    assert "Traceback" not in told
    assert len(told.strip().splitlines()) <= 4 if "--workers" in words else len(told.strip().splitlines()) <= 2


def test_an_axis_the_task_lacks_and_folders_that_are_none(in_a_folder, capsys):
    assert run(["sweep", "frozenlake", "--lr", "0.1", "--optimizer", "sgd"]) == 2
    assert "has no axis 'optimizer'" in capsys.readouterr().err
    (in_a_folder / "empty").mkdir()
    assert run(["plot", "empty"]) == 2
    assert "run folder" in capsys.readouterr().err
    (in_a_folder / "bad").mkdir()
    (in_a_folder / "bad" / "sweep.db").write_text("nothing " * 1000)
    for words in (["plot", "bad"], [*WORDS, "--out", "bad"]):
        assert run(words) == 2
        assert "it is no file of a sweep; choose another folder" in capsys.readouterr().err
    assert run(["plot", "cosine()"]) == 2
    assert "--total" in capsys.readouterr().err
