"""The rules of the literature: their formulas, where they meet, and that a run goes on at another batch by them."""

import math

import pytest
import torch

from stepsize import Control
from stepsize.cli import run
from stepsize.scale import linear_rule, noise_scale_rule, resume_scaled, square_root_rule, weight_decay_rule


@pytest.mark.parametrize("rule", [linear_rule, square_root_rule])
def test_there_and_back_changes_nothing(rule):
    there = rule(0.1, batch=64, to=512).values["lr"]
    assert rule(there, batch=512, to=64).values["lr"] == pytest.approx(0.1)
    assert rule(0.1, batch=64, to=64).values == {"lr": 0.1}
    assert rule(0.1, batch=64, to=64).doubts == ()


def test_two_steps_of_sgd_at_a_batch_are_one_at_twice_the_batch_where_the_gradient_stays():
    """What the linear rule is made from (Goyal et al. 2017, equations 3 and 4)."""
    generator = torch.Generator().manual_seed(0)
    pushes = torch.randn(
        4, 8, generator=generator, dtype=torch.float64
    )  # of a linear loss, whose gradient is the same everywhere
    small = sum(0.1 * part.mean() for part in pushes)
    assert sum(linear_rule(0.1, batch=8, to=16).values["lr"] * pair.mean() for pair in pushes.reshape(2, 16)) == (
        pytest.approx(float(small))
    )


def test_adams_averages_keep_their_length_in_examples():
    new = square_root_rule(1e-3, batch=32, to=128, beta1=0.98, beta2=0.999, eps=1e-8)
    for name, beta in (("beta1", 0.98), ("beta2", 0.999)):
        assert 128 / (1 - new.values[name]) == pytest.approx(32 / (1 - beta))
    assert new.values["lr"] / new.values["eps"] == pytest.approx(4 * 1e-3 / 1e-8)
    assert new.doubts == ()


def test_the_noise_scale_law_is_linear_far_below_it_and_constant_far_above():
    below = noise_scale_rule(0.1, batch=1, to=8, noise_scale=1e6)
    assert below.factor == pytest.approx(8, rel=1e-4)
    assert below.doubts == ()
    above = noise_scale_rule(0.1, batch=1e6, to=8e6, noise_scale=1)
    assert above.factor == pytest.approx(1, rel=1e-4)
    assert above.doubts
    assert noise_scale_rule(0.1, batch=1, to=8, noise_scale=1e6, power=0.5).factor == pytest.approx(
        square_root_rule(0.1, batch=1, to=8).factor, rel=1e-4
    )


def test_the_noise_scale_law_is_the_rate_with_which_a_step_falls_the_most():
    """On a quadratic, with noise in every example's slope: the expected square of what is left after a step."""
    curvature, at, variance = 2.0, 3.0, 50.0
    slope = curvature * at

    def best(batch):
        rates = torch.linspace(1e-4, 1, 100_001, dtype=torch.float64)
        return float(rates[((at - rates * slope) ** 2 + rates**2 * variance / batch).argmin()])

    noise_scale = variance / slope**2
    for batch, to in ((1, 4), (1, 64), (16, 2)):
        assert noise_scale_rule(best(batch), batch=batch, to=to, noise_scale=noise_scale).values["lr"] == pytest.approx(
            best(to), rel=1e-3
        )


def test_decay_keeps_its_timescale_and_what_weights_lose_in_an_epoch():
    old = {"lr": 1e-3, "weight_decay": 0.1, "steps": 4000}
    new = weight_decay_rule(0.1, lr=1e-3, to_lr=2e-3, steps=4000, to_steps=1000).values | {"steps": 1000}
    left = [(1 - each["lr"] * each["weight_decay"]) ** each["steps"] for each in (old, new)]
    assert left[0] == pytest.approx(left[1], rel=1e-3)


@pytest.mark.parametrize(
    ("new", "words"),
    [
        (linear_rule(0.1, batch=8, to=32), "warm up"),
        (linear_rule(0.1, batch=8, to=512), "fit a law"),
        (linear_rule(0.1, batch=8, to=64, noise_scale=100), "noise scale of 100: beyond 25"),
        (square_root_rule(0.1, batch=8, to=32), "beta1 is not scaled"),
        (square_root_rule(0.1, batch=8, to=32, beta1=0.9, beta2=0.999), "beta1 becomes 0.6, an average over 2.5 steps"),
        (noise_scale_rule(0.1, batch=8, to=200, noise_scale=100), "above the noise scale"),
        (weight_decay_rule(0.1, lr=1e-3, to_lr=1e-3, steps=100, to_steps=200), "hardly acts"),
    ],
)
def test_rules_say_where_they_are_not_known_to_hold(new, words):
    assert words in "; ".join(new.doubts)


def test_betas_that_would_fall_below_zero_are_refused():
    with pytest.raises(ValueError, match=r"beta1 must be above 0\.9375 at a batch 16 times as large, got 0\.9"):
        square_root_rule(0.1, batch=8, to=128, beta1=0.9)


