"""Every loop: what Control does equals the same loop written by hand, bit for bit."""

import copy
import math

import pytest
import torch
from test_control import Seen, batch, loss_of, net, weights
from torch import nn

from stepsize import Control, cosine, linear, warmup
from stepsize.optim import split_matrices, value_clipping

SCHEDULE = warmup("10%") >> cosine()


def halves(t):
    return (1 + math.cos(math.pi * t)) / 2


def sgd(model, lr=0.1):
    return torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)


def set_rate(optimizer, lr):
    for group in optimizer.param_groups:
        group["lr"] = lr


@pytest.mark.parametrize("clip", [None, 0.5])
def test_accumulation_equals_the_hand_written_loop_and_the_ragged_end_is_flushed(clip):
    ours, theirs = net(), net()
    control = Control(sgd(ours), lr=linear(), total=3, clip=clip, accumulate=4)
    for micro in range(10):
        loss = loss_of(ours, micro) / 4
        loss.backward()
        done = control.step(loss)
        assert done.updated == (micro % 4 == 3)
        assert control.position == (micro + 1) // 4
    assert control.flush().updated
    assert control.flush() is None
    assert control.position == 3

    twin = sgd(theirs)
    for step, micros in enumerate([range(4), range(4, 8), range(8, 10)]):
        twin.zero_grad()
        for micro in micros:
            (loss_of(theirs, micro) / 4).backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(theirs.parameters(), clip)
        set_rate(twin, 0.1 * (1 - step / 3))
        twin.step()
    assert torch.equal(weights(ours), weights(theirs))


def test_the_loss_of_an_accumulated_step_is_the_sum_of_what_was_handed_over():
    seen = Seen(every=1)
    weight = torch.ones(1, requires_grad=True)
    control = Control(torch.optim.SGD([weight], lr=0.1), accumulate=2, watch=seen)
    for value in (0.25, 0.5, 1.0, 2.0):
        control.step(torch.tensor(value))
    assert [record["loss"] for record in seen.records] == [0.75, 3.0]


def test_a_clock_in_tokens_sums_what_a_window_has_consumed():
    control = Control(sgd(net()), lr=linear(), total=1_000, accumulate=2)
    for tokens in (100, 150, 200, 50):
        control.step(advance=tokens)
    assert control.position == 500
    assert control.rates["group0"] == pytest.approx(0.05)
    with pytest.raises(ValueError, match="advance must be"):
        control.step(advance=0)


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("clip", [None, 0.5])
def test_a_gradient_scaler_is_stepped_as_by_hand_and_a_skipped_step_moves_no_clock(fused, clip):
    broken = {3, 4, 9}

    def begin():
        model = net()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, fused=fused)
        return model, optimizer, torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=4)

    def loss_at(model, step):
        loss = loss_of(model, step)
        return loss * math.inf if step in broken else loss

    ours, optimizer, scaler = begin()
    seen = Seen(every=1)
    control = Control(optimizer, lr=linear(), total=20, clip=clip, scaler=scaler, watch=seen)
    updated = []
    for step in range(14):
        scaler.scale(loss_at(ours, step)).backward()
        updated.append(control.step().updated)

    theirs, twin, other = begin()
    done = 0
    for step in range(14):
        twin.zero_grad()
        other.scale(loss_at(theirs, step)).backward()
        if clip is not None:
            other.unscale_(twin)
            nn.utils.clip_grad_norm_(theirs.parameters(), clip)
        set_rate(twin, 0.1 * (1 - done / 20))
        other.step(twin)
        other.update()
        done += step not in broken
    assert torch.equal(weights(ours), weights(theirs))
    assert updated == [step not in broken for step in range(14)]
    assert control.position == done == 11
    assert scaler.get_scale() == other.get_scale()
    assert [event.what for event in control.log] == ["skipped"] * 3


def test_a_scaler_that_scaled_no_loss_is_named():
    model = net()
    control = Control(sgd(model), lr=cosine(), total=10, scaler=torch.amp.GradScaler("cpu"))
    loss = loss_of(model, 0)
    loss.backward()
    with pytest.raises(RuntimeError, match=r"scaler has scaled no loss yet; call scaler.scale"):
        control.step(loss)
    assert control.position == 0


