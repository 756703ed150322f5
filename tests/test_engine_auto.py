"""The engine that chooses: predictions from what was measured, the choice kept and obeyed, what is declined done."""

import json
import math
from dataclasses import replace

import pytest
from test_engine_batched import agree, named, task, trials
from torch import nn

from stepsize import Trial, sweep
from stepsize.cli import run
from stepsize.engine import Auto, Batched, Leg, Processes, engine_named, serial
from stepsize.engine import _auto as auto_module
from stepsize.engine import _measured as measured_module
from stepsize.engine._choice import Choice
from stepsize.engine._compiled import compiler
from stepsize.engine._measured import PER_OPERATION, START, Measured, timed
from stepsize.task import task_named

SMALL = Measured(100, 1_000, start=0.01, alone=1e-3, together=2e-4, operations=100, addition=1e-6, members=10)


def test_totals_are_trials_times_their_start_and_steps():
    measured = replace(SMALL, workers=4)
    predicted = measured.predicted()
    assert predicted["serial"] == pytest.approx(100 * (0.01 + 1.0))
    assert predicted["batched"] == pytest.approx(100 * (0.01 + 0.2))
    assert predicted["processes"] == pytest.approx(START + 101 / 3.6)
    assert set(replace(measured, workers=1, together=None).predicted()) == {"serial"}


def test_what_compiling_promises_breaks_even_somewhere_and_stays_paid():
    pays = [replace(SMALL, trials=count).compiling_pays() for count in (1, 10, 100, 1_000, 10_000)]
    assert pays == sorted(pays)
    assert not pays[0]
    assert pays[-1]
    assert SMALL.compiled() > PER_OPERATION * 100 + 100 * 0.01
    # of a step that is all arithmetic nothing is saved
    assert not replace(SMALL, trials=10_000, together=1e-3, alone=2e-3, addition=1e-9).compiling_pays()
    # beside a serial engine that is as quick, compiling is tried only where it costs next to nothing
    assert not replace(SMALL, trials=20, alone=2e-4).compiling_pays()


def test_the_choice_is_the_shortest_and_says_why():
    predicted = {"serial": 20.0, "batched": 5.0, "processes": 600.0}
    choice = Choice.of(SMALL, predicted)
    assert choice.name == "batched"
    told = "batched 5.0 s, serial 20.0 s, processes 10.0 min"
    assert choice.why == f"batched: 100 trials of 1000 steps, predicted {told}"
    assert Choice.of(replace(SMALL, why_not="no such thing"), predicted).why.endswith("; no such thing")
    for name, kind in {"batched": Batched, "processes": Processes}.items():
        assert isinstance(Choice(name, "").engine(2), kind)
    assert Choice("serial", "").engine() is serial


def chosen(monkeypatch, name):
    """As if measuring had found this engine the quickest."""
    monkeypatch.setattr(auto_module, "LITTLE", 0.0)
    monkeypatch.setattr(auto_module, "_compared", lambda task, legs, measured: (Choice(name, f"{name}: told to"), None))


def test_the_choice_is_kept_and_obeyed(tmp_path, monkeypatch):
    chosen(monkeypatch, "batched")
    file = tmp_path / "engine.json"
    work = trials(steps=10)
    first = Auto(keep=file)
    assert {result.engine for result in agree(task(), work, engine=first)} == {"batched"}
    assert first.choice == Choice.read(file)
    chosen(monkeypatch, "serial")
    again = Auto(keep=file)
    assert {result.engine for result in again(task(), work)} == {"batched"}
    assert {result.engine for result in Auto()(task(), work)} == {"serial"}
    file.write_text(json.dumps({"engine": "fast", "why": "", "predicted": {}}))
    with pytest.raises(ValueError, match=r"engine in .* must be one of"):
        Auto(keep=file)(task(), work)
    file.write_text("nothing")
    with pytest.raises(ValueError, match="holds no choice of an engine; remove it"):
        Auto(keep=file)(task(), work)


