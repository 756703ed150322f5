"""The search in a loop of one's own: the rate and the bits of ``find``, and everything put back."""

import itertools
import math
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from stepsize import Control, RateSearch, Scheduler, Task, draw, find, one_cycle, range_test
from stepsize.state import RandomState, on_loan, own_randomness

X = torch.randn(256, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
Y = 3 * X.sum(1, keepdim=True).sin() + 0.1 * torch.randn(256, 1, generator=torch.Generator().manual_seed(1))
PLAN = "warmup(5%) >> cosine()"


def network(dropout=0.1):
    layers = [nn.Linear(4, 16), nn.BatchNorm1d(16), nn.Tanh(), nn.Dropout(dropout), nn.Linear(16, 1)]
    return nn.Sequential(*layers).double()


def batches(generator):
    while True:
        picked = torch.randint(len(X), (16,), generator=generator)
        yield X[picked], Y[picked]


def loss_of(model, batch):
    return (model(batch[0]) - batch[1]).square().mean()


def task(optimizer, **changes):
    settings = {
        "name": "net",
        "model": network,
        "batches": batches,
        "loss": loss_of,
        "optimizer": optimizer,
        "score": lambda model: float(loss_of(model, (X, Y))),
        "metrics": lambda model: {},
        "steps": 120,
        "schedule": PLAN,
    }
    return Task(**(settings | changes))


def looped(search, model, work=None):
    """The usual loop."""
    for run in search:
        for batch in run.batches():
            loss = loss_of(model, batch)
            loss.backward()
            if work is not None:
                work(run)
            run.step(loss)
    return search.finding


def loader(size=16, seed=0, **options):
    generator = torch.Generator().manual_seed(seed)
    return DataLoader(TensorDataset(X, Y), size, shuffle=True, generator=generator, **options)


def made(seed=0, of=None, **options):
    """A search with its model."""
    torch.manual_seed(seed)
    model = options.pop("model", None) or network()
    optimizer = (sgd if of is None else of)(model.parameters(), 0.1)
    settings = {"lr": PLAN, "total": 100, "loader": loader()}
    return RateSearch(optimizer, model, **(settings | options)), model, optimizer


def both_ways(of, seed=3, search=None, **changes):
    """What ``find`` finds, and what a loop of one's own finds in the same training."""
    found = find(task(of, **changes), seed=seed)
    with own_randomness(RandomState.seeded(seed)) as ended:
        model = network()
        optimizer = of(model.parameters(), 1.0)
    held_out = list(itertools.islice(batches(torch.Generator().manual_seed(seed ^ 0x5EED)), 200))
    with own_randomness(ended[0]):
        mine = RateSearch(
            optimizer,
            model,
            lr=changes.get("schedule", PLAN),
            total=changes.get("steps", 120),
            loader=lambda: batches(torch.Generator().manual_seed(seed)),
            probe=held_out,
            loss=loss_of,
            **({} if search is None else search),
        )
        accumulate = changes.get("accumulate", 1)
        for run in mine:
            for batch in run.batches():
                if isinstance(optimizer, torch.optim.LBFGS):

                    def closure(batch=batch):
                        optimizer.zero_grad()
                        loss = loss_of(model, batch)
                        loss.backward()
                        return loss

                    run.step(closure)
                else:
                    loss = loss_of(model, batch) / accumulate
                    loss.backward()
                    run.step(loss)
    return found, mine.finding


def adam(parameters, lr):
    return torch.optim.AdamW(parameters, lr=lr)


def sgd(parameters, lr):
    return torch.optim.SGD(parameters, lr=lr, momentum=0.9)


def lbfgs(parameters, lr):
    return torch.optim.LBFGS(parameters, lr=lr, max_iter=3)


@pytest.mark.parametrize(
    ("of", "search", "changes"),
    [
        (sgd, None, {}),
        (adam, None, {}),
        (adam, {"clip": 0.5}, {"clip": 0.5}),
        (sgd, {"accumulate": 3}, {"accumulate": 3}),
        (lbfgs, None, {"steps": 40}),
        (sgd, None, {"schedule": "warmup(12) >> constant() >> linear(24)", "steps": 120}),
    ],
)
def test_it_gives_the_rate_and_the_bits_of_find(of, search, changes):
    found, mine = both_ways(of, search=search, **changes)
    assert (mine.rate, mine.low, mine.high) == (found.rate, found.low, found.high)
    assert (mine.verdict, mine.initial, mine.stages) == (found.verdict, found.initial, found.stages)
    assert [(run.rate, run.steps, run.score, run.losses, run.probed) for run in mine.results] == [
        (run.rate, run.steps, run.score, run.losses, run.probed) for run in found.results
    ]
    assert (mine.cost.steps, mine.cost.forwards, mine.cost.runs) == (
        found.cost.steps,
        found.cost.forwards,
        found.cost.runs,
    )
    assert str(mine).split("(")[0] == str(found).split("(")[0]


def held_out(model):
    return lambda: loss_of(model, (X[128:], Y[128:]))


@pytest.mark.parametrize("way", ["loop", "loss", "function", "batches in the loop", "batches", "loader"])
def test_every_way_to_score_a_run_finds_a_rate_nearby(way):
    torch.manual_seed(0)
    model = network()
    batches = [(X[at : at + 16], Y[at : at + 16]) for at in range(128, 256, 16)]
    options = {
        "loop": {},
        "loss": {"loss": loss_of},
        "function": {"probe": held_out(model)},
        "batches in the loop": {"probe": batches},
        "batches": {"probe": batches, "loss": loss_of},
        "loader": {"probe": loader(seed=5), "loss": loss_of},
    }[way]
    search, _, _ = made(model=model, **options)
    finding = looped(search, model)
    assert 0.003 < finding.low < finding.rate < finding.high < 3
    assert finding.cost.runs < 2
    assert all(run.probed for run in finding.results)
    assert str(finding).startswith(f"rate {finding.rate:.3g}, good between")


def test_scores_of_the_loop_are_those_of_the_loss():
    found = []
    for options in ({}, {"loss": loss_of}):
        search, model, _ = made(**options, budget=10_000)
        found.append(looped(search, model))
    assert found[0].rate == found[1].rate
    assert [run.probed for run in found[0].results] == [run.probed for run in found[1].results]
    assert [run.losses for run in found[0].results] == [run.losses for run in found[1].results]
    assert found[0].cost.steps == found[1].cost.steps
    whole, third = (each.cost.runs * 100 - each.cost.steps for each in found)
    assert whole == pytest.approx(3 * third) == found[0].cost.forwards


def seen_and_scored(shuffle):
    """Batches of a loader of 32 that short runs were trained on, by their length, and those they were scored on."""
    numbered = TensorDataset(torch.arange(64.0).unsqueeze(1))
    model = nn.Linear(1, 1)
    search = RateSearch(
        torch.optim.SGD(model.parameters(), lr=1e-3),
        model,
        lr=PLAN,
        total=40,
        loader=DataLoader(numbered, 2, shuffle=shuffle, generator=torch.Generator().manual_seed(0)),
    )
    trained, scored = {}, []
    for run in search:
        seen = []
        scored.append([])
        for (batch,) in run.batches():
            (seen if model.training else scored[-1]).append(tuple(batch.flatten().tolist()))
            loss = (model(batch / 64) - batch / 64).square().mean()
            loss.backward()
            run.step(loss)
        trained.setdefault(run.steps, []).append(seen)
    for steps, runs in trained.items():
        assert all(seen == runs[0] and len(seen) == steps for seen in runs)
        assert all(seen[: len(trained[8][0])] == trained[8][0][: len(seen)] for seen in runs)
    longest = max(scored, key=len)
    assert all(batches == longest[: len(batches)] for batches in scored)
    return trained, longest


def test_the_batches_set_aside_are_trained_on_by_no_run_and_are_the_same_for_all():
    trained, scored = seen_and_scored(shuffle=False)
    aside = {value for batch in scored for value in batch}
    assert len(scored) == 8 == len(aside) / 2
    assert not aside & {value for runs in trained.values() for seen in runs for batch in seen[:24] for value in batch}


def test_a_loader_that_shuffles_scores_on_another_shuffle():
    trained, scored = seen_and_scored(shuffle=True)
    epoch = DataLoader(range(64), 2, shuffle=True, generator=torch.Generator().manual_seed(0))
    begun = iter(epoch)
    first = [tuple(map(float, next(begun)))]
    other = [tuple(map(float, batch)) for batch in epoch]
    first += [tuple(map(float, batch)) for batch in begun]
    assert all(seen == first[: len(seen)] for runs in trained.values() for seen in runs)
    assert scored == other[: len(scored)]


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize("momentum", [False, True])
def test_mid_training_takes_what_is_left_of_the_schedule_from_a_warm_start(momentum, listed):
    torch.manual_seed(0)
    model = network(dropout=0.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9)
    plan = one_cycle() if momentum else {"lr": "constant(50%) >> linear()"}
    control = Control(optimizer, **plan, total=100)
    draw = batches(torch.Generator().manual_seed(1))
    for _ in range(60):
        loss_of(model, next(draw)).backward()
        control.step()
    before = control.rates, [p.detach().clone() for p in model.parameters()]
    lent, factors = [], {}
    search = RateSearch(optimizer, model, **plan, total=100, position=60, loader=loader(), also=[control] * listed)
    for run in search:
        for place, batch in enumerate(run.batches()):
            if place < run.steps:
                assert on_loan(optimizer)
                factors.setdefault(run.steps, []).append(optimizer.param_groups[0]["lr"] / run.rate)
                lent.append(run.rate)
            loss = loss_of(model, batch)
            loss.backward()
            run.step(loss)
    whole = control.preview().rates["group0"] / 0.3
    for steps, found in factors.items():
        at = 60 + 40 * np.arange(steps) / steps
        np.testing.assert_allclose(found[:steps], np.interp(at, np.arange(100), whole), atol=0.02)
    assert control.rates == before[0]
    assert control.position == 60
    assert all(torch.equal(p, old) for p, old in zip(model.parameters(), before[1], strict=True))
    assert search.finding.rate is not None
    loss_of(model, next(draw)).backward()
    assert control.step().position == 60  # and goes on as if nothing had been


def test_groups_keep_their_ratios_and_tensor_rates_their_tensors():
    model = network()
    body, head = list(model[0].parameters()), list(model[4].parameters())
    rate = torch.tensor(0.02)
    optimizers = {
        "body": torch.optim.AdamW(body, lr=rate),
        "rest": torch.optim.SGD([{"params": head, "lr": 0.1}, {"params": model[1].parameters(), "lr": 0.0}], lr=0.1),
    }
    search = RateSearch(optimizers, model, lr="constant()", total=60, loader=loader(), loss=loss_of)
    for run in search:
        for batch in run.batches():
            lent = [group["lr"] for optimizer in optimizers.values() for group in optimizer.param_groups]
            assert lent[0] is rate
            np.testing.assert_allclose([float(each) for each in lent], [run.rate / 5, run.rate, 0], rtol=1e-6)
            loss = loss_of(model, batch)
            loss.backward()
            run.step(loss)
    assert search.finding.rate is not None
    assert optimizers["body"].param_groups[0]["lr"] is rate
    assert rate.item() == pytest.approx(0.02)


def test_a_rate_of_nought_at_a_scheduler_s_start_is_no_base():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: step / 10)
    assert optimizer.param_groups[0]["lr"] == 0
    search = RateSearch(optimizer, model, lr=PLAN, total=60, loader=loader())
    assert looped(search, model).rate is not None
    assert optimizer.param_groups[0]["lr"] == 0


