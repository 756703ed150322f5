"""Sweeps: nothing twice, nothing lost, the same figures however they came about, and answers that are true."""

import itertools
import json
import math
import sqlite3
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from children import forked
from hypothesis import given, settings
from hypothesis import strategies as st

from stepsize import Sweep, logspace, sweep
from stepsize.engine import Leg, Processes, Result, is_broken, serial
from stepsize.pages import sweep_picture
from stepsize.sweeps import (
    Halving,
    SweepFileError,
    TaskChangedWarning,
    _database,
    best_rate,
    chosen_engine,
    divergence_threshold,
    rate_sensitivity,
    trials_of,
)
from stepsize.sweeps._axes import seeds_of, settings_of
from stepsize.sweeps._store import POINTS, thinned
from stepsize.sweeps._views import top_of
from stepsize.task import task_named
from stepsize.task import train as train_to_end
from stepsize.task.built_in._quadratic import bowl

TASK = task_named("linear-regression")
RATES = [0.003, 0.03, 0.3, 3.0]


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def swept(folder=None, rates=RATES, seeds=2, steps=30, **more):
    return sweep(TASK, rates, seeds, folder=folder, steps=steps, **{"engine": serial, **more})


def figures(found):
    return {
        each.key: (each.settings, each.seed, each.status, each.done, each.loss, each.metrics) for each in found.outcomes
    }


# what is trained


def test_a_trial_of_a_sweep_is_that_trial():
    found = swept(rates=[0.03], seeds=[4])
    trained = train_to_end(TASK, lr=0.03, seed=4, steps=30)
    assert found.outcomes[0].loss == trained.score
    assert found.outcomes[0].metrics == trained.metrics
    ((steps, losses),) = found.training_curves(()).values()
    assert losses.tolist() == list(trained.losses)
    assert steps.tolist() == list(range(30))
    assert found.initial == TASK.start(trained.trial).score()


def test_processes_give_the_figures_of_serial(quick_workers):
    assert figures(swept(engine=Processes(2))) == figures(swept())


def test_axes_make_a_product_and_none_stands_for_the_tasks_own():
    axes = {"optimizer": ["sgd", None], "weight_decay": [0, 0.1], "lr": [0.1, 1.0]}
    found = settings_of(TASK, axes)
    assert len(found) == 8
    assert found[0] == {"optimizer": "sgd", "weight_decay": 0.0, "lr": 0.1}
    assert found[-1] == {"weight_decay": 0.1, "lr": 1.0}


def test_the_same_setting_in_other_words_is_the_same_trial():
    one = trials_of(TASK, {"lr": 0.1, "schedule": "warmup(5%)>>cosine()", "optimizer": "SGD( momentum=0.90 )"}, 1, 30)
    two = trials_of(TASK, {"optimizer": "sgd(momentum=0.9)", "lr": [0.1], "schedule": "warmup(5%) >> cosine()"}, 1, 30)
    assert one[0].key == two[0].key


def test_every_axis_changes_what_is_trained():
    plain = swept(rates=[0.03], seeds=1).outcomes[0].loss
    axes = {
        "optimizer": "adam",
        "schedule": "linear()",
        "batch_size": 16,
        "warmup": 20,
        "weight_decay": 0.5,
        "momentum": 0.9,
        "clip": 0.01,
    }
    others = {axis: swept(rates=[0.03], seeds=1, **{axis: value}).outcomes[0].loss for axis, value in axes.items()}
    assert len({plain, *others.values()}) == len(axes) + 1


def test_the_task_keeps_its_groups_when_another_optimizer_takes_them_over():
    def grouped(parameters, lr):
        weight, bias = parameters
        groups = [{"params": [weight]}, {"params": [bias], "lr": 3 * lr, "weight_decay": 0.0}]
        return torch.optim.SGD(groups, lr=lr, weight_decay=0.1)

    task = replace(TASK, name="grouped", optimizer=grouped)
    trial = trials_of(task, {"lr": 0.01, "optimizer": "adamw", "weight_decay": 0.5}, 1, 5)[0]
    groups = task.start(trial).optimizer.param_groups
    assert [group["weight_decay"] for group in groups] == [0.5, 0.0]
    assert groups[1]["lr"] == pytest.approx(3 * groups[0]["lr"])


# continuing


