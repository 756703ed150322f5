"""``train`` that verifies its rate on the way: nothing changes unless asked for, and what was asked for is exact."""

import json
import signal
from dataclasses import replace

import pytest
import torch

from stepsize import JsonLines, Task, train, verify
from stepsize.cli import run
from stepsize.control import DEFAULT
from stepsize.task import TrainingInterrupted, Trial, steps_done, task_named

LOW, GOOD, TOTAL = 1e-4, 0.05, 200
AT = TOTAL // 4


class Rows:
    """Batches that can go on where they were."""

    def __init__(self, generator, crash=None):
        self.generator, self.crash, self.drawn = generator, crash, 0

    def __iter__(self):
        return self

    def __next__(self):
        self.drawn += 1
        if self.drawn == self.crash:
            raise RuntimeError("the machine went down")
        return torch.randn(16, 4, generator=self.generator)

    def state_dict(self):
        return {"generator": self.generator.get_state()}

    def load_state_dict(self, state):
        self.generator.set_state(state["generator"])


def rows(crash=None, **more):
    """A regression with dropout and momentum, which breaks off at a step if asked to."""

    def loss(model, batch):
        return (model(batch) - batch.sum(1, keepdim=True)).square().mean()

    return Task(
        name="rows",
        model=lambda: torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Dropout(0.1), torch.nn.Linear(8, 1)),
        batches=lambda generator: Rows(generator, crash),
        loss=loss,
        optimizer=lambda parameters, lr: torch.optim.SGD(parameters, lr=lr, momentum=0.5),
        metrics=lambda model: {"validation_loss": float(sum(one.square().sum() for one in model.parameters()))},
        steps=TOTAL,
        evaluate_every=40,
        schedule="warmup(10%) >> cosine()",
        **more,
    )


def watched(folder, again=None):
    """What commands write, so that rules have curvature to go by."""
    names = ("metrics.jsonl", "validation.jsonl", "events.jsonl")
    files = [folder / name for name in names]
    return [JsonLines(files[0], 1, *files[1:], again, (*DEFAULT, "curvature@5"))]


def trained(folder, lr=LOW, task=None, **more):
    folder.mkdir(exist_ok=True)
    return train(task or rows(), lr=lr, folder=folder, watch=watched(folder), verify=verify, **more)


def events(folder, what):
    lines = (folder / "events.jsonl").read_text().splitlines()
    return [line for line in map(json.loads, lines) if line["what"] == what]


def weights(found):
    return [value.tolist() for value in found.state["model"].values()]


def test_forks_change_nothing_of_a_run_and_say_what_verify_says(tmp_path):
    plain, found = train(rows(), lr=LOW), trained(tmp_path / "run")
    assert (found.losses, weights(found)) == (plain.losses, weights(plain))
    assert found.verified["factor"] > 10
    assert found.verified["step"] == AT
    assert 0 < found.verified["cost"] <= 0.1
    assert not found.verified["applied"]
    assert [line["value"] for line in events(tmp_path / "run", "verify")] == [found.verified["onward"]]
    assert [line["value"] for line in events(tmp_path / "run", "rate-too-low")] == [found.verified["factor"]]


def test_what_is_applied_is_the_run_scaled_by_hand(tmp_path):
    found = trained(tmp_path / "run", apply=True)
    hand = rows().start(Trial("rows", {"lr": LOW}, 0, TOTAL))
    losses = hand.advance(AT)
    hand.control.scale(found.verified["onward"])
    losses += hand.advance(TOTAL - AT)
    assert found.verified["applied"]
    assert found.losses == tuple(losses)
    assert found.score < train(rows(), lr=LOW).score / 2


def test_a_good_rate_is_not_verified(tmp_path):
    def never(*args, **more):
        raise AssertionError("nothing is suspicious")

    folder = tmp_path / "run"
    folder.mkdir()
    found = train(rows(), lr=GOOD, folder=folder, watch=watched(folder), verify=never)
    assert found.verified is None
    assert found.losses == train(rows(), lr=GOOD).losses


@pytest.mark.parametrize("apply", [False, True])
@pytest.mark.parametrize("crash", [AT - 5, AT + 15, TOTAL - 20])
def test_a_run_killed_before_or_after_its_forks_ends_as_one_never_killed(tmp_path, crash, apply):
    whole = trained(tmp_path / "whole", apply=apply)
    before = []

    def counted(task, folder, trial, **more):
        found = verify(rows(), folder, trial, **more)  # not of the task that breaks off
        before.append(found)
        return found

    folder = tmp_path / "killed"
    folder.mkdir()
    more = {"lr": LOW, "folder": folder, "verify": counted, "apply": apply, "save_every": 1e-9}
    watch = watched(folder)
    with pytest.raises(RuntimeError, match="went down"):
        train(rows(crash), watch=watch, **more)
    for observer in watch:
        observer.close()
    again = train(rows(), watch=watched(folder, steps_done(folder)), resume=True, accept_changes=True, **more)
    assert (again.losses, weights(again)) == (whole.losses, weights(whole))
    assert again.verified == whole.verified
    assert len(before) == 1 or crash == AT + 15  # what a checkpoint has stays found; the next one is at step 80