def test_schedulers_around_do_not_count_and_go_on():
    torch.manual_seed(0)
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = Scheduler(optimizer, "cosine()", 50)
    for _ in range(10):
        loss_of(model, (X, Y)).backward()
        optimizer.step()
        scheduler.step()
    before = scheduler.get_last_lr()
    search = RateSearch(optimizer, model, lr="cosine()", total=50, position=10, loader=loader())
    assert looped(search, model).rate is not None
    assert scheduler.get_last_lr() == before == [optimizer.param_groups[0]["lr"]]
    assert scheduler.position == 10


class Gan:
    """Two networks and two optimizers, stepped in turn."""

    def __init__(self):
        torch.manual_seed(0)
        self.generator, self.critic = nn.Linear(2, 1), nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))
        self.of = {
            "generator": torch.optim.Adam(self.generator.parameters(), lr=1e-3),
            "critic": torch.optim.Adam(self.critic.parameters(), lr=4e-3),
        }
        self.noise = torch.randn(256, 2)
        self.loader = DataLoader(TensorDataset(2 + 0.1 * torch.randn(64, 1)), 8, shuffle=True)

    def critic_loss(self, real):
        fake = self.generator(self.noise[:8]).detach()
        return (self.critic(fake) - self.critic(real)).mean() + self.critic(real).square().mean()

    def generator_loss(self):
        return -self.critic(self.generator(self.noise[8:16])).mean()

    def off(self):
        return (self.generator(self.noise).mean() - 2).square()


