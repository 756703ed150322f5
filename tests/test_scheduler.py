"""Scheduler: the same formula behind torch's protocol, with the optimizer's real updates as the clock."""

import inspect

import pytest
import torch
from test_control import OPTIMIZERS, loss_of, net, weights
from torch.optim.lr_scheduler import LRScheduler

from stepsize import Control, Scheduler, absolute, cosine, linear, plateau, warmup
from stepsize.schedule import one_cycle

SCHEDULE = warmup("10%") >> cosine()


def sgd(lr=0.1):
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_loop_that_torch_teaches_equals_the_one_with_control(name):
    ours, theirs = net(), net()
    optimizer, other = OPTIMIZERS[name](ours.parameters()), OPTIMIZERS[name](theirs.parameters())
    scheduler, control = Scheduler(optimizer, SCHEDULE, 20), Control(other, lr=SCHEDULE, total=20)
    for step in range(20):
        assert scheduler.get_last_lr() == list(control.rates.values())
        optimizer.zero_grad()
        loss_of(ours, step).backward()
        optimizer.step()
        scheduler.step()
        loss_of(theirs, step).backward()
        control.step()
    assert torch.equal(weights(ours), weights(theirs))


def test_it_is_a_torch_scheduler_with_its_public_face():
    scheduler = Scheduler(sgd(), SCHEDULE, 10)
    assert isinstance(scheduler, LRScheduler)
    public = [name for name, _ in inspect.getmembers(LRScheduler, callable) if not name.startswith("_")]
    assert all(callable(getattr(scheduler, name)) for name in public)
    assert scheduler.base_lrs == [0.1]
    assert scheduler.optimizer.param_groups[0]["initial_lr"] == 0.1
    assert scheduler.get_last_lr() == scheduler.get_lr() == scheduler._last_lr == pytest.approx([0.05])


@pytest.mark.parametrize("calls", [1, 2, 8])
def test_it_may_be_called_as_often_as_one_likes(calls):
    optimizer = sgd()
    scheduler = Scheduler(optimizer, linear(), 10)
    for step in range(5):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1 * (1 - step / 10))
        optimizer.step()
        for _ in range(calls):
            scheduler.step()
    assert scheduler.last_epoch == 5
    assert [event.what for event in scheduler.log] == (["idle"] if calls > 1 else [])


def test_called_once_an_epoch_it_is_where_the_optimizer_is():
    optimizer = sgd()
    scheduler = Scheduler(optimizer, linear(), 30)
    for epoch in range(3):
        assert scheduler.get_last_lr() == pytest.approx([0.1 * (1 - epoch / 3)])
        for _ in range(10):
            optimizer.step()
        scheduler.step()


@pytest.mark.parametrize("fused", [False, True])
def test_a_step_left_out_by_a_gradient_scaler_does_not_count(fused):
    weight = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.1, fused=fused)
    scheduler, scaler = Scheduler(optimizer, linear(), 10), torch.amp.GradScaler("cpu")
    for step in range(6):
        weight.grad = torch.full((1,), float("inf") if step % 2 else 1.0)
        scaler.scale(torch.ones(()))  # makes the scaler's tensors, as scaling a loss does
        scaler.step(optimizer)
        scaler.update()
        scheduler.step()
    assert scheduler.last_epoch == 3


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("order", ["so", "os", "early"])
def test_saved_and_loaded_in_any_order_it_is_the_run_never_stopped(name, order):
    def begin():
        model = net()
        return model, OPTIMIZERS[name](model.parameters())

    def go(model, optimizer, scheduler, steps):
        for step in steps:
            optimizer.zero_grad()
            loss_of(model, step).backward()
            optimizer.step()
            scheduler.step()
        return scheduler.get_last_lr()

    model, optimizer = begin()
    rates = go(model, optimizer, Scheduler(optimizer, SCHEDULE, 20), range(20))
    half, optimizer = begin()
    scheduler = Scheduler(optimizer, SCHEDULE, 20)
    go(half, optimizer, scheduler, range(8))
    saved = (half.state_dict(), optimizer.state_dict(), scheduler.state_dict())
    again, fresh = begin()
    again.load_state_dict(saved[0])
    if order == "early":
        fresh.load_state_dict(saved[1])
    scheduler = Scheduler(fresh, SCHEDULE, 20, foreign="raise")
    for part in "so" if order == "so" else "os":
        if part == "s":
            scheduler.load_state_dict(saved[2])
        elif order != "early":
            fresh.load_state_dict(saved[1])
    assert go(again, fresh, scheduler, range(8, 20)) == rates
    assert torch.equal(weights(again), weights(model))


def test_momentum_feedback_and_bounds_come_along():
    optimizer = torch.optim.AdamW([torch.zeros(1, requires_grad=True)], lr=0.1)
    scheduler = Scheduler(optimizer, total=10, **one_cycle())
    for _ in range(3):
        optimizer.step()
        scheduler.step()
    assert optimizer.param_groups[0]["betas"][0] == pytest.approx(0.85)
    optimizer = sgd()
    scheduler = Scheduler(optimizer, warmup(2), feedback=plateau(of="loss", patience=0, factor=0.1), floor=0.005)
    for metric in (1.0, 1.0, 1.0):
        optimizer.step()
        scheduler.step()
        scheduler.step(metric)
    assert scheduler.get_last_lr() == [0.005]
    scheduler.observe(loss=torch.tensor(0.5))
    assert [event.what for event in scheduler.log] == ["feedback", "feedback"]


def test_nonsense_is_refused():
    optimizer = sgd()
    scheduler = Scheduler(optimizer, linear(), 10)
    with pytest.raises(ValueError, match="metrics are for feedback"):
        scheduler.step(0.5)
    with pytest.raises(ValueError, match="epoch must be left out"):
        scheduler.step(epoch=3)
    with pytest.raises(ValueError, match="under control already"):
        Scheduler(optimizer, linear(), 10)
    with pytest.raises(ValueError, match="total was 10"):
        Scheduler(sgd(), linear(), 20).load_state_dict(scheduler.state_dict())
    scheduler.detach()
    assert "initial_lr" not in optimizer.param_groups[0]
    Control(optimizer, lr=linear(), total=10)
    stale = sgd()
    stale.param_groups[0]["initial_lr"] = 0.7
    with pytest.raises(ValueError, match="needs the run's length"):
        Scheduler(stale, cosine())
    assert stale.param_groups[0]["lr"] == 0.1
    assert Scheduler(stale, absolute(linear(4))).get_last_lr() == [1.0]


def test_the_run_can_be_extended():
    optimizer = sgd()
    scheduler = Scheduler(optimizer, linear(), 10)
    for _ in range(5):
        optimizer.step()
        scheduler.step()
    scheduler.extend(20, "stretch")
    optimizer.step()
    scheduler.step()
    assert scheduler.get_last_lr() == pytest.approx([0.05 * 14 / 15])
