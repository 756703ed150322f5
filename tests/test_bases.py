"""Whose base: what a schedule wrote is never taken for one; and groups are known whatever becomes of the others."""

import copy
import gc
import io
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stepsize import Control, JsonLines, Plan, Scheduler, constant, cosine, linear, plateau, position_of, warmup

SCHEDULE = warmup(2) >> cosine()


def parameter():
    return torch.nn.Parameter(torch.zeros(1))


def build(lr=0.1, **options):
    return torch.optim.SGD([parameter()], lr=lr, **options)


def groups(*rates, kind=torch.optim.SGD):
    return kind([{"params": [parameter()], "lr": rate} for rate in rates])


def train(optimizer, steps, kind=Control, total=6, **plan):
    """A phase of a run whose control is dropped at its end; the rates that were used."""
    driver = (
        kind(optimizer, SCHEDULE, total) if kind is Scheduler else Control(optimizer, lr=SCHEDULE, total=total, **plan)
    )
    used = []
    for _ in range(steps):
        used.append([float(group["lr"]) for group in optimizer.param_groups])
        for group in optimizer.param_groups:
            group["params"][0].grad = torch.ones(1)
        if kind is Scheduler:
            optimizer.step()
        driver.step()
    return used


KINDS = [Control, Scheduler]
STOPPED = pytest.mark.filterwarnings("ignore:training stopped at")


@STOPPED
@pytest.mark.parametrize("steps", [0, 1, 3, 6])
@pytest.mark.parametrize("first", KINDS)
@pytest.mark.parametrize("second", KINDS)
@pytest.mark.parametrize("rate", [(0.1,), (0.1, 0.003), (torch.tensor(0.1),)])
def test_a_second_phase_with_the_same_optimizer_is_like_the_first(first, second, steps, rate):
    optimizer = groups(*(each.clone() if isinstance(each, torch.Tensor) else each for each in rate))
    begun = train(optimizer, 1, first)[0] if steps == 0 else None
    used = train(optimizer, steps, first) if steps else None
    again = train(optimizer, 6, second)
    fresh = train(groups(*(float(each) for each in rate)), 6, second)
    flat = [float(each) for rates in again for each in rates]
    assert flat == pytest.approx([float(each) for rates in fresh for each in rates])
    assert begun or used


@STOPPED
def test_a_rate_set_by_hand_between_two_phases_is_the_new_base():
    optimizer = build()
    train(optimizer, 6)
    optimizer.param_groups[0]["lr"] = 0.02
    assert Control(optimizer, lr=constant(), total=3).rates == {"group0": 0.02}


@STOPPED
@pytest.mark.parametrize("steps", [1, 3, 6])
@pytest.mark.parametrize("driven", [{}, {"weight_decay": linear(), "momentum": linear(start=0.5, end=1)}])
def test_an_optimizer_loaded_before_control_has_the_base_behind_what_was_written(steps, driven):
    first = build(weight_decay=0.3, momentum=0.9)
    train(first, steps, **driven)
    kept = Control(first, lr=SCHEDULE, total=6, **driven)
    saved = first.state_dict()
    del kept
    gc.collect()
    file = io.BytesIO()
    torch.save(saved, file)
    file.seek(0)
    second = build(weight_decay=0.3, momentum=0.9)
    second.load_state_dict(torch.load(file, weights_only=True))
    control = Control(second, lr=constant(), total=3, **driven)
    assert control.rates == {"group0": 0.1}
    assert second.param_groups[0]["weight_decay"] == pytest.approx(0.3)
    assert set(second.param_groups[0]) == set(build().param_groups[0])


@STOPPED
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("steps", [1, 6])
def test_another_rate_in_the_script_than_in_the_loaded_state_is_a_choice(kind, steps):
    first = build(0.1)
    driver = kind(first, SCHEDULE, 6) if kind is Scheduler else Control(first, lr=SCHEDULE, total=6)
    for _ in range(steps):
        if kind is Scheduler:
            first.step()
        driver.step()
    saved = first.state_dict()
    second = build(0.2)
    second.load_state_dict(saved)
    with pytest.raises(ValueError, match=r"built with a lr of 0.2, .* a base of 0.1; for 0.2, build the control"):
        Control(second, lr=SCHEDULE, total=6)
    with pytest.raises(ValueError, match=r"built with a lr of 0.2"):
        Scheduler(second, SCHEDULE, 6)
    third = build(0.2)  # the cure that the message names
    control = Control(third, lr=constant(), total=6)
    third.load_state_dict(saved)
    with pytest.warns(UserWarning, match="something else has set lr"):
        control.step()
    assert control.rates == {"group0": 0.2}


