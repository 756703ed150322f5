"""A loop that steps its optimizer itself stays as it is: the search only watches, and sets each step's rate."""

import math

import numpy as np
import pytest
import torch
from test_rate_search import PLAN, X, held_out, loader, loss_of, made, network, sgd
from torch import nn
from torch.optim import lr_scheduler

from stepsize import Control, RateSearch


def train(model, batches, optimizer, scheduler=None, every=1, seen=None):
    """A function as they are written everywhere."""
    model.train()
    optimizer.zero_grad()
    for place, batch in enumerate(batches, 1):
        (loss_of(model, batch) / every).backward()
        if place % every == 0 or place == len(batches):
            optimizer.step()
            optimizer.zero_grad()
            if scheduler is not None:
                scheduler.step()
        if seen is not None:
            seen.append(optimizer.param_groups[0]["lr"])


def looped(search, work):
    for run in search:
        work(run)


def scores(search):
    return [(run.rate, run.steps, run.score) for run in search.finding.results]


@pytest.mark.parametrize("accumulate", [1, 3])
def test_it_is_the_search_that_steps_bit_for_bit(accumulate):
    model = network()
    usual, _, _ = made(model=model, probe=held_out(model), accumulate=accumulate)
    for run in usual:
        for batch in run.batches():
            loss = loss_of(model, batch) / accumulate
            loss.backward()
            run.step(loss)
    for told in (False, True):
        search, _, optimizer = made(model=model, probe=held_out(model), accumulate=accumulate, own_steps=True)
        for run in search:
            if not told:
                train(model, run.batches(), optimizer, every=accumulate)
                continue
            for place, batch in enumerate(run.batches(), 1):
                loss = loss_of(model, batch) / accumulate
                loss.backward()
                if place % accumulate == 0:
                    optimizer.step()
                    optimizer.zero_grad()
                run.step(loss)
        assert scores(search) == scores(usual)
        assert (search.finding.rate, search.finding.verdict) == (usual.finding.rate, usual.finding.verdict)
        assert search.finding.cost.steps == usual.finding.cost.steps
        assert all(bool(run.losses) is told for run in search.finding.results)


def written(optimizer, scheduler):
    return [group["lr"] for group in optimizer.param_groups], scheduler.get_last_lr(), scheduler.state_dict()


@pytest.mark.parametrize("kind", ["lambda", "sequence", "wrapped"])
def test_a_scheduler_in_the_loop_is_written_over_and_takes_the_rate_found_as_its_base(kind):
    def groups():
        return [{"params": model[0].parameters()}, {"params": model[4].parameters(), "lr": 0.5}]

    def scheduler_of(optimizer):
        def line(step):
            return min(1.0, (step + 1) / 10)

        made = lr_scheduler.LambdaLR(optimizer, line)
        if kind == "sequence":
            return lr_scheduler.SequentialLR(optimizer, [made, lr_scheduler.StepLR(optimizer, 5)], [40])
        return made

    class Wrapped:
        """As Accelerate's."""

        def __init__(self, scheduler):
            self.scheduler, self.step = scheduler, scheduler.step
            self.state_dict, self.load_state_dict = scheduler.state_dict, scheduler.load_state_dict

    found = []
    for scheduled in (False, True):
        torch.manual_seed(0)
        model = network()
        optimizer = torch.optim.SGD(groups(), lr=0.05, momentum=0.9)
        scheduler = scheduler_of(optimizer) if scheduled else None
        given = Wrapped(scheduler) if scheduled and kind == "wrapped" else scheduler
        also = [] if given is None else [given]
        options = {"probe": held_out(model), "own_steps": True, "also": also}
        search = RateSearch(optimizer, model, lr=PLAN, total=100, loader=loader(), **options)
        before = None if scheduler is None else written(optimizer, scheduler)
        for run in search:
            train(model, run.batches(), optimizer, given)
        assert scheduler is None or written(optimizer, scheduler) == before
        found.append(scores(search))
        search.apply()
    # the scheduler has begun at a tenth, so the groups' ratio is the same but for its last bit
    np.testing.assert_allclose(found[0], found[1], rtol=1e-9)
    rate = search.finding.rate
    bases = [rate / 10, rate]
    assert [group["initial_lr"] for group in optimizer.param_groups] == pytest.approx(bases)
    inner = scheduler._schedulers[0] if kind == "sequence" else scheduler
    assert inner.base_lrs == pytest.approx(bases)
    lent = []
    for _ in range(12):
        lent.append(optimizer.param_groups[1]["lr"])
        optimizer.step()
        scheduler.step()
    assert lent == pytest.approx([rate * min(1, (step + 1) / 10) for step in range(12)])


def test_the_rate_found_is_given_to_every_group_and_optimizer_in_its_ratio():
    model = network()
    rate = torch.tensor(0.02)
    optimizers = {
        "body": torch.optim.AdamW(model[0].parameters(), lr=rate),
        "head": torch.optim.SGD([{"params": model[4].parameters()}, {"params": model[1].parameters(), "lr": 0.0}], 0.1),
    }
    search = RateSearch(optimizers, model, lr=PLAN, total=60, loader=loader(), probe=held_out(model), own_steps=True)
    with pytest.raises(RuntimeError, match="there is no finding: the search has not been run"):
        search.apply()
    for run in search:
        for batch in run.batches():
            model.zero_grad()
            loss_of(model, batch).backward()
            for optimizer in optimizers.values():
                optimizer.step()
    search.apply()
    assert optimizers["body"].param_groups[0]["lr"] is rate
    assert rate.item() == pytest.approx(search.finding.rate / 5)
    assert [group["lr"] for group in optimizers["head"].param_groups] == [search.finding.rate, 0.0]


