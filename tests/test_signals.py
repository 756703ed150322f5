"""Signals are values, and only those that are wanted cost anything; records reach each observer by one bus."""

import json
import math

import pytest
import torch

from stepsize import Control, JsonLines, Record, Signal, TensorBoard, linear, train
from stepsize.control import SIGNALS, signals_of
from stepsize.optim import total_norm
from stepsize.pages import picture
from stepsize.record import Run, RunFolder
from stepsize.task import task_named

DIGITS = task_named("digits")
weight_norm = Signal("weight_norm", lambda update: total_norm(update.parameters.values()))


class Kept:
    """An observer of one's own."""

    def __init__(self, *wanted, every=1):
        self.wanted, self.every = wanted, every
        self.facts, self.records, self.statuses = [], [], []

    def wants(self, step):
        return self.wanted if step % self.every == 0 else ()

    def begin(self, facts):
        self.facts.append(dict(facts))

    def on(self, record):
        self.records.append(record)

    def end(self, status):
        self.statuses.append(status)

    def values(self, kind="step"):
        return [dict(record.values) for record in self.records if record.kind == kind]


def net():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))


def under(model, *watch, named=False, **more):
    parameters = model.named_parameters() if named else model.parameters()
    return Control(torch.optim.SGD(parameters, lr=0.1), watch=watch, remind=False, **more)


def steps(control, model, count=1, **more):
    for _ in range(count):
        loss = model(torch.ones(5, 3)).square().mean()
        loss.backward()
        control.step(loss, **more)


def copies(monkeypatch):
    """The tensors that are cloned from now on."""
    made, real = [], torch.Tensor.clone
    monkeypatch.setattr(torch.Tensor, "clone", lambda self, *a, **k: made.append(self.numel()) or real(self, *a, **k))
    return made


def test_observers_of_the_library_copy_no_weights_unless_asked(tmp_path, monkeypatch):
    model = net()
    control = under(model, JsonLines(tmp_path / "m.jsonl"), TensorBoard(tmp_path, every=1))
    made = copies(monkeypatch)
    steps(control, model, 3)
    assert not made
    asked = net()
    steps(under(asked, JsonLines(tmp_path / "r.jsonl", signals=("update_ratio",))), asked)
    assert sum(made) == sum(p.numel() for p in asked.parameters())  # one copy; the difference is taken in place


def test_the_ratio_of_one_layer_copies_that_layer_only(monkeypatch):
    model = net()
    seen = Kept("update_ratio/2.*")
    control = under(model, seen, named=True)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    made = copies(monkeypatch)
    steps(control, model)
    assert sorted(made) == [1, 4]
    after = dict(model.named_parameters())
    for name in ("2.weight", "2.bias"):
        expected = (after[name].detach() - before[name]).norm() / before[name].norm()
        assert seen.values()[0][f"update_ratio/{name}"] == pytest.approx(float(expected), rel=1e-5)
    assert set(seen.values()[0]) == {"update_ratio/2.weight", "update_ratio/2.bias"}


def test_the_whole_ratio_is_that_of_all_weights_together():
    model = net()
    seen, layers = Kept("update_ratio"), Kept("update_ratio/*")
    control = under(model, seen, layers)
    before = [p.detach().clone() for p in model.parameters()]
    steps(control, model)
    moved = [new.detach() - old for new, old in zip(model.parameters(), before, strict=True)]
    assert seen.values() == [{"update_ratio": pytest.approx(float(total_norm(moved) / total_norm(before)), rel=1e-5)}]
    assert sorted(layers.values()[0]) == [f"update_ratio/group0.{index}" for index in range(4)]


def test_a_line_has_the_position_of_a_clock_that_counts_tokens(tmp_path):
    path, model = tmp_path / "m.jsonl", net()
    control = under(model, JsonLines(path), TensorBoard(tmp_path, every=1), lr=linear(), total=1_000)
    steps(control, model, 2, advance=64)
    control.observe(validation_loss=0.5)
    lines = list(map(json.loads, path.read_text().splitlines()))
    assert [(line["step"], line["position"]) for line in lines] == [(0, 0.0), (1, 64.0), (2, 128.0)]


def test_each_observer_gets_what_it_wanted_and_nothing_else():
    model = net()
    one, both = Kept("rate", every=2), Kept("loss", "gradient_norm")
    steps(under(model, one, both), model, 3)
    assert [record.step for record in one.records] == [0, 2]
    assert all(set(values) == {"rate"} for values in one.values())
    assert all(set(values) == {"loss", "gradient_norm"} for values in both.values())


def test_what_nobody_wants_is_not_computed():
    model, calls = net(), []
    dear = Signal("dear", lambda update, kept: kept + 1, lambda update: calls.append(update.step) or 1, cost="copies")
    seen = Kept(dear, every=3)
    steps(under(model, seen), model, 7)
    assert calls == [0, 3, 6]
    assert seen.values() == [{"dear": 2.0}] * 3