def test_one_scaler_over_several_optimizers_is_updated_once():
    model = net()
    optimizers = [torch.optim.SGD(model[0].parameters(), lr=0.1), torch.optim.SGD(model[2].parameters(), lr=0.2)]
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0, growth_interval=1)
    control = Control(optimizers, lr=linear(), total=10, scaler=scaler, clip=1.0)
    for step in range(3):
        scaler.scale(loss_of(model, step)).backward()
        control.step()
    assert scaler.get_scale() == 4.0 * 2**3
    assert control.rates == pytest.approx({"optimizer0/group0": 0.07, "optimizer1/group0": 0.14})


def test_bfloat16_autocast_equals_the_hand_written_loop():
    ours, theirs = net(), net()
    control, twin = Control(sgd(ours), lr=cosine(), total=10), sgd(theirs)
    for step in range(10):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = loss_of(ours, step)
        loss.backward()
        control.step(loss)
        twin.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = loss_of(theirs, step)
        loss.backward()
        set_rate(twin, 0.1 * halves(step / 10))
        twin.step()
    assert torch.equal(weights(ours), weights(theirs))


@pytest.mark.parametrize("line_search", [None, "strong_wolfe"])
def test_lbfgs_with_a_closure_equals_the_hand_written_loop(line_search):
    def begin():
        model = net()
        return model, torch.optim.LBFGS(model.parameters(), lr=0.5, max_iter=5, line_search_fn=line_search)

    ours, optimizer = begin()
    seen = Seen(every=1)
    control = Control(optimizer, lr=linear(), total=8, watch=seen)
    losses = []
    for step in range(6):

        def closure(step=step):
            optimizer.zero_grad()
            loss = loss_of(ours, step)
            loss.backward()
            return loss

        control.step(closure)

    theirs, twin = begin()
    for step in range(6):

        def closure(step=step):
            twin.zero_grad()
            loss = loss_of(theirs, step)
            loss.backward()
            return loss

        set_rate(twin, 0.5 * (1 - step / 8))
        losses.append(twin.step(closure).item())
    assert torch.equal(weights(ours), weights(theirs))
    assert [record["loss"] for record in seen.records] == losses
    assert all(record["gradient_norm"] > 0 for record in seen.records)


def test_clipping_is_refused_for_lbfgs_whose_curvature_it_would_spoil():
    optimizer = torch.optim.LBFGS([torch.ones(1, requires_grad=True)], lr=0.1)
    for clip in (1.0, value_clipping(0.5)):
        with pytest.raises(ValueError, match="clip must be left out with LBFGS"):
            Control(optimizer, clip=clip)
    assert Control(optimizer).rates == {"group0": 0.1}  # what was refused has not taken it over


def test_unfreezing_in_stages_equals_the_hand_written_loop():
    def begin():
        model = net()
        for parameter in model[0].parameters():
            parameter.requires_grad_(False)
        return model, torch.optim.SGD([{"params": model[2].parameters(), "name": "head"}], lr=0.2, momentum=0.9)

    ours, optimizer = begin()
    control = Control(optimizer, lr={"head": cosine(), "*": linear()}, total=12)
    theirs, twin = begin()
    for step in range(12):
        if step == 5:
            for model, each in ((ours, optimizer), (theirs, twin)):
                for parameter in model[0].parameters():
                    parameter.requires_grad_(True)
                each.add_param_group({"params": list(model[0].parameters()), "lr": 0.05, "name": "body"})
        loss_of(ours, step).backward()
        control.step()
        twin.zero_grad()
        loss_of(theirs, step).backward()
        for group in twin.param_groups:
            group["lr"] = 0.2 * halves(step / 12) if group["name"] == "head" else 0.05 * (1 - step / 12)
        twin.step()
    assert torch.equal(weights(ours), weights(theirs))
    assert list(control.rates) == ["head", "body"]


def test_an_average_of_the_weights_beside_it_sees_the_updated_weights():
    ours, theirs = net(), net()
    averages = [torch.optim.swa_utils.AveragedModel(m, multi_avg_fn=None) for m in (ours, theirs)]
    control, twin = Control(sgd(ours), lr=cosine(), total=10), sgd(theirs)
    for step in range(10):
        loss_of(ours, step).backward()
        control.step()
        averages[0].update_parameters(ours)
        twin.zero_grad()
        loss_of(theirs, step).backward()
        set_rate(twin, 0.1 * halves(step / 10))
        twin.step()
        averages[1].update_parameters(theirs)
    assert torch.equal(weights(averages[0]), weights(averages[1]))