def test_a_sweep_keeps_the_choice_beside_its_database_and_goes_on_with_it(tmp_path, monkeypatch):
    chosen(monkeypatch, "batched")
    sweep(task(), [0.01, 0.1], 2, folder=tmp_path, steps=10, engine=Auto())
    assert Choice.read(tmp_path / "engine.json").name == "batched"
    chosen(monkeypatch, "serial")
    done = []
    sweep(task(), [0.01, 0.1], 3, folder=tmp_path, steps=10, engine=Auto(), on_result=done.append)
    assert {result.engine for result in done} == {"batched"}
    assert len(done) == 2


def test_a_sweep_says_how_many_trials_the_choice_is_for(tmp_path, monkeypatch):
    counts = []
    choose = Auto.choose
    monkeypatch.setattr(Auto, "choose", lambda self, *rest: counts.append(rest[-1]) or choose(self, *rest))
    sweep(task(), [0.001 * (1 + place) for place in range(40)], 1, folder=tmp_path, steps=1, engine=Auto())
    assert counts == [40]


def test_what_is_declined_is_done_one_after_the_other(monkeypatch):
    chosen(monkeypatch, "batched")
    work = [*trials(steps=10), *trials(steps=10, optimizer="adafactor"), *trials(steps=10, optimizer="adam")]
    results = agree(task(), work, engine=Auto())
    ways = {result.trial.settings.get("optimizer"): result.engine for result in results}
    assert ways == {None: "batched", "adafactor": "serial", "adam": "batched"}


def test_real_times_lead_to_some_engine_with_the_figures_of_serial(monkeypatch):
    monkeypatch.setattr(auto_module, "LITTLE", 0.0)
    monkeypatch.setattr(measured_module, "DEAR", 0)
    engine = Auto(workers=1)
    agree(task(), trials(rates=(0.01, 0.02, 0.05)), engine=engine)
    assert engine.choice.name in ("serial", "batched")
    assert {"serial"} < set(engine.choice.predicted) <= {"serial", "batched", "batched-compiled"}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"amp": True}, "bfloat16"),
        ({"model": lambda: nn.Sequential(nn.Dropout(0.5), nn.Linear(6, 3)).double()}, "random numbers"),
    ],
)
def test_a_task_that_cannot_be_batched_is_done_one_after_the_other_and_says_so(changes, why, monkeypatch):
    monkeypatch.setattr(auto_module, "LITTLE", 0.0)
    # so many that trying costs next to nothing beside them
    work = trials(seeds=range(8), steps=500)
    engine = Auto(workers=1)
    engine.choose(task(**changes), work, 10_000)
    assert engine.choice.name == "serial"
    assert why in engine.choice.why


def test_tasks_that_train_by_themselves_are_no_obstacle():
    own = task_named("frozenlake")
    work = [Trial("frozenlake", {"lr": 0.1}, seed, 20) for seed in (0, 1)]
    engine = Auto(workers=1)
    assert len(list(engine(own, work))) == 2
    assert engine.choice.name == "serial"


def test_nothing_to_do_and_legs_of_no_steps():
    engine = Auto()
    assert list(engine(task(), [])) == []
    assert engine.choice is None
    (start,) = engine(task(), [Leg(trials()[0], 0)])
    assert start.losses == ()


def test_engines_by_name():
    assert engine_named("auto", 3) == Auto(3)
    assert engine_named("batched", 16) == Batched(16)
    if not compiler():
        assert engine_named("batched-compiled") == Batched(compiled=True)


def test_without_a_compiler_compiling_is_refused_and_not_chosen(monkeypatch):
    from torch._inductor import config, cpp_builder

    cpp_builder.cpp_compiler_search.cache_clear()
    monkeypatch.setattr(auto_module, "LITTLE", 0.0)
    monkeypatch.setattr(measured_module, "DEAR", 0)
    monkeypatch.setattr(Measured, "compiling_pays", lambda self: True)
    with config.patch({"cpp.cxx": ("no-such-compiler",)}):
        assert "C++ compiler" in compiler()
        with pytest.raises(ValueError, match=r"compiled must be False here, since .*C\+\+ compiler"):
            Batched(compiled=True)
        engine = Auto(workers=1)
        list(engine(task(), trials(steps=20)))
    assert engine.choice.name in ("serial", "batched")
    assert "not compiled, since" in engine.choice.why
    cpp_builder.cpp_compiler_search.cache_clear()


