"""The optimizers of tasks: rates that follow, several at once, closures, whole plans; exact resumption."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from stepsize import Plan, Task, Trial, find, one_cycle, sweep, train
from stepsize.engine import Batched, serial
from stepsize.task import packed, squeezed, unpacked

X = torch.linspace(-2, 2, 64).unsqueeze(1)
Y = torch.sin(X)


def batches(generator):
    while True:
        picked = torch.randint(64, (16,), generator=generator)
        yield X[picked], Y[picked]


def network():
    return nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))


def error(model, batch):
    return (model(batch[0]) - batch[1]).square().mean()


def score(model):
    return float((model(X) - Y).square().mean())


def metrics(model):
    return {"validation_loss": score(model)}


def sgd(parameters, lr):
    return torch.optim.SGD(parameters, lr=lr)


def muon_beside_adamw(parameters, lr):
    listed = list(parameters)
    matrices, rest = [p for p in listed if p.ndim == 2], [p for p in listed if p.ndim < 2]
    return [torch.optim.Muon(matrices, lr=lr), torch.optim.AdamW(rest, lr=0.1 * lr)]


def by_name(parameters, lr):
    return dict(zip(("matrices", "rest"), muon_beside_adamw(parameters, lr), strict=True))


def lbfgs(parameters, lr):
    return torch.optim.LBFGS(parameters, lr=lr, max_iter=3, history_size=4, line_search_fn="strong_wolfe")


def task(**parts):
    common = {"name": "sine", "model": network, "batches": batches, "loss": error, "score": score, "metrics": metrics}
    return Task(**{**common, "optimizer": sgd, "steps": 30, **parts})


IGNORING = {
    "a rate of its own": lambda p, lr: torch.optim.AdamW(p, lr=1e-3),
    "torch's": lambda p, lr: torch.optim.Adam(p),
    "in every group": lambda p, lr: torch.optim.SGD([{"params": [each], "lr": 0.3} for each in p], lr=lr),
    "no more than": lambda p, lr: torch.optim.SGD(p, lr=min(lr, 1e-3)),
    "in all of several": lambda p, lr: [torch.optim.SGD([each], lr=0.3) for each in p],
    "as a tensor": lambda p, lr: torch.optim.SGD(p, lr=torch.tensor(0.3)),
    "zero": lambda p, lr: torch.optim.SGD(p, lr=0.0),
}


@pytest.mark.parametrize("optimizer", IGNORING.values(), ids=IGNORING)
def test_an_optimizer_that_ignores_its_rate_is_refused_in_one_line(optimizer):
    for call in (lambda own: train(own, lr=0.02), lambda own: find(own, low=2e-3, high=1.0)):
        said = r"optimizer\(...\) of the task 'sine' must use the rate that it is given.*lr=lr\)$"
        with pytest.raises(ValueError, match=said):
            call(task(optimizer=optimizer))


FOLLOWING = {
    "itself": sgd,
    "a multiple": lambda p, lr: torch.optim.SGD(p, lr=0.1 * lr),
    "as a tensor": lambda p, lr: torch.optim.SGD(p, lr=torch.tensor(0.5 * lr)),
    "multiples by group": lambda p, lr: torch.optim.SGD(
        [{"params": [each], "lr": lr * 0.5**depth} for depth, each in enumerate(p, 1)]
    ),
    "one group frozen": lambda p, lr: torch.optim.SGD(
        [{"params": [each], "lr": lr / 3 if each.ndim == 2 else 0.0} for each in p]
    ),
}


@pytest.mark.parametrize("optimizer", FOLLOWING.values(), ids=FOLLOWING)
def test_multiples_of_the_rate_are_taken(optimizer):
    trained = train(task(optimizer=optimizer, schedule="constant()"), lr=0.02, steps=3)
    assert len(trained.losses) == 3


@pytest.mark.parametrize(
    ("optimizer", "said"),
    [
        (lambda p, lr: torch.optim.SGD(network().parameters(), lr=lr), "has parameters that are not the model's"),
        (lambda p, lr: [sgd(p, lr), sgd([torch.zeros(1, requires_grad=True)], lr)], "that are not the model's"),
        (lambda p, lr: (), "optimizer must be a torch.optim.Optimizer, a list of them"),
        (lambda p, lr: [sgd(p, lr), 3], "optimizer must be a torch.optim.Optimizer, a list of them"),
        (lambda p, lr: torch.optim.SGD(p, lr=torch.tensor(1)), "lr must be a tensor of floating-point numbers"),
        (lambda p, lr: without_rate(sgd(p, lr)), "has no learning rate in its groups"),
        (lambda p, lr: without_rate(sgd(p, lr), None), "has no learning rate in its groups"),
    ],
)
def test_what_is_no_optimizer_of_the_model_is_refused_in_one_line_before_anything_is_trained(optimizer, said):
    trained = []
    own = task(optimizer=optimizer, score=lambda model: trained.append(model) or 1.0)
    trial = Trial("sine", {"lr": 0.02}, steps=3)
    for call in (
        lambda: train(own, lr=0.02),
        lambda: list(serial(own, [trial])),
        lambda: list(Batched()(own, [trial])),
    ):
        with pytest.raises((TypeError, ValueError), match=said) as caught:
            call()
        assert len(str(caught.value).splitlines()) == 1
    assert not trained


def without_rate(optimizer, *value):
    for group in optimizer.param_groups:
        del group["lr"]
        if value:
            group["lr"] = value[0]
    return optimizer


KINDS = {"muon beside adamw": muon_beside_adamw, "by name": by_name, "lbfgs": lbfgs}


@pytest.mark.parametrize("optimizer", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("accumulate", [1, 2])
def test_several_optimizers_and_closures_train_find_sweep_and_resume_exactly(optimizer, accumulate, tmp_path):
    own = task(optimizer=optimizer, accumulate=accumulate, clip=None if optimizer is lbfgs else 1.0)
    trial = Trial("sine", {"lr": 0.05}, steps=12)
    whole, first = own.start(trial), own.start(trial)
    losses = whole.advance(12)
    assert losses[-1] < losses[0]
    start = first.advance(7)
    torch.save(first.state(), tmp_path / "state.pt")
    again = own.start(trial)
    again.load_state(torch.load(tmp_path / "state.pt", weights_only=True))
    assert start + again.advance(5) == losses
    assert all(torch.equal(a, b) for a, b in zip(whole.model.parameters(), again.model.parameters(), strict=True))
    found = find(own, low=1e-3, high=1.0, steps=40)
    assert found.rate is not None
    assert len(sweep(own, [0.01, 0.1], seeds=1, steps=5, folder=tmp_path / "s", engine=serial).outcomes) == 2
    with pytest.raises(ValueError, match="cannot be batched: it"):
        list(Batched()(own, [trial]))


def test_several_are_driven_by_one_plan_and_become_one_by_name():
    own = task(optimizer=by_name, schedule="linear()")
    run = own.start(Trial("sine", {"lr": 0.4}, steps=10))
    assert run.control.rates == {"matrices/group0": 0.4, "rest/group0": pytest.approx(0.04)}
    run.advance(5)
    assert run.control.rates == {"matrices/group0": 0.2, "rest/group0": pytest.approx(0.02)}
    taken = own.start(Trial("sine", {"lr": 0.4, "optimizer": "sgd", "momentum": 0.5}, steps=10))
    assert list(taken.optimizers) == [""]
    assert [group["momentum"] for group in taken.optimizer.param_groups] == [0.5, 0.5]
    assert list(taken.control.rates.values()) == [0.4, pytest.approx(0.04)]
    decayed = own.start(Trial("sine", {"lr": 0.4, "weight_decay": 0.3}, steps=10))
    assert [group["weight_decay"] for optimizer in decayed.optimizers.values() for group in optimizer.param_groups] == [
        0.3,
        0.3,
    ]


@pytest.mark.parametrize("text", ["lars", "lamb(weight_decay=0.1)"])
def test_lars_and_lamb_by_name_do_not_adapt_biases_and_norms_zero_or_not(text):
    def model():
        made = nn.Sequential(nn.Linear(1, 8), nn.LayerNorm(8), nn.Linear(8, 1))
        nn.init.zeros_(made[2].bias)
        return made

    own = task(model=model)
    run = own.start(Trial("sine", {"lr": 0.01, "optimizer": text}, steps=5))
    groups = run.optimizer.param_groups
    assert [(group["adapt"], len(group["params"])) for group in groups] == [(True, 2), (False, 4)]
    before = [p.detach().clone() for p in run.model.parameters()]
    assert all(map(math.isfinite, run.advance(5)))
    assert not any(torch.equal(a, b) for a, b in zip(before, run.model.parameters(), strict=True))


CYCLE = Plan(**one_cycle())


def momenta(run, steps):
    seen = []
    for _ in range(steps):
        seen.append(run.optimizer.param_groups[0]["momentum"])
        run.advance(1)
    return seen


def heavy(parameters, lr):
    return torch.optim.SGD(parameters, lr=lr, momentum=0.9)


@pytest.mark.parametrize("steps", [30, 10])
def test_a_plan_of_one_cycle_moves_the_momentum_squeezed_into_any_length(steps):
    own = task(optimizer=heavy, plan=CYCLE)
    run = own.start(Trial("sine", {"lr": 0.1}, steps=steps))
    cycle = CYCLE.over(steps).momentum
    seen = momenta(run, steps)
    assert seen == pytest.approx([cycle(position) for position in range(steps)])
    assert max(seen) == pytest.approx(0.95)
    assert min(seen) < 0.86
    assert replace(own, plan=str(CYCLE)).plan == own.plan
    assert unpacked(packed(own)).plan == own.plan
    assert replace(own, device="cpu").recipe == CYCLE


def test_a_trial_says_otherwise_only_what_it_names():
    own = task(optimizer=heavy, plan=CYCLE)
    plan = own.plan_for(Trial("sine", {"lr": 0.1, "momentum": 0.5}, steps=30))
    assert set(plan.courses) == {"lr"}
    run = own.start(Trial("sine", {"lr": 0.1, "momentum": 0.5}, steps=30))
    assert momenta(run, 3) == [0.5] * 3
    said = {"lr": 0.1, "schedule": "linear()", "clip": 2.0, "warmup": 3}
    plan = own.plan_for(Trial("sine", said, steps=30))
    assert (str(plan.lr), plan.clip, plan.momentum) == ("warmup(3) >> linear()", 2.0, CYCLE.momentum)


def test_a_plan_is_the_whole_of_it_and_its_rate_a_factor():
    for parts, said in (
        ({"plan": CYCLE, "clip": 1.0}, "plan is the whole of it, and clip came beside it"),
        ({"plan": CYCLE, "schedule": "linear()"}, "and schedule came beside it"),
        ({"plan": "lr: absolute(linear())"}, "lr of plan must be one schedule, a factor of the trial's lr"),
        ({"plan": Plan({"*": "linear()"})}, "lr of plan must be one schedule"),
        ({"schedule": "absolute(linear())"}, "schedule must be one schedule, a factor of the trial's lr"),
    ):
        with pytest.raises(ValueError, match=said):
            task(**parts)


def test_warm_up_momentum_and_decay_are_arguments_of_train():
    own = task(optimizer=heavy, schedule="constant()")
    trained = train(own, lr=0.1, steps=4, warmup=2, momentum=0.5, weight_decay=0.01)
    settings = {"lr": 0.1, "warmup": 2.0, "momentum": 0.5, "weight_decay": 0.01}
    assert trained.trial == Trial("sine", settings, steps=4)
    assert trained.losses == tuple(own.start(trained.trial).advance(4))
    with pytest.raises(ValueError, match="no 'momentum'"):
        train(task(optimizer=lambda p, lr: torch.optim.Adagrad(p, lr=lr)), lr=0.1, momentum=0.5)


def test_a_warm_up_in_steps_is_squeezed_with_the_run_that_find_shortens():
    assert squeezed({"warmup": "10%", "clip": 1.0}, 0.5) == {"warmup": "10%", "clip": 1.0}
    assert squeezed({"warmup": 0.0}, 0.5) == {"warmup": 0.0}
    lengths = {
        result.trial.steps: result.trial.settings["warmup"]
        for result in find(task(steps=200), warmup=100, budget=60).results
    }
    assert lengths
    assert all(warm == pytest.approx(steps / 2) for steps, warm in lengths.items())


LOSSES = {
    "of shape (1,)": lambda model, batch: error(model, batch).reshape(1),
    "of shape (1, 1)": lambda model, batch: error(model, batch).reshape(1, 1),
}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_a_loss_of_one_element_is_a_loss_everywhere(loss):
    plain, shaped = task(schedule="constant()"), task(schedule="constant()", loss=loss)
    assert train(plain, lr=0.1).losses == train(shaped, lr=0.1).losses
    assert find(plain, budget=60).rate == find(shaped, budget=60).rate
    trials = [Trial("sine", {"lr": 0.1}, seed, 5) for seed in range(2)]
    for engine in (serial, Batched()):
        pairs = zip(engine(plain, trials), engine(shaped, trials), strict=True)
        assert all(one.losses == other.losses for one, other in pairs)


def lazy():
    return nn.Sequential(nn.LazyLinear(4), nn.Linear(4, 1))


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (
            {"loss": lambda model, batch: error(model, batch) * (1 + 1j)},
            "dtype of loss.* must be real, got torch.complex64",
        ),
        ({"model": lazy}, "model.* must be a module whose shapes are known.* call a lazy module once"),
        ({"model": nn.ReLU}, "model.* must be a module with parameters"),
        (
            {"batches": lambda generator: itertools.repeat(None)},
            "batches.* must be an endless iterator of what loss.* None",
        ),
    ],
)
def test_what_cannot_be_trained_is_one_line_for_every_command_and_engine(parts, said, tmp_path):
    own = task(**parts)
    calls = (
        lambda: train(own, lr=0.1),
        lambda: find(own, low=0.01, high=1.0),
        lambda: sweep(own, [0.1], seeds=1, folder=tmp_path / "a", engine=serial),
        lambda: list(Batched()(own, [Trial("sine", {"lr": 0.1}, steps=3)])),
    )
    for call in calls:
        with pytest.raises((TypeError, ValueError), match=said) as caught:
            call()
        assert "\n" not in str(caught.value)
