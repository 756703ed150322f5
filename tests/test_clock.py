"""What moves the clock: the optimizer's real updates, wherever they are called from, and nothing else."""

import copy
import gc
import io
import pickle
import warnings
from collections import OrderedDict, defaultdict
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributed import checkpoint
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict
from torch.optim.lr_scheduler import ChainedScheduler, SequentialLR, StepLR

from stepsize import Control, Scheduler, cosine, linear, plateau, range_test, warmup

SCHEDULE = warmup(3) >> linear()
TOTAL = 10


def weight():
    return torch.nn.Parameter(torch.zeros(2))


def sgd(lr=0.1, **options):
    return torch.optim.SGD([weight()], lr=lr, **options)


class Lookahead(torch.optim.Optimizer):
    """In the shape of timm's: Optimizer.__init__ is never called, so that torch puts no hooks around its step."""

    def __init__(self, base):
        self._optimizer_step_pre_hooks, self._optimizer_step_post_hooks = OrderedDict(), OrderedDict()
        self.inner, self.param_groups, self.defaults, self.state = (
            base,
            base.param_groups,
            base.defaults,
            defaultdict(dict),
        )

    def step(self, closure=None):
        return self.inner.step(closure)


class Sam(torch.optim.Optimizer):
    """Two half steps; either by themselves, or by one call of step."""

    def __init__(self, params, base, **options):
        super().__init__(params, options)
        self.base_optimizer = base(self.param_groups, **options)
        self.param_groups = self.base_optimizer.param_groups

    def second_step(self):
        self.base_optimizer.step()

    def step(self, closure=None):
        self.second_step()


class Syncing(torch.optim.Optimizer):
    """In the shape of ZeRO's: groups of its own, whose values it hands on before the inner optimizer steps."""

    def __init__(self, params, **options):
        super().__init__(params, options)
        self.optim = torch.optim.SGD([dict(group) for group in self.param_groups], **options)

    def step(self, closure=None):
        for mine, inner in zip(self.param_groups, self.optim.param_groups, strict=True):
            inner["lr"] = mine["lr"]
        self.optim.step()


class TwoInside(torch.optim.Optimizer):
    """Two optimizers in a list, each with a part of the groups."""

    def __init__(self, params, **options):
        super().__init__(params, options)
        self.parts = []
        for group in self.param_groups:
            self.parts.append(torch.optim.SGD([group["params"][0]], **options))
            group |= {name: value for name, value in self.parts[-1].param_groups[0].items() if name not in group}
            self.parts[-1].param_groups[0] = group

    def step(self, closure=None):
        for part in self.parts:
            part.step()


class Overridden(torch.optim.SGD):
    """Its step calls that of its base class, so that torch runs the hooks twice."""

    def step(self, closure=None):
        return super().step(closure)


WRAPPED = {
    "itself": lambda w: torch.optim.SGD([w], lr=0.1),
    "lookahead": lambda w: Lookahead(torch.optim.SGD([w], lr=0.1)),
    "lookahead around lookahead": lambda w: Lookahead(Lookahead(torch.optim.SGD([w], lr=0.1))),
    "sam": lambda w: Sam([w], torch.optim.SGD, lr=0.1),
    "lookahead around sam": lambda w: Lookahead(Sam([w], torch.optim.SGD, lr=0.1)),
    "values handed on": lambda w: Syncing([w], lr=0.1),
    "overridden": lambda w: Overridden([w], lr=0.1),
    "several inside": lambda w: TwoInside([{"params": [w]}, {"params": [weight()]}], lr=0.1),
}


def moved(w, step):
    """Run a step with a gradient of 1; by how much the weight moved, which is the rate that was used."""
    before = w.detach().clone()
    w.grad = torch.ones(2)
    step()
    return float((before - w.detach())[0])


def expected(step, schedule=SCHEDULE):
    return 0.1 * schedule.over(TOTAL)(step)


@pytest.mark.parametrize("name", WRAPPED)
@pytest.mark.parametrize("every", [1, 3, None])
def test_each_update_is_done_at_the_rate_of_its_position_however_seldom_the_scheduler_is_stepped(name, every):
    w = weight()
    optimizer = WRAPPED[name](w)
    scheduler = Scheduler(optimizer, SCHEDULE, TOTAL)
    for step in range(TOTAL):
        assert moved(w, optimizer.step) == pytest.approx(expected(step), abs=1e-6)
        if every and step % every == 0:
            scheduler.step()
    assert scheduler.position == scheduler.last_epoch == TOTAL
    assert not [event for event in scheduler.log if event.what == "foreign"]