def test_a_gan_searches_both_rates_with_their_ratio_or_one_while_the_other_keeps_its_own():
    gan = Gan()
    search = RateSearch(gan.of, gan.generator, lr=PLAN, total=200, loader=gan.loader, probe=gan.off, also=[gan.critic])
    for run in search:
        for (real,) in run.batches():
            loss = gan.critic_loss(real)
            loss.backward()
            run.step(loss, "critic")
            loss = gan.generator_loss()
            loss.backward()
            run.step(loss, "generator")
    both = search.finding
    assert both.rate is not None

    critic = gan.of["critic"]
    search = RateSearch(
        gan.of["generator"],
        gan.generator,
        lr=PLAN,
        total=200,
        loader=gan.loader,
        probe=gan.off,
        also=[gan.critic, critic],
    )
    before = [p.detach().clone() for p in gan.critic.parameters()]
    for run in search:
        for (real,) in run.batches():
            critic.zero_grad()
            gan.critic_loss(real).backward()
            critic.step()
            assert critic.param_groups[0]["lr"] == 4e-3
            loss = gan.generator_loss()
            loss.backward()
            run.step(loss)
    assert search.finding.rate is not None
    assert all(torch.equal(p, old) for p, old in zip(gan.critic.parameters(), before, strict=True))


