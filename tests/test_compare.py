"""Runs beside each other: what differs, figures by their formulas, one axis for all; sweeps and logs of others too."""

import json

import numpy as np
import pytest

from stepsize import JsonLines, Record, Run, RunFolder, compare, sweep
from stepsize.cli import run
from stepsize.engine import serial
from stepsize.record import Entry, entry_of
from stepsize.task import task_named

STEPS = 100


def loss_at(step, rate):
    return np.exp(-rate * step)


def write(folder, rate, seconds=10.0, steps=STEPS, **facts):
    """A run whose losses are known: e^(-rate t) in training, half more in validation."""
    made = RunFolder(folder)
    lines = JsonLines(made.path / "metrics.jsonl", observed=made.path / "validation.jsonl")
    for step in range(steps):
        lines.on(Record(step, step, values={"loss": loss_at(step, rate), "rate": rate * (1 - step / steps)}))
        if step % 20 == 19:
            lines.on(Record(step + 1, step + 1, "observed", {"validation_loss": 1.5 * loss_at(step, rate)}))
    lines.close()
    made.write(task="digits", rate=rate, steps=steps, done=steps, seconds=seconds, status="finished", **facts)
    return str(folder)


@pytest.fixture
def two(tmp_path):
    said = {"task": "digits", "threads": 1, "seed": 0, "steps": STEPS, "clip": 1.0}
    return write(tmp_path / "a", 0.01, seed=0, said=said), write(tmp_path / "b", 0.02, seconds=30.0, seed=0, said=said)


def test_what_differs_and_what_is_common(two):
    found = compare(*two)
    assert found.differing == {"rate": (0.01, 0.02)}
    assert {"task": "digits", "clip": 1.0, "seed": 0, "steps": STEPS}.items() <= found.common.items()


def test_figures_are_what_their_formulas_say(two):
    found = compare(*two)
    for place, rate in enumerate((0.01, 0.02)):
        late = loss_at(np.arange(STEPS), rate)[-5:].mean()  # the last twentieth of 100 steps
        assert found.figures["training loss"][place] == pytest.approx(late)
        last = 1.5 * loss_at(STEPS - 1, rate)
        assert found.figures["validation loss"][place] == pytest.approx(last)
        assert found.figures["best validation loss"][place] == pytest.approx(last)
        assert found.figures["at step"][place] == STEPS
        assert found.figures["gap"][place] == pytest.approx(last - late, rel=0.1)
    assert found.figures["status"] == ("finished", "finished")


def test_the_axis_is_steps_time_or_share(tmp_path, two):
    shorter = write(tmp_path / "c", 0.01, steps=50)
    steps = compare(two[0], shorter).courses("loss")
    assert [at[-1] for at, _ in steps.values()] == [99, 49]
    shares = compare(two[0], shorter, by="share").courses("loss")
    assert [at[-1] for at, _ in shares.values()] == [0.99, 0.98]
    assert all(at.max() <= 1 for at, _ in compare(two[0], shorter, by="share").courses("validation_loss").values())
    timed = compare(*two, by="time")
    assert [at[-1] for at, _ in timed.courses("loss").values()] == pytest.approx([9.9, 29.7])
    assert all("equally long" in note for note in timed.notes)
    np.testing.assert_array_equal(timed.courses("loss")[two[0]][1], compare(*two).courses("loss")[two[0]][1])


def test_a_log_with_a_clock_has_its_own_time_and_one_without_is_left_out_and_said(tmp_path, two):
    (tmp_path / "x.csv").write_text("step,loss,seconds\n0,2,0\n1,1,5\n")
    (tmp_path / "y.csv").write_text("step,loss\n0,2\n1,1\n")
    found = compare(tmp_path / "x.csv", tmp_path / "y.csv", two[0], by="time")
    assert next(at.tolist() for at, _ in found.courses("loss").values()) == [0, 5]
    assert str(tmp_path / "y.csv") not in found.courses("loss")
    assert any("y.csv does not say" in note for note in found.notes)
    assert found.differing["log"] == ("CSV", "CSV", None)


