"""Products are pointwise, whatever is open; staircases hold what a schedule has where each stair begins."""

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_schedule import fixed, pieces, schedules

from stepsize.schedule import (
    PIECES,
    Schedule,
    absolute,
    constant,
    cosine,
    exponential,
    from_function,
    linear,
    noise,
    one_minus_sqrt,
    polynomial,
    step_decay,
    warmup,
)

TOTAL, PER_EPOCH = 10_000, 50
factors = st.one_of(pieces(length=st.none()), pieces(), schedules().filter(lambda one: not one.is_absolute))
positions = st.one_of(st.integers(0, 12_000), st.floats(0, 12_000))


def laid(schedule, total=TOTAL):
    return schedule.over(total, per_epoch=PER_EPOCH)


def after_text(schedule):
    """The schedule that its own text says."""
    read = Schedule.parse(str(schedule))
    assert read == schedule
    return read


@given(factors, factors, positions)
def test_a_product_has_the_product_of_values_at_every_position(a, b, position):
    expected = laid(a)(position) * laid(b)(position)
    assert laid(a * b)(position) == pytest.approx(expected, rel=1e-12)
    assert after_text(laid(after_text(a * b)))(position) == pytest.approx(expected, rel=1e-12)


@given(factors, factors, factors, positions, st.floats(0.1, 3))
def test_a_product_is_associative_and_does_not_ask_for_the_order(a, b, c, position, scale):
    for one, other in ((a * b) * c, a * (b * c)), ((scale * a) * b, scale * (a * b)):
        assert laid(one)(position) == pytest.approx(laid(other)(position), rel=1e-12)
        assert one.factors == other.factors  # their number in front is rounded in another order
    assert laid(b * a)(position) == pytest.approx(laid(a * b)(position), rel=1e-12)


@given(
    st.sampled_from([cosine, linear, warmup, exponential]),
    st.sampled_from([cosine, linear, polynomial, one_minus_sqrt]),
    fixed,
    st.floats(1, 4_000),
    st.floats(1, 4_000),
    st.floats(0, 0.999),
)
def test_an_open_factor_takes_the_stretch_of_the_sequence_on_which_its_product_stands(
    a, b, length, before, behind, share
):
    whole = laid(constant(before) >> a(length) * b() >> linear(behind))
    stretch = TOTAL - before - behind
    expected = laid(a(length))(share * stretch) * b(stretch)(share * stretch)
    assert whole(before + share * stretch) == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert after_text(whole).length == pytest.approx(TOTAL)


@given(st.integers(1, 6), st.integers(0, 9_999))
def test_a_repeated_product_is_laid_over_each_turn(times, position):
    each = TOTAL / times
    turns = laid((warmup(10) * cosine()).repeat(times))
    assert turns.length == pytest.approx(TOTAL)
    inside = position % each
    if min(inside, each - inside) > 1e-6:
        assert turns(position) == pytest.approx(warmup(10)(inside) * cosine(each)(inside), rel=1e-9, abs=1e-12)


def test_a_piece_that_has_ended_holds_its_end_in_a_product():
    both = cosine(100) * linear(50, end=0.5)
    assert both.length == 100
    assert both.borders == (50.0,)
    assert [both(t) for t in (25, 50, 75)] == [cosine(100)(t) * linear(50, end=0.5)(t) for t in (25, 50, 75)]
    assert both.end == both(100) == both(1_000) == 0
    long = (step_decay(every=50) * warmup(60)).over(200)
    assert [long(t) for t in (60, 120, 199)] == pytest.approx([0.1, 0.01, 0.001])


def test_shares_in_a_product_are_of_the_whole_run():
    schedule = constant("50%") >> warmup("5%") * linear() * noise(limit=0.1, every="1%")
    assert str(schedule.over(1_000)) == (
        "constant(500) >> (warmup(50) * linear(500) * noise(500, limit=0.1, every=10))"
    )
    assert (constant("1ep") * linear()).over(100, per_epoch=7).borders == (7.0,)


