"""Rules on planted faults, and their silence on what is well."""

import numpy as np
import pytest

from stepsize import Symptom, diagnose
from stepsize.diagnosis import RULES, Seen, Series

STEPS = np.arange(400.0)


def seen(loss=None, rate=None, curvature=None, norm=None, observed=None, **facts):
    columns = {"loss": loss, "rate": rate, "curvature": curvature, "gradient_norm": norm}
    found = {name: Series(STEPS[: len(values)], values) for name, values in columns.items() if values is not None}
    return Seen(found, observed or {}, facts=facts)


def symptoms(run):
    return {symptom.name: symptom for symptom in diagnose(run)}


def noise(size=0.01, seed=0):
    return size * np.random.default_rng(seed).normal(size=400)


def falling():
    return 0.05 + np.exp(-STEPS / 80) + noise()


def cosine(total=400):
    return 0.1 * 0.5 * (1 + np.cos(np.pi * np.minimum(STEPS / total, 1)))


def constant(rate=0.1):
    return np.full(400, rate)


@pytest.mark.parametrize(
    "rate",
    [
        cosine(),
        constant(),
        np.minimum(1, (STEPS + 1) / 40) * cosine(),
        0.1 * 0.1 ** (STEPS // 100),
        0.1 / np.sqrt(1 + STEPS / 50),
        0.1 * (1 - STEPS / 400),
        0.1 * (0.1 + 0.9 * (1 - STEPS / 400)),
    ],
    ids=["cosine", "constant", "warm-up", "stairs", "inverse root", "linear", "linear to a tenth"],
)
def test_nothing_is_found_in_a_run_that_is_well(rate):
    assert symptoms(seen(falling(), rate, 4 * rate, 1 + STEPS * 0, steps=400, status="finished")) == {}


@pytest.mark.parametrize("factor", [30, 100])
def test_curvature_in_proportion_to_the_rate_gives_the_factor(factor):
    low = seen(2.3 - 1e-3 * STEPS, constant(), constant(1 / factor))
    symptom = symptoms(low)["rate-too-low"]
    assert abs(np.log10(symptom.factor / factor)) < 0.65
    assert symptom.evidence["factor_low"] < factor < symptom.evidence["factor_high"]
    assert symptoms(seen(2.3 - 1e-3 * STEPS, constant(), constant(0.5))) == {}  # healthy curvature overrules the loss


def test_a_loss_that_hardly_falls_and_goes_on_falling_is_enough_without_curvature():
    assert symptoms(seen(2.3 - 2e-4 * STEPS + noise(1e-3), constant()))["rate-too-low"].factor > 10
    assert "rate-too-low" not in symptoms(seen(2.3 - 2e-4 * STEPS + noise(0.1), constant()))


def test_a_loss_that_rises_to_more_than_twice_its_start_says_too_high():
    rising = 2.3 + 4 * np.minimum(STEPS / 40, 1) + noise()
    assert {"rate-too-high", "diverging"} == symptoms(seen(rising, constant())).keys()
    healed = np.where(STEPS < 30, 9, 0.3) + 2 * (STEPS < 3) - 9 * (STEPS < 3) + noise()
    assert {"rate-too-high", "warmup-missing"} == symptoms(seen(healed, constant())).keys()
    warm = np.minimum(1, (STEPS + 1) / 40) * cosine()
    assert {"rate-too-high"} == symptoms(seen(healed, warm)).keys()


def test_curvature_at_three_looks_of_four_at_the_first_and_what_was_gained_decide_together():
    slow = 2.3 - 1e-3 * STEPS

    def found(curvature, loss=slow):
        return "rate-too-low" in symptoms(seen(loss, constant(), curvature))

    assert found(np.where(STEPS % 5 == 3, 0.5, 0.02))  # a noisy look of five proves nothing
    assert not found(np.where(STEPS % 3 == 2, 0.5, 0.02))
    assert not found(np.where(STEPS == 0, 0.5, 0.02))
    assert not found(constant(0.02), 0.05 + np.exp(-STEPS / 40))  # there is nothing left to gain


def test_the_decrease_of_the_loss_stands_in_for_curvature_as_on_a_quadratic():
    columns = seen(2.3 - 1e-3 * STEPS, constant()).columns
    by_slope = diagnose(Seen({**columns, "curvature": Series(STEPS, constant(1 / 64))}))
    by_value = diagnose(Seen({**columns, "decrease_ratio": Series(STEPS, 1 - constant(1 / 128))}))
    assert by_slope == by_value
    assert [symptom.name for symptom in by_slope] == ["rate-too-low"]


def test_a_gradient_that_leaps_above_those_around_it_says_too_high_unless_the_run_went_well():
    slow = 2.3 - 1e-3 * STEPS + noise(1e-3)
    calm = 1 + noise(0.1)
    leap = np.where(STEPS == 150, 20.0, np.where(STEPS == 151, 6.0, calm))
    symptom = symptoms(seen(slow, constant(), norm=leap))["rate-too-high"]
    assert (symptom.step, symptom.factor) == (150, 0.1)
    assert symptom.evidence["leap_of_gradient_norm"] == pytest.approx(20, rel=0.2)
    assert symptoms(seen(falling(), constant(), norm=leap)) == {}
    assert symptoms(seen(slow, constant(), norm=np.where(STEPS == 150, 20.0, calm))) == {}  # as one bad batch does
    assert symptoms(seen(slow, constant(), norm=np.minimum(leap, 8))) == {}
    bad = falling() + 0.6 + 9.0 * (STEPS % 80 == 79)
    assert symptoms(seen(bad, constant(), norm=1 + 30.0 * (STEPS % 80 == 79))).keys() == {"spikes"}
    assert symptoms(seen(slow, constant(), norm=20 * np.exp(-STEPS / 20) + calm)) == {}  # steep at the start only
    assert symptoms(seen(slow, constant(), norm=leap, status="running", steps=1000)) == {}


def test_a_run_under_way_is_not_told_to_be_slow_before_its_middle():
    low = (2.3 - 1e-3 * STEPS, constant(), constant(1 / 100))
    assert symptoms(seen(*low, status="running", steps=1000)) == {}
    assert symptoms(seen(*low, status="running")) == {}
    assert symptoms(seen(*low, status="running", steps=500)).keys() == {"rate-too-low"}


def test_noise_around_the_start_is_no_divergence():
    assert symptoms(seen(0.9 + noise(0.1), constant())) == {}


def test_a_schedule_for_twice_the_run_is_cut_off_and_one_for_half_is_too_short():
    assert symptoms(seen(falling(), cosine(800))).keys() == {"schedule-cut-off"}
    assert symptoms(seen(falling(), cosine(800), status="interrupted")) == {}
    assert symptoms(seen(falling(), cosine(200))).keys() == {"schedule-too-short", "rate-zero"}
    assert symptoms(seen(falling(), cosine(200)))["schedule-too-short"].step == 200


def test_a_loss_that_is_not_finite_any_more_says_where():
    loss = np.where(STEPS < 123, falling(), np.nan)
    found = symptoms(seen(loss, cosine()))
    assert {name: symptom.step for name, symptom in found.items()} == {"not-finite": 123, "rate-too-high": 123}
    assert found["rate-too-high"].factor < 1
    assert symptoms(seen(np.full(400, np.nan), cosine())).keys() == {"not-finite"}  # the rate had no part in it


def test_the_layer_whose_gradient_broke_first_is_named():
    run = seen(np.where(STEPS < 50, falling(), np.nan), constant())
    columns = {**run.columns, "gradient_norm/head": Series(STEPS, np.where(STEPS < 49, 1.0, np.nan))}
    symptom = symptoms(Seen(columns))["not-finite"]
    assert symptom.step == 49
    assert "head" in symptom.remedy


def test_a_rate_of_zero():
    assert "rate-zero" in symptoms(seen(2.3 + noise(), constant(0.0)))


def test_spikes_far_above_the_start():
    spiked = falling() + 5.0 * (STEPS % 80 == 79)
    found = symptoms(seen(spiked, cosine()))
    assert found.keys() == {"spikes"}
    assert found["spikes"].step == 79
    assert found["spikes"].evidence["spikes"] == 5


@pytest.mark.parametrize("classes", [2, 10, 100])
def test_a_loss_at_the_logarithm_of_the_classes_was_never_learnt(classes):
    found = symptoms(seen(np.log(classes) + noise(0.003), constant()))
    assert found.keys() == {"never-learnt"}
    assert found["never-learnt"].evidence["classes"] == classes


def test_a_warm_up_in_stairs_was_stepped_per_epoch_and_waves_per_batch():
    stairs = 0.1 * np.minimum(1, (STEPS // 40) / 5)
    assert "stepped-per-epoch" in symptoms(seen(falling(), stairs))
    waves = 0.05 * (1 + np.cos(np.pi * STEPS / 20))
    assert symptoms(seen(falling(), waves)).keys() == {"stepped-per-batch"}


def test_a_run_that_went_on_with_another_rate_or_loss_leaps():
    leap = np.where(STEPS < 200, 0.1, 0.001)
    assert "resume-jump" in symptoms(seen(falling(), leap, resumed_at=200))
    assert "resume-jump" not in symptoms(seen(falling(), constant(), resumed_at=200))
    loss = np.where(STEPS < 200, falling(), falling() + 1)
    assert "resume-jump" in symptoms(seen(loss, constant(), resumed_at=200))


def test_clipping_at_a_tenth_of_every_gradient():
    run = seen(falling(), cosine(), norm=20 + noise(1.0), plan="lr: cosine(400)\nclip: 1.0")
    assert symptoms(run).keys() == {"clipping-always"}
    assert symptoms(seen(falling(), cosine(), norm=1.2 + noise(0.1), plan="lr: cosine(400)\nclip: 1.0")) == {}


def test_one_layer_far_off_and_one_that_never_moved():
    ratios = {name: constant(1e-3) for name in ("a.weight", "b.weight", "c.weight")}

    def layers(**changed):
        columns = {f"update_ratio/{name.replace('_', '.')}": Series(STEPS, values) for name, values in changed.items()}
        return symptoms(Seen({**seen(falling(), cosine()).columns, **columns}))

    renamed = {name.replace(".", "_"): values for name, values in ratios.items()}
    assert layers(**renamed) == {}
    assert "c.weight" in layers(**{**renamed, "c_weight": constant(0.5)})["layer-far-off"].remedy
    assert "c.weight" in layers(**{**renamed, "c_weight": constant(0.0)})["frozen-parameters"].remedy


def test_gradients_that_vanish_are_dead():
    norm = np.where(STEPS < 100, 1.0, 0.0)
    assert symptoms(seen(falling(), cosine(), norm=norm))["dead-gradients"].step == 100


def test_layers_that_come_to_a_stop_are_dead_but_not_where_updates_end_in_rounding():
    def layers(stopped_at):
        ratios = {"update_ratio/head.weight": cosine(), "update_ratio/body.weight": cosine() * (stopped_at > STEPS)}
        return symptoms(Seen({**seen(falling(), cosine()).columns, **{k: Series(STEPS, v) for k, v in ratios.items()}}))

    dead = layers(100)["dead-gradients"]
    assert dead.step == 100
    assert "body.weight" in dead.remedy
    assert layers(340) == {}  # below a tenth of the peak
    assert layers(399) == {}


def test_one_of_three_layers_a_hundred_times_slower_than_both_others_is_far_off():
    levels = {"a.weight": 1e-3, "b.weight": 4e-3, "c.weight": 1.5e-5}  # their median is a's, and c only 67 times below
    ratios = {f"update_ratio/{name}": Series(STEPS, constant(level)) for name, level in levels.items()}
    found = symptoms(Seen({**seen(falling(), cosine()).columns, **ratios}))
    assert "c.weight" in found["layer-far-off"].remedy
    assert found["layer-far-off"].evidence["median_of_the_others"] == pytest.approx(2e-3)


def test_a_validation_loss_that_never_fell_is_of_overfitting_where_it_rises_by_much():
    steps = np.arange(0, 400, 20.0)
    for rise, expected in ((1.0, {"overfitting"}), (0.02, set())):
        rising = Series(steps, 2.3 + rise * np.log1p(steps / 20) / np.log(20))
        assert symptoms(seen(falling(), cosine(), observed={"validation_loss": rising})).keys() == expected


def test_a_validation_loss_that_turned_says_when():
    steps = np.arange(0, 400, 20.0)
    values = 0.5 + (steps / 400 - 0.3) ** 2 * 4
    found = symptoms(seen(falling(), cosine(), observed={"validation_loss": Series(steps, values)}))
    assert found.keys() == {"overfitting"}
    assert found["overfitting"].step == 120


def test_feedback_on_what_never_came_is_blind():
    plan = "lr: 1\nfeedback: plateau(of='validation_loss')"
    assert symptoms(seen(falling(), constant(), plan=plan)).keys() == {"blind-feedback"}
    observed = {"validation_loss": Series(STEPS, falling())}
    assert symptoms(seen(falling(), constant(), plan=plan, observed=observed)) == {}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_rule_is_silent_on_nothing_one_line_and_what_is_no_number(rule):
    for length in (0, 1, 2, 7):
        assert rule(seen(*[np.ones(length)] * 4)) is None or length > 2
        rule(seen(*[np.full(length, np.nan)] * 4))
        rule(seen(*[np.zeros(length)] * 4))


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_the_unit_of_the_loss_changes_nothing(scale):
    for loss in (falling(), 2.3 + 4 * np.minimum(STEPS / 40, 1) + noise(), falling() + 5.0 * (STEPS % 80 == 79)):
        assert symptoms(seen(loss, constant())).keys() == symptoms(seen(scale * loss, constant())).keys()


def test_a_symptom_is_plain_data():
    symptom = Symptom("rate-too-high", "error", 3, {"loss": 1.0}, "lower it", 0.1)
    assert list(symptom.plain()) == ["name", "severity", "step", "evidence", "remedy", "factor"]


def test_a_loss_that_leapt_and_came_back_to_its_start_says_too_high():
    loss = 2.3 + 0.01 * np.random.default_rng(0).standard_normal(400)
    loss[20:40] += np.linspace(5, 0, 20)  # a network that was driven to guessing for good
    symptom = symptoms(seen(loss))["rate-too-high"]
    assert symptom.factor == 0.1
    assert symptom.evidence["loss_after"] == pytest.approx(2.3, abs=0.01)


def test_one_batch_that_is_no_number_is_no_rate_that_is_too_high():
    loss = np.exp(-np.arange(400) / 100)
    loss[200] = np.nan
    assert list(symptoms(seen(loss))) == ["not-finite"]


@pytest.mark.parametrize(("step", "least", "most"), [(1, 0.01, 0.03), (60, 0.4, 0.6)])
def test_the_sooner_a_loss_breaks_the_lower_the_rate_that_is_named(step, least, most):
    loss = np.where(np.arange(400) < step, 2.3, np.nan)
    symptom = symptoms(seen(loss))["rate-too-high"]
    assert symptom.step == step
    assert least <= symptom.factor <= most
    assert symptom.evidence["loss_at_start"] == 2.3