@STOPPED
def test_a_rate_that_a_class_of_optimizers_has_by_itself_is_said_by_the_script_too():
    first = torch.optim.AdamW([parameter()], lr=0.1)
    kept = Control(first, lr=linear(), total=4)
    kept.step()
    second = torch.optim.AdamW([parameter()], lr=1e-3)
    second.load_state_dict(first.state_dict())
    with pytest.raises(ValueError, match=r"built with a lr of 0.001, .* a base of 0.1"):
        Control(second, lr=linear(), total=4)


@STOPPED
@pytest.mark.parametrize("foreign", ["raise", "adopt"])
def test_what_a_loaded_state_brings_is_no_write_by_hand(foreign):
    optimizer = build()
    control = Control(optimizer, lr=linear(), total=10, foreign=foreign, remind=False)
    for step in range(8):
        if step == 2:
            best = optimizer.state_dict()
        if step == 5:
            optimizer.load_state_dict(best)
        control.step()
        assert control.rates == {"group0": pytest.approx(0.1 * (1 - (step + 1) / 10))}


@STOPPED
def test_the_state_of_a_torch_scheduler_in_step_with_control_is_nothing_foreign():
    old = build()
    theirs = torch.optim.lr_scheduler.LinearLR(old, 1, 0, 10)
    for _ in range(5):
        old.step()
        theirs.step()
    new = build()
    control = Control(new, lr=linear(), total=10, position=position_of(theirs.state_dict()), foreign="raise")
    new.load_state_dict(old.state_dict())
    control.step()
    assert control.rates == {"group0": pytest.approx(0.04)}


@STOPPED
def test_what_a_dropped_control_decayed_and_the_next_leaves_alone_gets_its_base_back():
    optimizer = torch.optim.AdamW([parameter()], lr=0.1, weight_decay=0.2)
    train(optimizer, 6, weight_decay=linear(), momentum=linear(start=0.5, end=1))
    Control(optimizer, lr=linear(), total=5)
    group = optimizer.param_groups[0]
    assert (group["weight_decay"], group["betas"]) == (pytest.approx(0.2), pytest.approx((0.9, 0.999)))


def test_a_live_optimizers_groups_hold_nothing_of_ours():
    optimizer = build()
    before = dict(optimizer.param_groups[0])
    control = Control(optimizer, lr=linear(), total=4)
    optimizer.state_dict()
    assert set(optimizer.param_groups[0]) == set(before)
    assert set(optimizer.state_dict()["param_groups"][0]) > set(before)
    control.detach()
    assert set(optimizer.state_dict()["param_groups"][0]) == set(before)


@STOPPED
@pytest.mark.parametrize("way", [copy.deepcopy, lambda optimizer: pickle.loads(pickle.dumps(optimizer))])
@pytest.mark.parametrize("dropped", [False, True])
def test_a_copy_of_a_driven_optimizer_has_its_base_and_not_its_momentary_rate(way, dropped):
    optimizer = torch.optim.AdamW([torch.ones(2, requires_grad=True)], lr=0.1, weight_decay=0.2)
    optimizer.param_groups[0]["lr"] = 0.4  # what the control takes over, and not what the optimizer was built with
    control = Control(optimizer, lr=cosine(), weight_decay=linear(), total=10, remind=False)
    for _ in range(9):
        control.step()
    if dropped:
        del control
        gc.collect()
    copied = way(optimizer)
    again = Control(copied, lr=cosine(), weight_decay=linear(), total=10)
    assert again.rates == {"group0": pytest.approx(0.4)}
    assert copied.param_groups[0]["weight_decay"] == pytest.approx(0.2)
    assert not [key for group in (*copied.param_groups, *optimizer.param_groups) for key in group if "stepsize" in key]
    copied.param_groups[0]["lr"] = 0.3  # set by hand in a copy, it is the base
    later = way(copied)
    later.param_groups[0]["lr"] = 0.3
    assert Control(later, lr=cosine(), total=10).rates == {"group0": pytest.approx(0.3)}