def test_between_seldom_steps_the_groups_show_what_comes_next():
    optimizer = sgd()
    scheduler = Scheduler(optimizer, SCHEDULE, TOTAL)
    for step in range(TOTAL):
        if step not in (0, 1, 6):
            assert optimizer.param_groups[0]["lr"] == pytest.approx(expected(step))
        optimizer.step()
        if step == 4:
            scheduler.step()


@pytest.mark.parametrize("name", WRAPPED)
def test_control_over_a_wrapper_counts_what_it_does(name):
    w = weight()
    optimizer = WRAPPED[name](w)
    control = Control(optimizer, lr=SCHEDULE, total=TOTAL)
    for step in range(TOTAL):
        assert moved(w, control.step) == pytest.approx(expected(step), abs=1e-6)
    assert control.position == TOTAL


def test_half_steps_on_the_optimizer_inside_count_once():
    w = weight()
    sam = Sam([w], torch.optim.SGD, lr=0.1)
    scheduler = Scheduler(sam, SCHEDULE, TOTAL)
    for step in range(TOTAL):
        assert moved(w, sam.second_step) == pytest.approx(expected(step), abs=1e-6)
        scheduler.step()
    assert scheduler.position == TOTAL


def test_a_step_that_raises_is_no_update_and_stops_no_clock():
    class Failing(torch.optim.SGD):
        fails = False

        def step(self, closure=None):
            if self.fails:
                raise RuntimeError("failed")
            return super().step(closure)

    w = weight()
    optimizer = Failing([w], lr=0.1)
    scheduler = Scheduler(optimizer, SCHEDULE, TOTAL)
    for step in range(TOTAL):
        optimizer.fails = True
        w.grad = torch.ones(2)
        with pytest.raises(RuntimeError, match="failed"):
            optimizer.step()
        optimizer.fails = False
        assert moved(w, optimizer.step) == pytest.approx(expected(step), abs=1e-6)
    assert scheduler.position == TOTAL


class Accumulating(torch.optim.Optimizer):
    """In the shape of Accelerate's: steps and zeroes only every so often."""

    def __init__(self, optimizer, every):
        self.optimizer, self.every, self.calls = optimizer, every, 0

    param_groups = property(lambda self: self.optimizer.param_groups)
    state = property(lambda self: self.optimizer.state)
    defaults = property(lambda self: self.optimizer.defaults)

    def step(self, closure=None):
        self.calls += 1
        if self.calls % self.every == 0:
            self.optimizer.step(closure)

    def zero_grad(self, set_to_none=True):
        if self.calls % self.every == 0:
            self.optimizer.zero_grad(set_to_none)


@pytest.mark.parametrize("clip", [None, 0.5])
def test_a_wrapper_that_leaves_steps_out_moves_no_clock_and_keeps_its_gradients(clip):
    ours, theirs = weight(), weight()
    control = Control(Accumulating(torch.optim.SGD([ours], lr=0.1), 4), lr=SCHEDULE, total=5, clip=clip)
    other = Control(torch.optim.SGD([theirs], lr=0.1), lr=SCHEDULE, total=5, clip=clip)
    for step in range(20):
        ((ours - step).square().sum() / 4).backward()
        result = control.step()
        assert result.updated == (step % 4 == 3)
        ((theirs - step).square().sum() / 4).backward()
        if step % 4 == 3:
            other.step()
        assert torch.equal(ours, theirs)
    assert control.position == other.position == 5
    assert control.skipped == 0
    assert control.log == []


