"""Rules while a run is under way, from the command line, and on others' logs."""

import json

import pytest
import torch

from stepsize import Control, Diagnose, JsonLines, diagnose
from stepsize.cli import run
from stepsize.diagnosis import Seen, Symptom
from stepsize.record import Run


def train(watch, rate, steps=60):
    weight = torch.ones(1, dtype=torch.float64, requires_grad=True)
    control = Control(torch.optim.SGD([weight], lr=rate), total=steps, watch=watch)
    for _ in range(steps):
        loss = weight.square().sum()
        loss.backward()
        control.step(loss)
    control.detach()
    return weight


def diverging(folder):
    lines = JsonLines(folder / "metrics.jsonl", 1, folder / "validation.jsonl", folder / "events.jsonl")
    watch = Diagnose(every=1)
    train([watch, lines], 1.5)
    return watch


def test_what_is_found_in_a_run_is_an_event_once_and_the_same_as_in_its_record(tmp_path):
    watch = diverging(tmp_path)
    names = {symptom.name for symptom in watch.symptoms}
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert names == {"rate-too-high", "diverging"} == {event["what"] for event in events}
    assert len(events) == 2
    assert all(event["severity"] == "error" and event["reason"] for event in events)
    assert {symptom.name for symptom in diagnose(tmp_path / "metrics.jsonl")} == names


def test_looking_changes_no_bit_of_the_run():
    assert torch.equal(train(None, 0.3), train(Diagnose(every=1), 0.3))


def test_a_function_of_symptoms_is_called_with_each_once():
    found = []
    train(Diagnose(every=1, on_symptom=found.append), 1.5)
    assert sorted(symptom.name for symptom in found) == ["diverging", "rate-too-high"]


def test_rules_of_ones_own_are_asked_too():
    def short(seen: Seen) -> Symptom | None:
        return Symptom("short", "info", None, {"steps": seen.length}, "train longer") if seen.length < 100 else None

    watch = Diagnose(every=1, rules=[short])
    train(watch, 0.1)
    assert [symptom.name for symptom in watch.symptoms] == ["short"]


@pytest.mark.parametrize(("rate", "code"), [(1.5, 1), (0.3, 0)])
def test_the_command_prints_findings_and_fails_where_asked(tmp_path, rate, code, capsys):
    train(JsonLines(tmp_path / "metrics.jsonl", 1), rate)
    log = str(tmp_path / "metrics.jsonl")
    assert run(["diagnose", log, "--json", "--fail-on", "error"]) == code
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert [{*finding} for finding in findings] == [
        {"name", "severity", "step", "evidence", "remedy", "factor"} for _ in findings
    ]
    assert {finding["name"] for finding in findings} == ({"rate-too-high", "diverging"} if code else set())
    assert run(["diagnose", log, "--json"]) == 0


def test_a_run_that_is_not_there_is_refused(tmp_path, capsys):
    assert run(["diagnose", str(tmp_path / "no")]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_run_folder_and_its_opened_record_have_one_diagnosis(tmp_path):
    diverging(tmp_path)
    assert diagnose(str(tmp_path / "metrics.jsonl")) == diagnose(Run.open(tmp_path / "metrics.jsonl"))


def test_a_log_without_anything_to_judge_is_no_run_that_is_well(tmp_path, capsys):
    log = tmp_path / "log.csv"
    log.write_text("step,foo\n" + "".join(f"{step},{1 + step}\n" for step in range(30)))
    assert run(["diagnose", str(log)]) == 2
    assert "it has foo" in capsys.readouterr().err
    assert run(["diagnose", str(log), "--column", "loss=foo", "--json"]) == 0
    names = [symptom["name"] for symptom in json.loads(capsys.readouterr().out)["findings"]]
    assert "rate-too-high" in names


def test_rules_on_the_loss_are_silent_aloud_where_a_log_has_none(tmp_path, capsys):
    log = tmp_path / "log.csv"
    log.write_text("step,lr\n" + "".join(f"{step},{0.1}\n" for step in range(30)))
    assert run(["diagnose", str(log)]) == 0
    assert "no loss was found" in capsys.readouterr().err