def test_a_copy_made_after_control_ended_is_an_optimizer_like_any():
    optimizer = torch.optim.SGD([torch.ones(2, requires_grad=True)], lr=0.1)
    control = Control(optimizer, lr=cosine(), total=10)
    control.step()
    shared = copy.copy(optimizer)
    assert shared.param_groups is optimizer.param_groups
    control.detach()
    assert copy.deepcopy(optimizer).param_groups[0].keys() == optimizer.param_groups[0].keys()
    assert "__reduce_ex__" not in vars(optimizer)


@pytest.mark.parametrize("kind", [Control, Scheduler])
def test_what_was_detached_drives_nothing_any_more(kind):
    weight = torch.ones(1, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.1)
    first = kind(optimizer, lr=linear(), total=10) if kind is Control else kind(optimizer, linear(), 10)
    first.detach()
    weight.grad = torch.ones(1)
    with pytest.raises(RuntimeError, match="was detached and drives nothing any more"):
        first.step()
    with pytest.raises(RuntimeError, match="was detached"):
        first.scale(0.5)
    assert weight.item() == 1.0 if kind is Control else True
    assert optimizer.param_groups[0]["lr"] == 0.1
    second = Control(optimizer, lr=linear(), total=10)
    second.step()
    first.detach()  # a second time it must not put bases back under the next one
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.09)


def test_the_advice_about_another_schedulers_initial_lr_works():
    old = build()
    torch.optim.lr_scheduler.ExponentialLR(old, 0.5)
    old.step()
    old.param_groups[0]["lr"] = 0.05
    fresh = build()
    fresh.load_state_dict(old.state_dict())
    with pytest.raises(ValueError, match=r"build the control before optimizer.load_state_dict\(\)"):
        Control(fresh, lr=linear(), total=4)
    fresh = build()
    control = Control(fresh, lr=constant(), total=4)
    fresh.load_state_dict(old.state_dict())
    with pytest.warns(UserWarning, match="something else has set lr of group0 to 0.05"):
        control.step()
    assert control.rates == {"group0": 0.1}


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_can_only_stand_still_says_so(kind):
    with pytest.warns(UserWarning, match="every learning rate has a base of 0"):
        Scheduler(build(0.0), linear(), 4) if kind is Scheduler else Control(build(0.0), lr=linear(), total=4)
    some = Control(groups(0.1, 0.0), lr=linear(), total=4)
    assert [(event.what, event.group) for event in some.log] == [("idle", "group1")]


OPERATIONS = st.lists(st.sampled_from(["add", "remove", "swap", "replace", "load", "step", "copy"]), max_size=14)


