"""A search in every loop: all it was handed comes back, whatever happens; and what a loop gets wrong is said."""

import gc

import pytest
import torch
import torch.distributed as dist
from children import side_by_side
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_capture import CLOSURE, OPTIMIZERS, Loop, all_of
from test_capture import group as group
from test_rate_search import PLAN, X, Y, adam, batches, held_out, loader, looped, loss_of, made, network, sgd
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

from stepsize import RateSearch, from_function
from stepsize.state import capture, on_loan


class StoppedError(Exception):
    """What a loop raises."""


def raced(loop, scored, accumulate, end, at):
    """A search that ends by itself, by a break, by an exception or by a misuse, after so many steps."""
    settings = {"lr": PLAN, "total": 24, "loader": loop.loader, "scaler": loop.scaler, "accumulate": accumulate}
    settings |= {"also": [] if loop.average is None else [loop.average]}
    settings |= {
        "loop": {},
        "loss": {"loss": lambda model, batch: loop.loss(batch[0])},
        "probe": {"probe": lambda: loop.loss(torch.ones(5, 4) * torch.rand(1))},
    }[scored]
    search, done = RateSearch(loop.given, loop.model, **settings), 0
    try:
        for run in search:
            for (batch,) in run.batches():
                loop.model.train()

                def closure(batch=batch):
                    loop.given.zero_grad()
                    loss = loop.loss(batch + 0.1 * torch.randn(1))
                    loss.backward()
                    return loss

                if done == at and end == "raise in between":
                    raise StoppedError
                if loop.kind in CLOSURE:
                    run.step(closure)
                else:
                    loss = loop.loss(batch + 0.1 * torch.randn(1))
                    (loss if loop.scaler is None else loop.scaler.scale(loss)).backward()
                    run.step(loss)
                if loop.average is not None:
                    loop.average.update_parameters(loop.model)
                done += 1
                if done == at and end == "raise":
                    raise StoppedError
                if done == at and end == "leave a run":
                    break
            if done >= at and end == "break":
                break
    except (StoppedError, RuntimeError):
        assert end not in ("end", "break")
    return search


ENDS = ["end", "break", "raise", "raise in between", "leave a run"]


QUICK = {"adamw", "lbfgs", "momentum", "sam"}


@pytest.mark.parametrize(
    "kind", [kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.slow) for kind in OPTIMIZERS]
)
@settings(max_examples=7, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    scaled=st.booleans(),
    averaged=st.booleans(),
    warm=st.integers(0, 3),
    scored=st.sampled_from(["loop", "loss", "probe"]),
    accumulate=st.integers(1, 2),
    end=st.sampled_from(ENDS),
    at=st.integers(0, 60),
)
def test_after_a_search_everything_is_the_same_bit_for_bit(
    group, kind, scaled, averaged, warm, scored, accumulate, end, at
):
    closure = kind in CLOSURE
    loop = Loop(kind, scaled and not closure, averaged, seed=7)
    for _ in range(warm):
        loop.step()
    loop.batches = iter(())
    before = all_of(loop)
    search = raced(loop, scored, 1 if closure else accumulate, end, at)
    after = all_of(loop)
    assert after == before
    assert search.unrestored == ()
    assert not any(map(on_loan, loop.optimizers))
    if end == "end":
        assert search.finding.results


@pytest.mark.parametrize("kind", ["adam", "sam", "both", "list"])
def test_training_after_a_search_is_training_without_it(group, kind):
    ends = []
    for end in (None, "end", "raise"):
        loop = Loop(kind, False, True, seed=3)
        losses = [loop.step() for _ in range(5)]  # a whole epoch
        if end is not None:
            raced(loop, "loop", 1, end, 11)
        loop.batches = iter(())  # an open iterator is not put back
        losses += [loop.step() for _ in range(5)]
        ends.append((losses, [p.detach().clone().numpy().tobytes() for p in loop.model.parameters()]))
    assert ends[0] == ends[1] == ends[2]


