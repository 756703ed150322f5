"""Signals along the update: what they are on quadratics, and that looking changes nothing."""

import math
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from test_signals import Kept
from torch import nn

from stepsize import Control, train
from stepsize.optim import inner_product
from stepsize.task import task_named

BOTH = ("curvature", "decrease_ratio")


def bowl(spectrum, dtype=torch.float32, rotated=True):
    """A quadratic of known eigenvalues, and a point on it."""
    generator = torch.Generator().manual_seed(0)
    size = len(spectrum)
    turn = torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=torch.float64)).Q
    turn = turn if rotated else torch.eye(size, dtype=torch.float64)
    hessian = (turn @ torch.diag(torch.tensor(spectrum, dtype=torch.float64)) @ turn.T).to(dtype)
    weight = torch.randn(size, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()
    return hessian, weight


def looked(weight, loss_of, optimizer, steps=1, **more):
    seen = Kept(*BOTH)
    control = Control(optimizer, watch=seen, remind=False, **more)
    for _ in range(steps):
        loss = loss_of()
        loss.backward()
        control.step(loss, again=loss_of)
    return seen.values()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("rate", [0.01, 0.3, 1.7])
def test_on_a_quadratic_curvature_is_the_rate_times_that_of_the_direction(rate, dtype):
    hessian, weight = bowl([0.2, 0.5, 1.0, 1.5], dtype)
    gradient = hessian.double() @ weight.detach().double()
    along = float(gradient @ hessian.double() @ gradient / (gradient @ gradient))

    def loss():
        return (weight @ hessian @ weight) / 2

    values = looked(weight, loss, torch.optim.SGD([weight], lr=rate))[0]
    exact = 0.01 if dtype != torch.bfloat16 else 0.1
    if dtype != torch.bfloat16 or rate > 0.1:  # there the update is lost in the weights' seven bits
        assert values["curvature"] == pytest.approx(rate * along, rel=exact)
    if dtype == torch.float64:
        assert values["curvature"] == pytest.approx(rate * along, rel=1e-12)
        assert values["decrease_ratio"] == pytest.approx(1 - rate * along / 2, rel=1e-12)


def test_along_one_eigenvector_it_is_the_rate_times_the_eigenvalue():
    for eigenvalue in (0.5, 2.0, 8.0):
        weight = torch.tensor([1.0, 0.0], requires_grad=True)
        values = looked(
            weight,
            lambda w=weight, h=eigenvalue: h * w[0].square() / 2 + w[1].square() / 2,
            torch.optim.SGD([weight], lr=0.25),
        )
        assert values == [
            {"curvature": pytest.approx(0.25 * eigenvalue), "decrease_ratio": pytest.approx(1 - eigenvalue / 8)}
        ]


@pytest.mark.parametrize("optimizer", ["AdamW", "RMSprop", "SGD"])
def test_of_any_update_it_is_the_change_of_the_slope_along_it(optimizer):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1)).double()
    x, y = torch.randn(16, 4, dtype=torch.float64), torch.randn(16, 1, dtype=torch.float64)

    def loss_of():
        return (model(x) - y).square().mean()

    parameters = list(model.parameters())
    seen = Kept(*BOTH)
    control = Control(getattr(torch.optim, optimizer)(parameters, lr=0.05), clip=0.3, watch=seen, remind=False)
    for _ in range(5):
        loss = loss_of()
        loss.backward()
        before, first = [p.detach().clone() for p in parameters], [p.grad.clone() for p in parameters]
        control.step(loss, again=loss_of)
        moved = [p.detach() - old for p, old in zip(parameters, before, strict=True)]
        after = loss_of()
        second = torch.autograd.grad(after, parameters)
        after = after.detach()
        slope = sum((g * d).sum() for g, d in zip(first, moved, strict=True))
        change = sum(((b - a) * d).sum() for a, b, d in zip(first, second, moved, strict=True))
        values = seen.values()[-1]
        assert values["curvature"] == pytest.approx(float(change / slope.abs()), rel=1e-9)
        assert values["decrease_ratio"] == pytest.approx(float((after - loss.detach()) / slope), rel=1e-9)


def restless():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 1))


def trained(watched, scaler=None, accumulate=1, steps=6):
    """A loop with BatchNorm, dropout and a user's own draws; all that it leaves behind."""
    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)
    model, other = restless(), nn.Linear(1, 1)
    other.weight.grad = torch.full((1, 1), 7.0)
    seen = Kept(*BOTH)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    watch = [seen] if watched else []
    control = Control(optimizer, clip=1.0, watch=watch, remind=False, scaler=scaler, accumulate=accumulate)
    for _ in range(steps * accumulate):
        x = torch.randn(8, 4)

        def loss_of(x=x):
            noise = random.random() + np.random.rand()
            return (other(model(x)) - noise).square().mean() / accumulate

        loss = loss_of()
        (loss if scaler is None else scaler.scale(loss)).backward()
        control.step(loss, again=loss_of)
    ends = [torch.get_rng_state(), torch.tensor(random.random()), torch.tensor(np.random.rand())]
    return [*model.state_dict().values(), other.weight.grad, *ends], seen.values()


@pytest.mark.parametrize("accumulate", [1, 3])
def test_looking_changes_no_weight_statistic_gradient_or_draw(accumulate):
    alone, _ = trained(watched=False, accumulate=accumulate)
    looked_at, values = trained(watched=True, accumulate=accumulate)
    assert all(torch.equal(one, other) for one, other in zip(alone, looked_at, strict=True))
    # at the first look the loss turned out to draw random numbers, and from then on both ends are from the same ones
    assert values[0] == {}
    assert all(math.isfinite(value["curvature"]) and value["decrease_ratio"] < 1.5 for value in values[1:])