needs_compiler = pytest.mark.skipif(bool(compiler()), reason="there is no C++ compiler")


@needs_compiler
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's own
@pytest.mark.parametrize(
    ("text", "settings"), [("sgd(momentum=0.9, dampening=0.3)", {"clip": 0.3}), ("adamw", {})], ids=["sgd", "adamw"]
)
def test_compiled_steps_give_the_figures_of_serial(text, settings):
    # three windows, the last one not full; the same graph for all
    engine = Batched(4, compiled=True)
    own = task(optimizer=named(text), accumulate=2)
    results = agree(own, trials(rates=(0.001, 0.01, 0.03), seeds=(0, 1, 2), **settings), engine=engine)
    assert {result.engine for result in results} == {"batched-compiled"}
    assert engine.bench(own) is engine.bench(own)


@needs_compiler
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_what_compiling_would_bake_in_is_noticed():
    scale = [1.0]

    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.factor = nn.Linear(6, 3).double(), 1.0

        def forward(self, x):
            return self.body(x) * self.factor

    models = []

    def model():
        models.append(Scaled())
        models[-1].factor = scale[0]
        return models[-1]

    engine, own = Batched(2, compiled=True), task(model=model)
    agree(own, trials(rates=(0.01, 0.02), seeds=(0,), steps=10), engine=engine)
    models[0].factor = 1.0
    for stack in engine.bench(own).stacks.values():
        stack.loss.model.factor = 2.0
    scale[0] = 2.0
    work = trials(rates=(0.01, 0.02), seeds=(1,), steps=10)
    agree(own, work, engine=engine)


@needs_compiler
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_batches_of_changing_shapes_are_not_compiled():
    from test_engine_batched import ragged

    with pytest.raises(ValueError, match="its batches differ in shape"):
        list(Batched(compiled=True)(task(batches=ragged), trials()))


@needs_compiler
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_auto_compiles_where_that_pays_and_keeps_what_it_compiled(monkeypatch):
    monkeypatch.setattr(auto_module, "LITTLE", 0.0)
    monkeypatch.setattr(measured_module, "DEAR", 0)
    monkeypatch.setattr(Measured, "compiling_pays", lambda self: True)
    engine = Auto(workers=1)
    results = agree(task(), trials(rates=(0.01, 0.02, 0.05)), engine=engine)
    assert "batched-compiled" in engine.choice.predicted
    assert engine.choice.name == results[0].engine


def test_a_step_is_timed_among_members_of_one_kind():
    legs = [Leg(trial, 20) for trial in (*trials(), *trials(weight_decay=0.5))]
    step, operations = timed(Batched().bench(task()), task(), legs)
    assert 0 < step < math.inf
    assert operations > 20


def test_little_work_is_done_as_it_comes():
    engine = Auto(workers=1)
    list(engine(task_named("linear-regression"), [Trial("linear-regression", {"lr": lr}, 0, 20) for lr in (0.01, 0.1)]))
    assert (engine.choice.name, engine.choice.why) == ("serial", "serial: 2 trials of 20 steps, less than 1 s")


def test_the_command_line_takes_engines_by_name_and_says_what_auto_chose(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["linear-regression", "--steps", "20", "--engine"]
    assert run(["sweep", *words, "auto", "--lr", "0.01,0.1", "--seeds", "1", "--workers", "1", "--out", "mine"]) == 0
    why = Choice.read(tmp_path / "mine" / "engine.json").why
    assert f"engine   {why}" in " ".join(capsys.readouterr().out.split("\n"))
    assert run(["find", *words, "batched", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rate"] > 0
    (trial, *_) = (tmp_path / "runs" / "linear-regression-0001" / "trials.jsonl").read_text().splitlines()
    assert '"engine": "batched"' in trial
    assert run(["find", *words, "batchd"]) == 2
    assert "did you mean 'batched'" in capsys.readouterr().err
