"""What a moving rate does to momentum and decay: which updates need a correction (docs/optimizers.md)."""

import copy
import math

import pytest
import torch
from torch import nn

from stepsize import Control, cosine, warmup
from stepsize.optim import LAMB, LARS, no_decay

STEPS = 40
SCHEDULE = (warmup(8) >> cosine()).over(STEPS)


def plain(weights, lr):
    return [{"params": weights, "adapt": False, "lr": lr}]


OUTSIDE = {
    "SGD": lambda w, lr: torch.optim.SGD(w, lr, momentum=0.9),
    "SGD, Nesterov": lambda w, lr: torch.optim.SGD(w, lr, momentum=0.9, nesterov=True),
    "SGD, dampening": lambda w, lr: torch.optim.SGD(w, lr, momentum=0.9, dampening=0.5),
    "RMSprop": lambda w, lr: torch.optim.RMSprop(w, lr, momentum=0.9),
    "Adam": lambda w, lr: torch.optim.Adam(w, lr),
    "AdamW": lambda w, lr: torch.optim.AdamW(w, lr, weight_decay=0),
    "NAdam": lambda w, lr: torch.optim.NAdam(w, lr),
    "RAdam": lambda w, lr: torch.optim.RAdam(w, lr),
    "Adamax": lambda w, lr: torch.optim.Adamax(w, lr),
    "LAMB": lambda w, lr: LAMB(w, lr, weight_decay=0),
    "LARS, outside": lambda w, lr: LARS(w, lr, weight_decay=0, rate="outside"),
    "LARS, outside, ratio 1": lambda w, lr: LARS(plain(w, lr), lr, weight_decay=0, rate="outside"),
}
INSIDE = {
    "LARS": lambda w, lr: LARS(w, lr, weight_decay=0),
    "LARS, ratio 1": lambda w, lr: LARS(plain(w, lr), lr, weight_decay=0),
}


def gradient(step):
    return torch.randn(6, 4, generator=torch.Generator().manual_seed(step), dtype=torch.float64)


def travel_of_the_next_step(make, factor):
    """How far the sixth step goes when its rate is multiplied by a factor."""
    weight = nn.Parameter(torch.linspace(-1, 1, 24, dtype=torch.float64).reshape(6, 4))
    optimizer = make([weight], 0.01)
    for step in range(6):
        before = weight.detach().clone()
        weight.grad = gradient(step)
        if step == 5:
            optimizer.param_groups[0]["lr"] *= factor
        optimizer.step()
    return weight.detach() - before


@pytest.mark.parametrize("name", OUTSIDE)
def test_where_the_rate_stands_outside_the_momentum_a_step_is_its_rate_times_what_is_remembered(name):
    whole = travel_of_the_next_step(OUTSIDE[name], 1.0)
    for factor in (0.1, 3.0):
        torch.testing.assert_close(
            travel_of_the_next_step(OUTSIDE[name], factor), factor * whole, rtol=1e-9, atol=1e-12
        )


@pytest.mark.parametrize("name", INSIDE)
def test_where_it_stands_inside_old_rates_are_remembered_for_a_while(name):
    whole, none = (travel_of_the_next_step(INSIDE[name], factor) for factor in (1.0, 0.0))
    assert none.norm() > 0.3 * whole.norm(), "at a rate of 0 the weights coast"