def test_a_finding_is_compared_by_its_scores(tmp_path):
    folder = RunFolder(tmp_path / "f")
    folder.write(task="digits")
    trials = [
        {"rate": r, "seed": 0, "steps": n, "score": s} for r, n, s in ((0.1, 8, 2.0), (1.0, 8, 3.0), (0.1, 16, 1.0))
    ]
    found = {"rate": 0.1, "low": 0.05, "high": 0.2, "initial": 4.0, "trials": trials}
    (tmp_path / "f" / "finding.json").write_text(json.dumps(found))
    entry = entry_of(Run.open(tmp_path / "f"), "f")
    assert [score.tolist() for score in entry.scores] == [[0.1, 1.0], [1.0, 3.0]]
    assert entry.figures["found between"] == "0.05 and 0.2"


def test_variants_of_a_sweep_stand_beside_a_run(tmp_path, two, capsys):
    task = task_named("quadratic")
    swept = sweep(task, [0.01, 0.1], 2, steps=20, momentum=[0.0, 0.9], folder=tmp_path / "s", engine=serial)
    assert run(["compare", str(tmp_path / "s"), two[0], "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert len(answer["runs"]) == 3
    assert answer["differing"]["momentum"] == [0.0, 0.9, None]
    for place, (best, curve) in enumerate(zip(swept.best(), swept.curves(), strict=True)):
        assert answer["figures"]["loss of the best rate"][place] == best.value
        assert answer["figures"]["rate found"][place] == best.rate
        scores = answer["scores"][answer["runs"][place]]
        assert scores["rates"] == curve.rates.tolist()
        np.testing.assert_allclose(scores["values"], curve.values.mean(1))


def test_the_command_shows_a_table_and_one_json_object(two, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["compare", "a", "b"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["settings", "a", "b"]
    assert ["rate", "0.01", "0.02"] in [line.split() for line in lines]
    assert run(["compare", "a", "b", "--by", "share", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["runs"] == ["a", "b"]
    assert answer["courses"]["loss"]["a"]["at"][-1] == 0.99
    assert answer["differing"] == {"rate": [0.01, 0.02]}


def test_a_log_of_others_is_read_with_names_of_its_own(two, tmp_path, capsys):
    (tmp_path / "log.jsonl").write_text('{"n": 0, "mine": 2.0}\n{"n": 50, "mine": 1.0}\n')
    words = ["compare", two[0], str(tmp_path / "log.jsonl"), "--json"]
    assert run([*words, "--column", "loss=mine", "--column", "step=n"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["courses"]["loss"][str(tmp_path / "log.jsonl")] == {"at": [0, 50], "values": [2, 1]}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a"], "two to 12 runs"),
        (["a", "none"], "a run folder or a log"),
        (["a", "a"], "a twice; name each once"),
        (["a", "b", "--column", "loss"], "OURS=THEIRS"),
        (["a", "b", "--by", "hour"], "hour"),
    ],
)
def test_what_cannot_be_compared_is_said_in_a_line(two, tmp_path, capsys, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    assert run(["compare", *words]) == 2
    assert said in capsys.readouterr().err


def test_entries_of_ones_own_and_names_that_are_close(two):
    found = compare(Entry("x", {"lr": 1}), Entry("y", {"lr": 2, "wd": 0.1}))
    assert found.differing == {"lr": (1, 2), "wd": (None, 0.1)}
    with pytest.raises(ValueError, match="did you mean 'loss'"):
        compare(*two).courses("los")
    with pytest.raises(TypeError, match="runs must be folders"):
        compare(3, 4)


@pytest.mark.parametrize("words", [["diagnose", "a"], ["plot", "a"], ["compare", "a", "a"], ["watch", "a", "--once"]])
def test_a_folder_that_is_no_run_is_called_by_the_word_of_the_help(words, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").mkdir()
    assert run(words) == 2
    assert capsys.readouterr().err.startswith("stepsize: RUN must be a run folder or a log of training, got 'a'")
