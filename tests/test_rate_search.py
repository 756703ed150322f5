"""The search in a loop of one's own: the rate and the bits of ``find``, and everything put back."""

import itertools

import pytest
import torch
from torch import nn

from stepsize import RateSearch, Task, find
from stepsize.state import RandomState, own_randomness

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


def searched(search, model, accumulate=1):
    for run in search:
        for batch in run.batches():
            loss = loss_of(model, batch) / accumulate
            loss.backward()
            run.step(loss)
    return search.finding


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