def test_a_product_of_endless_schedules_needs_no_total():
    both = step_decay(every=50) * warmup(60)
    assert both.length is None
    assert both(1_000) == pytest.approx(0.1**20)
    assert (constant(10) >> both)(10) == both(0)


@given(schedules(), fixed, positions)
def test_a_stair_has_the_value_that_the_schedule_has_where_it_begins(schedule, every, position):
    stairs = laid(schedule.stairs(every))
    width = constant(every).over(TOTAL, per_epoch=PER_EPOCH).length
    below = laid(schedule)
    number = math.floor(position / width)
    number += ((number + 1) * width <= position) - (number * width > position)
    if position < below.length:
        assert stairs(position) == below(number * width)
    assert after_text(stairs) == stairs
    assert after_text(schedule.stairs(every)).over(TOTAL, per_epoch=PER_EPOCH) == stairs


@given(st.floats(0.01, 300), st.integers(0, 500))
def test_the_edges_of_stairs_are_exact_and_never_rounded(width, number):
    stairs = from_function(float, name="itself", length=1e6).stairs(width)
    edge = number * width
    assert stairs(edge) == edge
    assert stairs(np.nextafter(edge, np.inf)) == edge
    if number:
        assert stairs(np.nextafter(edge, 0)) == (number - 1) * width
    at = np.array([edge, edge + width / 2])
    assert stairs(at).tolist() == [stairs(each) for each in at]


@pytest.mark.parametrize(
    ("ours", "build"),
    [
        (cosine(), lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 12)),
        (linear(start=0.3, end=0.9), lambda o: torch.optim.lr_scheduler.LinearLR(o, 0.3, 0.9, 12)),
        (exponential(gamma=0.9, every="1ep"), lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.9)),
        (
            warmup("3ep", start=0.1) >> cosine(),
            lambda o: torch.optim.lr_scheduler.SequentialLR(
                o,
                [
                    torch.optim.lr_scheduler.LinearLR(o, 0.1, 1, 3),
                    torch.optim.lr_scheduler.CosineAnnealingLR(o, 9),
                ],
                [3],
            ),
        ),
    ],
    ids=["cosine", "linear", "exponential", "warm-up and cosine"],
)
@pytest.mark.filterwarnings("ignore:The epoch parameter")
def test_stairs_of_an_epoch_are_what_torch_gives_when_it_is_stepped_once_an_epoch(ours, build):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    scheduler = build(optimizer)
    stairs = ours.stairs("1ep").over(12 * 7, per_epoch=7)
    for step in range(12 * 7):
        assert 0.5 * stairs(step) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-9)
        optimizer.step()
        if step % 7 == 6:
            scheduler.step()


def test_a_torch_scheduler_that_was_stepped_by_epochs_is_stretched_into_stairs():
    from stepsize import from_torch

    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 12)
    for _ in range(3):
        optimizer.step()
        scheduler.step()
    (course,) = (each.stretch(7).stairs(7) for each in from_torch(scheduler))
    for step in range(9 * 7):
        assert course(step) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-9)
        optimizer.step()
        if step % 7 == 6:
            scheduler.step()


@given(schedules(), positions)
def test_a_schedule_that_misses_nothing_can_be_called(schedule, position):
    if schedule.missing is None:
        assert math.isfinite(schedule(position))
    else:
        with pytest.raises(ValueError, match="cannot be called yet"):
            schedule(position)


@given(schedules())
def test_schedules_are_copied_pickled_and_hashed_also_once_used(schedule):
    for one in (schedule, laid(schedule)):
        if one.missing is None:
            one(3.0)
            one.compiled()(3.0)
        for copied in (pickle.loads(pickle.dumps(one)), copy.deepcopy(one), copy.copy(one)):
            assert copied == one
            assert hash(copied) == hash(one)
            assert one.missing or copied(5.0) == one(5.0)


def test_a_schedule_of_a_modules_function_is_pickled():
    root = from_function(math.sqrt, name="root") * absolute(linear(10))
    root.compiled()
    assert pickle.loads(pickle.dumps(root))(4.0) == root(4.0)
    assert "stairs" in PIECES
