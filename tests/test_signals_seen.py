"""Each signal beside what it says it is, computed by hand."""

import json
import math
from itertools import pairwise

import pytest
import torch
from test_signals import Kept
from torch import nn

from stepsize import Control, JsonLines, linear
from stepsize.control import SIGNALS, due
from stepsize.control.signals import signals_in


def net(dtype=torch.float32):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).to(dtype)


def driven(model, *wanted, steps=1, lr=0.1, losses=None, again=False, every=1, **more):
    """What was seen of so many steps; the gradients before and after each are kept beside it."""
    seen = Kept(*wanted, every=every)
    control = Control(torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9), watch=seen, remind=False, **more)
    generator, gradients = torch.Generator().manual_seed(1), []
    for index in range(steps):
        x = torch.randn(5, 3, generator=generator).to(next(model.parameters()).dtype)

        def loss_of(x=x):
            return model(x).square().mean()

        loss = loss_of()
        loss.backward()
        gradients.append(torch.cat([p.grad.flatten().double() for p in model.parameters()]))
        control.step(loss if losses is None else losses[index], again=loss_of if again else None)
    return [dict(each) for each in seen.values()], gradients


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_norms_before_and_after_clipping_and_whether_it_clipped(dtype):
    exact = 1e-5 if dtype is torch.float32 else 2e-2
    wanted = ("gradient_norm", "applied_norm", "clipped")
    values, (gradient,) = driven(net(dtype), *wanted, clip=0.01)
    assert values[0]["gradient_norm"] == pytest.approx(float(gradient.norm()), rel=exact)
    assert values[0]["applied_norm"] == pytest.approx(0.01, rel=exact)
    assert values[0]["clipped"] == 1
    loose, (gradient,) = driven(net(dtype), *wanted, clip=1e6)
    assert loose[0]["applied_norm"] == loose[0]["gradient_norm"]
    assert loose[0]["clipped"] == 0
    assert set(driven(net(dtype), *wanted)[0][0]) == {"gradient_norm", "applied_norm"}


def test_what_is_driven_beside_the_rate_is_seen_as_it_was_applied():
    values, _ = driven(net(), "driven/*", steps=3, momentum="linear(start=1, end=0)", total=4)
    assert [value["driven/momentum"] for value in values] == pytest.approx([0.9, 0.675, 0.45])
    assert driven(net(), "driven/*")[0] == [{}]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_cosine_is_that_of_successive_gradients(dtype):
    values, gradients = driven(net(dtype), "gradient_cosine", steps=4)
    assert values[0] == {}
    for value, old, new in zip(values[1:], gradients, gradients[1:], strict=False):
        assert value["gradient_cosine"] == pytest.approx(float(torch.cosine_similarity(old, new, dim=0)), abs=1e-5)


def test_a_smoothed_loss_is_the_weighted_mean_of_the_losses_so_far():
    losses = [3.0, 1.0, math.nan, 2.0]
    values, _ = driven(net(), "smoothed_loss", steps=4, losses=losses)
    weights = [(63 / 64) ** age for age in (2, 1, 0)]
    expected = sum(w * loss for w, loss in zip(weights, (3.0, 1.0, 2.0), strict=True)) / sum(weights)
    assert values[-1]["smoothed_loss"] == pytest.approx(expected)
    assert values[2] == values[1]


def test_a_spike_stands_out_by_as_many_deviations_as_it_does():
    losses = [1.0, 1.2, 0.8, 1.1, 0.9, 1.0, 1.3, 0.7, 5.0, 1.0]
    values, _ = driven(net(), "spike_score", steps=10, losses=losses)
    assert values[:8] == [{}] * 8
    first = sorted(losses[:8])
    middle = (first[3] + first[4]) / 2
    apart = sorted(abs(each - middle) for each in first)
    assert values[8]["spike_score"] == pytest.approx((5 - middle) / (1.4826 * (apart[3] + apart[4]) / 2))
    assert abs(values[9]["spike_score"]) < 1  # the spike has moved neither median by much


def test_updates_left_out_are_counted():
    weight, seen = torch.ones(2, requires_grad=True), Kept("skipped")
    control = Control(torch.optim.SGD([weight], lr=0.1), watch=seen, remind=False, nonfinite="skip")
    for factor in (1.0, math.inf, 1.0):
        loss = (weight * factor).sum()
        loss.backward()
        control.step(loss)
    assert [each["skipped"] for each in seen.values()] == [0, 1]


def test_pace_and_what_is_left_fit_each_other():
    values, _ = driven(net(), "throughput", "seconds_left", "memory", steps=5, lr=0.1, total=100)
    assert set(values[0]) == {"memory"}
    assert values[0]["memory"] > 10 * 2**20
    for position, value in enumerate(values[1:], 1):
        assert value["throughput"] * value["seconds_left"] == pytest.approx(100 - position)


def test_the_weights_norm_is_that_of_the_new_ones():
    model = net()
    values, _ = driven(model, "weight_norm", "weight_norm/group0.0")
    flat = torch.cat([p.detach().flatten() for p in model.parameters()])
    assert values[0]["weight_norm"] == pytest.approx(float(flat.norm()), rel=1e-6)
    assert values[0]["weight_norm/group0.0"] == pytest.approx(float(next(model.parameters()).detach().norm()), rel=1e-6)


