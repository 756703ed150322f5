"""What users of torch's schedulers have complained about for years cannot happen here.

Each test is named after its complaints (issues of pytorch/pytorch, or of the project named). Its body runs on torch as
well, marked as a strict expected failure where torch 2.13 still has the flaw: when torch mends it, the mark must go.
"""

import io
import math
import warnings

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler as schedulers

from stepsize import Control, Scheduler, cosine, linear, one_cycle, plateau, warmup
from stepsize.schedule import constant, cosine_restarts, exponential, from_function, step_decay

pytestmark = pytest.mark.usefixtures("blank_pictures")

BASE = 0.1
both = pytest.mark.parametrize("library", ["stepsize", pytest.param("torch", marks=pytest.mark.xfail(strict=True))])


@pytest.fixture(autouse=True)
def _quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, about its order of calls
        yield


def sgd():
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=BASE)


def rate(optimizer):
    return optimizer.param_groups[0]["lr"]


def advance(optimizer, driver, steps):
    seen = []
    for _ in range(steps):
        seen.append(rate(optimizer))
        if isinstance(driver, Control):
            driver.step()
        else:
            optimizer.step()
            driver.step()
    return seen


def halves(t):
    return (1 + math.cos(math.pi * t)) / 2


@both
def test_168044_a_rate_written_from_outside_changes_nothing_that_comes_later(library):
    """Schedulers with two formulas: after one foreign write the chained and the closed form disagree for ever."""
    optimizer = sgd()
    ours = library == "stepsize"
    driver = Control(optimizer, lr=step_decay(every=30)) if ours else schedulers.StepLR(optimizer, 30)
    advance(optimizer, driver, 10)
    optimizer.param_groups[0]["lr"] = 0.05
    advance(optimizer, driver, 25)
    assert rate(optimizer) == pytest.approx(BASE * 0.1 ** (35 // 30))


@both
def test_162591_a_sequence_resumes_at_the_rate_of_its_step(library):
    optimizer = sgd()
    if library == "stepsize":
        driver = Control(optimizer, lr=warmup(10, start=0.1) >> cosine(90))
        advance(optimizer, driver, 40)
        saved, state = optimizer.state_dict(), driver.state_dict()
        optimizer = sgd()
        optimizer.load_state_dict(saved)
        Control(optimizer, lr=warmup(10, start=0.1) >> cosine(90)).load_state_dict(state)
    else:
        parts = [schedulers.LinearLR(optimizer, 0.1, 1, 10), schedulers.CosineAnnealingLR(optimizer, 90)]
        advance(optimizer, schedulers.SequentialLR(optimizer, parts, [10]), 40)
        saved = optimizer.state_dict()
        optimizer = sgd()
        optimizer.load_state_dict(saved)
        parts = [schedulers.LinearLR(optimizer, 0.1, 1, 10), schedulers.CosineAnnealingLR(optimizer, 90)]
        schedulers.SequentialLR(optimizer, parts, [10], last_epoch=40)
    assert rate(optimizer) == pytest.approx(BASE * halves(30 / 90))


@both
def test_65342_building_anew_after_loading_the_optimizer_keeps_the_base(library):
    """Loading in the order optimizer, then scheduler: the rate must not be reset, nor the base be the rate of now.

    The complaint was of CosineAnnealingLR, which torch 2.13 gets right; LinearLR stays at a tenth for ever.
    """
    optimizer = sgd()
    ours, line = library == "stepsize", linear(100, start=0.1, end=1)
    make = (lambda o: Control(o, lr=line)) if ours else (lambda o: schedulers.LinearLR(o, 0.1, 1, 100))
    driver = make(optimizer)
    advance(optimizer, driver, 50)
    saved, state = optimizer.state_dict(), driver.state_dict()
    optimizer = sgd()
    optimizer.load_state_dict(saved)
    driver = make(optimizer)
    driver.load_state_dict(state)
    assert rate(optimizer) == pytest.approx(BASE * line(50))
    advance(optimizer, driver, 25)
    assert rate(optimizer) == pytest.approx(BASE * line(75))


@pytest.mark.parametrize("library", ["stepsize", "torch"])  # closed in torch in 2026
def test_185872_72874_67586_the_first_rate_of_a_sequence_is_its_first_pieces(library):
    optimizer = sgd()
    if library == "stepsize":
        driver = Control(optimizer, lr=constant(5, value=0.2) >> exponential(gamma=0.9, every=1))
    else:
        parts = [schedulers.ConstantLR(optimizer, 0.2, 5), schedulers.ExponentialLR(optimizer, 0.9)]
        driver = schedulers.SequentialLR(optimizer, parts, [5])
    expected = [0.2] * 5 + [0.9**t for t in range(5)]
    assert advance(optimizer, driver, 10) == pytest.approx([BASE * factor for factor in expected])


@both
def test_129565_a_product_does_not_depend_on_the_order(library):
    curves = []
    for order in (1, -1):
        optimizer = sgd()
        if library == "stepsize":
            first, second = [cosine_restarts(every=10), exponential(gamma=0.9, every=1)][::order]
            driver = Control(optimizer, lr=first * second)
        else:
            parts = [schedulers.CosineAnnealingWarmRestarts(optimizer, 10), schedulers.ExponentialLR(optimizer, 0.9)]
            driver = schedulers.ChainedScheduler(parts[::order])
        curves.append(advance(optimizer, driver, 40))
    expected = [BASE * halves(t % 10 / 10) * 0.9**t for t in range(40)]
    assert curves[0] == pytest.approx(expected)
    assert curves[1] == pytest.approx(expected)


@both
def test_40997_152081_cosine_values_are_those_of_the_documented_formula(library):
    """The recursive form is the formula only if nothing else ever touches the rate, such as a second factor."""
    optimizer = sgd()
    if library == "stepsize":
        driver = Control(optimizer, lr=linear(20, start=0.5, end=1) * cosine(20, end=0.1))
    else:
        parts = [schedulers.LinearLR(optimizer, 0.5, 1, 20), schedulers.CosineAnnealingLR(optimizer, 20, BASE * 0.1)]
        driver = schedulers.ChainedScheduler(parts)
    expected = [BASE * (0.5 + 0.5 * t / 20) * (0.1 + 0.9 * halves(t / 20)) for t in range(21)]
    assert advance(optimizer, driver, 21) == pytest.approx(expected)


def test_22343_83159_weight_decay_and_momentum_are_driven_like_the_rate():
    """Open since 2019; torch has no scheduler for them, so there is nothing of torch's to run."""
    optimizer = torch.optim.AdamW([torch.zeros(1, requires_grad=True)], lr=BASE, weight_decay=0.2)
    control = Control(optimizer, lr=cosine(100), weight_decay=linear(100), momentum=linear(100, start=1, end=0.5))
    group, seen = optimizer.param_groups[0], []
    for _ in range(101):
        seen.append((group["lr"], group["weight_decay"], group["betas"][0]))
        control.step()
    steps = np.arange(101)
    expected = (BASE * cosine(100)(steps), 0.2 * (1 - steps / 100), 0.9 * (1 - steps / 200))
    np.testing.assert_allclose(np.array(seen), np.array(expected).T, atol=1e-15)


def test_68332_a_schedule_is_a_function_of_the_step_alone_and_drives_any_quantity():
    """Open since 2021: torch's closed forms are private methods of some schedulers."""
    schedule = (warmup(10) >> cosine()).over(1_000)
    dropout = torch.nn.Dropout(0.5)
    dropout.p = 0.5 * schedule(505.0)
    assert dropout.p == pytest.approx(0.25)
    assert schedule([700, 300])[0] == schedule(700)


@both
def test_68978_a_warm_up_is_followed_by_a_plateau(library):
    """Also Lightning#10759, #7553 and transformers#29417: open or will not be fixed."""
    optimizer = sgd()
    if library == "stepsize":
        driver = Control(optimizer, lr=warmup(4), feedback=plateau(of="loss", patience=0, after=4), remind=False)
        advance_with = lambda: driver.step(1.0)  # noqa: E731
    else:
        parts = [schedulers.LinearLR(optimizer, 0.2, 1, 4), schedulers.ReduceLROnPlateau(optimizer, patience=0)]
        driver = schedulers.SequentialLR(optimizer, parts, [4])
        advance_with = lambda: (optimizer.step(), driver.step(1.0))  # noqa: E731
    seen = []
    for _ in range(7):
        seen.append(rate(optimizer))
        advance_with()
    assert seen == pytest.approx([BASE * factor for factor in (0.2, 0.4, 0.6, 0.8, 1, 1, 0.1)])


@both
def test_44511_55585_a_step_that_the_gradient_scaler_left_out_moves_no_schedule(library):
    """Also Lightning#16228 and #21339: open since 2020."""
    weight = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=BASE)
    ours = library == "stepsize"
    scheduler = Scheduler(optimizer, linear(), 10) if ours else schedulers.LinearLR(optimizer, 1, 0, 10)
    scaler = torch.amp.GradScaler("cpu")
    for step in range(4):
        weight.grad = torch.full((1,), math.inf if step < 2 else 1.0)
        scaler.scale(torch.ones(()))
        scaler.step(optimizer)
        scaler.update()
        scheduler.step()
    assert rate(optimizer) == pytest.approx(BASE * 0.8)


@both
def test_107076_130467_196286_what_a_compiled_optimizer_holds_as_a_tensor_stays_that_tensor(library):
    betas = (torch.tensor(0.9), torch.tensor(0.999))
    lr = torch.tensor(BASE)
    optimizer = torch.optim.Adam([torch.zeros(1, requires_grad=True)], lr=lr, betas=betas)
    if library == "stepsize":
        driver = Control(optimizer, **one_cycle(), total=10, remind=False)
    else:
        driver = schedulers.OneCycleLR(optimizer, max_lr=BASE, total_steps=10)
    advance(optimizer, driver, 3)
    group = optimizer.param_groups[0]
    assert group["lr"] is lr
    assert group["betas"][0] is betas[0]


@pytest.mark.parametrize("library", ["stepsize", "torch"])  # closed one by one, after years
def test_106243_94450_98921_90414_a_state_is_small_plain_data(library):
    """A scheduler with a function in it: its state is saved, and loaded by weights_only."""
    optimizer = sgd()
    wave = lambda x: 0.9**x  # noqa: E731
    if library == "stepsize":
        driver = Control(optimizer, lr=from_function(wave, name="wave"))
    else:
        driver = schedulers.CyclicLR(optimizer, 0.01, 0.1, scale_fn=wave, cycle_momentum=False)
    file = io.BytesIO()
    torch.save(driver.state_dict(), file)
    file.seek(0)
    assert torch.load(file, weights_only=True).keys() == driver.state_dict().keys()


@both
def test_62475_20997_104361_a_group_added_on_unfreezing_is_scheduled(library):
    """Also Lightning#12141 and transformers#20029."""
    optimizer = sgd()
    driver = Control(optimizer, lr=linear(10)) if library == "stepsize" else schedulers.LinearLR(optimizer, 1, 0, 10)
    advance(optimizer, driver, 3)
    optimizer.add_param_group({"params": [torch.zeros(1, requires_grad=True)], "lr": 0.5})
    advance(optimizer, driver, 2)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([BASE * 0.5, 0.25])


@both
def test_open_clip_413_transformers_43708_another_length_on_resume_is_no_silent_jump(library):
    """Also insightface#2143, OneTrainer#1604, SimpleTuner#1172: asked to go on to 20, it says so or gets there."""
    optimizer = sgd()
    ours = library == "stepsize"
    make = (lambda o, n: Control(o, lr=cosine(), total=n)) if ours else schedulers.CosineAnnealingLR
    first = make(optimizer, 10)
    advance(optimizer, first, 5)
    with pytest.raises(ValueError, match=r"total was 10.0 .* and is 20.0 now" if ours else "T_max"):
        make(sgd(), 20).load_state_dict(first.state_dict())


@both
def test_codefyui_205_training_past_the_schedules_end_does_not_fail_silently(library):
    """Also UniRL#223: T_max is not what is trained, nothing warns, and the rate rises again."""
    optimizer = sgd()
    ours = library == "stepsize"
    driver = Control(optimizer, lr=cosine(), total=5) if ours else schedulers.CosineAnnealingLR(optimizer, 5)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        advance(optimizer, driver, 10)
    assert rate(optimizer) == pytest.approx(0, abs=1e-12)
    assert any("past its total" in str(warning.message) for warning in caught)


def test_megatron_bridge_4796_olmo_411_with_a_growing_batch_the_clock_counts_tokens():
    """Steps mean different amounts then; torch's schedulers count nothing else."""
    optimizer = sgd()
    control = Control(optimizer, lr=warmup(1_000, start=0) >> linear(1_000))
    for tokens in (100, 100, 300, 500):
        control.step(advance=tokens)
    assert rate(optimizer) == BASE
    control.step(advance=500)
    assert rate(optimizer) == BASE / 2