def test_optimizers_stepped_by_name_in_turn_are_as_controls_of_their_own():
    gan, other = Gan(), Gan()
    start, order = [p.clone() for p in gan.generator.parameters()], torch.get_rng_state()
    search = RateSearch(gan.of, gan.generator, lr="cosine()", total=200, loader=gan.loader, probe=gan.off)
    trained = []
    for run in search:
        for (real,) in run.batches():
            trained.append(real)
            loss = gan.critic_loss(real)
            loss.backward()
            run.step(loss, "critic")
            loss = gan.generator_loss()
            loss.backward()
            run.step(loss, "generator")
        break_after = run.rate, run.steps, [p.detach().clone() for p in gan.generator.parameters()]
        break
    rate, steps, weights = break_after
    other.of["critic"].param_groups[0]["lr"], other.of["generator"].param_groups[0]["lr"] = rate, rate / 4
    controls = {name: Control(each, lr="cosine()", total=steps) for name, each in other.of.items()}
    for real in trained:
        other.critic_loss(real).backward()
        controls["critic"].step()
        other.generator_loss().backward()
        controls["generator"].step()
        controls["critic"].zero_grad()
    assert all(torch.equal(a, b) for a, b in zip(weights, other.generator.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(start, gan.generator.parameters(), strict=True))
    assert torch.equal(order, torch.get_rng_state())


def test_a_scaler_that_looks_for_its_scale_costs_no_updates():
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    found = []
    for scaler in (None, torch.amp.GradScaler("cpu", init_scale=2.0**127, backoff_factor=2.0**-30)):
        search = RateSearch(
            optimizer, model, lr=PLAN, total=60, loader=[(X.float(), Y.float())], scaler=scaler, loss=loss_of
        )
        for run in search:
            for batch in run.batches():
                loss = loss_of(model, batch)
                (loss if scaler is None else scaler.scale(loss)).backward()
                run.step(loss)
        found.append(search.finding)
    assert [run.score for run in found[0].results] == [run.score for run in found[1].results]
    assert found[1].rate == found[0].rate
    assert scaler._scale is None


def test_progress_tells_how_far_it_is():
    told = []
    search, model, _ = made(progress=lambda done, total, note: told.append((done, total, note)))
    finding = looped(search, model)
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
    assert told[-1][0] == finding.cost.steps
    assert all(done <= total and "rate" in note for done, total, note in told)


class Walk(IterableDataset):
    """A stream that goes on where it was left, and that nothing puts back."""

    def __init__(self):
        self.at = 0

    def __iter__(self):
        while True:
            self.at += 1
            generator = torch.Generator().manual_seed(self.at)
            yield torch.randn(4, generator=generator, dtype=torch.float64), torch.ones(1, dtype=torch.float64)


def test_batches_that_differ_from_run_to_run_are_said():
    search, model, _ = made(loader=DataLoader(Walk(), 16), total=60)
    assert "the loader gave other batches to each run" in looped(search, model).verdict
    assert search.unrestored == ("the position of Walk, a stream without a state dict",)


def test_nan_everywhere_is_no_usable_rate():
    search, model, _ = made(loader=[(X * math.nan, Y)] * 5)
    finding = looped(search, model)
    assert finding.rate is None
    assert str(finding).startswith("no usable rate: the loss is nan before any training")


def test_a_finding_is_drawn_whoever_found_it():
    search, model, _ = made()
    for finding in (looped(search, model), find(task(sgd, steps=60))):
        ax = draw(finding)
        lengths = {run.steps for run in finding.results}
        drawn = [line for line in ax.lines if line.get_label().startswith("after")]
        assert [line.get_label() for line in drawn] == [f"after {steps} steps" for steps in sorted(lengths)]
        assert sum(len(line.get_xdata()) for line in drawn) == len(finding.results)
        assert ax.lines[-1].get_xdata()[0] == finding.rate
    nothing = draw(find(task(sgd, steps=60, loss=lambda model, batch: 0 * loss_of(model, batch))))
    assert "nothing was learnt" in nothing.get_title()


@pytest.mark.parametrize("probe", [range_test, partial(RateSearch, lr="cosine()", total=100, loader=[1, 2])])
def test_an_optimizer_that_trains_nothing_of_the_model_is_named(probe):
    other = torch.nn.Linear(4, 1)
    with pytest.raises(ValueError, match="model must be one whose parameters the optimizer has, got 'Linear'"):
        probe(torch.optim.SGD(other.parameters(), lr=0.1), torch.nn.Linear(4, 1))
