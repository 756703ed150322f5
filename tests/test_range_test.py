"""The range test: what was handed over is identical afterwards, and rules are right on curves whose answer is known."""

import copy
import random

import numpy as np
import pytest
import torch
from torch import nn

from stepsize import range_test
from stepsize.probe import minimum_tenth, probe_minimum_third, smooth, steepest_by_log_rate, valley
from stepsize.state import RandomState, capture


def make(kind="sgd"):
    for seeded in (torch.manual_seed, random.seed, np.random.seed):
        seeded(1)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 1))
    model[2].eval()  # a mode of its own must come back as well
    if kind == "sgd":
        groups = [{"params": model[0].parameters(), "lr": 0.5}, {"params": model[4].parameters()}]
        optimizer = torch.optim.SGD([*groups, {"params": model[1].parameters()}], lr=0.05, momentum=0.9)
    elif kind == "lbfgs":
        optimizer = torch.optim.LBFGS(model.parameters(), lr=0.01)
    else:
        optimizer = torch.optim.AdamW(model.parameters(), lr=torch.tensor(1e-3), amsgrad=True)
    return model, optimizer, torch.Generator().manual_seed(7)


def work(model, optimizer, generator):
    """One step that draws from every random source there is."""
    x = torch.randn(16, 4, generator=generator) + torch.randn(1) * random.random() * np.random.rand()

    def closure():
        optimizer.zero_grad()
        loss = (model(x) - x.sum(1, keepdim=True)).square().mean()
        loss.backward()
        return loss

    return optimizer.step(closure)


def everything(model, optimizer, generator):
    """All there is to compare, as bits."""
    random_state = RandomState.now()
    return copy.deepcopy(
        {
            "model": model.state_dict(),
            "gradients": [p.grad for p in model.parameters()],
            "needs": [p.requires_grad for p in model.parameters()],
            "modes": [module.training for module in model.modules()],
            "optimizer": optimizer.state_dict(),
            "generator": generator.get_state(),
            "random": [random_state.python, random_state.numpy, random_state.cpu],
        }
    )


def same(a, b):
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and a.shape == b.shape and a.numpy().tobytes() == b.numpy().tobytes()
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return a == b or (a != a and b != b)


@pytest.mark.parametrize("kind", ["sgd", "adamw", "lbfgs"])
@pytest.mark.parametrize("warm", [0, 3])
@pytest.mark.parametrize("raises", [False, True])
def test_everything_is_put_back_to_the_bit_also_when_the_loop_raises(kind, warm, raises):
    model, optimizer, generator = make(kind)
    for _ in range(warm):
        work(model, optimizer, generator)
    before = everything(model, optimizer, generator)
    tensors = [p.data_ptr() for p in model.parameters()]
    rate = optimizer.param_groups[0]["lr"]

    def test():
        with range_test(optimizer, model, also=[generator], low=1e-5, high=1, steps=20) as test:
            for number, _ in enumerate(test):
                model.train()
                work(model, optimizer, generator)
                test.record(1.0)  # whatever the loss is, the test goes on to the exception
                if number == 1:
                    if kind != "lbfgs":  # it takes one group only
                        optimizer.add_param_group({"params": [torch.ones(1, requires_grad=True)]})
                    model.register_buffer("made_meanwhile", torch.ones(1))
                    model[0].weight.requires_grad_(False)
                if raises and number == 2:
                    raise RuntimeError("in the middle")
        return test.result

    if raises:
        with pytest.raises(RuntimeError, match="in the middle"):
            test()
    else:
        assert len(test().rates) > 2
    assert same(before, everything(model, optimizer, generator))
    assert tensors == [p.data_ptr() for p in model.parameters()]
    assert optimizer.param_groups[0]["lr"] is rate or optimizer.param_groups[0]["lr"] == rate


