"""The command line as its users meet it: answers, one JSON object, clear lines and exit codes, Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from children import child, forked, once

from stepsize import Trial
from stepsize.cli import run


def stepsize(capsys, *words):
    code = run(words)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_tune_finds_trains_and_shows(capsys, tmp_path):
    for number in (1, 2):  # it can be repeated: run folders are fresh
        code, out, err = stepsize(capsys, "tune", "digits", "--steps", "60", "--json")
        assert code == 0
        answer = json.loads(out)
        assert answer["run"] == f"runs/digits-{number:04d}"
        assert {"rate", "metrics", "run", "cost", "low", "high"} <= answer.keys()
        assert 0.9 < answer["metrics"]["accuracy"] <= 1
        assert answer["cost"]["steps"] > 60
        assert "trained  60 steps" in err
    folder = tmp_path / answer["run"]
    files = {path.name for path in folder.iterdir() if "tfevents" not in path.name}
    assert files == {
        "commands.jsonl",
        "steering.json",
        "run.json",
        "metrics.jsonl",
        "validation.jsonl",
        "trials.jsonl",
        "finding.json",
        "picture.png",
        "report.html",
        "last.pt",
        "best.pt",
    }
    assert len(list(folder.glob("*tfevents*"))) == 1
    facts = json.loads((folder / "run.json").read_text())
    assert {"task", "plan", "versions", "seed", "git", "rate", "status", "done"} <= facts.keys()
    assert (facts["status"], facts["done"], facts["rate"]) == ("finished", 60, answer["rate"])
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    always = {"step", "position", "loss", "rate", "gradient_norm"}
    seldom = {"curvature", "decrease_ratio", "update_ratio"}
    for line in lines:
        at_a_look = {name for name in line if name.partition("/")[0] in seldom}
        assert line.keys() - at_a_look == always
        assert seldom <= at_a_look or not at_a_look
    assert [line["step"] for line in lines if "curvature" in line] == [0, 20, 40]
    seen = [json.loads(line) for line in (folder / "validation.jsonl").read_text().splitlines()]
    assert seen[-1] == {"step": 60, "position": 60} | {
        name: answer["metrics"][name] for name in ("validation_loss", "accuracy")
    }
    trials = [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]
    assert sum(trial["steps"] for trial in trials) + 60 == answer["cost"]["steps"]


@pytest.mark.slow
def test_tune_races_plans_trains_with_the_best_and_goes_on_with_it(capsys, tmp_path):
    words = ["--over", "optimizer=sgd(momentum=0.9)|sgd", "--steps", "60", "--budget", "1x", "--out", "run", "--json"]
    code, out, err = stepsize(capsys, "tune", "digits", *words)
    assert code == 0
    plans = json.loads((tmp_path / "run" / "plans.json").read_text())
    assert {plan["optimizer"] for plan in plans["plans"]} == {"sgd", "sgd(momentum=0.9)"}
    best = plans["plans"][0]
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert facts["said"]["optimizer"] == best["optimizer"]
    assert facts["rate"] == best["rate"] == json.loads(out)["rate"]
    assert json.loads((tmp_path / "run" / "finding.json").read_text())["rate"] == best["rate"]
    assert "before" in err
    trial = Trial("digits", {"lr": best["rate"], "optimizer": best["optimizer"], "guard": "guard()"}, 0, 60)
    assert facts["trial"] == trial.key


NOISE = """
import torch
from stepsize import Task

