"""Changes by hand, and what something else writes: formulas, log entries, no silent override."""

import math

import pytest
import torch
from test_control import OPTIMIZERS, Seen, loss_of, net

from stepsize import Control, absolute, cosine, linear, range_test


def two_groups(lr=0.1):
    model = net()
    groups = [{"params": model[0].parameters(), "name": "body"}, {"params": model[2].parameters(), "name": "head"}]
    return torch.optim.SGD(groups, lr=lr)


def rates(control):
    return list(control.rates.values())


def test_scale_multiplies_on_top_of_the_schedule_and_adds_up():
    control = Control(two_groups(), lr=linear(), total=10)
    control.scale(0.5, group="head", reason="noisy")
    control.scale(0.5)
    assert rates(control) == pytest.approx([0.05, 0.025])
    control.step()
    assert rates(control) == pytest.approx([0.9 * 0.05, 0.9 * 0.025])
    assert [(event.what, event.value, event.group, event.reason) for event in control.log] == [
        ("scale", 0.5, "head", "noisy"),
        ("scale", 0.5, "*", ""),
    ]


def test_set_holds_a_value_until_release():
    control = Control(two_groups(), lr=linear(), total=10, cap=0.2)
    control.set(0.3, group="head")
    for _ in range(3):
        control.step()
        assert rates(control)[1] == 0.3
    assert control.preview([5.0]).rates["head"] == 0.3
    control.release("head")
    assert rates(control) == pytest.approx([0.07, 0.07])


def test_rebase_changes_the_base_and_means_nothing_under_an_absolute_schedule():
    control = Control(two_groups(), lr=linear(), total=10)
    control.step()
    control.rebase(1.0)
    assert rates(control) == pytest.approx([0.9, 0.9])
    fixed = Control(two_groups(), lr=absolute(linear()), total=10)
    with pytest.raises(ValueError, match="gives values itself"):
        fixed.rebase(1.0)
    fixed.scale(0.5)
    assert rates(fixed) == pytest.approx([0.5, 0.5])


def test_other_hyperparameters_are_changed_by_the_same_verbs():
    optimizer = torch.optim.AdamW(net().parameters(), lr=0.1, weight_decay=0.2)
    control = Control(optimizer, weight_decay=linear(), total=10)
    control.scale(0.5, of="weight_decay")
    assert optimizer.param_groups[0]["weight_decay"] == pytest.approx(0.1)
    with pytest.raises(ValueError, match="of='momentum' is not driven"):
        control.scale(0.5, of="momentum")
    with pytest.raises(ValueError, match="no parameter group 'grop0'; did you mean 'group0'"):
        control.scale(0.5, group="grop0")


def test_observers_are_told_of_events():
    seen = Seen(every=100)
    control = Control(two_groups(), watch=seen)
    control.step()
    control.scale(0.5, reason="why not")
    facts = {"position": 1.0, "what": "scale", "value": 0.5, "group": "*", "reason": "why not"}
    rate = next(iter(control.rates.values()))
    assert seen.events == [(1, facts | {"before": 2 * rate, "after": rate})]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_foreign_write_is_said_once_and_overwritten(name):
    model = net()
    optimizer = OPTIMIZERS[name](model.parameters())
    control = Control(optimizer, lr=linear(), total=10)
    twin = Control(OPTIMIZERS[name](net().parameters()), lr=linear(), total=10)

    def interfere():
        rate = optimizer.param_groups[0]["lr"]
        if isinstance(rate, torch.Tensor):
            rate.mul_(0.5)
        else:
            optimizer.param_groups[0]["lr"] = rate * 0.5
        loss_of(model, 0).backward()
        control.step()
        twin.step()

    with pytest.warns(UserWarning, match="something else has set lr of group0 to"):
        interfere()
    for _ in range(3):
        interfere()
    assert control.rates == twin.rates
    assert [event.what for event in control.log] == ["foreign"]


def test_a_foreign_write_can_be_an_error_or_be_adopted():
    optimizer = two_groups()
    strict = Control(optimizer, lr=linear(), total=10, foreign="raise")
    optimizer.param_groups[1]["lr"] = 0.7
    with pytest.raises(RuntimeError, match=r"set lr of head to 0.7, and the plan says 0.1; take it out"):
        strict.step()
    optimizer = two_groups()
    control = Control(optimizer, lr=linear(), total=10, foreign="adopt")
    control.step()
    optimizer.param_groups[1]["lr"] *= 0.1
    control.step()
    assert rates(control) == pytest.approx([0.08, 0.008])
    assert control.log[0].what == "foreign"
    while control.position < 10:
        control.step()
    optimizer.param_groups[0]["lr"] = 0.5  # no factor of zero: it is held
    assert rates(control) == [0.5, 0.0]