def test_training_after_the_test_is_training_without_it():
    results = []
    for tested in (False, True):
        model, optimizer, generator = make("adamw")
        random.seed(0)
        np.random.seed(0)
        for step in range(6):
            if tested and step == 3:
                with range_test(optimizer, model, also=[generator], steps=10) as test:
                    for _ in test:
                        test.record(work(model, optimizer, generator))
            results.append(work(model, optimizer, generator).item())
    assert results[:6] == results[6:]


def test_rates_are_lent_evenly_on_the_log_axis_and_groups_keep_their_ratio():
    model, optimizer, _ = make()
    seen = []
    with range_test(optimizer, model, low=1e-4, high=1e-1, steps=4) as test:
        for rate in test:
            seen.append([rate, *(group["lr"] for group in optimizer.param_groups)])
            test.record(1.0)
    np.testing.assert_allclose(seen, [[r, r, r / 10, r / 10] for r in (1e-4, 1e-3, 1e-2, 1e-1)], rtol=1e-12)
    assert test.result.stopped == "all rates were tried"


@pytest.mark.parametrize(("losses", "said"), [([1, 0.5, float("nan")], "became nan"), ([1, 0.5, 9], "blew up to 9")])
def test_it_stops_where_the_loss_breaks(losses, said):
    model, optimizer, _ = make()
    with range_test(optimizer, model, steps=10) as test:
        for _, loss in zip(test, [*losses, 0, 0], strict=False):
            test.record(loss)
    assert said in test.result.stopped
    assert len(test.result.losses) == 3
    assert test.result.suggestion.rate is None
    assert "no signal" in test.result.suggestion.reason


def test_a_loop_that_writes_rates_itself_is_told_so():
    from stepsize import Control

    model, optimizer, generator = make()
    control = Control(optimizer, lr="cosine()", total=100)
    with range_test(optimizer, model, also=[control, generator], low=1e-4, high=10) as test:
        next(iter(test))
        with pytest.warns(UserWarning, match="something else has set lr of group0"):
            control.step()
        with pytest.raises(RuntimeError, match="something in the loop writes rates"):
            test.record(1.0)


def test_wrong_use_is_said():
    model, optimizer, _ = make()
    test = range_test(optimizer, model, steps=5)
    with pytest.raises(RuntimeError, match="inside its with block"):
        next(iter(test))
    with pytest.raises(RuntimeError, match="after the with block"):
        _ = test.result
    with pytest.raises(RuntimeError, match="no loss was recorded"), test:
        for _ in test:
            pass
    with pytest.raises(RuntimeError, match="was used before"), test:
        pass
    with range_test(optimizer, model, steps=5) as test:
        next(iter(test))
        test.record(1)
        with pytest.raises(RuntimeError, match="once at each rate"):
            test.record(1)
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    with pytest.raises(ValueError, match="every parameter group is 0"), range_test(optimizer, model):
        pass


RATES = np.logspace(-7, 1, 161)


def curve(centre, noise=0.0, seed=0):
    """A loss that falls around a rate and blows up a decade and a half later."""
    z = np.log10(RATES) - np.log10(centre)
    loss = 2 - 1 / (1 + np.exp(-6 * z)) + np.exp(np.clip(5 * (z - 1.6), None, 5))
    return loss + noise * np.random.default_rng(seed).standard_normal(len(loss))


@pytest.mark.parametrize("centre", [1e-5, 1e-3, 1e-1])
@pytest.mark.parametrize("noise", [0.0, 0.01, 0.03])
def test_steepest_by_log_rate_finds_the_drop_within_a_quarter_decade(centre, noise):
    for seed in range(10):
        found = steepest_by_log_rate(RATES, curve(centre, noise, seed)).rate
        assert abs(np.log10(found / centre)) < 0.25


@pytest.mark.parametrize("rule", [valley, minimum_tenth])
def test_other_rules_stay_between_the_flat_start_and_the_blow_up(rule):
    assert 1e-5 < rule(RATES, curve(1e-3)).rate < 10**-1.4