@pytest.mark.parametrize("how", ["break", "raise", "an iterator that is dropped", "enumerate"])
def test_a_search_that_was_left_has_no_finding_and_says_why(how):
    search, model, optimizer = made()
    before = [p.detach().clone() for p in model.parameters()]

    def work():
        for place, run in enumerate(search) if how == "enumerate" else zip(range(9), search, strict=False):
            for batch in run.batches():
                loss = loss_of(model, batch)
                loss.backward()
                run.step(loss)
            if place == 2:
                assert on_loan(optimizer)
                if how == "raise":
                    raise StoppedError
                break

    if how == "raise":
        with pytest.raises(StoppedError):
            work()
    elif how == "an iterator that is dropped":
        runs = iter(search)
        next(runs)
        del runs
    else:
        work()
    gc.collect()
    assert not on_loan(optimizer)
    assert all(torch.equal(p, old) for p, old in zip(model.parameters(), before, strict=True))
    with pytest.raises(RuntimeError, match=r"there is no finding: the loop was left in short run \d, by break or"):
        _ = search.finding
    with pytest.raises(RuntimeError, match="iterated before; make a new one"):
        iter(search)


def no_step(run, model, optimizer):
    for batch in run.batches():
        loss_of(model, batch).backward()


def own_step(run, model, optimizer):
    for batch in run.batches():
        loss = loss_of(model, batch)
        loss.backward()
        optimizer.step()
        run.step(loss)


def twice(run, model, optimizer):
    for batch in run.batches():
        loss = loss_of(model, batch)
        loss.backward()
        run.step(loss)
        run.step(loss)


def another_loader(run, model, optimizer):
    for batch in loader():
        loss = loss_of(model, batch)
        loss.backward()
        run.step(loss)


def nothing(run, model, optimizer):
    pass


def leaves(run, model, optimizer):
    for place, batch in enumerate(run.batches()):
        loss = loss_of(model, batch)
        loss.backward()
        run.step(loss)
        if place == 2:
            break


def again(run, model, optimizer):
    looping(run, model, optimizer)
    looping(run, model, optimizer)


def late(run, model, optimizer):
    looping(run, model, optimizer)
    run.step(1.0)


def looping(run, model, optimizer):
    for batch in run.batches():
        loss = loss_of(model, batch)
        loss.backward()
        run.step(loss)


def vector(run, model, optimizer):
    for batch in run.batches():
        loss = (model(batch[0]) - batch[1]).square()
        loss.mean().backward()
        run.step(loss)


def text(run, model, optimizer):
    for batch in run.batches():
        loss_of(model, batch).backward()
        run.step("0.3")


def no_loss(run, model, optimizer):
    for batch in run.batches():
        loss_of(model, batch).backward()
        run.step(None)


def truth(run, model, optimizer):
    for batch in run.batches():
        loss = loss_of(model, batch)
        loss.backward()
        run.step(loss > 0)


def silent_closure(run, model, optimizer):
    for batch in run.batches():

        def closure(batch=batch):
            loss_of(model, batch).backward()

        run.step(closure)


def nested(run, model, optimizer):
    looping(run, model, optimizer)
    for inner in RateSearch(optimizer, model, lr=PLAN, total=100, loader=loader()):
        looping(inner, model, optimizer)


def new_layer(run, model, optimizer):
    looping(run, model, optimizer)
    model[4] = nn.Linear(16, 1).double()


def converted(run, model, optimizer):
    looping(run, model, optimizer)
    model.float()


def new_group(run, model, optimizer):
    looping(run, model, optimizer)
    optimizer.add_param_group({"params": [nn.Parameter(torch.zeros(1))]})


def writes_rates(run, model, optimizer):
    for batch in run.batches():
        loss = loss_of(model, batch)
        loss.backward()
        run.step(loss)
        optimizer.param_groups[0]["lr"] = 0.5


def unnamed(run, model, optimizer):
    for batch in run.batches():
        loss = loss_of(model, batch)
        loss.backward()
        run.step(loss, "critic")