def test_a_sweep_goes_on_with_what_is_missing(tmp_path):
    folder, seen = tmp_path / "s", []
    swept(folder, seeds=1, rates=RATES[:2])
    grown = swept(folder, on_result=lambda result: seen.append(result.trial.key))
    assert len(seen) == len(set(seen)) == 8 - 2
    assert figures(grown) == {**figures(swept())}
    again = swept(folder, on_result=lambda result: seen.append(result.trial.key))
    assert len(seen) == 6
    assert figures(again) == figures(grown)


def test_a_sweep_that_was_interrupted_keeps_what_was_done(tmp_path):
    folder, seen = tmp_path / "s", []

    def interrupt(result):
        seen.append(result)
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        swept(folder, on_result=interrupt)
    assert sum(each.status == "finished" for each in Sweep.open(folder).outcomes) == 3
    assert figures(swept(folder)) == figures(swept())


def test_two_processes_share_one_sweep(tmp_path):
    script = tmp_path / "share.py"
    script.write_text(
        "import sys\n"
        "from stepsize import sweep\n"
        "from stepsize.engine import serial\n"
        "from stepsize.task import task_named\n"
        "seen = []\n"
        f"sweep(task_named('linear-regression'), {RATES}, 10, steps=30, engine=serial,\n"
        f"      folder={str(tmp_path / 's')!r},\n"
        "      on_result=lambda result: seen.append(result.trial.key))\n"
        "print(*seen)\n"
    )
    with forked([script]) as one, forked([script]) as other:
        both = one, other
        done = [process.communicate(timeout=300)[0].split() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sorted(done[0] + done[1]) == sorted({*done[0], *done[1]})
    found = Sweep.open(tmp_path / "s")
    assert {each.key for each in found.outcomes} == {*done[0], *done[1]}
    assert all(each.status != "open" for each in found.outcomes)


def test_what_a_dead_process_had_claimed_is_free_again(tmp_path):
    folder = tmp_path / "s"
    swept(folder, rates=RATES[:1], seeds=1)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with sqlite3.connect(folder / "sweep.db") as db:
        host = __import__("socket").gethostname()
        db.execute("INSERT INTO owners VALUES (77, ?, ?, ?)", (host, gone.pid, __import__("time").time()))
        db.execute("UPDATE trials SET owner = 77, status = 'open', done = 0")
    db.close()
    assert swept(folder, rates=RATES[:1], seeds=1).outcomes[0].status == "finished"


def test_a_claim_of_nobody_is_free(tmp_path):
    swept(tmp_path, rates=RATES[:1], seeds=1)
    _execute(tmp_path / "sweep.db", "UPDATE trials SET owner = 99, status = 'open', done = 0")
    assert swept(tmp_path, rates=RATES[:1], seeds=1).outcomes[0].status == "finished"


def test_variants_are_named_in_words():
    found = swept(rates=[0.1], seeds=1, warmup="5%", weight_decay=0.1, optimizer="adam")
    assert found.curves()[0].name == "adam, warmup 5%, weight_decay 0.1"


def test_another_task_length_or_recipe_is_refused_and_nothing_is_touched(tmp_path):
    folder = tmp_path / "s"
    before = figures(swept(folder))
    with pytest.raises(SweepFileError, match=r"task 'linear-regression'.*'quadratic'.*choose another folder"):
        sweep(task_named("quadratic"), [0.1], folder=folder, steps=30, engine=serial)
    with pytest.raises(SweepFileError, match=r"steps 30.*40"):
        swept(folder, steps=40)
    with pytest.raises(SweepFileError, match=r"clip None.*2.0"):
        sweep(replace(TASK, clip=2.0), [0.1], folder=folder, steps=30, engine=serial)
    assert figures(Sweep.open(folder)) == before
    bowls = tmp_path / "bowls"
    sweep(bowl([1, 10]), [0.1], folder=bowls, steps=30, engine=serial)
    with pytest.raises(SweepFileError, match=r"eigenvalues \[1.0, 10.0\].*\[1.0, 4.0\]"):
        sweep(bowl([1, 4]), [0.1], folder=bowls, steps=30, engine=serial)


def test_a_changed_task_file_is_said(tmp_path):
    path = tmp_path / "own.py"
    text = "from dataclasses import replace\nfrom stepsize.task import task_named\n"
    path.write_text(
        text + "model = lambda: __import__('torch').nn.Linear(10, 1)\n"
        "task = replace(task_named('linear-regression'), name='own', model=model)\n"
    )
    folder = tmp_path / "s"
    sweep(task_named(f"{path}:task"), [0.1], 1, folder=folder, steps=5, engine=serial)
    path.write_text(path.read_text() + "# changed\n")
    with pytest.warns(TaskChangedWarning, match="has changed since"):
        sweep(task_named(f"{path}:task"), [0.1], 2, folder=folder, steps=5, engine=serial)


# stopping early


@pytest.mark.parametrize(
    ("engine", "rungs", "left"), [(serial, (0.2, 0.5), 2), (Processes(2), (0.2,), 3)], ids=["serial", "processes"]
)
def test_halving_stops_the_worse_half_and_leaves_the_others_as_they_would_be(
    engine, rungs, left, tmp_path, quick_workers
):
    whole, rates = swept(rates=[0.001, 0.003, 0.01, 0.03, 0.1, 1e6], seeds=2), [0.001, 0.003, 0.01, 0.03, 0.1, 1e6]
    folder = tmp_path / "s"
    halved = swept(folder, rates=rates, seeds=2, stop=Halving(rungs), engine=engine)

    def at_first_rung(rate):
        legs = [Leg(trial, 6) for trial in trials_of(TASK, {"lr": rate}, 2, 30)]
        return np.mean([result.score for result in serial(TASK, legs)])

    survivors = sorted(rates, key=at_first_rung)[:3]
    assert {each.rate for each in halved.outcomes if each.done > 6} == set(survivors)
    assert len({each.rate for each in halved.outcomes if each.status == "finished"}) == left
    expected = figures(whole)
    for key, found in figures(halved).items():
        if found[2] == "finished":
            assert found == expected[key]
    assert not list((folder / "waiting").glob("*"))
    assert figures(swept(folder, rates=rates, seeds=2, stop=Halving(rungs))) == figures(halved)


def test_what_was_stopped_early_is_trained_to_its_end_when_nothing_stops_it(tmp_path):
    stopped = swept(tmp_path, stop=Halving((0.5,)))
    assert "stopped" in {each.status for each in stopped.outcomes}
    again, whole = figures(swept(tmp_path)), figures(swept())
    assert again.keys() == whole.keys()
    for key, (settings_, seed, status, done, loss, metrics) in whole.items():
        # a rung looks at the score, so that it may notice a divergence before a training loss shows it
        seen = again[key][3] if status == "diverged" else done
        assert seen <= done
        assert again[key] == (settings_, seed, status, seen, loss, metrics)


def test_halving_never_stops_one_variant_for_another():
    found = swept(rates=[0.01, 0.1], seeds=1, optimizer=["sgd", "rprop"], stop=Halving((0.5,)))
    finished = [each.settings["optimizer"] for each in found.outcomes if each.status == "finished"]
    assert sorted(finished) == ["rprop", "sgd"]


# reading


@given(
    means=st.lists(st.floats(0.1, 10), min_size=2, max_size=9, unique=True),
    seeds=st.integers(2, 5),
    noise=st.floats(0, 0.01),
)
@settings(max_examples=40, deadline=None)
def test_the_interval_holds_the_best_rate_and_is_one_notch_without_noise(means, seeds, noise):
    rates = logspace(1e-3, 1, len(means))
    values = np.array(means)[:, None] + noise * np.random.default_rng(0).standard_normal((len(means), seeds))
    best = best_rate(rates, values)
    assert best.rate == rates[int(np.argmin(values.mean(1)))]
    assert best.low <= best.rate <= best.high
    if noise == 0:
        assert math.log(best.high / best.low) == pytest.approx(math.log(rates[1] / rates[0]), rel=0.02)
    assert best.at_border == (best.rate in (rates[0], rates[-1]))


def test_a_rate_at_which_one_seed_diverges_is_not_the_best():
    best = best_rate([0.1, 1.0], [[2.0, 2.0], [1.0, math.inf]])
    assert best.rate == 0.1
    assert best_rate([0.1], [[math.inf]]).rate is None


def test_thresholds_and_sensitivity_in_closed_form():
    rates, values = [0.1, 1.0, 10.0, 100.0], [[3.0], [1.0], [2.0], [math.inf]]
    assert divergence_threshold(rates, values, initial=4.0) == (10.0, 100.0)
    assert divergence_threshold(rates[:3], values[:3], initial=4.0) == (10.0, math.inf)
    assert divergence_threshold(rates, values, initial=1.5) == (1.0, 10.0)
    assert rate_sensitivity(rates, values, initial=4.0) == pytest.approx((2 + 0 + 1 + 3) / 4)
    assert rate_sensitivity(rates, [[1.0]] * 4, initial=4.0) == 0


# whole numbers and powers of two, so that a shift loses nothing to rounding
SHIFTS, SCALES = st.sampled_from([-4096, -5, 0, 3, 4096]), st.sampled_from([0.25, 1.0, 64.0])
LOSSES = st.integers(0, 90) | st.just(math.inf) | st.just(math.nan)
TABLES = st.lists(st.lists(LOSSES, min_size=2, max_size=2), min_size=1, max_size=7)


@given(table=TABLES, shift=SHIFTS, scale=SCALES)
@settings(max_examples=150, deadline=None)
def test_no_answer_depends_on_where_zero_is_or_on_the_unit(table, shift, scale):
    rates, values, initial = logspace(1e-3, 1, 8)[: len(table)], np.array(table, dtype=float), 60.0
    moved = scale * values + shift
    best, other = best_rate(rates, values), best_rate(rates, moved)
    assert (best.rate, best.low, best.high, best.seeds) == (other.rate, other.low, other.high, other.seeds)
    assert divergence_threshold(rates, values, initial) == divergence_threshold(rates, moved, scale * initial + shift)
    lost = rate_sensitivity(rates, moved, scale * initial + shift)
    assert lost == pytest.approx(scale * rate_sensitivity(rates, values, initial), rel=1e-6, abs=1e-6)


@given(table=TABLES, initial=st.integers(1, 100))
@settings(max_examples=150, deadline=None)
def test_what_breaks_is_what_find_says_breaks(table, initial):
    rates, values = logspace(1e-3, 1, 8)[: len(table)], np.array(table, dtype=float)
    best = best_rate(rates, values)
    low, high = divergence_threshold(rates, values, initial)
    if best.rate is not None and best.value < initial:
        tried = [rate for rate, row in zip(rates, values, strict=True) if not np.isnan(row).all()]
        worst = {rate: np.nanmax(row) for rate, row in zip(rates, values, strict=True) if rate in tried}
        broken = [rate for rate in tried if rate > best.rate and is_broken(worst[rate], best.value, initial)]
        assert high == (broken[0] if broken else math.inf)
        assert low == max(rate for rate in tried if rate < high)


def test_a_network_that_died_a_hair_below_the_start_is_broken():
    rates, values = [0.1, 1.0, 10.0], [[0.02, 0.03], [0.05, 2.3024], [2.3025, 2.3026]]
    assert divergence_threshold(rates, values, initial=2.3026) == (0.1, 1.0)


def test_of_equal_rates_the_lowest_is_the_best_and_rates_without_a_value_say_nothing():
    nothing = [math.nan, math.nan]
    assert best_rate([0.1, 1.0, 10.0], [nothing, [1, 1], [1, 1]]).rate == 1.0
    assert divergence_threshold([0.1, 1.0, 10.0], [[1, 1], nothing, [9, 9]], initial=5) == (0.1, 10.0)
    assert rate_sensitivity([0.1, 1.0, 10.0], [[1, 1], nothing, [1, 1]], initial=5) == 0
    assert best_rate([0.1], [[math.inf, math.inf]]).rate is None
    assert divergence_threshold([0.1, 1], [[math.inf], [math.inf]], initial=5) == (0.0, 0.1)
    assert best_rate([0.1, 1.0], [[3.0], [2.0]]).low is None


def test_values_of_minus_infinity_and_a_start_that_is_not_known_are_refused():
    for answer in (best_rate, lambda *words: divergence_threshold(*words, initial=1)):
        with pytest.raises(ValueError, match="values must be finite, inf where a trial diverged, or NaN, got -inf"):
            answer([0.1, 1.0], [[-math.inf], [1.0]])
    with pytest.raises(ValueError, match="initial must be a finite number, got nan"):
        divergence_threshold([0.1, 1.0], [[2.0], [1.0]], initial=math.nan)


def test_curves_hold_every_finished_trial_once():
    found = swept(rates=[*RATES, 1e9], seeds=3)
    (curve,) = found.curves()
    assert curve.values.shape == (5, 3)
    assert np.isinf(curve.values[-1]).all()
    by_place = {(each.rate, each.seed): each.loss for each in found.outcomes}
    for i, rate in enumerate(curve.rates):
        for j, seed in enumerate(curve.seeds):
            assert curve.values[i, j] == by_place[rate, seed]


def test_thinned_curves_keep_the_mean():
    losses = np.random.default_rng(0).random(4 * POINTS)
    assert thinned(losses).mean() == pytest.approx(losses.mean())
    assert len(thinned(losses[:-1])) <= POINTS
    assert thinned(losses[:POINTS]).tolist() == losses[:POINTS].tolist()


def test_exports_hold_the_rows(tmp_path):
    found = swept(seeds=1)
    found.to_csv(tmp_path / "t.csv")
    lines = (tmp_path / "t.csv").read_text().splitlines()
    assert lines[0].startswith("rate,seed,status,steps,loss")
    assert len(lines) == 5
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    found.to_parquet(tmp_path / "t.parquet")
    assert pandas.read_parquet(tmp_path / "t.parquet")["loss"].tolist() == [each.loss for each in found.outcomes]


def test_a_sweep_that_raises_leaves_no_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def fail(result):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        swept(on_result=fail)
    assert list(tmp_path.iterdir()) == []
    kept = swept(rates=[0.1], seeds=1)
    assert list(tmp_path.iterdir()) == [kept.folder]


def given_results(folder, table, initial, metrics=lambda value: {"validation_loss": value}):
    """A sweep whose trials end with the values of a table, by rate and seed."""
    rates = logspace(1e-3, 1, 8)[: len(table)]
    task = replace(bowl([1.0]), name=r"$\frac{$", score=lambda model: initial)

    def engine(task, trials):
        for trial in trials:
            value = float(table[rates.index(trial.settings["lr"])][trial.seed])
            yield Result(trial, value, (2 * value, value), metrics(value) if math.isfinite(value) else {}, 0.1, "given")

    return sweep(task, rates, len(table[0]), folder=folder, steps=2, engine=engine)


def test_a_task_may_call_its_figures_anything():
    names = ["rate", "seed", "steps", "status", "loss", "lr", "seconds", "engine", "accuracy"]
    found = given_results(None, [[1.5]], 3.0, metrics=lambda value: dict.fromkeys(names, 7.0))
    (row,) = found.rows()
    assert (row["rate"], row["seed"], row["steps"], row["status"], row["loss"]) == (0.001, 0, 2, "finished", 1.5)
    assert {name: row[f"metrics.{name}"] for name in names[:-1]} == dict.fromkeys(names[:-1], 7.0)
    assert row["accuracy"] == 7.0


# pictures


@pytest.mark.slow
@given(
    table=st.lists(
        st.lists(st.sampled_from([-1e308, -50.0, -1e-300, 0.0, 1e-9, 3.0, 1e308, math.inf]), min_size=2, max_size=2),
        min_size=1,
        max_size=4,
    ),
    initial=st.sampled_from([-1e3, 0.0, 3.0, 1e308, math.inf]),
)
@settings(max_examples=12, deadline=None)
def test_any_losses_can_be_drawn(table, initial, tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    found = given_results(folder, table, initial)
    assert sweep_picture(found).stat().st_size > 10_000
    assert math.isfinite(initial) or math.isinf(found.initial)


@pytest.mark.parametrize("shift", [0.0, -100.0])
def test_the_frame_holds_all_that_was_gained_wherever_zero_is(shift):
    (curve,) = given_results(None, [[3.0 + shift], [1.0 + shift], [math.inf]], 4.0 + shift).curves()
    assert top_of([curve], 4.0 + shift) == pytest.approx(4.0 + 0.6 * 3.0 + shift)
    assert top_of([curve], math.nan) > 3.0 + shift


# bad input


@pytest.mark.parametrize(
    ("axes", "error"),
    [
        ({"seeds": 10**9}, "seeds must be at most 100,000, got 1000000000; give the rest in a further call"),
        ({"seeds": itertools.count()}, "seeds holds more than 100,000 values"),
        ({"rates": itertools.count(1)}, "rates holds more than 100,000 values"),
        ({"batch_size": itertools.count(1)}, "batch_size holds more than 100,000 values"),
        ({"seeds": 60_000}, r"240,000 trials \(4 settings x 60,000 seeds\), and may have 100,000; give the rest"),
        (
            {"rates": range(1, 1_001), "batch_size": range(1, 102)},
            r"101,000 trials \(101 batch_size x 1,000 rates\), and may have 100,000",
        ),
        ({"rates": []}, "rates must be one value or more"),
        ({"rates": [0.1, -1]}, r"rates must be a finite number > 0, got -1"),
        ({"rates": [0.1, 0.1]}, "rates holds 0.1 twice"),
        ({"rates": "0.1"}, "rates must be a finite number"),
        ({"seeds": 0}, "seeds must be a whole number >= 1"),
        ({"seeds": [1, 1]}, "seeds must be different seeds"),
        ({"optimizer": ["adamx"]}, "did you mean 'adamax'"),
        ({"optimizer": []}, "optimizer must be one value or more"),
        ({"warm_up": 5}, "there is no axis 'warm_up'; did you mean 'warmup'"),
        ({"schedule": "cosin()"}, "did you mean 'cosine'"),
        ({"weight_decay": -1}, "weight_decay must be a finite number >= 0"),
        ({"batch_size": 0.5}, "batch_size must be a whole number"),
        ({"clip": 0}, "clip must be a finite number > 0"),
        ({"warmup": "5 steps"}, "length of warmup must be a length"),
        ({"stop": 0.5}, "stop must be a Halving"),
        ({"engine": "serial"}, "engine must be an engine"),
        ({"folder": 3}, "folder must be a folder's path"),
    ],
)
def test_bad_axes_are_refused_before_anything_is_made(axes, error, tmp_path):
    with pytest.raises((ValueError, TypeError), match=error):
        swept(**{"folder": tmp_path / "s", **axes})
    assert not (tmp_path / "s").exists()


def test_an_axis_the_task_lacks():
    with pytest.raises(ValueError, match="the task 'frozenlake' takes no optimizer, but lr, schedule"):
        sweep(task_named("frozenlake"), [0.1], optimizer="adam")
    with pytest.raises(ValueError, match="the task 'quadratic' takes no batch_size, but lr, "):
        sweep(task_named("quadratic"), [0.1], batch_size=8)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (lambda path: path.write_bytes(b"no database at all " * 100), "not a sweep's file"),
        (lambda path: _execute(path, "PRAGMA user_version = 99"), "written by a newer stepsize"),
        (lambda path: (path.unlink(), _execute(path, "CREATE TABLE mine (a)")), "database of something else"),
        (
            lambda path: path.write_bytes(path.read_bytes()[:4096] + b"\xff" * 8192),
            "damaged|malformed|not a sweep",
        ),
    ],
    ids=["garbage", "newer", "other", "damaged"],
)
def test_a_file_that_is_no_sweep_is_left_as_it_is(wrong, error, tmp_path):
    swept(tmp_path, seeds=1)
    path = tmp_path / "sweep.db"
    wrong(path)
    before = path.read_bytes()
    for attempt in (lambda: Sweep.open(tmp_path), lambda: swept(tmp_path)):
        with pytest.raises(SweepFileError, match=error):
            attempt()
    assert path.read_bytes() == before


