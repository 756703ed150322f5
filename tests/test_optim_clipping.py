"""Clipping: what comes out, what is returned, by torch and by the papers; gradients that are not finite."""

import copy
import math

import pytest
import torch
from torch import nn

from stepsize import Control, Plan, linear
from stepsize.optim import (
    adaptive_clipping,
    as_clip,
    clip_adaptively,
    clip_by_norm,
    clip_by_value,
    gradient_norm,
    norm_clipping,
    value_clipping,
)


def net(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(12, 4), nn.LayerNorm(4))


def with_gradients(scale=1.0, seed=0):
    model = net(seed)
    (scale * model(torch.randn(5, 2, 4, 4)).square().sum()).backward()
    return list(model.parameters())


def test_by_norm_is_torchs_to_the_bit():
    for threshold in (0.1, 1e6):
        mine, theirs = with_gradients(), with_gradients()
        clipped, norm = clip_by_norm(mine, threshold), torch.nn.utils.clip_grad_norm_(theirs, threshold)
        assert torch.equal(clipped.norm, norm)
        assert all(torch.equal(a.grad, b.grad) for a, b in zip(mine, theirs, strict=True))
        assert bool(clipped.factor < 1) == (threshold == 0.1)
        again = with_gradients()
        assert torch.equal(clip_by_norm(again, threshold, norm=gradient_norm(again)).norm, norm)


def test_by_value_is_torchs_to_the_bit_and_its_factor_is_the_smallest_of_any_entry():
    for threshold in (0.01, 1e6):
        mine, theirs = with_gradients(), with_gradients()
        largest = max(p.grad.abs().max().item() for p in theirs)
        clipped = clip_by_value(mine, threshold)
        torch.nn.utils.clip_grad_value_(theirs, threshold)
        assert all(torch.equal(a.grad, b.grad) for a, b in zip(mine, theirs, strict=True))
        assert clipped.norm.item() == gradient_norm(with_gradients()).item()
        assert clipped.factor.item() == pytest.approx(min(1, threshold / largest), rel=1e-6)


def brock(weights, gradients, threshold, eps):
    """Brock et al. 2021, equation 3, unit by unit in float64, units as in their code: a vector, a row, a channel."""
    out, least = [], 1.0
    for weight, gradient in zip(weights, gradients, strict=True):
        units = [...] if weight.ndim < 2 else range(len(weight))
        result = gradient.double().clone()
        for unit in units:
            g, w = gradient.double()[unit].norm(), max(weight.double()[unit].norm().item(), eps)
            if g / w > threshold:
                result[unit] *= threshold * w / g
                least = min(least, (threshold * w / g).item())
        out.append(result)
    return out, least


@pytest.mark.parametrize("threshold", [0.01, 0.5, 100.0])
def test_adaptive_clipping_is_the_papers(threshold):
    parameters = with_gradients()
    with torch.no_grad():
        parameters[2][1] = 0.0  # a row that begins at zero, which eps lets move
    wanted, least = brock([p.detach() for p in parameters], [p.grad for p in parameters], threshold, 1e-3)
    norm = gradient_norm(parameters)
    clipped = clip_adaptively(parameters, threshold)
    for parameter, gradient in zip(parameters, wanted, strict=True):
        torch.testing.assert_close(parameter.grad.double(), gradient, rtol=1e-5, atol=1e-9)
    assert torch.equal(clipped.norm, norm)
    assert clipped.factor.item() == pytest.approx(least, rel=1e-5)


@pytest.mark.parametrize("clip", [clip_by_norm, clip_by_value, clip_adaptively])
def test_clipping_reads_nothing_back_never_enlarges_and_is_done_once(clip, monkeypatch):
    def forbidden(*arguments):
        raise AssertionError("read back")

    parameters = with_gradients()
    before = [p.grad.clone() for p in parameters]
    with monkeypatch.context() as patched:
        for reader in ("item", "__bool__", "__float__", "tolist"):
            patched.setattr(torch.Tensor, reader, forbidden)
        first = clip(parameters, 0.05)
    assert bool(first.finite)
    assert all(bool((p.grad.abs() <= g.abs()).all()) for p, g in zip(parameters, before, strict=True))
    assert clip(parameters, 0.05).factor.item() == pytest.approx(1.0, rel=1e-4)
    assert clip([nn.Parameter(torch.ones(2))], 1.0).factor.item() == 1.0
    for bad in (math.nan, math.inf):
        parameters[0].grad[0] = bad
        assert not bool(clip(parameters, 0.05).finite)


CLIPPERS = [norm_clipping(0.5), value_clipping(0.1), adaptive_clipping(0.02, eps=0.01), adaptive_clipping()]


@pytest.mark.parametrize("clipper", CLIPPERS, ids=str)
def test_a_way_of_clipping_is_its_text_and_a_plan_holds_it(clipper):
    assert as_clip(str(clipper)) == as_clip(clipper)
    plan = Plan("cosine(10)", clip=clipper)
    assert Plan.parse(str(plan)) == plan
    moving = Plan(clip=clipper.with_threshold(linear(start=5, end=1)))
    assert Plan.parse(str(moving)) == moving
    laid = moving.over(100)
    assert Plan.parse(str(laid)) == laid
    assert (laid.clip if isinstance(clipper, norm_clipping) else laid.clip.threshold)(50) == 3.0
    assert moving.changed(lambda name, schedule: schedule).clip == moving.clip