MISUSES = {
    no_step: "run.step was not called for a batch; call run.step",
    own_step: r"optimizer.step\(\) is called in the loop, and run.step\(loss\) does that; take it out",
    twice: "run.step was called more than once for a batch; call it once",
    another_loader: "run.step was called, and no batch was taken yet; call it once for each batch of run.batches",
    nothing: "no batch of a short run was taken; train on those it gives: for batch in run.batches",
    leaves: "a short run was left after 3 batches, before its end; go through all of run.batches",
    again: r"the batches of this short run were given before; iterate over run.batches\(\) once",
    late: "run.step was called, and this short run is over; call it once for each batch",
    vector: r"shape of loss must be one number, got \(16, 1\); take its mean or sum first",
    text: "loss must be one number, got '0.3'",
    no_loss: "loss must be one number, got None",
    truth: r"dtype of loss must be that of a number, got torch\.bool; hand over the loss itself",
    silent_closure: "what the closure returns must be one number, got None",
    nested: "optimizer is on loan to another search or range test, which is not over; end that first",
    new_layer: "the loop replaced, added or converted parameters in a short run; build the model",
    converted: "the loop replaced, added or converted parameters in a short run; build the model",
    new_group: "the loop replaced, added or converted parameters in a short run; build the model",
    writes_rates: "something else has set lr of group0 to 0.5",
    unnamed: "of must be the name of an optimizer, got 'critic'",
}


@pytest.mark.parametrize("scored", ["loop", "function"])
@pytest.mark.parametrize("misuse", list(MISUSES), ids=lambda misuse: misuse.__name__)
def test_what_a_loop_gets_wrong_is_one_line_and_all_is_put_back(misuse, scored):
    model = network()
    search, _, optimizer = made(model=model, **({"probe": held_out(model)} if scored == "function" else {}))
    before = model, list(model.parameters()), [p.detach().clone() for p in model.parameters()]

    def loop():
        for run in search:
            misuse(run, model, optimizer)

    with pytest.raises((RuntimeError, TypeError, ValueError), match=MISUSES[misuse]) as caught:
        loop()
    assert "\n" not in str(caught.value)
    del caught
    assert all(p is old for p, old in zip(model.parameters(), before[1], strict=True))
    assert all(torch.equal(p, old) for p, old in zip(model.parameters(), before[2], strict=True))
    assert optimizer.param_groups[0]["lr"] == 0.1
    assert len(optimizer.param_groups) == 1
    assert not optimizer.state
    assert not on_loan(optimizer)


def test_a_loader_that_ends_within_a_run_begins_again_and_an_exhausted_one_says_so():
    seen = []
    data = [(X[:16], Y[:16]), (X[16:32], Y[16:32]), (X[32:48], Y[32:48])]
    search, model, _ = made(loader=data, probe=None, total=40)
    for run in search:
        for batch in run.batches():
            if model.training:
                seen.append(next(place for place, each in enumerate(data) if each[0] is batch[0]))
            loss = loss_of(model, batch)
            loss.backward()
            run.step(loss)
    assert seen[:8] == [0, 1, 2, 0, 1, 2, 0, 1]
    with pytest.raises(TypeError, match=r"loader must be a data loader, got .*; an open iterator cannot be put back"):
        made(loader=iter(data))
    once = iter(data)
    search, model, _ = made(loader=lambda: once, probe=data, loss=loss_of)
    with pytest.raises(ValueError, match=r"what loader\(\) returns must be a new iterator at each call.*exhausted"):
        looped(search, model)
    search, model, _ = made(loader=lambda: iter([]), probe=data, loss=loss_of)
    with pytest.raises(ValueError, match="loader ended after 0 batches"):
        looped(search, model)
    for scored in ({"loss": loss_of}, {}):
        search, model, _ = made(loader=lambda: iter([]), **scored)
        with pytest.raises(ValueError, match="loader gave no batch, and runs are scored on some; hand over one with"):
            looped(search, model)
    with pytest.raises(ValueError, match=r"loader must be one batch or more, got \[\]"):
        made(loader=[])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (TensorDataset(X, Y), r"a loader of batches, not a data set, got 'TensorDataset'; write DataLoader\("),
        ({"train": [(X, Y)]}, "a data loader, a list of batches or a function"),
        (nn.Sequential(nn.Linear(4, 1)), "a data loader, a list of batches or a function"),
    ],
)
def test_what_can_be_iterated_over_and_gives_no_batches_is_refused(given, said):
    with pytest.raises(TypeError, match=f"loader must be {said}"):
        made(loader=given)
    if not isinstance(given, TensorDataset):
        with pytest.raises(TypeError, match=f"probe must be {said}"):
            made(probe=given)


