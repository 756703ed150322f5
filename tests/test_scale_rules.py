"""The rules of the literature: their formulas, where they meet, and that a run goes on at another batch by them."""

import math

import pytest
import torch

from stepsize import Control
from stepsize.cli import run
from stepsize.scale import linear_rule, noise_scale_rule, square_root_rule, weight_decay_rule


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