@pytest.mark.parametrize("make", [torch.optim.SGD, torch.optim.AdamW])
@pytest.mark.parametrize("rate", [0.1, torch.tensor(0.1)])
def test_the_step_by_which_torch_fills_an_optimizers_state_is_no_update(make, rate):
    def begin():
        torch.manual_seed(0)
        model = torch.nn.Linear(3, 1)
        given = rate.clone() if isinstance(rate, torch.Tensor) else rate
        return model, make(model.parameters(), lr=given)

    def update(model, optimizer):
        model(torch.ones(2, 3)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    model, optimizer = begin()
    scheduler = Scheduler(optimizer, SCHEDULE, TOTAL, foreign="raise")
    twin, other = begin()
    get_optimizer_state_dict(twin, other)  # before there is a scheduler: torch leaves its count of steps one too high
    plain = Scheduler(other, SCHEDULE, TOTAL)
    for step in range(3):
        state = get_optimizer_state_dict(model, optimizer)
        if step == 0:
            set_optimizer_state_dict(model, optimizer, state)
        assert scheduler.position == step
        for each in ((model, optimizer), (twin, other)):
            update(*each)
        scheduler.step()
        plain.step()
        assert torch.equal(model.weight, twin.weight)
        assert scheduler.get_last_lr() == plain.get_last_lr()


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
@pytest.mark.parametrize("saved", [True, False])
@pytest.mark.parametrize("loaded", [True, False])
def test_a_distributed_checkpoint_has_the_same_keys_with_a_control_and_without(tmp_path, saved, loaded):
    def begin(driven):
        model = torch.nn.Linear(2, 1)
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
        return model, optimizer, Control(optimizer, lr=linear(), total=9, position=1) if driven else None

    model, optimizer, control = begin(saved)
    model(torch.ones(1, 2)).sum().backward()
    (optimizer if control is None else control).step()
    checkpoint.save({"optimizer": get_optimizer_state_dict(model, optimizer)}, checkpoint_id=tmp_path)
    model, optimizer, control = begin(loaded)
    state = {"optimizer": get_optimizer_state_dict(model, optimizer)}
    checkpoint.load(state, checkpoint_id=tmp_path)
    set_optimizer_state_dict(model, optimizer, state["optimizer"])
    assert len(optimizer.state) == 2


@pytest.mark.parametrize("at", [0, 4])
@pytest.mark.parametrize("stops", [None, "break", "raise"])
def test_a_range_test_in_mid_run_moves_no_clock(at, stops):
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    scheduler = Scheduler(optimizer, SCHEDULE, TOTAL, foreign="raise")

    def update():
        loss = model(torch.ones(2, 4)).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.detach()

    for _ in range(at):
        update()
        scheduler.step()
    try:
        with range_test(optimizer, model, low=1e-4, high=0.1, steps=6) as test:
            for index, _ in enumerate(test):
                test.record(update())
                if stops == "break" and index == 3:
                    break
                if stops == "raise" and index == 3:
                    raise KeyError
    except KeyError:
        pass
    assert scheduler.position == at
    update()
    scheduler.step()
    assert scheduler.position == at + 1
    assert scheduler.get_last_lr() == pytest.approx([expected(at + 1)])


def test_what_something_else_writes_between_two_steps_is_used_by_no_update():
    w, late = weight(), weight()
    optimizer = torch.optim.SGD([w], lr=0.1)
    scheduler = Scheduler(optimizer, SCHEDULE, TOTAL)
    optimizer.param_groups[0]["lr"] = 5.0
    with pytest.warns(UserWarning, match="something else has set lr of group0 to 5"):
        assert moved(w, optimizer.step) == pytest.approx(expected(0))
    scheduler.step()
    optimizer.add_param_group({"params": [late], "lr": 3.0})
    assert moved(late, optimizer.step) == pytest.approx(30 * expected(1))
    scheduler.step()
    assert scheduler.get_last_lr() == pytest.approx([expected(2), 30 * expected(2)])


def test_hooks_of_a_dropped_scheduler_or_control_go_away():
    optimizer = sgd()
    for build in (
        lambda: Scheduler(optimizer, SCHEDULE, TOTAL),
        lambda: Control(optimizer, lr=SCHEDULE, total=TOTAL),
    ):
        kept = build()
        assert optimizer._optimizer_step_post_hooks
        del kept
        gc.collect()
        assert not optimizer._optimizer_step_pre_hooks
        assert not optimizer._optimizer_step_post_hooks
        assert not optimizer._optimizer_state_dict_post_hooks


def test_a_control_that_is_refused_leaves_nothing_behind():
    optimizer = sgd()
    for arguments in (
        {"lr": "cosine()"},
        {"lr": {"no": linear()}, "total": 9},
        {"lr": linear(), "total": 9, "foreign": "?"},
    ):
        with pytest.raises(ValueError):
            Control(optimizer, **arguments)
        with pytest.raises(ValueError):
            Scheduler(optimizer, **arguments)
    assert not optimizer._optimizer_step_pre_hooks
    assert not optimizer._optimizer_step_post_hooks
    assert not optimizer._optimizer_state_dict_post_hooks
    assert set(optimizer.param_groups[0]) == set(sgd().param_groups[0])
    Control(optimizer, lr=linear(), total=9)


def test_where_nothing_moves_the_clock_it_is_said_once():

    optimizer, another = sgd(), sgd()
    scheduler = Scheduler(optimizer, SCHEDULE, TOTAL)

    def go():
        for _ in range(40):
            another.step()
            scheduler.step()

    with pytest.warns(UserWarning, match="scheduler.step.. was called 8 times in a row without an update") as said:
        go()
    assert len(said) == 1
    assert said[0].filename == __file__


def test_an_optimizer_step_left_beside_control_is_said_at_the_second_time_with_its_line():
    w = weight()
    optimizer = torch.optim.SGD([w], lr=0.1)
    control = Control(optimizer, total=TOTAL)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for step in range(TOTAL):
            w.grad = torch.ones(2)
            optimizer.step()
            assert len(said) == (0 if step < 2 else 1)
            control.step()
    (only,) = said
    assert "updates beside control.step()" in str(only.message)
    source = Path(__file__).read_text().splitlines()
    assert source[only.lineno - 1].strip() == "optimizer.step()"
    assert only.filename == __file__


@pytest.mark.parametrize("accumulate", [1, 2])
def test_two_controls_and_a_range_test_are_no_left_over_steps(accumulate):
    model = torch.nn.Linear(2, 1)
    first, second = (torch.optim.SGD([p], lr=0.1) for p in model.parameters())
    controls = [Control(each, total=40, accumulate=accumulate) for each in (first, second)]
    with range_test(first, model, steps=30) as test:
        for _ in test:
            loss = model(torch.ones(1, 2)).square().sum()
            loss.backward()
            first.step()
            first.zero_grad()
            test.record(loss.detach())
    for _ in range(40 * accumulate):
        model(torch.ones(1, 2)).square().sum().backward()
        for control in controls:
            control.step()


def test_a_control_that_is_never_stepped_is_said_once():
    w = weight()
    optimizer = torch.optim.SGD([w], lr=0.1)
    control = Control(optimizer, lr=warmup(10) >> linear(), total=100)

    def go():
        for _ in range(100):
            w.grad = torch.ones(2)
            optimizer.step()

    with pytest.warns(UserWarning, match="20 times and control.step.. never") as said:
        go()
    assert len(said) == 1
    assert control.position == 0


def test_dropping_gradients_begins_the_window_anew():
    w = weight()
    control = Control(torch.optim.SGD([w], lr=1.0), accumulate=3, total=5)
    done = []
    for call in range(15):
        w.grad = torch.ones(2)
        done.append(control.step(1.0).updated)
        if call in (1, 6):
            control.zero_grad()
    assert [index for index, each in enumerate(done) if each] == [4, 9, 12]


def feedback_run(every, per_step):
    optimizer = sgd()
    scheduler = Scheduler(optimizer, linear(), 40, feedback=plateau(of="val_loss"))
    for step in range(40):
        optimizer.step()
        if step % every == every - 1:
            scheduler.step()
        if per_step and step % per_step == per_step - 1:
            scheduler.observe(val_loss=1.0)
    return scheduler


@pytest.mark.parametrize("every", [1, 4])
def test_feedback_that_is_given_nothing_is_said_once(every):
    with pytest.warns(UserWarning, match="feedback looks at 'val_loss', which it was not given in") as said:
        feedback_run(every, None)
    assert len(said) == 1
    feedback_run(every, 4)
    control = Control(sgd(), lr=linear(), total=2_000, feedback=plateau(of="val_loss"))
    with pytest.warns(UserWarning, match="was not given in 1200 steps"):
        [control.step() for _ in range(1_201)]


@pytest.mark.parametrize("at", [0, 4])
@pytest.mark.parametrize(
    "copied",
    [
        copy.deepcopy,
        lambda both: pickle.loads(pickle.dumps(both)),
        lambda both: torch.load(_saved(both), weights_only=False),
    ],
)
def test_a_copy_together_with_its_optimizer_goes_on_by_itself(at, copied):
    w = weight()
    optimizer = torch.optim.SGD([w], lr=0.1, momentum=0.9)
    scheduler = Scheduler(optimizer, SCHEDULE, TOTAL, momentum=linear(start=0.5, end=1))
    for _ in range(at):
        moved(w, optimizer.step)
        scheduler.step()
    scheduler.scale(0.5)
    twin, copy_of = copied((optimizer, scheduler))
    (copied_weight,) = twin.param_groups[0]["params"]
    assert copied_weight is not w
    assert copy_of.optimizer is twin
    for _ in range(at, TOTAL):
        for each, mine, clock in ((w, optimizer, scheduler), (copied_weight, twin, copy_of)):
            moved(each, mine.step)
            clock.step()
        assert torch.equal(w, copied_weight)
        assert copy_of.get_last_lr() == scheduler.get_last_lr()
        assert copy_of.position == scheduler.position
    assert copy_of.log == scheduler.log


def _saved(both):
    file = io.BytesIO()
    torch.save(both, file)
    file.seek(0)
    return file


def test_another_optimizer_may_take_the_place_of_the_first():
    w = weight()
    optimizer = torch.optim.SGD([w], lr=0.1)
    scheduler = Scheduler(optimizer, SCHEDULE, TOTAL)
    for step in range(TOTAL):
        if step == 4:
            optimizer = scheduler.optimizer = torch.optim.SGD([w], lr=7.0)
        assert moved(w, optimizer.step) == pytest.approx(expected(step), abs=1e-6)
        scheduler.step()
    with pytest.raises(ValueError, match="must be of 1 parameter groups"):
        scheduler.optimizer = torch.optim.SGD([{"params": [w]}, {"params": [weight()]}], lr=0.1)
    with pytest.raises(TypeError, match=r"must be a torch\.optim\.Optimizer"):
        scheduler.optimizer = 3


def test_a_control_says_that_its_state_is_what_is_kept():
    control = Control(sgd(), lr=SCHEDULE, total=TOTAL)
    for call in (copy.deepcopy, copy.copy, pickle.dumps):
        with pytest.raises(TypeError, match=r"keep control.state_dict\(\)"):
            call(control)


def test_inside_torchs_containers_it_says_how_parts_are_put_together():
    optimizer = sgd()
    scheduler = Scheduler(optimizer, warmup(5))
    with pytest.raises(AttributeError, match=r"put the parts together with >>.*Scheduler\(optimizer, a >> b\)"):
        SequentialLR(optimizer, [scheduler, StepLR(optimizer, 3)], [5])
    with pytest.warns(UserWarning, match="something else has set lr"):
        scheduler.detach()
    optimizer = sgd()
    chained = ChainedScheduler([Scheduler(optimizer, linear(), 9), StepLR(optimizer, 1)], optimizer)
    with pytest.warns(UserWarning, match="something else has set lr"):
        [(optimizer.step(), chained.step()) for _ in range(9)]


def test_a_wrapper_that_counts_by_itself_changes_nothing():
    w = weight()
    optimizer = torch.optim.SGD([w], lr=0.1)
    scheduler = Scheduler(optimizer, SCHEDULE, TOTAL)
    for step in range(TOTAL):  # in the shape of Ignite's: rates are asked for, and step is never called
        assert scheduler.get_lr() == pytest.approx([expected(step)])
        scheduler.last_epoch += 1
        assert moved(w, optimizer.step) == pytest.approx(expected(step), abs=1e-6)


@pytest.mark.parametrize("begin", [0, 4, 9])
def test_a_clock_by_hand_is_the_clock(begin):
    counted, plain = weight(), weight()
    by_hand = Control(torch.optim.SGD([counted], lr=0.1), lr=SCHEDULE, total=TOTAL, position=begin)
    assert by_hand.position == begin
    reference = Control(torch.optim.SGD([plain], lr=0.1), lr=SCHEDULE, total=TOTAL, remind=False)
    for _ in range(begin):
        reference.step()
    scheduler = Scheduler(sgd(), SCHEDULE, TOTAL, position=begin)
    assert scheduler.last_epoch == begin
    assert scheduler.get_last_lr() == list(by_hand.rates.values())
    for iteration in range(begin, TOTAL):
        assert moved(counted, lambda at=iteration: by_hand.step(to=at + 1)) == moved(plain, reference.step)
    assert by_hand.position == TOTAL


@given(st.lists(st.floats(0.1, 100), min_size=1, max_size=12), st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_to_is_advance_by_what_is_missing(amounts, accumulate):
    first, second = (Control(sgd(), total=1e6, accumulate=accumulate, remind=False) for _ in range(2))
    here = 0.0
    for amount in amounts:
        for call in range(accumulate):
            here += amount / accumulate
            first.step(advance=amount / accumulate)
            second.step(to=here)
            assert call < accumulate - 1 or second.position == pytest.approx(first.position)


def test_a_position_that_leads_back_is_refused():
    control = Control(sgd(), total=TOTAL, remind=False)
    control.step()
    for bad in (0, 1, 0.5):
        with pytest.raises(ValueError, match="to must be above the present position, 1"):
            control.step(to=bad)
    with pytest.raises(ValueError, match="to must be left out beside advance"):
        control.step(to=3, advance=1)
    assert control.position == 1


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_step_has_the_rates_it_was_done_with_and_its_loss(accumulate):
    optimizer = torch.optim.SGD([{"params": [weight()], "name": "a"}, {"params": [weight()], "lr": 0.3}], lr=0.1)
    control = Control(optimizer, lr=cosine(), total=5, accumulate=accumulate)
    for step in range(5):
        before = control.rates
        for part in range(accumulate):
            loss = torch.tensor(float(step + part))
            result = control.step(loss)
        assert result.rates == before
        assert float(result.loss) == step * accumulate + (accumulate - 1)
        assert control.rates != before