def test_two_searches_at_once_over_one_optimizer_are_refused_and_nothing_stays_behind():
    first, model, optimizer = made()
    second, *_ = made(model=model, of=lambda *_: optimizer)
    before = [p.detach().clone() for p in model.parameters()]

    def both():
        for _ in zip(first, second, strict=False):
            pass

    with pytest.raises(RuntimeError, match="on loan to another search"):
        both()
    gc.collect()
    assert not on_loan(optimizer)
    assert not optimizer._optimizer_step_post_hooks
    assert optimizer.param_groups[0]["lr"] == 0.1
    assert all(torch.equal(p, old) for p, old in zip(model.parameters(), before, strict=True))
    with pytest.raises(RuntimeError, match="there is no finding: optimizer is on loan"):
        _ = second.finding


def test_optimizers_are_stepped_together_or_by_name_and_by_name_with_a_probe():
    model = network()
    parts = {"body": sgd(model[0].parameters(), 0.1), "head": adam(model[4].parameters(), 0.1)}

    def search(**options):
        return RateSearch(parts, model, lr=PLAN, total=60, loader=loader(), **options)

    def loop(search, names):
        for run in search:
            for place, batch in enumerate(run.batches()):
                loss = loss_of(model, batch)
                loss.backward()
                for name in names(place):
                    run.step(loss, name)
        return search.finding

    assert loop(search(), lambda place: [None]).rate is not None
    assert loop(search(probe=held_out(model)), lambda place: ["body", "head"]).rate is not None
    assert loop(search(probe=held_out(model)), lambda place: ["body", "head"] if place % 3 == 0 else ["body"]).rate
    with pytest.raises(RuntimeError, match="by name no single loss is the score; give the search a probe="):
        loop(search(), lambda place: ["body", "head"])
    with pytest.raises(RuntimeError, match="step all optimizers together, or each by its name"):
        loop(search(probe=held_out(model)), lambda place: [None] if place == 0 else ["body"])
    with pytest.raises(RuntimeError, match="more than once for a batch"):
        loop(search(probe=held_out(model)), lambda place: ["body", "body"])