def _execute(path, statement):
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(statement)
    connection.close()


def test_a_locked_file_is_told_and_nothing_is_lost(tmp_path, monkeypatch):
    before = figures(swept(tmp_path, seeds=1))
    monkeypatch.setattr(_database, "WAIT", 0.2)
    holder = sqlite3.connect(tmp_path / "sweep.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(SweepFileError, match="locked; another process has been writing"):
        swept(tmp_path)
    assert figures(Sweep.open(tmp_path)) == before  # reading is not held up
    holder.execute("ROLLBACK")
    holder.close()
    assert len(swept(tmp_path).outcomes) == 8


def test_a_folder_that_is_a_file_and_one_without_a_sweep(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(SweepFileError, match=r"cannot be written: .*; choose another folder"):
        swept(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"
    with pytest.raises(SweepFileError, match="holds no sweep"):
        Sweep.open(tmp_path)


def test_a_read_only_sweep_can_be_read_and_says_why_it_goes_no_further(tmp_path, monkeypatch):
    before = figures(swept(tmp_path, seeds=1))
    real = sqlite3.connect

    def read_only(path, **words):  # permissions do not bind every user who runs tests
        where = path if str(path).startswith("file:") else f"file:{path}?mode=ro"
        return real(where, **{**words, "uri": True})

    monkeypatch.setattr(_database.sqlite3, "connect", read_only)
    with pytest.raises(SweepFileError, match=r"readonly.*choose another folder"):
        swept(tmp_path)
    assert figures(Sweep.open(tmp_path)) == before


def test_small_things():
    assert seeds_of([np.int64(3)]) == [3]
    assert logspace(1, 10, 2) == [1, 10]
    assert len(set(logspace(1, 1.0001, 50))) == 50
    assert chosen_engine(replace(TASK, loss=lambda model, batch: 0), 10) is serial
    assert json.dumps(swept(seeds=1).rows())
    assert Path(repr(swept(seeds=1)).split("'")[1]).name.startswith("stepsize-sweep-")