random = torch.Generator().manual_seed(0)
x = torch.randn(256, 4, generator=random)
y = x.sum(1, keepdim=True) + 3 * torch.randn(256, 1, generator=random)
task = Task.of(
    model=lambda: torch.nn.Linear(4, 1),
    loader=[(x[i : i + 4], y[i : i + 4]) for i in range(0, 256, 4)],
    loss=torch.nn.MSELoss(),
    optimizer=lambda parameters, lr: torch.optim.SGD(parameters, lr=lr),
    steps=40,
)
"""


def test_what_is_not_to_be_trusted_is_said_and_settled(capsys, tmp_path):
    (tmp_path / "noise.py").write_text(NOISE)
    words = ["find", str(tmp_path / "noise.py"), "--out", str(tmp_path / "a")]
    assert run(words) == 0
    said = capsys.readouterr().out
    found = json.loads((tmp_path / "a" / "finding.json").read_text())
    assert "of what was learnt: settle it by 3 runs of 40 steps, 3 of a whole one" in " ".join(said.split())
    assert found["doubts"]
    assert run([*words[:-1], str(tmp_path / "b"), "--settle", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["doubts"] == []
    assert run(["tune", "digits", "--over", "optimizer", "--settle"]) == 2
    assert "--settle and --over do not go together" in capsys.readouterr().err


def test_train_and_find_for_people(capsys):
    code, out, err = stepsize(
        capsys, "train", "digits", "--lr", "0.1", "--steps", "30", "--schedule", "linear()", "--out", "a"
    )
    assert code == 0
    assert "run      a" in out
    assert "picture  a/picture.png" in out
    assert "tensorboard --logdir" in out
    assert json.loads(Path("a/run.json").read_text())["plan"] == "lr: linear()"
    assert "loss" in err  # the progress bar
    code, out, err = stepsize(capsys, "find", "digits", "--steps", "40", "--low", "1e-3", "--high", "1")
    assert code == 0
    assert out.startswith("rate 0.")


@pytest.mark.slow
def test_same_seed_same_bits(capsys):
    for out in ("a", "b"):
        assert stepsize(capsys, "train", "digits", "--lr", "0.1", "--steps", "30", "--seed", "3", "--out", out)[0] == 0
    assert Path("a/metrics.jsonl").read_text() == Path("b/metrics.jsonl").read_text()


def test_plot_several_and_tables(capsys):
    code, out, _ = stepsize(capsys, "plot", "cosine()", "linear(50)", "--total", "100", "-o", "both.csv", "--json")
    assert code == 0
    assert [each["schedule"] for each in json.loads(out)["schedules"]] == ["cosine(100)", "linear(50)"]
    rows = Path("both.csv").read_text().splitlines()
    assert (len(rows), rows[0], rows[1], rows[-1].split(",")[2]) == (
        101,
        "step,cosine(),linear(50)",
        "0,1.0,1.0",
        "0.0",
    )
    assert stepsize(capsys, "plot", "cosine()", "linear()", "--total", "100", "-o", "both.png")[0] == 0


def test_schedules_are_listed_and_explained(capsys):
    code, out, _ = stepsize(capsys, "schedules")
    assert code == 0
    assert "one_cycle(" in out
    code, out, _ = stepsize(capsys, "schedules", "cosine", "-o", "cosine.png")
    assert code == 0
    for said in ("Formula:", "Args:", "Source: Loshchilov", "picture  cosine.png"):
        assert said in out
    assert Path("cosine.png").read_bytes().startswith(b"\x89PNG")
    assert len(json.loads(stepsize(capsys, "schedules", "--json")[1])["schedules"]) > 25


def test_plot_and_tasks(capsys):
    code, out, _ = stepsize(capsys, "plot", "warmup(5%) >> cosine()", "--total", "1000", "-o", "s.svg", "--json")
    assert code == 0
    answer = json.loads(out)
    assert answer["schedule"] == "warmup(50) >> cosine(950)"
    assert (answer["first"], answer["end"]) == (1 / 51, 0)
    assert "<svg" in Path("s.svg").read_text()
    assert stepsize(capsys, "plot", "warmup(1ep) >> cosine()", "--total", "1000", "--per-epoch", "93.75")[0] == 0
    assert Path("schedule.png").stat().st_size > 1_000
    code, out, _ = stepsize(capsys, "tasks")
    assert code == 0
    assert "digits" in out
    assert stepsize(capsys, "--version")[1].startswith("stepsize 0.")
    for command in ("tune", "find", "train", "plot", "schedules", "tasks"):
        code, out, _ = stepsize(capsys, command, "--help")
        assert code == 0
        assert "Example" in out


BAD = [
    ("tune digit", "did you mean 'digits'"),
    ("tune mnst", "there is no task 'mnst'"),
    ("train digits --lr 0.1 --schedule cosin()", "did you mean 'cosine'"),
    ("train digits --lr 1e31", "lr must be at most 1e+30"),
    ("train digits --lr 0.1 --steps " + "9" * 400, "steps must be a whole number"),
    ("train digits --lr 0.1 --schedule absolute(cosine())", "leave out absolute"),
    ("tune digits --schedule absolute(cosine())", "leave out absolute"),
    ("train digits --lr 0.1 --threads 0", "--threads"),
    ("plot cosine() --total 1e300", "total must be at least"),
    ("plot step_decay(every=1e-320) --total 9", "every of step_decay must be 0, or at least 1e-09"),
    ("train digits --lr 0.1 --schedule cosine(", "<-- here"),
    ("train digits --lr -0.1", "lr must be a finite number > 0, got -0.1"),
    ("train digits --lr 0", "lr must be a finite number > 0, got 0"),
    ("train digits --lr nan", "lr must be a finite number > 0, got nan"),
    ("train digits --lr inf", "lr must be a finite number > 0, got inf"),
    ("train digits --lr fast", "fast"),
    ("train digits", "--lr"),
    ("train digits --lr 0.1 --steps 0", "steps must be a whole number >= 1, got 0"),
    ("tune digits --steps -3", "steps must be a whole number >= 1, got -3"),
    ("train digits --lr 0.1 --clip 0", "clip must be a finite number > 0, got 0"),
    ("train digits --lr 0.1 --seed -1", "seed must be a whole number >= 0, got -1"),
    ("train digits --lr 0.1 --steps 100 --schedule warmup(500)>>cosine()", "leaves nothing for cosine()"),
    ("train digits --lr 0.1 --out /proc/stepsize", "--out /proc/stepsize cannot be written"),
    ("train digits --lr 0.1 --out occupied", "it holds another run"),
    ("find digits --low 1 --high 0.1", "high must be a finite number > 1, got 0.1"),
    ("find digits --low nan", "low must be a finite number > 0, got nan"),
    ("find digits --budget much", "budget must be shares of a run"),
    ("tune digits --budget 0x", "budget must be shares of a run"),
    ("find digits --optimizer adamx", "adamx"),
    ("find frozenlake --optimizer adamw", "takes no optimizer, but"),
    ("tune digits --over colour", "--over has 'colour', which it cannot vary"),
    ("tune digits --over clip", "--over has 'clip' without values"),
    ("tune digits --over optimizer=adamx", "adamx"),
    ("plot warmup(500)>>cosine() --total 100", "takes 500 of 100 positions"),
    ("plot warmup(3ep)>>cosine() --total 100", "per_epoch"),
    ("plot cosine() --total 0", "total must be a finite number > 0, got 0"),
    ("plot cosine() --total 100 -o a.gif", "a file ending in .png, .svg, .pdf, .csv"),
    ("plot cosine() --total 100 -o no/such/folder.png", "no/such/folder.png"),
    ("tunee digits", "tunee"),
    ("schedules cosin", "did you mean 'cosine'"),
    ("tune digits --sed 1", "--sed"),
]


@pytest.mark.parametrize(("words", "said"), BAD, ids=[words for words, _ in BAD])
def test_bad_input_gets_one_clear_line_exit_code_2_and_leaves_nothing_behind(capsys, tmp_path, words, said):
    Path("occupied").mkdir()
    (tmp_path / "occupied" / "run.json").write_text("{}")
    code, out, err = stepsize(capsys, *words.split())
    assert code == 2
    assert out == ""
    assert said in err
    assert err.startswith("stepsize: ")
    assert len(err.strip().splitlines()) <= 2
    assert [path.name for path in Path().iterdir()] == ["occupied"]
    assert (tmp_path / "occupied" / "run.json").read_text() == "{}"


def test_nothing_learnt_is_an_answer_with_exit_code_1(capsys):
    code, out, _ = stepsize(capsys, "tune", "digits", "--low", "1e-12", "--high", "1e-11", "--steps", "20", "--json")
    assert code == 1
    assert json.loads(out)["rate"] is None
    assert "nothing was learnt" in json.loads(out)["verdict"]


def test_divergence_is_said_with_exit_code_1(capsys):
    code, out, _ = stepsize(capsys, "train", "digits", "--lr", "1e30", "--steps", "30", "--out", "a")
    assert code == 1
    assert "diverged" in out
    assert json.loads(Path("a/run.json").read_text())["status"] == "diverged"


@pytest.mark.parametrize("words", [["train", "--help"], ["schedules"], ["--version"]])
def test_output_that_nobody_reads_ends_the_command_without_a_word(words):
    read, write = os.pipe()
    os.close(read)  # as after "| head"
    with child([sys.executable, "-m", "stepsize", *words], stdout=write, stderr=subprocess.PIPE, text=True) as process:
        os.close(write)
        _, err = process.communicate(timeout=60)
    assert err == ""
    assert process.returncode in (0, 1)


@pytest.mark.slow
@pytest.mark.parametrize("words", [["train", "digits", "--lr", "0.1"], ["tune", "digits"]])
def test_ctrl_c_leaves_a_readable_run_and_says_how_far_it_came(words, tmp_path):
    steps = "20000" if words[0] == "train" else "2000"
    command = ["-m", "stepsize", *words, "--steps", steps, "--out", "run"]
    wanted = tmp_path / "run" / ("metrics.jsonl" if words[0] == "train" else "trials.jsonl")
    least = 3 if words[0] == "train" else 0
    with forked(command) as process:
        once(lambda: wanted.exists() and wanted.read_text().count("\n") > least, process)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert facts["status"].startswith("interrupted")
    lines = [json.loads(line) for line in wanted.read_text().splitlines()]
    assert lines
    if words[0] == "train":
        import torch

        assert f"stopped at step {facts['done']} of 20000" in err
        assert 0 < facts["done"] < 20000
        assert torch.load(tmp_path / "run" / "last.pt", weights_only=True)["run"]["control"]["steps"] == facts["done"]
    else:
        assert "stopped while finding a rate" in err


def test_without_the_extra_the_command_says_what_to_install(tmp_path):
    (tmp_path / "typer.py").write_text("raise ModuleNotFoundError('not here', name='typer')")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-m", "stepsize", "tasks"], capture_output=True, text=True, env=environment)
    assert done.returncode == 2
    assert done.stderr == "stepsize: the command stepsize needs typer, which is not here; pip install 'stepsize[cli]'\n"


def test_warm_up_momentum_and_decay_are_said_kept_and_gone_on_with(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = {"warmup": 5.0, "momentum": 0.5, "weight_decay": 0.01}
    words = ["--warmup", "5", "--momentum", "0.5", "--weight-decay", "0.01", "--steps", "20"]
    assert run(["train", "digits", "--lr", "0.1", *words, "--out", "a"]) == 0
    facts = json.loads(Path("a/run.json").read_text())
    assert facts["plan"] == "lr: warmup(5) >> cosine()"
    assert {name: facts["said"][name] for name in said} == said
    trial = Trial("digits", {"lr": 0.1, **said}, 0, 20)
    assert facts["trial"] == trial.key
    assert run(["train", "--resume", "a"]) == 0
    assert run(["tune", "digits", *words, "--budget", "60", "--out", "b"]) == 0
    facts = json.loads(Path("b/run.json").read_text())
    assert {name: facts["said"][name] for name in said} == said
    raced = [json.loads(line) for line in Path("b/trials.jsonl").read_text().splitlines()]
    assert all(each["momentum"] == 0.5 and each["warmup"] == each["steps"] / 4 for each in raced)
    capsys.readouterr()


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["2>&1 | head -1", "2> /dev/full", "| true", "--json | true", "> /dev/full"])
def test_output_that_nobody_can_read_stops_no_work(tmp_path, ending):
    command = f"{sys.executable} -m stepsize train quadratic --lr 0.1 --steps 2000 --out a {ending}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=tmp_path)
    is_lost = ending == "> /dev/full"  # what it found was not written where somebody wanted it
    assert done.returncode == (2 if is_lost else 0)
    assert ("standard output" in done.stderr) == is_lost
    assert "Traceback" not in done.stdout + done.stderr
    assert json.loads((tmp_path / "a/run.json").read_text())["status"] == "finished"