def ranked(rank, place, out):
    """A search on each of two processes, over one model, each with its own part of the data."""
    dist.init_process_group("gloo", init_method=f"file://{place}", rank=rank, world_size=2)
    torch.manual_seed(0)
    model = DistributedDataParallel(network(dropout=0.0))
    data = TensorDataset(X, Y)
    own = DataLoader(data, 8, sampler=DistributedSampler(data, 2, rank, seed=1))
    search = RateSearch(
        sgd(model.parameters(), 0.1), model, lr=PLAN, total=60, loader=own, progress=lambda *told: None, budget="30s"
    )
    first = looped(search, model)
    search = RateSearch(adam(model.parameters(), 0.1), model, lr=PLAN, total=60, loader=own, loss=loss_of)
    second = looped(search, model)
    said = [
        [each.rate, each.verdict, each.initial, [(run.rate, run.losses, run.probed) for run in each.results]]
        for each in (first, second)
    ]
    torch.save(said, f"{out}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_take_one_decision(tmp_path):
    side_by_side(ranked, (tmp_path / "meeting", tmp_path), 2)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    assert first == second
    assert all(rate is not None for rate, *_ in first)


def test_batches_may_come_from_a_function():
    search, model, _ = made(loader=lambda: batches(torch.Generator().manual_seed(0)))
    assert looped(search, model).rate is not None


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW])
def test_a_loop_that_steps_its_optimizer_itself_finds_what_run_step_finds_to_the_bit(kind):
    def found(own):
        torch.manual_seed(0)
        model = network()
        optimizer = kind(model.parameters(), lr=0.1)
        settings = {"lr": PLAN, "total": 40, "loader": loader(), "loss": loss_of, "own_steps": own}
        search = RateSearch(optimizer, model, **settings)
        for run in search:
            for batch in run.batches():
                loss = loss_of(model, batch)
                loss.backward()
                if own:
                    optimizer.step()
                    optimizer.zero_grad()
                run.step(loss)
        assert optimizer.param_groups[0]["lr"] == 0.1
        return search.finding

    one, other = found(False), found(True)
    assert (one.rate, one.verdict) == (other.rate, other.verdict)
    assert [run.losses for run in one.results] == [run.losses for run in other.results]


def test_own_steps_move_the_schedule_once_a_batch_and_not_in_batches_without_a_step():
    model, rates = network(), []
    first, second = (torch.optim.SGD(model.parameters(), lr=lr) for lr in (0.1, 0.3))
    for_both = {"loader": loader(), "loss": loss_of, "own_steps": True}
    for run in RateSearch([first, second], model, lr="linear()", total=8, **for_both):
        seen = []
        for count, batch in enumerate(run.batches(), 1):
            loss = loss_of(model, batch)
            loss.backward()
            if count % 2 == 0:
                seen.append((first.param_groups[0]["lr"], second.param_groups[0]["lr"]))
                for optimizer in (first, second, second):
                    optimizer.step()
                first.zero_grad()
            run.step(loss)
        rates.append((run, seen))
    for run, seen in rates:
        assert [3 * one for one, _ in seen] == pytest.approx([other for _, other in seen])
        assert [other for _, other in seen] == pytest.approx([run.rate * (1 - k / run.steps) for k in range(len(seen))])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"clip": 1.0}, "clip must be left out with own_steps, got 1.0; the loop does that itself"),
        ({"loss": None}, "own_steps needs loss=, a function of .model, batch., or probe=, a function"),
    ],
)
def test_what_a_loop_with_own_steps_does_itself_is_left_out(given, said):
    model = network()
    settings = {"lr": PLAN, "total": 40, "loader": loader(), "loss": loss_of, "own_steps": True, **given}
    with pytest.raises(ValueError, match=said):
        RateSearch(sgd(model.parameters(), 0.1), model, **settings)


def test_a_function_of_the_position_is_squeezed_into_each_run():
    def found(schedule):
        torch.manual_seed(0)
        model = network()
        settings = {"lr": schedule, "total": 40, "loader": loader(), "loss": loss_of}
        search = RateSearch(sgd(model.parameters(), 0.1), model, **settings)
        for run in search:
            for batch in run.batches():
                loss = loss_of(model, batch)
                loss.backward()
                run.step(loss)
        return search.finding

    one, other = found("linear()"), found(from_function(lambda position: 1 - position / 40, name="falling"))
    assert one.rate == pytest.approx(other.rate)
    for run, same in zip(one.results, other.results, strict=True):
        assert run.losses == pytest.approx(same.losses)


def test_a_loader_of_accelerate_is_put_back():
    accelerate = pytest.importorskip("accelerate")
    prepared = accelerate.Accelerator(cpu=True).prepare(DataLoader(range(8), batch_size=2, shuffle=True))
    kept = capture(prepared)
    first = [batch.tolist() for batch in prepared]
    assert [batch.tolist() for batch in prepared] != first
    kept.restore()
    assert [batch.tolist() for batch in prepared] == first
