"""The command that sweeps: what it prints, going on, tables, and bad input in one or two lines."""

import csv
import json
import sys

import pytest

from stepsize.cli import run
from stepsize.cli._over import split

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
        (["--lr", "1e-3:1:1e9"], "--lr LOW:HIGH:COUNT: count must be at most 100,000, got 1000000000"),
        (["--lr", "1e-3:1:nan"], "--lr LOW:HIGH:COUNT: count must be a whole number >= 2, got nan"),
        (["--lr", "1e-3:1:inf"], "count must be a whole number >= 2, got inf"),
        (["--lr", "1e-3:1:1e400"], "count must be a whole number >= 2, got inf"),
        (["--lr", "1e-3:1:-5"], "count must be a whole number >= 2, got -5.0"),
        (["--lr", "0:1:5"], "low must be a finite number > 0, got 0.0"),
        (["--lr", "nan:1:5"], "low must be a finite number > 0, got nan"),
        (["--lr", "1e-3:inf:5"], "high must be a finite number > 0.001, got inf"),
        (["--lr", "1:1e-3:5"], "--lr LOW:HIGH:COUNT: high must be a finite number > 1, got 0.001"),
        (["--lr", "1e-3:1e300:5"], "rates must be at most 1e+30"),
        (["--lr", "inf"], "rates must be a finite number > 0, got inf"),
        (["--lr", "nan"], "rates must be a finite number > 0, got nan"),
        (["--seeds", "1e9"], "seeds must be at most 100,000, got 1000000000; give the rest in a further call"),
        (["--seeds", "1000000000"], "seeds must be at most 100,000, got 1000000000"),
        (["--seeds", "50000"], "150,000 trials (3 settings x 50,000 seeds), and may have 100,000"),
        (["--seeds", "nan"], "--seeds must be a whole number, or a list of them, got 'nan'"),
        (["--seeds", "inf"], "--seeds must be a whole number, or a list of them, got 'inf'"),
        (["--seeds", "0,1e300"], "seeds must be a whole number >= 0"),
        (["--seeds", "0,4294967296"], "seed must be below 2**32"),
        (["--warmup", "nan"], "warmup"),
        (["--weight-decay", "inf"], "weight_decay must be a finite number >= 0"),
        (["--batch-size", "1e300"], "batch_size must be a whole number"),
        (["--momentum", "1e400"], "momentum must be a finite number >= 0"),
        (["--clip", "nan"], "clip"),
        (["--stop-at", "nan"], "rungs must be a finite number > 0, got nan"),
        (["--stop-at", "inf%"], "rungs must be a finite number > 0, got inf"),
        (["--export", "no/such/t.csv"], "export must be a file in a folder that exists"),
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
    assert "takes no optimizer, but lr, schedule" in capsys.readouterr().err
    (in_a_folder / "empty").mkdir()
    assert run(["plot", "empty"]) == 2
    assert "run folder" in capsys.readouterr().err
    (in_a_folder / "bad").mkdir()
    (in_a_folder / "bad" / "sweep.db").write_text("nothing " * 1000)
    for words in (["plot", "bad"], [*WORDS, "--out", "bad"]):
        assert run(words) == 2
        assert "it is not a sweep's file; choose another folder" in capsys.readouterr().err
    assert run(["plot", "cosine()"]) == 2
    assert "--total" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ("momentum=0.9|x", "--over momentum must be a finite number >= 0, got 'x'"),
        ("momentum=", "without values"),
        ("weight_decay=nan", "--over weight_decay must be a finite number >= 0"),
        ("weight_decay=1e400", "--over weight_decay must be a finite number >= 0"),
        ("weight_decay=" + "|".join(map(str, range(101))), "--over has 101 plans, and may have 100; give fewer"),
        ("weight_decay=0|1|2|3|4|5|6|7|8|9|10,momentum=0|1|2|3|4|5|6|7|8|9", "--over has 110 plans"),
    ],
)
def test_plans_that_are_none_or_too_many(over, said, in_a_folder, capsys):
    assert run(["tune", "linear-regression", "--over", over]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert list(in_a_folder.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("sgd(momentum=0.9, nesterov=True),adam", ["sgd(momentum=0.9, nesterov=True)", "adam"]),
        ("adamw(betas=(0.9, 0.99), eps=1e-8), sgd", ["adamw(betas=(0.9, 0.99), eps=1e-8)", "sgd"]),
        ("a([1, (2, 3)], 4),,b ,", ["a([1, (2, 3)], 4)", "b"]),
        ("a),b", ["a)", "b"]),
    ],
)
def test_lists_are_split_at_commas_outside_of_all_brackets(text, parts):
    assert split(text) == parts


def test_without_matplotlib_a_sweep_does_its_work_and_says_that_there_is_no_picture(in_a_folder, monkeypatch, capsys):
    for module in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # what importing it finds where it is not installed
    assert run([*WORDS, "--out", "s", "--json"]) == 0
    output = capsys.readouterr()
    assert "picture  none: drawing needs matplotlib" in output.err
    answer = json.loads(output.out)
    assert answer["picture"] is None
    assert len(answer["trials"]) == 6
    assert run(["plot", "s", "-o", "t.csv"]) == 0
    assert len((in_a_folder / "t.csv").read_text().splitlines()) == 7
    assert run(["plot", "s"]) == 2  # here the picture is what was asked for


def test_a_sweep_that_fails_says_what_is_kept_and_goes_on(in_a_folder, capsys):
    (in_a_folder / "own.py").write_text(
        "from dataclasses import replace\n"
        "from pathlib import Path\n"
        "from stepsize.task import task_named\n"
        "base = task_named('linear-regression')\n"
        "def score(model):\n"
        "    if Path('calls').exists() and len(Path('calls').read_text()) == 4:\n"
        "        raise RuntimeError('enough')\n"
        "    Path('calls').write_text((Path('calls').read_text() if Path('calls').exists() else '') + 'x')\n"
        "    return base.score(model)\n"
        "task = replace(base, name='own', score=score)\n"
    )
    words = ["sweep", "own.py:task", *WORDS[2:], "--out", "s"]
    assert run(words) == 1
    said = capsys.readouterr().err
    assert "sweep own failed; 2 of 6 trials are in s, the same command with --out s goes on" in said
    (in_a_folder / "calls").write_text("xxxxx")
    assert run(words) == 0
    assert "own" not in capsys.readouterr().err.replace("sweep own", "")
