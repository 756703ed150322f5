"""Laws of the best rate: known exponents are found, intervals hold what they say, bad runs are named."""

import csv
import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest

from stepsize import fit_law, read_runs
from stepsize.cli import run
from stepsize.pages import scale_picture
from stepsize.scale import axis_role

RATES = np.geomspace(1e-3, 1, 10)


def runs_of(law, places, rates=RATES, noise=0.0, seed=0, steep=0.02, bend=1.2, breaks=math.inf):
    """Runs whose best rate at each place is the law's, as columns by name."""
    generator, rows = np.random.default_rng(seed), []
    for place in places:
        best = law(**place)
        for rate in rates:
            away = math.log(rate / best)
            rise = steep * (math.exp(bend * away) - bend * away - 1) / bend**2
            loss = 2.5 * math.exp(rise + noise * generator.normal()) if away < breaks else math.nan
            rows.append({**place, "lr": float(rate), "loss": loss})
    return {name: [row[name] for row in rows] for name in rows[0]}


def grid(**axes):
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def power(**exponents):
    return lambda **place: 0.03 * math.prod((place[axis] / 100) ** each for axis, each in exponents.items())


PLACES = grid(width=[50.0, 100.0, 200.0], steps=[50.0, 100.0, 200.0])


@pytest.mark.parametrize(("width", "steps"), [(-1, 0), (-0.5, -0.3), (0.5, 0.3), (0, 0)])
def test_exponents_of_a_pure_law_are_found(width, steps):
    law = fit_law(runs_of(power(width=width, steps=steps), PLACES), ["width", "steps"])
    found = law.exponents()
    for axis, exponent in (("width", width), ("steps", steps)):
        mean, deviation = found[axis]
        assert abs(mean - exponent) < 2 * deviation < 0.25
    target = {"width": 400.0, "steps": 800.0}
    there = law.predict(target)
    best = power(width=width, steps=steps)(**target)
    assert there.low < best < there.high
    assert abs(math.log(there.lr / best)) < 0.35


def test_three_rates_a_point_are_enough():
    truth = power(width=-0.5, steps=-0.3)
    law = fit_law(runs_of(truth, PLACES, rates=RATES[2::3]), ["width", "steps"])
    assert law.predict({"width": 400, "steps": 400}).lr == pytest.approx(truth(width=400, steps=400), rel=0.35)


@pytest.mark.slow
def test_intervals_hold_the_best_rate_as_often_as_they_say():
    """Random laws with noise, scatter and random exponents: at least 90 of 100 where 95 are wanted on average."""
    held = []
    for seed in range(40):
        generator = np.random.default_rng(seed)
        exponents = {"N": generator.normal(-0.4, 0.3), "bs": generator.normal(0.5, 0.3)}
        pure, scatter = power(**exponents), generator.normal(0, 0.1, 10)
        left = iter(scatter)

        def law(pure=pure, left=left, **place):
            return pure(**place) * math.exp(next(left))

        runs = runs_of(law, grid(N=[100.0, 200.0, 400.0], bs=[50.0, 100.0, 200.0]), RATES[::2], noise=4e-4, seed=seed)
        target = {"N": 1600.0, "bs": 400.0}
        found = fit_law(runs, ["N", "bs"]).predict(target)
        held.append(found.low <= pure(**target) * math.exp(scatter[-1]) <= found.high)
    assert np.mean(held) >= 0.9


def test_units_of_axes_and_of_the_loss_change_nothing():
    runs = runs_of(power(width=-0.5, steps=-0.3), PLACES, noise=1e-3)
    other = {**runs, "width": [each * 1e6 for each in runs["width"]], "loss": [each * 7 for each in runs["loss"]]}
    target = {"width": 400, "steps": 800}
    first = fit_law(runs, ["width", "steps"]).predict(target)
    second = fit_law(other, ["width", "steps"]).predict({**target, "width": 400e6})
    assert (second.lr, second.low, second.high) == pytest.approx((first.lr, first.low, first.high), rel=1e-6)


def test_order_of_runs_and_of_axes_changes_nothing():
    runs = runs_of(power(width=-0.5, steps=-0.3), PLACES, noise=1e-3)
    order = np.random.default_rng(0).permutation(len(runs["lr"]))
    other = {name: [values[index] for index in order] for name, values in runs.items()}
    target = {"width": 400, "steps": 800}
    first = fit_law(runs, ["width", "steps"]).predict(target)
    second = fit_law(other, ["steps", "width"]).predict(target)
    assert (second.lr, second.low, second.high) == pytest.approx((first.lr, first.low, first.high), rel=0.02)