def test_muon_beside_adamw_is_clipped_by_the_common_norm():
    def begin():
        model = net()
        matrices, rest = split_matrices(model, others=["2"])
        return model, torch.optim.Muon(matrices, lr=0.02), torch.optim.AdamW(rest, lr=1e-2)

    ours, muon, adamw = begin()
    control = Control({"muon": muon, "adamw": adamw}, lr={"muon/*": cosine(), "*": linear()}, total=10, clip=0.1)
    theirs, *twins = begin()
    for step in range(10):
        loss_of(ours, step).backward()
        done = control.step()
        for twin in twins:
            twin.zero_grad()
        loss_of(theirs, step).backward()
        norm = nn.utils.clip_grad_norm_([p for t in twins for g in t.param_groups for p in g["params"]], 0.1)
        set_rate(twins[0], 0.02 * halves(step / 10))
        set_rate(twins[1], 1e-2 * (1 - step / 10))
        for twin in twins:
            twin.step()
        assert torch.equal(done.norm, norm)
    assert torch.equal(weights(ours), weights(theirs))


def test_without_zeroing_gradients_stay_and_the_user_drops_them():
    model = net()
    control = Control(sgd(model), zero=False)
    loss_of(model, 0).backward()
    control.step()
    assert all(p.grad is not None for p in model.parameters())
    control.zero_grad()
    assert all(p.grad is None for p in model.parameters())


def test_the_clip_threshold_and_any_number_of_a_group_follow_schedules():
    ours, theirs = net(), net()
    optimizer = torch.optim.Adam(ours.parameters(), lr=0.01, betas=(0.9, 0.99), eps=1e-6)
    schedules = {"beta2": linear(start=0.5), "eps": linear(), "beta1": linear(start=0.9)}
    control = Control(optimizer, clip=linear(start=1, end=0.1), total=10, **schedules)
    twin = torch.optim.Adam(theirs.parameters(), lr=0.01)
    for step in range(8):
        loss_of(ours, step).backward()
        done = control.step()
        assert done.threshold == linear(10, start=1, end=0.1)(float(step))
        twin.zero_grad()
        loss_of(theirs, step).backward()
        nn.utils.clip_grad_norm_(theirs.parameters(), done.threshold)
        left = 1 - step / 10
        twin.param_groups[0] |= {"betas": (0.9 * (0.9 * left), 0.99 * (0.5 * left)), "eps": 1e-6 * left}
        twin.step()
    torch.testing.assert_close(weights(ours), weights(theirs), rtol=1e-6, atol=1e-8)
    with pytest.raises(ValueError, match="no 'bet2' in its parameter groups; did you mean 'beta2'"):
        Control(torch.optim.Adam(net().parameters()), bet2=linear(), total=3)


def test_floor_and_cap_bound_the_rate_but_lift_no_base_of_zero():
    groups = [{"params": [torch.ones(1)], "lr": lr} for lr in (1.0, 0.1, 0.0)]
    control = Control(torch.optim.SGD(groups, lr=1.0), lr=linear(), floor=0.02, cap=[0.5, 0.3, 0.1], total=10)
    preview = control.preview().rates
    for step in range(10):
        left = 1 - step / 10
        expected = [min(max(left, 0.02), 0.5), min(max(0.1 * left, 0.02), 0.3), 0.0]
        assert list(control.rates.values()) == pytest.approx(expected)
        assert [curve[step] for curve in preview.values()] == pytest.approx(expected)
        control.step()
    scheduled = Control(sgd(net(), lr=1.0), cap=linear(start=1, end=0), total=10)
    scheduled.step()
    assert scheduled.rates == pytest.approx({"group0": 0.9})


def test_any_quantity_outside_an_optimizer_is_driven_by_calling_a_schedule():
    dropout, control = nn.Dropout(0.5), Control(sgd(net()), total=10)
    ramp = linear(10, start=0, end=0.5)
    for _ in range(5):
        dropout.p = ramp(control.position)
        control.step()
    assert dropout.p == 0.2


def test_what_a_loop_hands_over_may_be_missing_or_late():
    control = Control(sgd(net()), lr=linear(), total=3)
    control.step()
    control.step(torch.tensor([0.5]))
    control.step(0.25)
    assert control.position == 3


def test_parameters_of_two_optimizers_may_be_shared():
    model = net()
    twice = [torch.optim.SGD(model.parameters(), lr=0.1) for _ in range(2)]
    before = copy.deepcopy(model)
    control = Control(twice, total=5)
    x = batch(0)
    model(x).sum().backward()
    gradient = [p.grad.clone() for p in model.parameters()]
    control.step()
    for p, old, g in zip(model.parameters(), before.parameters(), gradient, strict=True):
        torch.testing.assert_close(p, old - 0.2 * g)