@pytest.mark.parametrize("clipper", CLIPPERS, ids=str)
def test_control_clips_that_way_by_a_threshold_that_may_move(clipper):
    call = type(clipper).clip
    moving = clipper.with_threshold(linear(3, start=0.3, end=0.01))
    mine, theirs = with_gradients(), with_gradients()
    ours = Control(torch.optim.SGD(mine, lr=0.1), clip=moving, total=3)
    other = torch.optim.SGD(theirs, lr=0.1)
    for position in range(3):
        for a, b in zip(mine, theirs, strict=True):
            a.grad = torch.randn(a.shape, generator=torch.Generator().manual_seed(position))
            b.grad = a.grad.clone()
        norm = gradient_norm(theirs)
        expected = call(moving, theirs, moving.at(position))
        other.step()
        step = ours.step()
        assert (step.threshold, step.norm, step.factor) == (moving.at(position), norm, expected.factor)
        assert step.clipped
        assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))


class Watcher:
    def __init__(self):
        self.seen = []

    def wants(self, step):
        return {"gradient_norm"}

    def on_step(self, record):
        self.seen.append(record["gradient_norm"])

    def on_observe(self, step, values): ...

    def on_event(self, step, event): ...


def test_the_norm_is_computed_once_and_is_the_one_that_is_logged(monkeypatch):
    from stepsize.optim import _norms

    counted = []
    monkeypatch.setattr(
        _norms, "get_total_norm", lambda tensors, o=_norms.get_total_norm: counted.append(1) or o(tensors)
    )
    for clip in CLIPPERS:
        counted.clear()
        watcher, parameters = Watcher(), with_gradients()
        control = Control(torch.optim.SGD(parameters, lr=0.1), clip=clip, watch=watcher, nonfinite="raise")
        step = control.step()
        assert len(counted) == 1
        assert watcher.seen == [step.norm.item()]


@pytest.mark.parametrize("clip", [None, 1.0, value_clipping(0.1), adaptive_clipping()], ids=str)
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_steps_with_gradients_that_are_not_finite_are_left_out_and_counted(clip, bad):
    parameters = with_gradients()
    optimizer = torch.optim.SGD(parameters, lr=0.1, momentum=0.9)
    control = Control(optimizer, lr="linear(10)", clip=clip, nonfinite="skip", remind=False)
    control.step()
    before, momenta = [p.detach().clone() for p in parameters], copy.deepcopy(optimizer.state_dict()["state"])
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    parameters[1].grad[0] = bad
    step = control.step()
    assert not step.updated
    assert not torch.isfinite(step.norm)
    assert (control.position, control.skipped, control.log[-1].what) == (1.0, 1, "skipped")
    assert all(torch.equal(a, b) for a, b in zip(parameters, before, strict=True))
    assert all(
        torch.equal(momenta[key]["momentum_buffer"], state["momentum_buffer"])
        for key, state in optimizer.state_dict()["state"].items()
    )
    assert all(parameter.grad is None for parameter in parameters)
    state = control.state_dict()
    control.detach()
    other = Control(optimizer, lr="linear(10)", clip=clip, nonfinite="skip", remind=False)
    other.load_state_dict(state)
    assert (other.skipped, other.position) == (1, 1.0)


def test_or_raised_before_anything_is_changed_naming_the_parameters():
    model = net()
    optimizer = torch.optim.SGD(model.named_parameters(), lr=0.1)
    control = Control(optimizer, clip=1.0, nonfinite="raise")
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    model[2].bias.grad[0] = math.nan
    before = [p.detach().clone() for p in model.parameters()]
    with pytest.raises(FloatingPointError, match=r"norm is nan, because of 2.bias of group0"):
        control.step()
    assert control.position == 0
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), before, strict=True))
    assert torch.equal(model[0].bias.grad, torch.ones(3)), "gradients are left as they were, to be looked at"


def test_with_a_scaler_or_a_closure_it_cannot_be():
    weight = nn.Parameter(torch.ones(2))
    scaler = torch.amp.GradScaler("cpu")
    for nonfinite in ("skip", "raise"):
        with pytest.raises(ValueError, match="nonfinite"):
            Control(torch.optim.SGD([weight], lr=0.1), scaler=scaler, nonfinite=nonfinite)
    control = Control(torch.optim.SGD([weight], lr=0.1), nonfinite="skip")
    with pytest.raises(ValueError, match="closure"):
        control.step(lambda: weight.sum())


def test_a_number_a_schedule_and_their_values_are_one_way():
    assert Plan(clip=norm_clipping(1)) == Plan(clip=1) == Plan(clip="norm_clipping(1)")
    assert Plan(clip=norm_clipping("linear(9)")) == Plan(clip="linear(9)")