def test_a_run_goes_on_at_another_batch_on_a_clock_of_samples():
    """Where the gradient is the same everywhere, the weights are those of the run that never changed its batch."""

    def at(batch, state=None):
        weight = torch.zeros(1, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.SGD([weight], lr=0.1)
        control = Control(optimizer, lr="cosine()", total=1024, remind=False)
        if state is not None:
            weight.data.copy_(state[0])
            optimizer.load_state_dict(state[1])
            control.load_state_dict(state[2])
            control.scale(linear_rule(0.1, batch=4, to=8).factor, reason="linear rule, batch 4 to 8")
        while control.position < (1024 if state is not None or batch == 1 else 512):
            weight.sum().backward()
            control.step(advance=batch)
        return weight.detach().clone(), optimizer.state_dict(), control.state_dict(), control.log

    half = at(4)
    whole = at(8, half)
    assert whole[2]["position"] == 1024
    smooth = -0.1 * sum(0.5 * (1 + math.cos(math.pi * t / 1024)) for t in range(1024)) / 4
    assert float(whole[0]) == pytest.approx(smooth, rel=0.02)
    assert "linear rule" in str(whole[3][-1])


def test_train_says_the_doubts_of_the_rule(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    words = ["--lr", "0.01", "--batch-size", "512", "--scale-rate", "linear", "--steps", "2"]
    assert run(["train", "digits-mlp", *words]) == 0
    assert "doubt    a rate 8 times as high" in capsys.readouterr().out


def begun(lr=0.1, total=6400.0, **options):
    optimizer = torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=lr)
    return optimizer, Control(optimizer, lr="warmup(10%) >> cosine()", total=total, remind=False, **options)


def driven(pair, updates, batch):
    optimizer, control = pair
    for _ in range(updates):
        optimizer.param_groups[0]["params"][0].square().sum().backward()
        control.step(advance=batch)
    return optimizer.param_groups[0]["lr"]


def gone_on(saved, **given):
    again = begun()
    again[0].load_state_dict(saved[0])
    return again, resume_scaled(again[1], saved[1], **given)


@pytest.mark.parametrize(("rule", "factor"), [("linear", 2.0), ("sqrt", 2**0.5)])
@pytest.mark.parametrize("warmup", [0, 640])
def test_a_run_goes_on_with_twice_the_processes_at_the_rules_rate(rule, factor, warmup):
    """On a clock of examples: the plain run's rates times the factor, which comes in a line over the warm-up."""
    plain = begun()
    driven(plain, 100, 32)
    saved = plain[0].state_dict(), plain[1].state_dict()
    again, new = gone_on(saved, batch=32, to=64, rule=rule, warmup=warmup)
    assert new.factor == pytest.approx(factor)
    for _ in range(15):
        share = 1.0 if not warmup else min(1.0, (again[1].position - 3200) / warmup)
        expected = plain[1].rates["group0"] * (1 + (factor - 1) * share)
        assert again[1].rates["group0"] == pytest.approx(expected)
        driven(plain, 2, 32)
        driven(again, 1, 64)
        assert again[1].position == plain[1].position
    assert again[1].log[0].reason == f"{new.rule} rule, batch 32 to 64"


def test_what_was_scaled_is_saved_and_not_scaled_again():
    first = begun()
    driven(first, 100, 32)
    again, _ = gone_on((first[0].state_dict(), first[1].state_dict()), batch=32, to=64, rule="linear")
    driven(again, 2, 64)  # inside the warm-up
    third = begun()
    third[0].load_state_dict(again[0].state_dict())
    third[1].load_state_dict(again[1].state_dict())
    for _ in range(8):
        assert driven(third, 1, 64) == driven(again, 1, 64)


def test_the_linear_rule_warms_up_by_itself_and_says_what_a_clock_of_steps_does():
    first = begun()
    driven(first, 100, 1)
    saved = first[0].state_dict(), first[1].state_dict()
    again, new = gone_on(saved, batch=32, to=128, rule="linear")
    assert again[1].rates == pytest.approx(first[1].rates)  # it begins at the old one
    assert not any("warm up" in doubt for doubt in new.doubts)
    assert any("total=1675 and add extend='stretch'" in doubt for doubt in new.doubts)  # 100 and a quarter of 6,300
    _, at_once = gone_on(saved, batch=32, to=128, rule="linear", warmup=0)
    assert any("warm up" in doubt for doubt in at_once.doubts)


def test_a_base_that_differs_stays_a_choice():
    first = begun()
    driven(first, 100, 32)
    _, other = begun(lr=0.2)
    with pytest.raises(ValueError, match=r"base rate of group0 was 0\.1"):
        resume_scaled(other, first[1].state_dict(), batch=32, to=64, rule="linear")
    new = resume_scaled(other, first[1].state_dict(), batch=32, to=64, rule="linear", warmup=0, base="saved")
    assert other.rates["group0"] == pytest.approx(2 * first[1].rates["group0"])
    assert new.values["lr"] == pytest.approx(0.2)


def test_a_factor_comes_gradually_to_all_groups_or_at_once_to_some():
    pair = begun()
    driven(pair, 100, 32)
    before = pair[1].preview([4800]).rates["group0"][0]
    pair[1].scale(3.0, over=3200)
    assert pair[1].preview([4800]).rates["group0"][0] == pytest.approx(2 * before)
    with pytest.raises(ValueError, match="leave group out"):
        pair[1].scale(2.0, group="group0", over=10)
    with pytest.raises(ValueError, match="> 0"):
        pair[1].scale(0.0, over=10)