def test_broken_runs_do_no_harm_whatever_their_loss_says():
    truth, target = power(width=-0.5, steps=-0.3), {"width": 400, "steps": 400}
    runs = runs_of(truth, PLACES, breaks=1.6)
    losses = [
        runs["loss"],
        [1e30 if math.isnan(each) else each for each in runs["loss"]],
        [40.0 if math.isnan(each) else each for each in runs["loss"]],
    ]
    for each in losses:
        found = fit_law({**runs, "loss": each}, ["width", "steps"]).predict(target)
        assert found.lr == pytest.approx(truth(**target), rel=0.3)
        assert found.low < truth(**target) < found.high


def test_losses_below_zero_are_taken_as_they_are():
    runs = runs_of(power(width=-0.5), grid(width=[50.0, 100.0, 200.0]))
    shifted = {**runs, "loss": [each - 2.51 for each in runs["loss"]]}
    law = fit_law(shifted, ["width"])
    assert not law.relative
    assert law.predict({"width": 400}).lr == pytest.approx(power(width=-0.5)(width=400), rel=0.3)


def test_a_law_that_bends_is_followed_inside_and_said():
    def bent(bs):
        return 0.03 * bs / 100 / (1 + bs / 100)

    runs = runs_of(bent, grid(bs=[2.0**k for k in range(3, 13)]))
    law = fit_law(runs, ["bs"])
    assert law.bent() > 0.9
    for size in (24.0, 200.0, 2000.0):
        assert law.predict({"bs": size}).lr == pytest.approx(bent(size), rel=0.2)
    assert any("straight line" in doubt for doubt in law.predict({"bs": 8192}).doubts)


def test_an_axis_that_never_changed_leaves_the_literatures_exponent_and_says_so():
    runs = runs_of(power(width=-0.5), grid(width=[50.0, 100.0, 200.0]))
    runs["bs"] = [128.0] * len(runs["lr"])
    law = fit_law(runs, ["width", "bs"])
    same, other = law.predict({"width": 200, "bs": 128}), law.predict({"width": 200, "bs": 512})
    assert not same.doubts
    assert other.lr == pytest.approx(same.lr * 2, rel=0.3)  # the square root
    assert other.high / other.low > 2 * same.high / same.low
    assert any("all runs have bs 128" in doubt for doubt in other.doubts)


def test_targets_below_and_far_beyond_the_runs_are_doubted_and_wide():
    law = fit_law(runs_of(power(width=-0.5), grid(width=[50.0, 100.0, 200.0])), ["width"])
    inside, near, far = (law.predict({"width": each}) for each in (100, 400, 50_000))
    assert inside.high / inside.low < near.high / near.low < far.high / far.low
    assert any("250 times the largest" in doubt for doubt in far.doubts)
    assert any("below all the runs" in doubt for doubt in law.predict({"width": 10}).doubts)


def test_a_rate_that_saturates_with_the_batch_the_later_the_longer_is_followed_beyond():
    """Adam's best rate near the critical batch, as the surge in optimal rates has it (arXiv 2405.14578)."""

    def surge(bs, D):
        away = math.log(bs / (40 * (D / 100) ** 0.45))
        return 0.02 / math.cosh(away / 2)

    runs = runs_of(surge, grid(bs=[10.0, 20.0, 40.0, 80.0, 160.0], D=[100.0, 200.0, 400.0]), noise=1e-4)
    law = fit_law(runs, ["bs", "D"])
    for target in ({"bs": 640.0, "D": 400.0}, {"bs": 20.0, "D": 3200.0}, {"bs": 640.0, "D": 3200.0}):
        found = law.predict(target)
        assert found.low < surge(**target) < found.high
        assert found.lr == pytest.approx(surge(**target), rel=0.4)


def scattered(seed, count, law, places=None, breaks=2.2):
    """Runs of a random search over axes and rate; what is lost at the best rate depends on the axes, too."""
    draw, rows = np.random.default_rng(seed), []
    for _ in range(count):
        place = {"N": math.exp(draw.uniform(4, 6.6)), "bs": math.exp(draw.uniform(3, 5.3))}
        rate = math.exp(draw.uniform(-7, 0))
        one = runs_of(law, [place], [rate], noise=4e-4, seed=seed + len(rows), breaks=breaks)
        lost = (place["N"] / 100) ** -0.07 * (1 + 0.02 * math.log(place["bs"] / 60) ** 2)
        rows.append({**place, "lr": rate, "loss": one["loss"][0] * lost})
    return {name: [row[name] for row in rows] for name in rows[0]}