def test_noise_alone_is_no_signal():
    noise = [np.random.default_rng(seed).standard_normal(len(RATES)) for seed in range(200)]
    named = sum(steepest_by_log_rate(RATES, losses).rate is not None for losses in noise)
    assert named <= 0.02 * len(noise)
    assert steepest_by_log_rate(RATES, np.ones(len(RATES))).rate is None
    assert minimum_tenth(RATES, np.arange(len(RATES))).rate is None
    assert valley(RATES, np.arange(len(RATES))).rate is None


def test_smooth_is_the_weighted_mean_of_the_past():
    losses = np.random.default_rng(0).standard_normal(50)
    powers = 0.9 ** np.arange(50)[::-1]
    assert smooth(losses, 0.9)[-1] == pytest.approx(powers @ losses / powers.sum())


@pytest.mark.parametrize("rule", [steepest_by_log_rate, valley, minimum_tenth, probe_minimum_third])
@pytest.mark.parametrize(
    ("rates", "losses", "said"),
    [
        ([1, 2], [1], "shape of losses must be that of rates"),
        ([2, 1], [1, 1], "finite, positive and rising"),
        ([0, 1], [1, 1], "finite, positive and rising"),
        ([[1]], [[1]], "shape (n,)"),
    ],
)
def test_rules_refuse_what_is_no_curve(rule, rates, losses, said):
    with pytest.raises(ValueError) as caught:
        rule(rates, losses)
    assert said in str(caught.value)


def test_capture_can_be_restored_more_than_once_and_refuses_strangers():
    model, optimizer, generator = make()
    kept = capture(model, optimizer, generator)
    before = everything(model, optimizer, generator)
    for _ in range(2):
        work(model, optimizer, generator)
        kept.restore()
        assert same(before, everything(model, optimizer, generator))
    with pytest.raises(TypeError, match="must be a module"):
        capture(3)


def lent_over(losses, low=1e-4, high=1e-1):
    """The result of a test whose losses are given."""
    model, optimizer, _ = make()
    with range_test(optimizer, model, low=low, high=high, steps=len(losses)) as test:
        for _, loss in zip(test, losses, strict=False):
            test.record(loss)
    return test.result


@pytest.mark.parametrize("level", [-1000.0, -3.0, -1.0, 0.0, 1e-3, 3.0])
def test_losses_may_be_negative_and_begin_near_zero(level):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        noise = level + 0.1 * rng.standard_normal(60)
        noise[0] = level
        falling = noise - np.linspace(0, 2, 60) ** 3
        for losses in (noise, falling):
            result = lent_over(losses.tolist())
            assert result.stopped == "all rates were tried"
        assert result.suggestion.rate is not None
        blown = [*falling[:40], *(falling[39] + max(abs(level), 1) * 10.0 ** np.arange(20))]
        assert "blew up" in lent_over(blown).stopped


def test_a_loss_that_is_nan_from_the_start_ends_the_test_at_once_and_names_no_rate():
    result = lent_over([float("nan")] * 5)
    assert result.stopped.startswith("the loss became nan")
    assert len(result.losses) == 1
    assert result.suggestion.rate is None


@pytest.mark.parametrize(
    "loss", [torch.ones(1), torch.ones(1, 1), torch.ones((), dtype=torch.float16), np.float32(1), 1]
)
def test_a_loss_of_one_element_is_one_number_whatever_its_shape_or_type(loss):
    assert lent_over([loss, loss]).losses == (1.0, 1.0)


@pytest.mark.parametrize("loss", [torch.ones((), dtype=torch.complex64), np.complex64(1), 1j, torch.ones(2), "a", None])
def test_a_loss_that_is_not_one_real_number_is_refused_in_a_line(loss):
    with pytest.raises((TypeError, ValueError), match="loss") as caught:
        lent_over([loss, loss])
    assert "\n" not in str(caught.value)
