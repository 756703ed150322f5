"""The range test in every loop: optimizers together, accumulation, AMP, loaders, probes, Control, many processes."""

import copy

import numpy as np
import pytest
import torch
import torch.distributed as dist
from children import side_by_side
from test_range_test import RATES, curve, everything, make, same, work
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, DistributedSampler, RandomSampler

from stepsize import Control, draw, range_test
from stepsize.probe import probe_minimum_third

X = torch.randn(64, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
Y = 16 * X.sum(1, keepdim=True).sin()


def bend(dtype=torch.float64):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1)).to(dtype)
    return model, torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)


def squared(model, picked=slice(None)):
    dtype = next(model.parameters()).dtype
    return (model(X[picked].to(dtype)) - Y[picked].to(dtype)).square().mean()


def plain(model, optimizer, record=True, **options):
    with range_test(optimizer, model, low=1e-4, high=1e-2, steps=12, **options) as test:
        for _ in test:
            loss = squared(model)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if record:
                test.record(loss)
    return test.result


def test_several_optimizers_share_the_rate_by_all_their_ratios_and_are_all_put_back():
    model, first, generator = make()
    other = nn.Linear(4, 1)
    second = torch.optim.Adam(other.parameters(), lr=0.25)
    for _ in range(2):
        work(model, first, generator)
        work(other, second, generator)
    before = [everything(model, first, generator), everything(other, second, generator)]
    with range_test([first, second], model, also=[other, generator], low=1e-4, high=1e-2, steps=3) as test:
        for rate in test:
            lent = [group["lr"] for optimizer in (first, second) for group in optimizer.param_groups]
            np.testing.assert_allclose(lent, [rate, rate / 10, rate / 10, rate / 2], rtol=1e-12)
            loss = work(model, first, generator) + work(other, second, generator)
            test.record(loss)
    assert same(before, [everything(model, first, generator), everything(other, second, generator)])


def test_accumulating_gives_the_curve_of_the_whole_batch():
    model, optimizer = bend()
    whole = plain(model, optimizer)
    with range_test(optimizer, model, low=1e-4, high=1e-2, steps=12) as test:
        for _ in test:
            optimizer.zero_grad()
            losses = [squared(model, slice(start, start + 16)) for start in range(0, 64, 16)]
            for loss in losses:
                (loss / 4).backward()
            optimizer.step()
            test.record(torch.stack(losses).mean())
    np.testing.assert_allclose(test.result.losses, whole.losses, rtol=1e-12)


def scaled(model, optimizer, scaler, type_=None, **options):
    with range_test(optimizer, model, scaler=scaler, low=1e-4, high=1e-2, steps=12, **options) as test:
        for _ in test:
            with torch.autocast("cpu", type_, enabled=type_ is not None):
                loss = squared(model)
            optimizer.zero_grad()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            test.record(loss)
    return test.result


def test_a_scaler_that_looks_for_its_scale_changes_nothing_and_is_put_back():
    model, optimizer = bend(torch.float32)
    wanted = plain(model, optimizer)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127, backoff_factor=2.0**-30)  # powers of two are exact
    before = copy.deepcopy(vars(scaler))
    found = scaled(model, optimizer, scaler)
    assert vars(scaler) == before
    assert before["_scale"] is before["_growth_tracker"] is None
    assert found.skipped >= 1
    assert (found.rates, found.losses) == (wanted.rates, wanted.losses)


@pytest.mark.parametrize("type_", [torch.bfloat16, torch.float16])
def test_a_warm_scaler_keeps_its_tensors_under_autocast(type_):
    model, optimizer = bend(torch.float32)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=3)
    for _ in range(2):
        scaler.scale(squared(model)).backward()
        scaler.step(optimizer)
        scaler.update()
    tensors = scaler._scale, scaler._growth_tracker
    result = scaled(model, optimizer, scaler, type_)
    assert len(result.losses) == 12
    assert tensors[0] is scaler._scale
    assert tensors[1] is scaler._growth_tracker
    assert [each.item() for each in tensors] == [2.0**10, 2]


def test_gradients_that_stay_infinite_end_the_test_and_are_no_flat_loss():
    model, optimizer = bend(torch.float32)
    model[0].weight.register_hook(lambda gradient: gradient * float("inf"))
    result = scaled(model, optimizer, torch.amp.GradScaler("cpu"))
    assert "left out 20 steps in a row" in result.stopped
    assert (result.losses, result.skipped) == ((), 20)


