"""``stepsize steer`` and ``stepsize replay``: answers, exit codes, and words of our own for bad input."""

import json
import subprocess
import sys

import pytest
import torch

from stepsize import Control, Plan
from stepsize.cli import run
from stepsize.control.steering import VERBS


@pytest.fixture
def control(tmp_path):
    weight = torch.zeros(1, requires_grad=True)
    control = Control(torch.optim.SGD([weight], lr=1.0), lr="linear()", total=100, remind=False, steer=tmp_path)
    control.step()
    return control


def steps(control, count):
    for _ in range(count):
        control._obey.commands.wake_time = 0.0
        control.step()


def told(capsys, *words):
    assert run([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_command_is_sent_and_what_became_of_it_is_told(control, tmp_path, capsys):
    sent = told(capsys, "steer", str(tmp_path), "scale", "0.5", "--at", "4", "--reason", "noisy")
    assert (sent["state"], sent["running"]) == ("sent", True)
    steps(control, 5)
    state = told(capsys, "steer", str(tmp_path))
    assert state["rates"] == {"lr": {"group0": 0.5 * 0.96}}  # as of the step at which something was last done
    [answer] = state["commands"]
    assert (answer["id"], answer["state"], answer["step"]) == (sent["id"], "done", 4)
    assert answer["before"] == {"group0": 0.96}
    assert answer["command"]["reason"] == "noisy"
    assert run(["steer", str(tmp_path)]) == 0
    assert "done     scale 0.5 at step 4: group0 0.96 -> 0.48" in capsys.readouterr().out


def test_the_trail_becomes_a_plan(control, tmp_path, capsys):
    assert run(["steer", str(tmp_path), "scale", "0.5", "--at", "4"]) == 0
    steps(control, 5)
    capsys.readouterr()
    found = told(capsys, "replay", str(tmp_path), "--out", str(tmp_path / "plan.yaml"))
    assert (found["total"], found["commands"], found["left_out"]) == (100, 1, [])
    assert str(Plan.parse((tmp_path / "plan.yaml").read_text())) == found["plan"]


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["set", "-1"], "value of set must be a finite number >= 0, got -1.0"),
        (["set", "-1", "--group", "group0"], "value of set must be a finite number >= 0, got -1.0"),
        (["set", "-inf"], "value of set must be"),
        (["scale"], "scale needs a value"),
        (["scale", "nan"], "value of scale must be"),
        (["scal", "1"], "did you mean 'scale'"),
        (["scale", "1", "--group", "head"], "no parameter group 'head' is driven"),
        (["scale", "1", "--at", "-3"], "at must be a whole number >= 0, got -3"),
        (["scale", "1", "--wait", "--timeout", "0"], "timeout must be"),
        (["scale", "1", "--grop", "a"], "No such option: --grop"),
        (["scale", "half"], "Invalid value for '[VALUE]': it must be a number"),
        (["stop"], "the loop around this run does no stop"),
        (["extend", "5", "--how", "more"], "how must be one of"),
        (["release", "1"], "release takes no value"),
    ],
)
def test_bad_input_is_refused_in_one_line_and_nothing_is_written(control, tmp_path, capsys, words, problem):
    assert run(["steer", str(tmp_path), *words]) == 2
    said = capsys.readouterr().err
    assert problem in said
    assert "Value error" not in said
    assert (tmp_path / "commands.jsonl").read_bytes() == b""


def test_a_folder_without_a_run_is_refused(tmp_path, capsys):
    assert run(["steer", str(tmp_path), "stop"]) == 2
    assert run(["replay", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("no run that can be steered") == 2


def test_choices_are_refused_without_the_words_of_the_library_below(capsys):
    assert run(["compare", "a", "b", "--by", "hours"]) == 2
    assert "Invalid value for '--by': 'hours' is not one of" in capsys.readouterr().err


def test_help_has_every_verb(capsys):
    assert run(["steer", "--help"]) == 0
    words = capsys.readouterr().out.replace("│", " ").split()
    assert not {verb for verb in VERBS if verb not in {word.strip(",;") for word in words}}


def test_waiting_ends_where_nobody_answers(control, tmp_path, capsys):
    assert run(["steer", str(tmp_path), "scale", "1", "--wait", "--timeout", "0.1"]) == 1
    assert "will be taken" in capsys.readouterr().err


def test_whoever_steers_needs_no_torch(control, tmp_path):
    assert run(["steer", str(tmp_path), "scale", "0.5"]) == 0
    steps(control, 2)
    code = "import sys\nfrom stepsize.cli import run\n"
    for words in (["steer", str(tmp_path), "scale", "2"], ["steer", str(tmp_path)], ["replay", str(tmp_path)]):
        code += f"assert run({words}) == 0\n"
    subprocess.run([sys.executable, "-c", code + "assert 'torch' not in sys.modules"], check=True)


def test_commands_that_wait_are_told_until_they_are_answered(control, tmp_path, capsys):
    assert run(["steer", str(tmp_path), "scale", "0.5", "--at", "50"]) == 0
    capsys.readouterr()
    assert [command["verb"] for command in told(capsys, "steer", str(tmp_path))["waiting"]] == ["scale"]
    assert run(["steer", str(tmp_path)]) == 0
    assert "waiting  scale 0.5, for step 50" in capsys.readouterr().out
    steps(control, 60)
    assert told(capsys, "steer", str(tmp_path))["waiting"] == []