def test_control_c_among_forks_stops_at_once_and_loses_nothing(tmp_path):
    whole = trained(tmp_path / "whole", apply=True)
    told = []

    def stopped(*args, progress, **more):
        def stop(*report):
            told.append(report)
            signal.raise_signal(signal.SIGINT)
            progress(*report)

        return verify(*args, progress=stop, **more)

    folder = tmp_path / "run"
    folder.mkdir()
    with pytest.raises(TrainingInterrupted) as caught:
        train(rows(), lr=LOW, folder=folder, watch=watched(folder), verify=stopped, apply=True)
    assert len(told) == 1
    assert (caught.value.trained.steps, caught.value.trained.verified) == (AT, None)
    again = train(rows(), lr=LOW, folder=folder, verify=verify, apply=True, resume=True, watch=watched(folder, AT))
    assert again.losses == whole.losses
    assert again.verified == whole.verified


def test_what_was_validated_at_the_quarter_is_not_observed_twice_after_a_stop_among_forks(tmp_path):
    feedback = "plateau(of='validation_loss', patience=1, threshold=0.5)"
    task = replace(rows(), feedback=feedback, evaluate_every=AT // 2)
    plain = train(task, lr=LOW)
    assert AT in [entry["step"] for entry in plain.history]

    def stopped(*args, progress, **more):
        def stop(*report):
            signal.raise_signal(signal.SIGINT)
            progress(*report)

        return verify(*args, progress=stop, **more)

    folder = tmp_path / "run"
    folder.mkdir()
    with pytest.raises(TrainingInterrupted):
        train(task, lr=LOW, folder=folder, watch=watched(folder), verify=stopped)
    again = train(task, lr=LOW, folder=folder, verify=verify, resume=True, watch=watched(folder, AT))
    assert (again.losses, again.history) == (plain.losses, plain.history)
    assert again.verified is not None


@pytest.mark.parametrize("kind", [ValueError, RuntimeError, OSError, StopIteration])
def test_a_run_goes_on_where_forks_cannot_be_trained(tmp_path, kind):
    def refuses(*args, **more):
        raise kind("the disk with the data\nis gone")

    folder = tmp_path / "run"
    folder.mkdir()
    found = train(rows(), lr=LOW, folder=folder, watch=watched(folder), verify=refuses, apply=True)
    assert found.losses == train(rows(), lr=LOW).losses
    assert found.verified == {
        "words": f"the rate could not be verified: {kind.__name__}: the disk with the data is gone"
    }
    assert len(events(folder, "verify")) == 1


def test_without_a_record_the_losses_are_looked_at(tmp_path):
    assert train(rows(), lr=LOW, folder=tmp_path, verify=verify).verified["onward"] > 3


@pytest.mark.parametrize(
    ("more", "error", "text"),
    [
        ({"apply": True}, ValueError, "give verify=verify"),
        ({"verify": verify}, ValueError, "give folder="),
        ({"verify": True, "folder": "run"}, TypeError, "the function stepsize.verify, got True"),
        ({"verify": verify, "folder": "run", "apply": 1}, TypeError, "apply must be True or False"),
        ({"verify": verify, "folder": "run", "steps": 60}, ValueError, "a run of 140 or more can be verified"),
    ],
)
def test_what_cannot_be_verified_is_refused_before_anything_is_trained(tmp_path, monkeypatch, more, error, text):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=text):
        train(rows(), lr=LOW, **more)
    assert not list(tmp_path.iterdir())


def test_a_run_without_a_control_is_refused(tmp_path):
    with pytest.raises(TypeError, match="needs a run with a Control"):
        train(task_named("frozenlake"), lr=0.1, folder=tmp_path, verify=verify)


def test_the_command_verifies_applies_and_remembers(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["train", "digits", "--lr", "1e-3", "--verify", "--apply", "--no-report", "--json", "--out", "a"]) == 0
    answer = json.loads(capsys.readouterr().out)
    facts = json.loads((tmp_path / "a/run.json").read_text())
    assert answer["verified"] == facts["verified"]
    assert answer["verified"]["applied"]
    assert facts["said"]["verify"]
    assert facts["said"]["apply"]
    assert answer["metrics"]["accuracy"] > 0.95
    plain = train(replace(task_named("digits"), metrics=None), lr=1e-3)  # the same steps, without validations
    assert answer["metrics"]["loss"] < plain.score / 5


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--apply"], "add --verify"),
        (["--verify", "--steps", "50"], "a run of 140 or more can be verified"),
    ],
)
@pytest.mark.parametrize("command", [["train", "digits", "--lr", "0.1"], ["tune", "digits"]])
def test_the_command_says_what_cannot_be(tmp_path, monkeypatch, capsys, command, words, text):
    monkeypatch.chdir(tmp_path)
    assert run([*command, *words]) == 2
    assert text in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_tune_verifies_unless_told_otherwise_or_it_cannot(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = {}
    for name, words in {"a": [], "b": ["--no-verify"], "c": ["--no-apply"], "d": ["--steps", "60"]}.items():
        assert run(["tune", "quadratic", "--steps", "200", *words, "--out", name, "--no-report"]) == 0
        said[name] = json.loads((tmp_path / name / "run.json").read_text())["said"]
    assert [(of.get("verify"), of.get("apply")) for of in said.values()] == [
        (True, True),
        (False, None),
        (True, False),
        (None, None),
    ]