class Counter:
    """A loader of one's own, with a position and a state dict."""

    def __init__(self):
        self.place = 3

    def __iter__(self):
        while self.place < 40:
            self.place += 1
            yield self.place

    def state_dict(self):
        return {"place": self.place}

    def load_state_dict(self, state):
        self.place = state["place"]


def loaders():
    generator = torch.Generator().manual_seed(5)
    yield "global", DataLoader(X, 8, shuffle=True)
    yield "generator", DataLoader(X, 8, shuffle=True, generator=generator)
    yield "sampler", DataLoader(X, 8, sampler=RandomSampler(X, generator=generator))
    yield "batches", DataLoader(X, batch_sampler=BatchSampler(RandomSampler(X, generator=generator), 8, True))
    yield "epoch", DataLoader(X, 8, sampler=DistributedSampler(X, num_replicas=2, rank=1))
    yield "workers", DataLoader(X, 8, shuffle=True, generator=generator, num_workers=1, persistent_workers=True)
    yield "own", Counter()


@pytest.mark.parametrize(("name", "loader"), list(loaders()))
def test_training_after_the_test_sees_the_data_it_would_have_seen(name, loader):
    model, optimizer = bend()
    torch.manual_seed(9)
    untouched = copy.deepcopy(loader)
    before = torch.get_rng_state()
    expected = [list(untouched) for _ in range(2)]
    torch.set_rng_state(before)
    with range_test(optimizer, model, loader=loader, steps=12) as test:
        batches = iter(loader)
        for number, _ in enumerate(test):
            if number < 3:
                next(batches)
            if name == "epoch":
                loader.sampler.set_epoch(number)
            test.record(1.0)
    found = [list(loader) for _ in range(2)]
    assert same(expected, found)


def test_what_has_no_position_or_cannot_be_put_back_is_refused():
    model, optimizer = bend()
    with pytest.raises(TypeError, match="open iterator cannot be put back"):
        range_test(optimizer, model, loader=iter(DataLoader(X)))
    with pytest.raises(TypeError, match="leave out what always gives the same batches"):
        range_test(optimizer, model, loader=[X])
    with pytest.raises(ValueError, match="each is there once"):
        range_test([optimizer, optimizer], model)


def test_a_probe_sees_the_weights_of_each_rate_and_training_does_not_notice_it():
    results, seen = [], []
    for probed in (False, True):
        model, optimizer, generator = make("adamw")

        def probe(model=model):
            seen.append([module.training for module in model.modules()])
            assert not torch.is_grad_enabled()
            return model(X.float()).square().mean() + torch.rand(())  # draws the same each time

        before = everything(model, optimizer, generator)
        weights = []
        with range_test(
            optimizer, model, also=[generator], low=1e-4, high=1e-1, steps=10, probe=probe if probed else None
        ) as test:
            for _ in test:
                test.record(work(model, optimizer, generator))
                assert [module.training for module in model.modules()] == before["modes"]
                weights.append(copy.deepcopy(model))
        results.append(test.result)
        assert same(before, everything(model, optimizer, generator))
    without, beside = results
    assert without.losses == beside.losses
    assert without.probed == ()
    assert not any(map(any, seen))
    own = [each.eval()(X.float()).square().mean().item() for each in weights]
    assert np.ptp(np.subtract(beside.probed, own)) < 1e-6  # the one draw
    assert beside.curve == beside.probed


def recorded_late(optimizer, model):
    with range_test(optimizer, model, probe=lambda: 1.0) as test:
        for number, _ in enumerate(test):
            if number:
                test.record(1.0)


def test_with_a_probe_nothing_need_be_recorded_and_its_rule_is_the_default():
    model, optimizer = bend()
    result = plain(model, optimizer, record=False, probe=lambda: squared(model))
    assert (len(result.probed), result.losses) == (12, ())
    assert result.suggestion.rule == "probe_minimum_third"
    assert result.suggest(probe_minimum_third) == result.suggestion
    assert draw(result).get_ylabel() == "loss on the probe"
    with pytest.raises(RuntimeError, match="once at each rate"):
        recorded_late(optimizer, model)
    with pytest.raises(ValueError, match="shape of the probe's loss must be one number"):
        plain(model, optimizer, record=False, probe=lambda: X)


def test_a_probe_that_breaks_ends_the_test():
    model, optimizer = bend()
    values = iter([1.0, 0.5, float("inf"), 0.1])
    result = plain(model, optimizer, record=False, probe=lambda: next(values))
    assert result.stopped.startswith("the probe's loss became inf")
    assert len(result.probed) == 3