def test_momentum_correction_turns_the_one_into_the_other():
    """Goyal et al. 2017, section 3, equation 10 with its correction: v <- m (rate / rate before) v + rate g."""
    weight, theirs = (nn.Parameter(torch.linspace(-1, 1, 24, dtype=torch.float64).reshape(6, 4)) for _ in range(2))
    corrected = weight.detach().clone()
    velocity, before = torch.zeros_like(corrected), None
    ours = Control(LARS([weight], lr=2.0, weight_decay=0.1, rate="outside"), lr=SCHEDULE)
    sgd, inside = torch.optim.SGD([theirs], lr=0.1, momentum=0.9), theirs.detach().clone()
    control, speed = Control(sgd, lr=SCHEDULE), torch.zeros_like(inside)
    for step in range(STEPS):
        rate = SCHEDULE(step)
        change = 1.0 if before is None else rate / before
        direction = gradient(step) + 0.1 * corrected
        ratio = 1e-3 * corrected.norm() / (gradient(step).norm() + 0.1 * corrected.norm())
        velocity = 0.9 * change * velocity + 2.0 * rate * ratio * direction
        corrected = corrected - velocity
        speed = 0.9 * change * speed + 0.1 * rate * gradient(step)
        inside = inside - speed
        before = rate
        weight.grad, theirs.grad = gradient(step), gradient(step)
        ours.step()
        control.step()
    torch.testing.assert_close(weight.detach(), corrected, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(theirs.detach(), inside, rtol=1e-12, atol=1e-14)


def test_decay_of_adamw_follows_the_schedules_factor_as_in_the_paper():
    """Loshchilov and Hutter 2019, algorithm 2: both the step and the decay are multiplied by the schedule's factor."""
    rate, decay = 0.01, 0.1
    weight = nn.Parameter(torch.linspace(-1, 1, 24, dtype=torch.float64).reshape(6, 4))
    theta, m, v = weight.detach().clone(), 0.0, 0.0
    control = Control(torch.optim.AdamW([weight], lr=rate, weight_decay=decay), lr=SCHEDULE)
    for step in range(STEPS):
        g = gradient(step)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        hats = m / (1 - 0.9 ** (step + 1)), v / (1 - 0.999 ** (step + 1))
        # the paper's decay coefficient is torch's times the base rate
        theta = theta - SCHEDULE(step) * (rate * hats[0] / (hats[1].sqrt() + 1e-8) + rate * decay * theta)
        weight.grad = g
        control.step()
    torch.testing.assert_close(weight.detach(), theta, rtol=1e-12, atol=1e-14)


DECAYING = {
    "AdamW": lambda w: torch.optim.AdamW(w, lr=0.5, weight_decay=0.1),
    "SGD": lambda w: torch.optim.SGD(w, lr=0.5, weight_decay=0.1),
    "LAMB, ratio 1": lambda w: LAMB(plain(w, 0.5), lr=0.5, weight_decay=0.1),
}


@pytest.mark.parametrize("name", DECAYING)
def test_without_gradients_weights_shrink_by_the_product_of_the_steps_rates(name):
    weight = nn.Parameter(torch.ones(3, dtype=torch.float64))
    control = Control(DECAYING[name]([weight]), lr=SCHEDULE)
    wanted = 1.0
    for step in range(STEPS):
        weight.grad = torch.zeros(3, dtype=torch.float64)
        wanted *= 1 - 0.5 * SCHEDULE(step) * 0.1
        control.step()
    assert weight[0].item() == pytest.approx(wanted, rel=1e-12)


def test_the_l2_term_of_adam_is_no_decay():
    """Normalised like a gradient, it moves weights by the rate, whatever its coefficient."""
    for decay in (1e-4, 1e-1):
        weight = nn.Parameter(torch.ones(3, dtype=torch.float64))
        optimizer = torch.optim.Adam([weight], lr=0.01, weight_decay=decay)
        weight.grad = torch.zeros(3, dtype=torch.float64)
        optimizer.step()
        assert weight[0].item() == pytest.approx(0.99, rel=1e-4)


def test_a_decay_that_is_driven_too_has_the_factor_of_both():
    weight = nn.Parameter(torch.ones(3, dtype=torch.float64))
    control = Control(torch.optim.AdamW([weight], lr=0.5, weight_decay=0.1), lr=SCHEDULE, weight_decay=SCHEDULE)
    for _ in range(STEPS):
        weight.grad = torch.zeros(3, dtype=torch.float64)
        control.step()
    wanted = math.prod(1 - 0.5 * SCHEDULE(step) * 0.1 * SCHEDULE(step) for step in range(STEPS))
    assert weight[0].item() == pytest.approx(wanted, rel=1e-12)


def test_a_group_without_decay_stays_without_when_decay_is_driven():
    model = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(no_decay(model), lr=0.1, weight_decay=0.1)
    control = Control(optimizer, lr=SCHEDULE, weight_decay="linear(40, start=2, end=1)", floor=1e-3)
    bias = model.bias.detach().clone()
    for _ in range(STEPS):
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        control.step()
        assert optimizer.param_groups[1]["weight_decay"] == 0
    assert torch.equal(model.bias, bias)


@pytest.mark.parametrize("rule", [LARS, LAMB])
def test_control_resumes_ours_exactly(rule):
    def begin(model):
        optimizer = rule(no_decay(model, adapt=False, lr=0.01), lr=0.05)
        return optimizer, Control(optimizer, lr=SCHEDULE, remind=False)

    def train(model, control, steps):
        for step in steps:
            model(gradient(step).float()).square().mean().backward()
            control.step()

    torch.manual_seed(0)
    through = nn.Sequential(nn.Linear(4, 5), nn.LayerNorm(5), nn.Linear(5, 1))
    halves = copy.deepcopy(through)
    train(through, begin(through)[1], range(STEPS))
    optimizer, control = begin(halves)
    train(halves, control, range(17))
    states = copy.deepcopy((optimizer.state_dict(), control.state_dict()))
    optimizer, control = begin(halves)
    optimizer.load_state_dict(states[0])
    control.load_state_dict(states[1])
    train(halves, control, range(17, STEPS))
    assert all(torch.equal(a, b) for a, b in zip(through.parameters(), halves.parameters(), strict=True))