def test_gradients_that_a_scaler_has_scaled_count_as_they_are():
    found = []
    for scaler in (None, torch.amp.GradScaler("cpu", init_scale=1024.0)):
        hessian, weight = bowl([0.2, 1.0, 1.5])
        seen = Kept(*BOTH)
        control = Control(torch.optim.SGD([weight], lr=0.3), watch=seen, remind=False, scaler=scaler)
        loss = (weight @ hessian @ weight) / 2
        (loss if scaler is None else scaler.scale(loss)).backward()
        control.step(loss, again=lambda w=weight, h=hessian: (w @ h @ w) / 2)
        found += seen.values()
    assert found[0] == pytest.approx(found[1], rel=1e-5)


def test_accumulated_parts_are_one_batch():
    hessian, _ = bowl([0.2, 1.0, 1.5])
    found = []
    for accumulate in (1, 4):
        weight = torch.tensor([1.0, -2.0, 0.5], requires_grad=True)
        points = torch.linspace(-1, 1, 12).reshape(12, 1) * torch.ones(1, 3)
        seen = Kept(*BOTH)
        control = Control(torch.optim.SGD([weight], lr=0.3), watch=seen, remind=False, accumulate=accumulate)
        for part in points.chunk(accumulate):

            def loss_of(part=part, weight=weight, accumulate=accumulate):
                away = weight - part
                return ((away @ hessian) * away).sum(1).mean() / 2 / accumulate

            loss = loss_of()
            loss.backward()
            control.step(loss, again=loss_of)
        found += seen.values()
    assert found[0] == pytest.approx(found[1], rel=1e-5)


def test_it_is_called_at_steps_only_of_which_somebody_wants_it():
    weight, calls = torch.ones(2, requires_grad=True), []

    def loss_of():
        calls.append(control.position)
        return weight.square().sum()

    seen = Kept("curvature", every=3)
    control = Control(torch.optim.SGD([weight], lr=0.1), watch=[seen, Kept("loss")], remind=False)
    for _ in range(7):
        weight.square().sum().backward()
        assert control.wants_again() is (control.position % 3 == 0)
        control.step(again=loss_of)
    assert calls == [0, 3, 6]
    assert [set(each) for each in seen.values()] == [{"curvature"}] * 3


def test_where_the_batch_is_not_handed_over_there_is_nothing():
    weight = torch.ones(2, requires_grad=True)
    seen = Kept(*BOTH, "loss")
    control = Control(torch.optim.SGD([weight], lr=0.1), watch=seen, remind=False)
    loss = weight.square().sum()
    loss.backward()
    control.step(loss)
    assert seen.values() == [{"loss": 2.0}]


def test_the_decrease_alone_costs_one_forward_pass_and_no_backward_one():
    weight, wanted = torch.ones(2, requires_grad=True), []

    def loss_of():
        wanted.append(torch.is_grad_enabled())
        return weight.square().sum()

    seen = Kept("decrease_ratio")
    control = Control(torch.optim.SGD([weight], lr=0.25), watch=seen, remind=False)
    loss = weight.square().sum()
    loss.backward()
    control.step(loss, again=loss_of)
    assert wanted == [False]
    assert seen.values() == [{"decrease_ratio": 0.75}]


@pytest.mark.parametrize(
    "again", [3, "loss", [], [3], lambda: 3.0, lambda: torch.ones(2, requires_grad=True), lambda: None]
)
def test_what_is_no_loss_is_refused_and_nothing_is_left_behind(again):
    weight = torch.ones(2, requires_grad=True)
    control = Control(torch.optim.SGD([weight], lr=0.25), watch=Kept("curvature"), remind=False)
    loss = weight.square().sum()
    loss.backward()
    with pytest.raises((TypeError, ValueError), match="again"):
        control.step(loss, again=again)
    assert weight.grad is not None


DIGITS = task_named("digits")


def test_a_task_hands_its_batch_over_and_trains_as_ever():
    task = replace(DIGITS, accumulate=2, model=lambda: nn.Sequential(nn.Dropout(0.2), DIGITS.model()))
    seen = Kept(*BOTH, every=4)
    plain, watched = (train(task, lr=0.1, steps=9, watch=watch) for watch in ((), (seen,)))
    assert plain.losses == watched.losses
    assert [set(each) for each in seen.values()] == [set(BOTH)] * 3
    assert all(-1 < each["decrease_ratio"] < 1.1 for each in seen.values())


def test_an_inner_product_is_that_of_all_entries():
    generator = torch.Generator().manual_seed(0)
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        pairs = [
            [torch.randn(shape, generator=generator).to(dtype) for _ in range(2)] for shape in ((3, 4), (), (600_000,))
        ]
        ones, others = zip(*pairs, strict=True)
        exact = sum((one.double() * other.double()).sum() for one, other in pairs)
        size = sum((one.double() * other.double()).abs().sum() for one, other in pairs)
        assert abs(inner_product(ones, others) - exact) < 1e-7 * size
    sparse = torch.sparse_coo_tensor([[0, 2]], [1.0, 3.0], (4,), check_invariants=True)
    assert float(inner_product([sparse], [torch.arange(4.0)])) == 6.0
    complex_ = torch.tensor([1 + 2j])
    assert float(inner_product([complex_], [complex_])) == 5.0