def test_writing_the_same_value_or_loading_the_optimizer_is_no_foreign_write():
    model = net()
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    control = Control(optimizer, lr=linear(), total=10, foreign="raise")
    for step in range(3):
        loss_of(model, step).backward()
        control.step()
    optimizer.param_groups[0]["lr"] = float(repr(optimizer.param_groups[0]["lr"]))
    control.step()
    optimizer.load_state_dict(optimizer.state_dict())
    control.step()
    assert control.rates["group0"] == pytest.approx(0.05)


@pytest.mark.parametrize("first", ["optimizer", "control"])
def test_loading_both_in_either_order_is_no_foreign_write(first):
    def begin():
        model = net()
        optimizer = OPTIMIZERS["tensor rate"](model.parameters())
        return optimizer, Control(optimizer, lr=cosine(), total=10, foreign="raise")

    optimizer, control = begin()
    for _ in range(4):
        control.step()
    saved = {"optimizer": optimizer.state_dict(), "control": control.state_dict()}
    optimizer, again = begin()
    targets = {"optimizer": optimizer, "control": again}
    for part in (first, *(part for part in targets if part != first)):
        targets[part].load_state_dict(saved[part])
    again.step()
    control.step()
    assert again.rates == control.rates


def test_an_optimizer_loaded_without_its_control_is_a_foreign_write():
    optimizer = two_groups()
    control = Control(optimizer, lr=linear(), total=10)
    for _ in range(5):
        control.step()
    fresh = two_groups()
    forgotten = Control(fresh, lr=linear(), total=10)
    fresh.load_state_dict(optimizer.state_dict())
    with pytest.warns(UserWarning, match="lr of body to 0.05, and the plan says 0.1"):
        forgotten.step()


def test_a_range_test_in_mid_run_is_no_foreign_write():
    model = net()
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    control = Control(optimizer, lr=linear(), total=10, foreign="raise")
    control.step()
    with range_test(optimizer, model, also=[control], low=1e-4, high=1, steps=5) as test:
        for step, _ in enumerate(test):
            optimizer.zero_grad()
            loss = loss_of(model, step)
            loss.backward()
            optimizer.step()
            test.record(loss)
    control.step()
    assert control.position == 2
    assert control.rates["group0"] == pytest.approx(0.08)


def test_a_second_control_is_refused_until_the_first_lets_go():
    optimizer = two_groups()
    control = Control(optimizer, lr=linear(), total=10)
    for _ in range(5):
        control.step()
    with pytest.raises(ValueError, match="under control already"):
        Control(optimizer, lr=cosine(), total=10)
    control.detach()
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.1]
    assert rates(Control(optimizer, lr=cosine(), total=10)) == [0.1, 0.1]
    other = two_groups()
    dropped = Control(other)
    del dropped
    Control(other)


def test_a_stale_initial_lr_is_refused_since_the_base_is_not_clear():
    optimizer = two_groups()
    optimizer.param_groups[1]["initial_lr"] = 0.5
    with pytest.raises(ValueError, match=r"head has lr 0.1 and an initial_lr of 0.5, left by another scheduler"):
        Control(optimizer, lr=linear(), total=10)
    Control(optimizer, lr=absolute(linear()), total=10)


def test_a_tensor_shared_by_groups_is_refused_when_their_rates_differ():
    model = net()
    groups = [{"params": model[0].parameters()}, {"params": model[2].parameters()}]
    shared = torch.optim.SGD(groups, lr=torch.tensor(0.1))
    assert shared.param_groups[0]["lr"] is shared.param_groups[1]["lr"]
    control = Control(shared, lr=linear(), total=10)
    control.step()
    assert rates(control) == pytest.approx([0.09, 0.09])
    with pytest.raises(ValueError, match="share one tensor as lr"):
        control.scale(0.5, group="group1")
    assert rates(control) == pytest.approx([0.09, 0.09])


@pytest.mark.parametrize("bad", [-1, math.nan, "a", None, True])
def test_bad_numbers_change_nothing(bad):
    control = Control(two_groups(), lr=linear(), total=10)
    for verb in (control.scale, control.set, control.rebase):
        with pytest.raises((TypeError, ValueError), match="must be"):
            verb(bad)
    assert rates(control) == [0.1, 0.1]
    assert control.log == []
