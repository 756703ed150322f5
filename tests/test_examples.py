"""The examples run, use a task's rungs, and find what the task itself says."""

import importlib
import signal
from pathlib import Path

import pytest
from test_engine_ray import ended, patiently

from stepsize import Trial
from stepsize.engine import Leg, serial
from stepsize.task import task_named

EXAMPLES = Path(__file__).parents[1] / "examples"


def example(name, monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    return importlib.import_module(name)


def scores(settings, rungs):
    """What the serial engine says of a trial at rungs."""
    trial = Trial("digits-mlp", settings, 0, rungs[-1])
    return [result.score for result in serial(task_named("digits-mlp"), [Leg(trial, rung) for rung in rungs])]


def test_optuna_prunes_at_rungs(monkeypatch):
    module = example("optuna_study", monkeypatch)
    module.optuna.logging.set_verbosity(module.optuna.logging.WARNING)
    study = module.study(20)
    states = [trial.state.name for trial in study.trials]
    assert set(states) == {"COMPLETE", "PRUNED"}
    assert states.count("PRUNED") >= 5
    for trial in study.trials:
        assert list(trial.intermediate_values) == list(module.RUNGS[: len(trial.intermediate_values)])
    best = study.best_trial
    assert list(best.intermediate_values.values()) == scores(best.params, module.RUNGS)
    assert best.value < 0.2


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
def test_ray_tune_stops_at_rungs(monkeypatch, tmp_path):
    ray = pytest.importorskip("ray")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    if ray.is_initialized():
        ray.shutdown()
    module = example("ray_tune", monkeypatch)
    ray.cloudpickle.register_pickle_by_value(module)  # workers do not find it where this test does
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGUSR1)}
    patiently(lambda: ray.init("local", num_cpus=2, include_dashboard=False, object_store_memory=80 * 2**20))
    try:
        grid = module.tuned(8, str(tmp_path))
    finally:
        ended(ray)
        for number, handler in before.items():  # Ray Tune leaves its own
            signal.signal(number, handler)
    assert len(grid) == 8
    assert not grid.errors
    steps = [result.metrics["steps"] for result in grid]
    assert set(steps) <= set(module.RUNGS)
    assert min(steps) < max(steps) == module.RUNGS[-1]
    best = grid.get_best_result()
    assert best.metrics["loss"] == scores(best.config, module.RUNGS)[-1]