def test_nothing_is_applied_where_nothing_was_learnt():
    model = network()
    search, _, optimizer = made(model=model, probe=lambda: 1.0, own_steps=True)
    for run in search:
        train(model, run.batches(), optimizer)
    with pytest.raises(RuntimeError, match="there is no rate to apply: no signal: nothing was learnt"):
        search.apply()
    assert optimizer.param_groups[0]["lr"] == 0.1


def test_a_control_is_told_by_its_own_verb():
    model = network()
    search, _, optimizer = made(model=model, probe=held_out(model), own_steps=True)
    control = Control(optimizer, lr="cosine()", total=100, remind=False)
    looped(search, lambda run: train(model, run.batches(), optimizer))
    with pytest.raises(
        RuntimeError, match=r"would write its own rates; tell it: control.rebase\(search.finding.rate\)"
    ):
        search.apply()
    control.rebase(search.finding.rate)
    assert control.rates == {"group0": search.finding.rate}


def test_the_rate_of_each_step_is_that_of_the_schedule():
    model, factors = network(), {}
    search, _, optimizer = made(model=model, lr="linear()", probe=held_out(model), own_steps=True)
    for run in search:
        seen = []
        train(model, run.batches(), optimizer, seen=seen)
        factors[run.steps] = [each / run.rate for each in seen]
    for steps, found in factors.items():
        assert len(found) == steps
        assert found[:-1] == pytest.approx([1 - step / steps for step in range(steps - 1)])


def test_batches_stand_in_for_the_loader():
    given = loader()
    model = network()
    search, _, optimizer = made(model=model, loader=given, probe=held_out(model), own_steps=True, accumulate=2)
    for run in search:
        batches = run.batches()
        assert len(batches) == 2 * run.steps
        assert batches.dataset is given.dataset
        assert batches.batch_size == 16
        with pytest.raises(AttributeError):
            _ = batches.missing
        train(model, batches, optimizer, every=2)
    assert search.finding.rate is not None


def test_a_run_that_breaks_is_known_by_its_score():
    model = network()
    search, _, optimizer = made(model=model, probe=held_out(model), own_steps=True, low=1, high=1e6)
    for run in search:
        train(model, run.batches(), optimizer)
    assert any(run.score == math.inf or run.score > 100 for run in search.finding.results)


def test_what_such_a_loop_gets_wrong_is_said():
    model = network()
    search, _, optimizer = made(model=model, probe=held_out(model), own_steps=True)
    before = [p.detach().clone() for p in model.parameters()]
    other = sgd(model.parameters(), 0.1)
    with pytest.raises(RuntimeError, match="no optimizer was stepped in 100 batches of a short run, and with own"):
        looped(search, lambda run: train(model, run.batches(), other))
    assert all(torch.equal(p, old) for p, old in zip(model.parameters(), before, strict=True))
    with pytest.raises(ValueError, match="own_steps needs loss=, a function of"):
        made(model=model, own_steps=True)
    with pytest.raises(ValueError, match=r"clip must be left out with own_steps, got 1\.0"):
        made(model=model, probe=held_out(model), own_steps=True, clip=1.0)
    search, _, optimizer = made(model=model, probe=held_out(model), own_steps=True)

    def replaces(run):
        train(model, run.batches(), optimizer)
        model[4] = nn.Linear(16, 1).double()

    with pytest.raises(RuntimeError, match="replaced, added or converted parameters"):
        looped(search, replaces)


def test_a_loop_that_steps_several_times_a_batch_moves_the_schedule_once():
    model = network()
    search, _, optimizer = made(model=model, probe=held_out(model), own_steps=True, loader=range(1, 41), total=40)
    lent = {}
    for run in search:
        for iteration in run.batches():
            assert isinstance(iteration, int)
            for part in torch.randperm(len(X))[:64].chunk(4):
                optimizer.zero_grad()
                loss_of(model, (X[part], X[part].sum(1, keepdim=True))).backward()
                optimizer.step()
                lent.setdefault(run.steps, []).append(optimizer.param_groups[0]["lr"])
    assert search.finding.rate is not None
    for rates in lent.values():
        assert all(len(set(rates[at : at + 4])) == 1 for at in range(0, len(rates), 4))


@pytest.mark.parametrize("kind", ["one cycle", "cyclic"])
def test_the_rate_found_is_the_highest_of_a_cycle(kind):
    torch.manual_seed(0)
    model = network()
    groups = [{"params": model[0].parameters()}, {"params": model[4].parameters()}]
    optimizer = torch.optim.SGD(groups, lr=0.05, momentum=0.9)
    highest = [0.05, 0.5]
    if kind == "cyclic":
        scheduler = lr_scheduler.CyclicLR(optimizer, [each / 10 for each in highest], highest, step_size_up=6)
    else:
        scheduler = lr_scheduler.OneCycleLR(optimizer, highest, 20, pct_start=0.3, div_factor=10)
    settings = {"probe": held_out(model), "own_steps": True, "also": [scheduler]}
    search = RateSearch(optimizer, model, lr=PLAN, total=60, loader=loader(), **settings)
    before = written(optimizer, scheduler)
    for run in search:
        train(model, run.batches(), optimizer, scheduler)
    assert written(optimizer, scheduler) == before
    search.apply()
    search.apply()  # again is the same
    rates = [[group["lr"] for group in optimizer.param_groups]]
    for _ in range(12):
        optimizer.step()
        scheduler.step()
        rates.append([group["lr"] for group in optimizer.param_groups])
    rate = search.finding.rate
    assert rates[0] == pytest.approx([rate / 100, rate / 10])
    assert [max(each) for each in zip(*rates, strict=True)] == pytest.approx([rate / 10, rate], rel=0.05)