def test_runs_of_a_random_search_are_fitted_too():
    held, off = [], []
    for seed in range(12):
        draw, target = np.random.default_rng(seed), {"N": 3200.0, "bs": 400.0}
        pure = power(N=draw.normal(-0.4, 0.3), bs=draw.normal(0.5, 0.3))
        law = fit_law(scattered(seed, (30, 60, 120)[seed % 3], pure), ["N", "bs"])
        assert law.scattered
        found = law.predict(target)
        held.append(found.low <= pure(**target) <= found.high)
        off.append(abs(math.log2(found.lr / pure(**target))))
        assert any("rates at equal axes say more" in doubt for doubt in found.doubts)
    assert sum(held) >= 11
    assert np.median(off) < 0.6


def test_scattered_runs_that_broke_do_no_harm_whatever_their_loss_says():
    truth, target = power(N=-0.5, bs=0.5), {"N": 1600, "bs": 200}
    runs = scattered(0, 100, truth, breaks=1.8)
    assert sum(map(math.isnan, runs["loss"])) > 10
    for told in (math.inf, 1e30, 40.0):
        losses = [told if math.isnan(each) else each for each in runs["loss"]]
        assert fit_law({**runs, "loss": losses}, ["N", "bs"]).predict(target).lr == pytest.approx(
            truth(**target), rel=0.4
        )


def test_repeated_scattered_runs_count_once_each(tmp_path):
    runs = scattered(1, 40, power(N=-0.5, bs=0.5))
    twice = {name: [*each, *each] for name, each in runs.items()}
    one, two = (fit_law(each, ["N", "bs"]).predict({"N": 800, "bs": 200}) for each in (runs, twice))
    assert (one.lr, one.low, one.high) == pytest.approx((two.lr, two.low, two.high))
    law = fit_law(runs, ["N", "bs"])
    assert scale_picture(law, {"N": 800, "bs": 200}, tmp_path / "law.png").stat().st_size > 10_000


def test_few_scattered_runs_are_refused_with_what_it_takes():
    runs = scattered(2, 8, power(N=-0.5, bs=0.5), breaks=math.inf)
    with pytest.raises(ValueError, match=r"8 runs, no two of which differ in lr alone; give .* 12 or more that ended"):
        fit_law(runs, ["N", "bs"])


def test_one_point_alone_gives_its_own_best_rate():
    law = fit_law(runs_of(power(width=-0.5), grid(width=[100.0])), ["width"])
    assert law.predict({"width": 100}).lr == pytest.approx(0.03, rel=0.2)


def test_best_rates_at_the_border_are_doubted():
    law = fit_law(runs_of(power(width=-0.5), grid(width=[50.0, 100.0]), rates=[0.1, 0.2, 0.4]), ["width"])
    assert any("try more rates" in doubt for doubt in law.predict({"width": 100}).doubts)


def test_the_best_batch_is_a_rate_like_any_other():
    def loss(tokens, batch, rate):
        best = 50 * (tokens / 100) ** 0.5
        return 2 + 0.1 * math.log(batch / best) ** 2 + 0.1 * math.log(rate / 0.1) ** 2

    rows = [
        (tokens, batch, rate, loss(tokens, batch, rate))
        for tokens in (100.0, 200.0, 400.0)
        for batch in (16.0, 32.0, 64.0, 128.0, 256.0)
        for rate in (0.03, 0.1, 0.3)
    ]
    columns = dict(zip(("tokens", "bs", "lr", "loss"), zip(*rows, strict=True), strict=True))
    found = fit_law(columns, ["tokens"], rate="bs", repeats="best").predict({"tokens": 1600})
    assert found.lr == pytest.approx(200, rel=0.25)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loss": [math.nan] * 30}, "every run broke"),
        ({"lr": [0.1] * 30}, "two or more with other lr at the same width"),
        ({"loss": [2.0] * 30}, "all 30 runs have the same loss"),
        ({"lr": [0.0] * 30}, "lr of run 1 must be a finite number > 0"),
        ({"width": [-1.0] * 30}, "width of run 1"),
        ({"width": ["wide"] * 30}, "width of run 1"),
        ({"loss": [None, *["a"] * 29]}, "loss of run 2"),
        ({"loss": [-math.inf] * 30}, "finite"),
        ({"lr": [0.1]}, "equal length"),
    ],
)
def test_bad_runs_are_named(change, message):
    runs = runs_of(power(width=-0.5), grid(width=[50.0, 100.0, 200.0]))
    with pytest.raises((TypeError, ValueError), match=message):
        fit_law({**runs, **change}, ["width"])


@pytest.mark.parametrize(
    ("role", "axes"),
    [
        ("size", "N n_params model_size hidden_size width d_model n_embd"),
        ("length", "D tokens train_tokens n_tokens total_steps max_steps num_epochs ti"),
        ("batch", "bs batch_size global_batch_size train_batch_size log_bs"),
        ("", "depth heads nh num_layers normal lr"),
    ],
)
def test_roles_are_known_by_names(role, axes):
    assert {axis: axis_role(axis) for axis in axes.split()} == dict.fromkeys(axes.split(), role)