@given(OPERATIONS, st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_groups_keep_their_bases_whatever_becomes_of_others(operations, random):
    optimizer = groups(0.1, 0.2, 0.3)
    control = Control(optimizer, lr=linear(), total=100, remind=False)
    bases = {id(group["params"][0]): group["lr"] for group in optimizer.param_groups}
    count = 3

    def fresh():
        nonlocal count
        count += 1
        group = {**optimizer.param_groups[0], "params": [parameter()], "lr": count / 10}
        bases[id(group["params"][0])] = count / 10
        return group

    for operation in operations:
        there = optimizer.param_groups
        place = random.randrange(len(there))
        if operation == "add":
            there.append(fresh())
        elif operation == "remove" and len(there) > 1:
            del there[place]
        elif operation == "swap":
            there[0], there[place] = there[place], there[0]
        elif operation == "replace":
            there[place] = fresh()
        elif operation == "copy":
            there[place] = dict(there[place])
        elif operation == "load":
            optimizer.load_state_dict(optimizer.state_dict())
        control.step()
        factor = 1 - control.position / 100
        expected = [bases[id(group["params"][0])] * factor for group in optimizer.param_groups]
        assert [group["lr"] for group in optimizer.param_groups] == pytest.approx(expected)
        assert list(control.rates.values()) == pytest.approx(expected)
        assert len(set(control.rates)) == len(expected)


def test_a_group_taken_out_leaves_each_other_its_schedule_name_and_share():
    optimizer = groups(0.1, 0.1, 0.1)
    control = Control(optimizer, lr=[constant(), linear(), cosine()], total=10, remind=False)
    control.scale(0.5, group="group1")
    del optimizer.param_groups[0]
    control.step()
    assert control.rates == pytest.approx({"group1": 0.5 * 0.1 * 0.9, "group2": 0.1 * cosine(10)(1)})


def test_a_mapping_may_leave_groups_alone():
    optimizer = groups(0.1, 0.2)
    control = Control(
        optimizer, lr={"group1": None, "*": linear()}, weight_decay={"*": None}, floor={0: 0.05, 1: None}, total=4
    )
    assert Plan.parse(str(control.plan)) == control.plan
    for step in range(4):
        assert control.rates == {"group0": max(0.05, 0.1 * (1 - step / 4)), "group1": 0.2}
        optimizer.param_groups[1]["lr"] = 0.2  # nobody's, so it is not foreign
        assert control.step().rates["group1"] == 0.2
    with pytest.raises(ValueError, match="the plan leaves lr of the parameter group 'group1' alone"):
        control.scale(0.5, group="group1")
    assert list(control.preview().rates) == ["group0"]
    again = Control(groups(0.1, 0.2), plan=str(control.plan), remind=False)
    again.load_state_dict(control.state_dict(), plan="saved")
    assert again.position == 4


class Rateless(torch.optim.Optimizer):
    """Chooses its steps by itself."""

    def __init__(self, params, **defaults):
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for each in group["params"]:
                each -= 0.1 * each.grad


@pytest.mark.parametrize("defaults", [{}, {"lr": None}])
def test_an_optimizer_without_a_rate_can_be_clipped_and_decayed_and_resumed(defaults, tmp_path):
    def begin():
        w = parameter()
        return w, Control(Rateless([w], weight_decay=0.1, **defaults), clip=0.5, weight_decay=linear(), total=4)

    w, control = begin()
    for step in range(4):
        w.grad = torch.full((1,), 10.0)
        assert control.step().rates == control.rates == {}
        assert control._driver.optimizers[""].param_groups[0]["weight_decay"] == pytest.approx(
            0.1 * (1 - (step + 1) / 4)
        )
    assert w.item() == pytest.approx(-0.2)
    _, again = begin()
    again.load_state_dict(control.state_dict())
    assert again.position == 4
    for name, value in (("floor", 0.1), ("cap", 1), ("feedback", plateau())):
        with pytest.raises(ValueError, match=f"{name} is for the learning rate, and this optimizer has none"):
            Control(Rateless([parameter()], **defaults), **{name: value})
    watched = Control(Rateless([w], **defaults), watch=JsonLines(tmp_path / "m.jsonl"), total=1)
    w.grad = torch.ones(1)
    watched.step(1.0)
    assert "rate" not in (tmp_path / "m.jsonl").read_text()
    with pytest.raises(ValueError, match="no 'lr' in its parameter groups"):
        Control(Rateless([parameter()], **defaults), lr=linear(), total=4)


def test_a_rate_of_whole_numbers_is_refused():
    with pytest.raises(TypeError, match=r"must be a tensor of floating-point numbers.*write lr=torch.tensor\(1.0\)"):
        Control(build(torch.tensor(1)), lr=linear(), total=4)


@pytest.mark.slow
def test_many_named_groups_are_taken_over_in_a_time_that_goes_with_their_number():
    import time

    def seconds(count):
        named = [{"params": [parameter()], "name": f"layer{index}"} for index in range(count)]
        optimizer, plan = torch.optim.SGD(named, lr=0.1), {f"layer{index}": constant() for index in range(count)}
        began = time.process_time()
        Control(optimizer, lr=plan, total=4)
        return time.process_time() - began

    seconds(100)
    assert seconds(8_000) < 40 * max(seconds(1_000), 1e-3)  # a product of groups and keys would be 64