@pytest.mark.parametrize("spectrum", [[0.1, 1.0, 3.0], [0.5, 2.0, 2.5, 8.0]])
def test_sharpness_is_the_largest_eigenvalue_to_one_percent(spectrum):
    size = len(spectrum)
    turn = torch.linalg.qr(torch.randn(size, size, generator=torch.Generator().manual_seed(0))).Q
    hessian = turn @ torch.diag(torch.tensor(spectrum)) @ turn.T
    weight = torch.ones(size, requires_grad=True)
    seen = Kept("sharpness", "sharpness/limit")
    control = Control(torch.optim.SGD([weight], lr=0.05), watch=seen, remind=False)
    draws = torch.get_rng_state()
    for _ in range(3):

        def loss_of():
            return weight @ hessian @ weight / 2

        loss = loss_of()
        loss.backward()
        control.step(loss, again=loss_of)
    assert torch.equal(draws, torch.get_rng_state())
    for each in seen.values():
        assert each == {"sharpness": pytest.approx(spectrum[-1], rel=0.01), "sharpness/limit": 40.0}


def test_sharpness_of_a_network_is_its_hessians():
    model = net(torch.float64)
    x = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    seen = Kept("sharpness")
    control = Control(torch.optim.SGD(model.parameters(), lr=1e-9), watch=seen, remind=False)
    for _ in range(4):  # it begins where it has ended
        model(x).square().mean().backward()
        control.step(again=lambda: model(x).square().mean())
    shapes = [p.shape for p in model.parameters()]

    def loss_at(flat):
        pieces = flat.split([shape.numel() for shape in shapes])
        parts = [piece.reshape(shape) for piece, shape in zip(pieces, shapes, strict=True)]
        named = dict(zip(dict(model.named_parameters()), parts, strict=True))
        return torch.func.functional_call(model, named, x).square().mean()

    flat = torch.cat([p.detach().flatten() for p in model.parameters()])
    exact = torch.linalg.eigvalsh(torch.autograd.functional.hessian(loss_at, flat)).abs().max()
    assert seen.values()[-1]["sharpness"] == pytest.approx(float(exact), rel=0.01)


def test_sharpness_of_attention_and_smoothing_of_a_loss_with_its_graph():
    layer, seen = (
        nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True),
        Kept("sharpness", "smoothed_loss"),
    )
    x = torch.randn(2, 4, 8, generator=torch.Generator().manual_seed(0))
    control = Control(torch.optim.SGD(layer.parameters(), lr=1e-6), watch=seen, remind=False)
    loss = (layer(x) - 1).square().mean()
    loss.backward()
    control.step(loss, again=lambda: (layer(x) - 1).square().mean())
    (found,) = seen.values()
    assert found["sharpness"] > 0
    assert found["smoothed_loss"] == pytest.approx(float(loss.detach()))


def test_dead_units_are_those_that_no_example_lights():
    model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1))
    with torch.no_grad():
        model[0].bias.copy_(torch.tensor([-100.0, 100.0, 100.0, 100.0]))
    seen = Kept("dead_share")
    control = Control(torch.optim.SGD(model.parameters(), lr=1e-6), watch=seen, remind=False)
    x = torch.randn(8, 2, generator=torch.Generator().manual_seed(0))
    loss = model(x).mean()
    loss.backward()
    control.step(loss, again=lambda: model(x).mean())
    assert seen.values() == [{"dead_share": 0.25}]


def test_a_name_may_be_wanted_once_in_so_many_steps(tmp_path):
    model = net()
    lines = JsonLines(tmp_path / "m.jsonl", every=4, signals=("loss", "weight_norm@40"))
    control = Control(torch.optim.SGD(model.parameters(), lr=0.1), lr=linear(), total=40, watch=lines, remind=False)
    for _ in range(30):
        loss = model(torch.ones(2, 3)).square().mean()
        loss.backward()
        control.step(loss)
    text = (tmp_path / "m.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in text if "weight_norm" in line] == [0, 4, 8, 16, 24]
    assert due(["rate@1", "loss"], 7) == ("rate", "loss")
    for bad in ("loss@", "loss@0", "loss@x", "loss@1.5"):
        with pytest.raises(ValueError, match=r"after @ must come a whole number >= 1"):
            signals_in([bad], SIGNALS)


@pytest.mark.parametrize("every", [1, 2, 7, 10, 50, 300])
@pytest.mark.parametrize("steps", [1, 3, 25, 97, 100])
def test_looks_are_dense_at_first_and_never_cost_more_than_ten_beside_their_share(steps, every):
    looks = [step for step in range(0, 3000, every) if due([f"curvature@{steps}"], step, every)]
    assert looks[0] == 0
    for length in (50, 400, 1000, 3000):
        lines = -(-length // every)
        assert sum(step < length for step in looks) <= min(lines, length / steps + 11)
    gaps = {later - earlier for earlier, later in pairwise(looks) if earlier >= 9 * steps}
    assert max(gaps) < steps + every
    if steps == 100 and every <= 10:  # what rules about a run's curvature have to go by
        assert 12 <= sum(step < 400 for step in looks) <= sum(step < 1000 for step in looks) <= 20


def test_every_signal_says_what_it_is_and_what_it_costs():
    from importlib import import_module

    for name, signal in SIGNALS.items():
        page = import_module(f"stepsize.control.signals._{name}").__doc__
        assert signal.cost in ("free", "reads back", "copies", "again")
        assert page
        assert page.splitlines()[0].endswith(".")
