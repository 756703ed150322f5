"""Beginning and looking back on the command line: files to begin with, and the list of runs."""

import json

import pytest
import torch
from children import ran

from stepsize.cli import run
from stepsize.cli._init import Template
from stepsize.task import full_name, named_sources, task_named

pytestmark = pytest.mark.usefixtures("blank_pictures")

MODULES = {"classification": "spirals", "language-model": "characters", "lightning": "curve", "trainer": "counting"}


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def said(capsys, *arguments):
    code = run([str(each) for each in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


# init


@pytest.mark.parametrize("template", list(Template))
def test_a_template_is_written_and_its_task_trains(template, capsys, tmp_path):
    for package in {"lightning": ["lightning"], "trainer": ["transformers"]}.get(template.value, []):
        pytest.importorskip(package)
    name = f"{template.name}_file.py"
    code, out, _ = said(capsys, "init", name, "--template", template.value)
    assert code == 0
    assert out.splitlines()[0] == f"written  {name}"
    command = out.splitlines()[1].removeprefix("next     ")
    assert command in (f"stepsize tune {name}", f"python {name}")
    text = (tmp_path / name).read_text()
    assert command in text
    assert "FILE" not in text
    assert max(map(len, text.splitlines())) <= 125
    assert said(capsys, "train", name, "--lr", "0.01", "--steps", "3", "--out", "run")[0] == 0
    assert json.loads((tmp_path / "run" / "run.json").read_text())["task"] == MODULES[template.value]


@pytest.mark.slow
@pytest.mark.parametrize("template", ["classification", "language-model"])
def test_a_task_file_is_tuned_as_it_is(template, capsys):
    assert said(capsys, "init", "begin.py", "--template", template)[0] == 0
    code, out, _ = said(capsys, "tune", "begin.py", "--json")
    answer = json.loads(out)
    assert code == 0
    assert answer["metrics"]["validation_loss"] < (0.1 if template == "classification" else 2.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("template", "last"), [("lightning", "mean squared error 0.01"), ("trainer", "mean training loss 0.")]
)
def test_a_script_of_a_trainer_runs_as_it_is(template, last, capsys):
    pytest.importorskip({"lightning": "lightning", "trainer": "transformers"}[template])
    assert said(capsys, "init", "begin.py", "--template", template)[0] == 0
    done = ran(["begin.py"])
    assert done.returncode == 0, done.stderr
    assert "short runs" in done.stdout
    assert done.stdout.splitlines()[-1].startswith(last)


def test_a_file_that_is_there_is_left_as_it_is(capsys, tmp_path):
    (tmp_path / "train.py").write_text("mine")
    code, _, err = said(capsys, "init")
    assert (code, err) == (2, "stepsize: train.py is there already, and is left as it is; choose another name\n")
    assert (tmp_path / "train.py").read_text() == "mine"
    (tmp_path / "gone.py").symlink_to("nowhere")
    assert said(capsys, "init", "gone.py")[0] == 2
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    "name", ["train", "train.txt", "my-task.py", "torch.py", "lightning.py", "random.py", ".py", "1.py"]
)
def test_a_file_that_could_not_be_imported_is_refused(name, capsys, tmp_path):
    code, _, err = said(capsys, "init", name)
    assert code == 2
    assert err.startswith("stepsize: FILE must be a Python file whose name can be imported")
    assert len(err.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_other_invalid_words_of_init_are_refused_in_a_line(capsys):
    code, _, err = said(capsys, "init", "no/such/train.py")
    assert (code, err.splitlines()[0]) == (2, "stepsize: FILE must be in a folder that exists, got 'no/such/train.py'")
    code, _, err = said(capsys, "init", "--template", "gan")
    assert code == 2
    assert "gan" in err


def test_init_answers_in_json(capsys):
    code, out, _ = said(capsys, "init", "a.py", "--json")
    assert code == 0
    assert json.loads(out) == {"file": "a.py", "template": "classification", "next": "stepsize tune a.py"}


def test_a_file_alone_means_its_task(capsys, tmp_path):
    assert said(capsys, "init", "alone.py")[0] == 0
    assert task_named("alone.py").name == task_named("alone.py:task").name == "spirals"
    assert full_name("alone.py") == f"{tmp_path / 'alone.py'}:task"
    assert list(named_sources("alone.py")) == ["alone.py"]
    (tmp_path / "none.py").write_text("other = 3\n")
    code, _, err = said(capsys, "find", "none.py")
    assert (code, err) == (2, "stepsize: none.py has no 'task'; there is no task in it\n")


def test_an_error_in_a_file_that_is_named_alone_points_into_it(capsys, tmp_path):
    (tmp_path / "broken.py").write_text("value = 1\nother = value / 0\n")
    code, _, err = said(capsys, "find", "broken.py")
    assert code == 1
    assert 'broken.py", line 2' in err
    assert "stepsize/task" not in err


def test_a_run_of_a_file_that_is_named_alone_goes_on(capsys, tmp_path):
    assert said(capsys, "init", "onward.py")[0] == 0
    assert said(capsys, "train", "onward.py", "--lr", "0.01", "--steps", "4", "--out", "run")[0] == 0
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert facts["said"]["task"] == f"{tmp_path / 'onward.py'}:task"
    assert said(capsys, "train", "onward.py", "--resume", "run")[0] == 0
    (tmp_path / "onward.py").write_text((tmp_path / "onward.py").read_text() + "\n# changed\n")
    code, _, err = said(capsys, "train", "onward.py", "--resume", "run")
    assert code == 2
    assert "onward.py has changed" in err


def test_the_seed_of_a_task_is_that_of_its_runs_unless_another_is_said(capsys, tmp_path):
    assert said(capsys, "init", "seeded.py")[0] == 0
    text = (tmp_path / "seeded.py").read_text()
    (tmp_path / "seeded.py").write_text(text.replace('    name="spirals",', '    name="spirals",\n    seed=7,'))
    for number, more in enumerate([(), ("--seed", "0")]):
        assert (
            said(capsys, "train", "seeded.py", "--lr", "0.01", "--steps", "2", "--out", f"run{number}", *more)[0] == 0
        )
    assert [json.loads((tmp_path / f"run{n}" / "run.json").read_text())["seed"] for n in (0, 1)] == [7, 0]


# runs


def written(folder, **facts):
    folder.mkdir(parents=True)
    said = {
        "task": "sine",
        "status": "finished",
        "rate": 0.0123,
        "steps": 500,
        "done": 500,
        "started": "2026-01-02T03:04:05+00:00",
        "metrics": {"loss": 0.1, "validation_loss": 0.23456, "accuracy": 0.98765},
    }
    (folder / "run.json").write_text(
        json.dumps({name: each for name, each in (said | facts).items() if each is not None})
    )


def test_runs_are_listed_newest_first(capsys, tmp_path):
    for day, name in [(3, "b"), (9, "a"), (5, "c")]:
        written(tmp_path / "runs" / name, started=f"2026-01-0{day}T03:04:05+00:00")
    written(
        tmp_path / "runs" / "begun", started="2025-01-01T00:00:00+00:00", done=120, status="interrupted", metrics=None
    )
    (tmp_path / "runs" / "no run").mkdir()
    code, out, err = said(capsys, "runs")
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in lines] == ["run", "a", "c", "b", "begun"]
    assert "finished" in lines[1]
    assert "0.0123" in lines[1]
    assert "val loss 0.235" in lines[1]
    assert "120/500" in lines[4]
    assert "interrupted" in lines[4]


def test_the_list_fits_eighty_columns_and_one_line_for_each_run_whatever_is_in_it(capsys, tmp_path):
    figures = {f"validation_loss_of_the_{name}_set": 1.23456e-7 for name in ("first", "second")}
    written(
        tmp_path / "runs" / ("long" * 40),
        status="failed: ValueError: [bold]\x1b[31m\n" * 9,
        rate=1.2345e-8,
        steps=10**9,
        done=10**9 - 1,
        metrics=figures,
    )
    code, out, _ = said(capsys, "runs")
    assert code == 0
    assert len(out.splitlines()) == 2
    assert max(map(len, out.splitlines())) <= 80
    assert "\x1b" not in out
    assert "failed" in out
    assert "1.23e-08" in out
    assert "999999999/1000000000" in out


def test_runs_answer_in_json_with_all_figures(capsys, tmp_path):
    written(tmp_path / "elsewhere" / "a", task="bend")
    code, out, _ = said(capsys, "runs", "elsewhere", "--json")
    (found,) = json.loads(out)["runs"]
    assert code == 0
    assert found["folder"] == "elsewhere/a"
    assert found["task"] == "bend"
    assert found["metrics"] == {"loss": 0.1, "validation_loss": 0.23456, "accuracy": 0.98765}
    assert found["seconds"] is None


def test_one_run_is_a_folder_too(capsys, tmp_path):
    written(tmp_path / "mine")
    assert said(capsys, "runs", "mine")[1].splitlines()[1].split()[:2] == [".", "finished"]
    assert json.loads(said(capsys, "runs", "mine", "--json")[1])["runs"][0]["folder"] == "mine"


@pytest.mark.parametrize("content", ["{", "[]", '{"rate": "a"}', '{"format": 99}', "\x00"])
def test_a_damaged_run_is_left_out_and_said(content, capsys, tmp_path):
    written(tmp_path / "runs" / "good")
    (tmp_path / "runs" / "bad").mkdir()
    (tmp_path / "runs" / "bad" / "run.json").write_text(content)
    code, out, err = said(capsys, "runs")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == ["run", "good"]
    assert err.startswith("stepsize: left out: ")
    assert "runs/bad/run.json" in err
    assert len(err.splitlines()) == 1


def test_where_there_is_no_run_it_is_said(capsys, tmp_path):
    assert said(capsys, "runs")[:2] == (0, "no run in runs; `stepsize tune digits` makes one in runs\n")
    assert json.loads(said(capsys, "runs", "--json")[1])["runs"] == []
    code, _, err = said(capsys, "runs", "nowhere")
    assert (code, err) == (2, "stepsize: FOLDER must be a folder that exists, got 'nowhere'\n")
    (tmp_path / "file").write_text("")
    assert said(capsys, "runs", "file")[0] == 2


def test_a_real_run_is_listed(capsys):
    assert said(capsys, "train", "linear-regression", "--lr", "0.05", "--steps", "5")[0] == 0
    line = said(capsys, "runs")[1].splitlines()[1]
    assert line.split()[:4] == ["linear-regression-0001", "finished", "0.05", "5"] or "finished" in line


def test_at_eighty_columns_a_figure_is_whole_or_left_out(capsys, tmp_path):
    written(tmp_path / "runs" / "digits-mlp-0001")
    code, out, _ = said(capsys, "runs")
    assert code == 0
    line = out.splitlines()[1]
    assert len(line) <= 80
    assert "…" not in line
    assert "digits-mlp-0001" in line
    assert "val loss 0.235" in line


def test_a_run_that_was_killed_has_done_what_its_lines_say(capsys, tmp_path):
    folder = tmp_path / "runs" / "killed"
    written(folder, status="running", done=0, metrics=None)
    (folder / "metrics.jsonl").write_text("".join(f'{{"step": {step}, "loss": 1.0}}\n' for step in range(59)) + '{"st')
    code, out, _ = said(capsys, "runs")
    assert code == 0
    assert "59/500" in out
    code, out, _ = said(capsys, "watch", "runs/killed", "--once")
    assert "59 of 500, 12 %" in out
