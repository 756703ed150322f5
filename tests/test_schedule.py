"""Schedules state truths: ends, bounds, closed forms, and the laws of the algebra."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stepsize.schedule import (
    Schedule,
    absolute,
    constant,
    cosine,
    cosine_restarts,
    cosine_wave,
    exp_range,
    exponential,
    inverse_sqrt,
    linear,
    multi_step,
    noise,
    one_minus_sqrt,
    part,
    piecewise_constant,
    piecewise_linear,
    polynomial,
    step_decay,
    triangular,
    triangular2,
    warmup,
)

numbers = st.floats(0, 10, allow_nan=False)
lengths = st.floats(0.01, 1_000).map(lambda length: round(length, 6))  # so that jumps are where a float can be between
shares = st.integers(1, 8).map(lambda percent: f"{percent}%")
epochs = st.integers(1, 3).map(lambda count: f"{count}ep")
fixed = st.one_of(lengths, shares, epochs)


edges = st.tuples(*(st.floats(low, high).map(lambda place: round(place, 6)) for low, high in ((0.5, 50), (51, 100))))


@st.composite
def pieces(draw, length=fixed):
    build = draw(
        st.sampled_from(
            [
                lambda size: constant(size, value=draw(numbers)),
                lambda size: linear(size, start=draw(numbers), end=draw(numbers)),
                lambda size: cosine(size, start=draw(numbers), end=draw(numbers)),
                lambda size: warmup(size, start=draw(st.none() | numbers)),
                lambda size: exponential(size, gamma=draw(st.floats(0.01, 1)), every=draw(st.none() | fixed)),
                lambda size: step_decay(size, gamma=draw(st.floats(0.01, 1)), every=draw(fixed)),
                lambda size: polynomial(size, power=draw(st.floats(0.3, 3)), start=draw(numbers), end=draw(numbers)),
                lambda size: one_minus_sqrt(size, start=draw(numbers), end=draw(numbers)),
                lambda size: multi_step(size, gamma=draw(st.floats(0.1, 1)), at=draw(edges)),
                lambda size: inverse_sqrt(size, every=draw(fixed)),
                lambda size: cosine_wave(size, start=draw(numbers), low=draw(numbers), every=draw(fixed)),
                lambda size: cosine_restarts(
                    size, every=draw(fixed), growth=draw(st.floats(1, 3)), decay=draw(st.floats(0.1, 1))
                ),
                lambda size: triangular(size, start=draw(numbers), up=draw(fixed), down=draw(st.none() | fixed)),
                lambda size: triangular2(size, peak=draw(numbers), up=draw(fixed)),
                lambda size: exp_range(size, up=draw(fixed), gamma=draw(st.floats(0.9, 1))),
                lambda size: piecewise_constant(size, at=[draw(fixed)], values=[draw(numbers), draw(numbers)]),
                lambda size: piecewise_linear(size, at=draw(edges), values=[draw(numbers), draw(numbers)]),
                lambda size: noise(
                    size, limit=draw(st.floats(0.01, 1)), every=draw(fixed), seed=draw(st.integers(0, 99))
                ),
            ]
        )
    )
    return build(draw(length))


@st.composite
def schedules(draw):
    """Sequences and products of pieces that fit a run of 10,000 steps with epochs of 50."""
    parts = draw(st.lists(pieces(), min_size=1, max_size=3))
    if draw(st.booleans()):
        parts.insert(draw(st.integers(0, len(parts))), draw(pieces(length=st.none())))
    schedule = parts[0]
    for after in parts[1:]:
        schedule = schedule >> after
    if draw(st.booleans()):
        schedule = draw(st.floats(0.01, 3)) * schedule
    if draw(st.booleans()):
        schedule = schedule * draw(pieces(length=st.none() | fixed))
    around = {
        "nothing": lambda: schedule,
        "clip": lambda: schedule.clip(0.1, draw(st.none() | st.floats(0.2, 5))),
        "repeat": lambda: schedule.repeat(2),
        "stairs": lambda: schedule.stairs(draw(fixed)),
        "part": lambda: part(schedule, start=draw(st.sampled_from([0, 0.5, 33.3])), length=draw(lengths)),
    }
    schedule = around[draw(st.sampled_from(sorted(around)))]()
    return absolute(schedule) if draw(st.booleans()) else schedule


@given(schedules())
def test_text_and_parse_are_inverse(schedule):
    assert Schedule.parse(str(schedule)) == schedule
    laid = schedule.over(10_000, per_epoch=50)
    assert Schedule.parse(str(laid)) == laid


@given(schedules(), st.lists(st.floats(0, 12_000), min_size=1, max_size=20))
def test_numbers_and_arrays_agree(schedule, positions):
    laid = schedule.over(10_000, per_epoch=50)
    one_by_one = [laid(position) for position in positions]
    np.testing.assert_allclose(laid(np.array(positions)), one_by_one, rtol=1e-12, atol=1e-15)


@given(schedules(), st.floats(0, 12_000))
def test_a_compiled_schedule_is_the_schedule_to_the_bit(schedule, position):
    laid = schedule.over(10_000, per_epoch=100)
    assert laid.compiled()(position) == laid(position)


@given(schedules(), st.floats(1, 5_000), st.floats(0.1, 10), st.floats(0, 4_000))
def test_a_part_at_another_speed_is_the_whole_at_that_speed(schedule, start, speed, position):
    laid = schedule.over(10_000, per_epoch=100)
    rest = part(laid, start=start, length=4_500, speed=speed)
    assert rest(position) == laid(start + speed * position)
    assert Schedule.parse(str(rest)) == rest


@given(schedules())
def test_the_end_is_the_limit_at_the_length_and_is_held(schedule):
    laid = schedule.over(10_000, per_epoch=50)
    length = laid.length
    assert laid(length) == pytest.approx(laid.end, rel=1e-12)
    assert laid(length + 1) == laid(length * 2) == laid(length)
    just_before = laid(np.nextafter(length, 0))
    assert just_before == pytest.approx(laid.end, rel=1e-3, abs=1e-3)


@given(pieces(), pieces(), pieces())
def test_then_is_associative(a, b, c):
    assert (a >> b) >> c == a >> (b >> c)


@given(pieces(length=lengths), pieces(length=lengths), st.floats(0, 3_000))
def test_each_piece_of_a_sequence_gives_its_own_values(a, b, position):
    a, b = a.over(5_000, per_epoch=50), b.over(5_000, per_epoch=50)
    expected = a(position) if position < a.length else b(position - a.length)
    assert (a >> b)(position) == expected


@given(pieces(length=lengths), st.integers(1, 4), st.floats(0, 5_000))
def test_a_repeated_piece_is_the_same_piece_put_behind_itself(piece, times, position):
    piece = piece.over(5_000, per_epoch=50)
    chain = piece
    for _ in range(times - 1):
        chain = chain >> piece
    inside = position % piece.length
    if min(inside, piece.length - inside) > 1e-6:  # at the borders themselves rounding decides
        assert piece.repeat(times)(position) == pytest.approx(chain(position), rel=1e-6, abs=1e-6)
    assert piece.repeat(times).length == pytest.approx(chain.length)


@given(schedules(), st.floats(0, 1), st.floats(1, 2), st.floats(0, 10_000))
def test_a_clipped_schedule_stays_between_its_bounds(schedule, low, high, position):
    clipped = schedule.clip(low, high).over(10_000, per_epoch=50)
    assert clipped(position) == min(max(schedule.over(10_000, per_epoch=50)(position), low), high)


@given(pieces(length=st.none()), pieces(length=st.none()), st.floats(0, 100), numbers)
def test_a_product_is_the_product_of_values(a, b, position, scale):
    both = (scale * a * b).over(100, per_epoch=50)
    expected = scale * a.over(100, per_epoch=50)(position) * b.over(100, per_epoch=50)(position)
    assert both(position) == pytest.approx(expected, rel=1e-12)


@given(schedules(), st.sampled_from([0.25, 0.5, 2.0, 4.0]), st.integers(0, 10_000))
def test_a_stretched_schedule_is_the_same_course_at_another_pace(schedule, factor, position):
    short = schedule.over(10_000, per_epoch=50)
    long = schedule.stretch(factor).over(10_000 * factor, per_epoch=50)
    assert long.length == pytest.approx(short.length * factor)
    counted = ("warmup", "noise", "exp_range", "step", "constant", "restarts", "triangular", "repeat", "part", "stairs")
    if any(word in str(schedule) for word in counted):
        return  # these count steps, or jump at places that rounding may move
    borders = np.array([*short.borders, -1.0])
    if np.min(np.abs(borders - position)) > 1e-6:
        assert long(position * factor) == pytest.approx(short(position), rel=1e-6, abs=1e-9)


def test_warm_up_spends_no_step_at_zero_and_none_twice_at_the_peak():
    schedule = (warmup(4) >> cosine()).over(10)
    assert schedule(np.arange(5)).tolist() == [0.2, 0.4, 0.6, 0.8, 1.0]
    assert schedule(5) < 1


def test_shares_are_of_the_whole_run_also_inside_brackets():
    schedule = (warmup("10%") >> (0.5 * constant("20%") >> cosine())).over(1_000)
    assert str(schedule) == "warmup(100) >> (0.5 * constant(200)) >> cosine(700)"


def test_boundaries_are_never_rounded():
    schedule = (constant("0.5ep") >> constant(value=0)).over(100, per_epoch=3)
    assert schedule(1.499) == 1
    assert schedule(1.5) == 0


@pytest.mark.parametrize(
    ("ours", "build"),
    [
        (cosine(100), lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 100)),
        (linear(100, start=0.3, end=0.9), lambda o: torch.optim.lr_scheduler.LinearLR(o, 0.3, 0.9, 100)),
        (exponential(gamma=0.97, every=1), lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.97)),
        (step_decay(gamma=0.3, every=30), lambda o: torch.optim.lr_scheduler.StepLR(o, 30, 0.3)),
        (constant(40, value=0.2) >> constant(), lambda o: torch.optim.lr_scheduler.ConstantLR(o, 0.2, 40)),
    ],
)
def test_pieces_equal_torch_over_their_whole_course(ours, build):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    scheduler = build(optimizer)
    for step in range(101):
        assert 0.5 * ours(step) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-9 * 0.5)
        optimizer.step()
        scheduler.step()


@given(st.floats(0.01, 1e6), st.floats(0, 1))
def test_falling_curves_fall(length, share):
    for piece in (linear(length), cosine(length), exponential(length, gamma=0.1), step_decay(length, every=length / 7)):
        positions = np.linspace(0, length, 50)
        values = piece(positions)
        assert np.all(np.diff(values) <= 1e-15)
        assert 0 <= piece(length * share) <= 1


def test_a_notebook_shows_a_picture_of_what_can_be_called():
    assert cosine(100)._repr_mimebundle_()["image/png"].startswith(b"\x89PNG")
    assert cosine()._repr_mimebundle_() == {"text/plain": "cosine()"}


def test_schedules_are_values():
    assert warmup(5) >> cosine() == warmup(5.0) >> cosine()
    assert len({cosine(3), cosine(3.0), cosine(4)}) == 2
    with pytest.raises(AttributeError):
        cosine(3).length = 4


@settings(max_examples=20)
@given(st.integers(1, 5))
def test_a_zero_length_piece_is_passed_over(steps):
    assert (warmup(0) >> cosine(steps))(0) == 1
    assert math.isclose(cosine(0)(0), 0)


BAD = [
    (lambda: cosine() >> cosine(), "only one piece"),
    (lambda: warmup(10) * cosine() >> constant(), "cosine() in warmup(10) * cosine() and constant() both do"),
    (lambda: (warmup(500) * cosine()).over(100), "warmup(500) takes 500 positions, and its product stands on 100"),
    (lambda: (constant(50) >> warmup(60) * cosine()).over(100), "its product stands on 50"),
    (lambda: (warmup("5%") * cosine())(0), "length=5% depends on the run; call .over(total)"),
    (lambda: (warmup(10) * cosine())(0), ".over(total)"),
    (lambda: cosine(5).stairs(0), "every of stairs must be a length above 0, got 0"),
    (lambda: cosine(5).stairs("0ep"), "every of stairs must be a length above 0, got '0ep'"),
    (lambda: cosine(5).stairs("1ep")(0), "every=1ep depends on the run; call .over(total)"),
    (lambda: cosine(5).stairs("1ep").over(5), "per_epoch"),
    (lambda: absolute(cosine(5)) >> cosine(), "absolute(...) around the whole"),
    (lambda: absolute(cosine()) * absolute(cosine()), "both give values themselves"),
    (lambda: cosine()(0), ".over(total)"),
    (lambda: (warmup("5%") >> constant())(0), ".over(total)"),
    (lambda: exponential(gamma=0.5)(0), ".over(total)"),
    (lambda: (step_decay(100, every="1ep") >> constant())(0), "every=1ep depends on the run; call .over(total)"),
    (lambda: (constant(5) >> part(cosine(50), start="5%", length=5) >> constant())(0), "start=5% depends on the run"),
    (lambda: cosine(5)(-1), "position must be a number >= 0, got -1"),
    (lambda: cosine(5)(math.nan), "got nan"),
    (lambda: cosine(5)(np.array([0, -1])), "numbers >= 0"),
    (lambda: warmup(500).over(100), "takes 500 positions and the total is 100"),
    (lambda: (warmup(500) >> cosine()).over(500), "leaves nothing for cosine()"),
    (lambda: (warmup(500) >> cosine()).over(100), "takes 500 of 100 positions"),
    (lambda: warmup("3ep").over(100), "per_epoch"),
    (lambda: exponential(gamma=2, every=1), "gamma of exponential"),
    (lambda: exponential(1e6, gamma=2, every=1), "gamma of exponential"),
    (lambda: step_decay(), "every"),
    (lambda: piecewise_linear(at=[3, 3], values=[1, 2]), "at of piecewise_linear must be rising"),
    (lambda: cosine(-1), "length of cosine must be a finite number >= 0, got -1"),
    (lambda: cosine("200%"), "at most 100%"),
    (lambda: cosine("5 steps"), "a length"),
    (lambda: cosine(True), "got True"),
    (lambda: cosine(5) * -1, "factor of cosine(5)"),
    (lambda: cosine(5) * math.inf, "got inf"),
    (lambda: cosine(5) * "2", "can't multiply"),
    (lambda: cosine(5) >> 2, "unsupported operand"),
]


@pytest.mark.parametrize(("build", "said"), BAD, ids=[said for _, said in BAD])
def test_bad_schedules_are_refused_in_the_callers_words(build, said):
    with pytest.raises((TypeError, ValueError)) as caught:
        build()
    assert said in str(caught.value)