@pytest.mark.parametrize("centre", [1e-5, 1e-3, 1e-1])
@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_the_probe_rule_is_a_third_of_the_minimum(centre, noise):
    lowest = RATES[np.argmin(curve(centre))]
    for seed in range(5):
        found = probe_minimum_third(RATES, curve(centre, noise, seed)).rate
        assert abs(np.log10(3 * found / lowest)) < 0.35
    cliff = probe_minimum_third(RATES, np.where(lowest < RATES, 50.0, curve(centre, noise)))
    assert cliff.rate is not None  # what blows up beyond the minimum is no noise
    straight = probe_minimum_third(RATES[:90], -np.log10(RATES[:90]))
    assert straight.rate == pytest.approx(RATES[89] / 3)
    assert "where the test ended" in straight.reason


def test_the_probe_rule_sees_nothing_in_noise_in_a_constant_and_in_a_rise():
    noise = [np.random.default_rng(seed).standard_normal(len(RATES)) for seed in range(200)]
    assert all(probe_minimum_third(RATES, losses).rate is None for losses in noise)
    for losses in (np.ones(len(RATES)), np.arange(len(RATES)), [1.0, np.nan, *np.ones(len(RATES) - 2)]):
        assert probe_minimum_third(RATES, losses).rate is None


def steered(optimizer, model, control):
    with range_test(optimizer, model, also=[control]) as test:
        next(iter(test))
        squared(model).backward()
        control.step()
        with pytest.raises(RuntimeError, match="something in the loop writes rates"):
            test.record(1.0)


@pytest.mark.parametrize("wrong", [False, True])
@pytest.mark.parametrize("kind", [float, torch.tensor])
def test_in_the_middle_of_a_run_under_control_nothing_is_left_behind(kind, wrong):
    finals = []
    for tested in (False, True):
        model, _ = bend()
        optimizer = torch.optim.AdamW(model.parameters(), lr=kind(0.01), weight_decay=0.1)
        control = Control(optimizer, lr="warmup(3) >> cosine()", weight_decay="linear()", total=12)
        rates = []
        for step in range(12):
            if tested and step == 5 and not wrong:
                plain(model, optimizer)
            if tested and step == 5 and wrong:  # Control writes into the test, is told so, and is put back as well
                with pytest.warns(UserWarning, match="something else has set lr"):
                    steered(optimizer, model, control)
            squared(model).backward()
            control.step()
            rates.append(control.rates["group0"])
        finals.append([rates, control.position, [p.detach() for p in model.parameters()], optimizer.state_dict()])
    assert same(*finals)


def forgotten(optimizer, model, rank):
    with range_test(optimizer, model) as test:
        for _ in test:
            if rank == 0:
                test.record(1.0)


def joined(rank, place):
    """Two ranks: means, one decision to stop, and nobody waits for one who has left."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{place}", rank=rank, world_size=2)
    try:
        model, optimizer = bend()

        def tested(losses, leave=None, probe=None):
            with range_test(optimizer, model, steps=6, probe=probe) as test:
                for number, _ in enumerate(test):
                    if losses:
                        test.record(losses[rank][number])
                    if leave == (rank, number):
                        break
            return test.result

        mean = tested([[1, 2, 3, 2, 1, 0], [3, 4, 5, 4, 3, 4]])
        assert mean.losses == (2, 3, 4, 3, 2, 2)
        broken = tested([[1] * 6, [1, 1, float("nan"), 1, 1, 1]])
        assert len(broken.losses) == 3
        assert "became nan" in broken.stopped
        left = tested([[1] * 6, [3] * 6], leave=(1, 2))
        assert left.losses == (2, 2, 2)
        assert left.stopped == ("the loop ended early" if rank == 1 else "another process left its loop")
        assert tested([], probe=lambda: float(rank)).probed == (0.5,) * 6
        with pytest.raises(RuntimeError, match="no loss was recorded"):
            forgotten(optimizer, model, rank)
        model, optimizer = bend(torch.float32)
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127 if rank else 1.0, backoff_factor=2.0**-30)
        again = scaled(model, optimizer, scaler)
        assert again.skipped >= 1  # also on the rank whose scaler left nothing out
        assert len(again.losses) == 12
    finally:
        dist.destroy_process_group()


@pytest.mark.slow
def test_several_processes_have_one_mean_and_one_decision(tmp_path):
    side_by_side(joined, (tmp_path / "meeting",), 2)