def written(path, columns):
    with Path(path).open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(columns)
        table.writerows(zip(*columns.values(), strict=True))
    return str(path)


@pytest.fixture(name="table")
def _table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runs = runs_of(power(width=-0.5, steps=-0.3), PLACES, breaks=2.0)
    return written("runs.csv", {"smooth loss" if name == "loss" else name: each for name, each in runs.items()})


def test_a_file_is_read_as_it_was_written(table):
    columns = read_runs(table)
    assert columns["lr"][:3] == pytest.approx(RATES[:3])
    assert any(math.isnan(each) for each in columns["smooth loss"])


WORDS = ["--over", "width,steps", "--at", "width=400,steps=400"]


@pytest.mark.parametrize("loss", ["smooth loss", "smooth_loss"])
def test_the_command_answers_with_rate_and_interval(table, capsys, loss):
    assert run(["scale", "--runs", table, "--loss", loss, *WORDS, "--json", "-o", "law.png"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["low"] < power(width=-0.5, steps=-0.3)(width=400, steps=400) < answer["high"]
    assert answer["low"] <= answer["lr"] <= answer["high"]
    assert Path("law.png").read_bytes()[:4] == b"\x89PNG"
    assert answer["picture"] == "law.png"


def test_an_axis_can_be_linear(table, capsys):
    words = ["--over", "width,steps:linear", "--at", "width=400,steps=200"]
    assert run(["scale", "--runs", table, "--loss", "smooth loss", *words, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["exponents"]["steps"]["mean"] < 0
    assert answer["picture"] is None
    assert [path.name for path in Path().iterdir()] == ["runs.csv"]  # no picture that nobody asked for


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--runs", "none.csv", *WORDS], "none.csv"),
        (["--runs", "runs.csv", *WORDS], "there is lr, smooth loss"),
        (["--runs", "runs.csv", "--loss", "smooth loss", "--over", "width,stesp", *WORDS[2:]], "did you mean 'steps'"),
        (["--runs", "runs.csv", "--loss", "smooth loss", *WORDS[:2], "--at", "width=400"], "add steps"),
        (["--runs", "runs.csv", "--loss", "smooth loss", *WORDS[:2], "--at", "width=wide,steps=1"], "a number"),
        (["--runs", "runs.csv", "--loss", "smooth loss", *WORDS[:2], "--at", "width"], "NAME=NUMBER"),
        (["--runs", "runs.csv", "--loss", "smooth loss", *WORDS[:2], "--at", "width=0,steps=1"], "> 0"),
        (["--runs", ".", *WORDS], "sweep"),
    ],
)
def test_bad_words_are_refused_in_one_line(table, capsys, words, message):
    assert run(["scale", *words]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert len(told.strip().splitlines()) == 1


@pytest.mark.parametrize("text", ["", "lr,loss\n", "lr,lr\n1,2\n", "lr,loss\n1\n", "lr,loss\n1,2,3\n"])
def test_files_that_are_no_tables_are_named(tmp_path, text):
    (tmp_path / "bad.csv").write_text(text)
    with pytest.raises(ValueError, match=r"bad\.csv"):
        read_runs(tmp_path / "bad.csv")


def test_a_binary_file_is_named(tmp_path):
    (tmp_path / "bad.csv").write_bytes(b"\xff\xfe\x00\x01" * 9)
    with pytest.raises(ValueError, match=r"bad\.csv"):
        read_runs(tmp_path / "bad.csv")


def test_a_sweep_is_a_table_of_runs(tmp_path):
    from stepsize import sweep, task_named
    from stepsize.engine import serial

    sweep(
        task_named("linear-regression"), [0.01, 0.03, 0.1, 0.3], 2, folder=tmp_path, steps=40, engine=serial,
        batch_size=[8, 16, 32],
    )  # fmt: skip
    for place in (tmp_path, tmp_path / "sweep.db"):
        found = fit_law(read_runs(place), ["batch_size"]).predict({"batch_size": 64})
        assert found.low < found.lr < found.high
        assert 0.01 < found.lr < 1


def test_a_picture_of_one_axis_and_of_four(tmp_path):
    runs = runs_of(power(width=-0.5, steps=-0.3), PLACES)
    runs |= {"a": [1.0] * len(runs["lr"]), "b": [each - 60 for each in runs["steps"]]}
    for number, over in enumerate([["width"], ["width", "steps", "a", "b"]]):
        law = fit_law(runs, over, linear=over[3:])
        target = dict.fromkeys(over, 100.0)
        assert scale_picture(law, target, tmp_path / f"{number}.png").stat().st_size > 10_000
