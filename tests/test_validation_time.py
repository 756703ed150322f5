"""What validation may cost: a fifth of a run's time where nobody has said how often, and nothing of what is trained."""

import time
from dataclasses import replace

import pytest
import torch
from torch import nn

from stepsize import Task, train
from stepsize.cli import run
from stepsize.task._seldom import FREE, settled

X = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))


def slow(model):
    time.sleep(0.3)
    return {"validation_loss": float(model(X).square().mean())}


def quick(model):
    return {"validation_loss": float(model(X).square().mean())}


def task(metrics=slow, **more):
    return Task.of(
        model=lambda: nn.Linear(4, 1),
        loader=[X[first : first + 8] for first in range(0, 64, 8)],
        loss=lambda model, batch: model(batch).square().mean(),
        optimizer=lambda parameters, lr: torch.optim.SGD(parameters, lr=lr),
        steps=200,
        metrics=metrics,
        **more,
    )


def steps_of(trained):
    return [int(figures["step"]) for figures in trained.history]


def test_slow_validations_are_fewer_and_it_is_said_and_training_is_the_same():
    often, seldom = train(task(quick), lr=0.01), train(task(), lr=0.01)
    assert steps_of(often) == list(range(0, 201, 10))
    assert often.remark == ""
    assert steps_of(seldom)[0] == 0
    assert steps_of(seldom)[-1] == 200
    assert len(steps_of(seldom)) < 6
    assert "validated " in seldom.remark
    assert "instead of every 10 steps, so" in seldom.remark
    assert seldom.losses == often.losses
    assert seldom.metrics.keys() == often.metrics.keys()


@pytest.mark.parametrize("way", ["call", "task", "feedback"])
def test_what_is_said_or_needed_is_validated_however_long_it_takes(way):
    more = {
        "task": {"evaluate_every": 50},
        "feedback": {"feedback": 'plateau(of="validation_loss")', "evaluate_every": 50},
    }
    made = task(**more.get(way, {}))
    trained = train(made, lr=0.01, **({"evaluate_every": 50} if way == "call" else {}))
    assert steps_of(trained) == [0, 50, 100, 150, 200]
    assert trained.remark == ""


def test_feedback_is_never_left_without_what_it_looks_at():
    made = replace(task(feedback='plateau(of="validation_loss")'), steps=100)
    assert steps_of(train(made, lr=0.01)) == list(range(0, 101, 10))


@pytest.mark.parametrize("validation", [0.0, 0.01, 0.3, 7.0])
@pytest.mark.parametrize("stepping", [1e-6, 0.02, 0.5, 30.0])
@pytest.mark.parametrize(("pause", "steps"), [(10, 50), (10, 5000), (250, 5000), (7, 7)])
def test_what_is_settled_costs_at_most_a_fifth_and_is_no_less_often_than_that(validation, stepping, pause, steps):
    found = settled(pause, steps, validation, stepping)
    assert found == steps or found % pause == 0
    assert pause <= found <= steps

    def share(every):
        return validation / (validation + stepping * every / pause) if validation else 0.0

    if validation * (steps // pause) <= FREE:
        assert found == pause
    elif found < steps:
        assert share(found) <= 0.2 + 1e-9
        assert found == pause or share(found - pause) > 0.2 - 1e-9


class Stop(Exception):
    pass


class StopsAt:
    def __init__(self, step):
        self.step = step

    def wants(self, step):
        if step == self.step:
            raise Stop
        return ()

    def on_step(self, record):
        """Nothing."""

    def on_observe(self, step, values):
        """Nothing."""

    def on_event(self, step, event):
        """Nothing."""


@pytest.mark.parametrize("stop", [5, 15, 150])
def test_a_resumed_run_is_validated_as_it_was_begun(stop, tmp_path):
    seen = []
    made = task()
    for _ in range(2):
        try:
            watch = [] if seen else [StopsAt(stop)]
            trained = train(made, lr=0.01, folder=tmp_path, watch=watch, resume=bool(seen), save_every=1e-9)
        except Stop:
            seen.append(torch.load(tmp_path / "last.pt", weights_only=True)["pause"])
    (kept,) = seen
    assert (kept is None) == (stop == 5)
    every = steps_of(trained)[1]
    assert every == (kept or every)
    assert steps_of(trained) == sorted({*range(0, 201, every), 200})
    assert trained.losses == train(task(quick), lr=0.01).losses


def test_who_waits_is_told_what_is_done():
    told = []
    train(task(quick), lr=0.01, steps=20, progress=lambda *said: told.append(said))
    assert told == [(0, 20, "validating"), (10, 20, "validating"), (20, 20, "validating"), (20, 20, "scoring")]


def test_the_command_line_says_that_it_looked_less_often(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "slow.py").write_text(
        "import time\nimport torch\nfrom stepsize import Task\n"
        "def metrics(model):\n    time.sleep(0.15)\n    return {'validation_loss': 1.0}\n"
        "task = Task.of(model=torch.nn.Linear(1, 1), loader=[torch.ones(2, 1)], metrics=metrics, steps=200,\n"
        "    loss=lambda model, batch: model(batch).square().mean(),\n"
        "    optimizer=lambda parameters, lr: torch.optim.SGD(parameters, lr=lr))\n"
    )
    assert run(["train", "slow.py", "--lr", "0.01"]) == 0
    assert "note     validated " in capsys.readouterr().out