def test_a_signal_of_ones_own_stands_in_lines_curves_and_the_picture(tmp_path):
    from test_watch import scalars

    halves = Signal("halves", lambda update: {"low": 0.25 * update.rates["group0"], "high": 0.5})
    run = RunFolder(tmp_path / "run")
    run.write(task="digits")
    signals = ("loss", "rate", weight_norm, halves)
    lines = JsonLines(run.path / "metrics.jsonl", signals=signals)
    board = TensorBoard(run.path, every=1, signals=signals)
    train(DIGITS, lr=0.1, steps=5, watch=[lines, board])
    board.close()
    line = json.loads((run.path / "metrics.jsonl").read_text().splitlines()[1])
    assert set(line) == {"step", "position", "loss", "rate", "weight_norm", "halves/low", "halves/high"}
    points = scalars(run.path)[1]
    assert points["weight_norm"][0] == pytest.approx(line["weight_norm"], rel=1e-6)
    assert picture(run.path).stat().st_size > 10_000


def test_an_observer_is_told_beginning_and_end():
    model = net()
    seen = Kept("loss")
    control = under(model, seen, total=4)
    assert not seen.facts  # not before the run has really begun
    steps(control, model, 4)
    assert seen.facts == [{"plan": "lr: constant(4)", "total": 4.0, "position": 0.0, "groups": ["group0"]}]
    del control
    assert seen.statuses == ["finished"]
    short = Kept("loss")
    control = under(net(), short, total=4)
    steps(control, net())
    control.detach()
    assert short.statuses == ["stopped"]
    whole = Kept("rate")
    train(DIGITS, lr=0.1, steps=3, watch=[whole])
    assert {"task": "digits", "steps": 3}.items() <= whole.facts[0].items()
    assert whole.statuses == ["finished"]
    broken = Kept("rate")
    train(DIGITS, lr=1e30, steps=30, watch=[broken])
    assert broken.statuses == ["diverged"]


def test_what_is_no_observer_or_signal_is_refused_with_what_to_write():
    model = net()
    with pytest.raises(TypeError, match=r"watch must be .*wants, begin, on and end"):
        under(model, object())
    with pytest.raises(ValueError, match="'los', which is not a signal; did you mean 'loss'"):
        under(model, Kept("los"))
    with pytest.raises(ValueError, match="which is not a signal"):
        JsonLines("m.jsonl", signals=["speed"])
    with pytest.raises(ValueError, match="name must be a text without"):
        Signal("a/b", len)
    bad = Kept(Signal("bad", lambda update: torch.ones(2)))
    with pytest.raises(ValueError, match="shape of bad must be one number"):
        steps(under(model, bad), model)


def test_records_are_plain_and_say_their_cost():
    assert Record(1, 2.0, "event", {"value": 0.5}, {"what": "scale", "group": "*"}).line() == {
        "step": 1,
        "what": "scale",
        "group": "*",
        "position": 2.0,
        "value": 0.5,
    }
    costs = {name: signal.cost for name, signal in SIGNALS.items()}
    assert set(costs.values()) == {"free", "reads back", "copies", "again"}
    assert costs["rate"] == "free"
    assert costs["update_ratio"] == "copies"
    assert costs["curvature"] == "again"


def test_a_step_that_was_left_out_has_no_record():
    model = net()
    seen = Kept("loss")
    control = under(model, seen, nonfinite="skip")
    loss = model(torch.full((5, 3), math.inf)).sum() * math.nan
    loss.backward()
    control.step(loss)
    assert [record.kind for record in seen.records] == ["event"]
    assert seen.records[0].text["what"] == "skipped"


MINE = """
import torch
from stepsize import Signal, Task

x = torch.linspace(-1, 1, 32).unsqueeze(1)
weight = Signal("weight", lambda update: update.parameters["group0.0"].abs().max())


def batches(generator):
    while True:
        yield x, 3 * x


mine = Task(
    name="mine",
    model=lambda: torch.nn.Linear(1, 1),
    batches=batches,
    loss=lambda model, batch: (model(batch[0]) - batch[1]).square().mean(),
    optimizer=lambda parameters, lr: torch.optim.SGD(parameters, lr=lr),
    steps=20,
    signals=[weight, "update_ratio/*"],
)
"""


def test_a_tasks_own_signals_are_recorded_by_the_command_line(tmp_path, monkeypatch, capsys):
    from stepsize.cli import run as stepsize

    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(MINE)
    code = stepsize(["train", "mine.py:mine", "--lr", "0.1", "--out", "run"])
    assert code == 0, capsys.readouterr()
    run = Run.open("run")
    assert {"weight", "update_ratio/group0.0", "update_ratio/group0.1"} < set(run.steps[0])
    assert 0 < run.column("weight")[-1] < 3.5


def test_two_signals_of_one_name_do_not_hide_each_other():
    def one(update):
        return 1.0

    mine = Signal("loss", one)
    for both in (["loss", mine], [mine, "lo*"], [Signal("norm", one), Signal("norm", lambda update: 2.0)]):
        with pytest.raises(ValueError, match=r"signals has two of the name '(loss|norm)', and one would hide"):
            signals_of(both)
    assert signals_of([mine, mine]) == (mine,)
