"""Batched: the figures of serial for every plan it takes, in any company of trials; other plans are declined."""

import itertools
import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss

from stepsize import Task, Trial, find
from stepsize.engine import Batched, Leg, serial
from stepsize.engine._stacked import Stack
from stepsize.engine._updates import why_not_linear
from stepsize.optim import kinds, no_decay, optimizer, value_clipping
from stepsize.task import Shuffled, task_named

X = torch.randn(96, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
Y = X[:, :3].argmax(1)
STEPS = 50


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def mlp():
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).double()


def shuffled(generator, size):
    return Shuffled(96, size, generator, lambda picked, _: (X[picked], Y[picked]))


def loss(model, batch):
    return cross_entropy(model(batch[0]), batch[1])


def score(model):
    return float(cross_entropy(model(X), Y))


def momentum(parameters, lr):
    return torch.optim.SGD(parameters, lr=lr, momentum=0.9, weight_decay=1e-3)


def task(**changes):
    said = {"model": mlp, "batches": shuffled, "loss": loss, "optimizer": momentum, "score": score}
    said |= {"metrics": lambda model: {"halved": score(model) / 2}, "steps": STEPS, "batch_size": 16}
    return Task(name="own", **{**said, **changes})


def trials(rates=(0.003, 0.1), seeds=(0, 1), steps=STEPS, **settings):
    return [Trial("own", {"lr": lr, **settings}, seed, steps) for lr in rates for seed in seeds]


def apart(one, other):
    """The largest relative distance between the figures of two results."""
    assert len(one.losses) == len(other.losses)
    assert one.metrics.keys() == other.metrics.keys()
    mine, theirs = ([*r.losses, r.score, *r.metrics.values(), *r.probed] for r in (one, other))
    return max((abs(a - b) / abs(b) for a, b in zip(mine, theirs, strict=True) if math.isfinite(b)), default=0.0)


def agree(own, work, within=1e-12, engine=None):
    alone = {result.trial.key: result for result in serial(own, work)}
    together = list((engine or Batched())(own, work))
    assert sorted(result.trial.key for result in together) == sorted(alone)
    for result in together:
        assert apart(result, alone[result.trial.key]) < within, result.trial
    return together


def named(text):
    return partial(_named, text)


def _named(text, parameters, lr):
    return optimizer(text, parameters, lr)


LINEAR = [
    *("sgd", "sgd(momentum=0.9)", "sgd(momentum=0.9, nesterov=True)", "sgd(momentum=0.9, dampening=0.3)"),
    *("sgd(momentum=0.9, weight_decay=0.01, fused=True)", "sgd(foreach=True, maximize=False)", "adagrad", "adadelta"),
    *("adam(weight_decay=0.01)", "adamw(weight_decay=0.1)", "adamw(amsgrad=True, fused=True)", "adamax", "nadam"),
    *("radam(weight_decay=0.01, decoupled_weight_decay=True)", "rmsprop(momentum=0.9, centered=True)"),
]


@pytest.mark.parametrize("text", LINEAR)
def test_optimizers_are_run_as_they_are(text):
    # centred RMSprop divides by a difference of nearly equal numbers: at high rates, a last bit becomes 1e-11 by itself
    agree(task(optimizer=named(text)), trials(rates=(0.003, 0.01 if "centered" in text else 0.1)))


@pytest.mark.parametrize(
    "settings",
    [
        {"schedule": "warmup(10%) >> cosine()"},
        {"schedule": "cosine() * linear(start=1, end=0.5)"},
        {"warmup": 7},
        {"clip": 0.1},
        {"clip": "linear(start=1, end=0.01)"},
        {"weight_decay": 0.1},
        {"momentum": 0.5},
        {"optimizer": "adamw(weight_decay=0.1)", "momentum": 0.8, "clip": 0.5},
        {"batch_size": 5},
    ],
    ids=str,
)
def test_settings_are_those_of_serial(settings):
    agree(task(), trials(**settings))


def test_members_may_differ_in_everything_but_their_model():
    various = [
        {},
        {"clip": 0.05},
        {"schedule": "linear()"},
        {"weight_decay": 0.2},
        {"momentum": 0},
        {"optimizer": "adam"},
    ]
    work = [trial for settings in various for trial in trials(**settings)]
    work += [Trial("own", {"lr": 0.1}, 3, 20), Trial("own", {"lr": 0.1, "batch_size": 4}, 3, 20)]
    agree(task(), work)


def test_accumulation_and_ratios_of_groups():
    def ratios(parameters, lr):
        first, *rest = parameters
        return torch.optim.SGD([{"params": [first], "lr": lr / 10}, {"params": rest, "weight_decay": 0.1}], lr=lr)

    agree(task(optimizer=ratios, accumulate=3), trials())
    model = nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.Linear(8, 3)).double()
    assert len(no_decay(model)) == 2


def test_feedback_that_no_validation_reaches_changes_nothing():
    agree(task(feedback='plateau(of="validation_loss", patience=1)'), trials())


def test_a_member_is_the_same_alone_and_with_others():
    work = trials(rates=(0.01, 0.1, 1e30), seeds=(0, 1, 2))
    together = {result.trial.key: result for result in Batched()(task(), work)}
    for trial in work:
        (alone,) = Batched()(task(), [trial])
        assert apart(alone, together[trial.key]) < 1e-12
    few = {result.trial.key: result for result in Batched(members=2)(task(), work)}
    assert max(apart(few[key], together[key]) for key in few) < 1e-12


def test_a_member_that_diverges_harms_nobody_and_ends_where_serial_ends():
    work = trials(rates=(0.01, 1e30, 0.1))
    results = agree(task(loss=lambda model, batch: mse_loss(model(batch[0]), batch[0][:, :3] * 10)), work)
    broken = [result for result in results if result.diverged]
    assert {result.trial.settings["lr"] for result in broken} == {1e30}
    for result in broken:
        assert not math.isfinite(result.losses[-1])
        assert all(map(math.isfinite, result.losses[:-1]))
        assert (result.score, result.metrics) == (math.inf, {})


def test_those_left_go_on_when_most_have_diverged():
    work = trials(rates=(0.05, 1e28, 1e29, 1e30), steps=300)
    agree(task(loss=lambda model, batch: mse_loss(model(batch[0]), batch[0][:, :3] * 10)), work, within=1e-9)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(6, 6).double()
        self.second = nn.Linear(6, 6).double()
        self.second.weight = self.first.weight

    def forward(self, x):
        return self.second(torch.tanh(self.first(x)))[:, :3]


class Buffers(nn.Module):
    """Batch norm, a buffer written in place, one that is set anew, and one that is no part of the state."""

    def __init__(self):
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)
        self.register_buffer("seen", torch.zeros(()))
        self.register_buffer("mean", torch.zeros(6))
        self.register_buffer("ones", torch.ones(6), persistent=False)
        self.double()

    def forward(self, x):
        if self.training:
            self.seen += 1
            self.mean = 0.9 * self.mean + 0.1 * x.mean(0)
        return self.last(torch.tanh(self.norm(self.first(x * self.ones - 0.1 * self.mean)))) + 0.01 * self.seen


class Idle(nn.Module):
    """A frozen parameter, one that the loss never sees, and a scalar."""

    def __init__(self):
        super().__init__()
        self.body, self.unused, self.scale = mlp(), nn.Linear(2, 2).double(), nn.Parameter(torch.ones(()).double())
        self.body[0].weight.requires_grad_(False)

    def forward(self, x):
        return self.body(x) * self.scale


class Recurrent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.cells, self.head = kind(2, 5, batch_first=True).double(), nn.Linear(5, 3).double()

    def forward(self, x):
        return self.head(self.cells(x.view(-1, 3, 2))[0][:, -1])


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.body = nn.Linear(2, 8), nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        self.head = nn.Linear(8, 3)
        self.double()

    def forward(self, x):
        return self.head(self.body(self.embed(x.view(-1, 3, 2))).mean(1))


@pytest.mark.filterwarnings("ignore:There is a performance drop")
@pytest.mark.parametrize(
    "model",
    [
        Tied,
        Buffers,
        Idle,
        partial(Recurrent, nn.GRU),
        partial(Recurrent, nn.RNN),
        partial(Recurrent, nn.LSTM),
        Attention,
    ],
    ids=["tied", "buffers", "idle", "gru", "rnn", "lstm", "attention"],
)
def test_models_with_traps_give_the_figures_of_serial(model):
    agree(task(model=model), trials(), within=1e-11)


def test_over_a_model_on_the_meta_device_tied_weights_would_be_wrong():
    """Why the model stays real: what stacking over an empty one gives, as torch's own recipe does."""
    from torch.func import functional_call, grad, stack_module_state, vmap

    real = Tied()
    parameters, buffers = stack_module_state([real])
    empty = Tied().to("meta")

    def of(module):
        def one(own):
            return loss(lambda x: functional_call(module, (own, buffers), (x,)), (X, Y))

        return vmap(grad(one))(parameters)["first.weight"][0]

    loss(real, (X, Y)).backward()
    assert torch.allclose(of(Tied()), real.first.weight.grad)
    assert not torch.allclose(of(empty), real.first.weight.grad)


def noisy(generator, size):
    while True:  # draws from the run's own global generator, which training must leave where serial does
        x = torch.randn(size, 6, dtype=torch.float64)
        yield {"x": x, "y": x[:, :3].argmax(1), "what": "noise"}


def test_batches_that_draw_by_themselves_are_those_of_serial():
    own = task(batches=noisy, loss=lambda model, batch: cross_entropy(model(batch["x"]), batch["y"]))
    agree(own, trials())


def ragged(generator, size):
    for index in itertools.count():
        picked = torch.randint(96, (size,), generator=generator)
        yield (
            X[picked].repeat(1, 1 + (index + int(picked[0])) % 3).view(-1, 6),
            Y[picked].repeat(1 + (index + int(picked[0])) % 3),
        )


def test_batches_of_changing_shapes_are_batched_seed_by_seed():
    agree(task(batches=ragged), trials(rates=(0.01, 0.03, 0.1)))


def test_legs_put_together_are_the_whole_trial(tmp_path):
    work = trials(steps=30)
    whole = {result.trial.key: result for result in serial(task(), work)}
    for until in (0, 7, 20, 30):
        legs = [Leg(trial, until, tmp_path / f"{trial.key}.pt", metrics=until == 30) for trial in work]
        # serial and batched hand on to each other
        results = list((serial if until == 20 else Batched())(task(), legs))
        assert {len(result.losses) for result in results} == {until}
    assert max(apart(result, whole[result.trial.key]) for result in results) < 1e-12
    assert not list(tmp_path.iterdir())


def test_what_is_kept_is_what_serial_would_keep(tmp_path):
    kept = []
    for engine in (serial, Batched()):
        legs = [Leg(trial, 9, tmp_path / f"{trial.key}.pt") for trial in trials(optimizer="adamw", clip=0.5, steps=30)]
        list(engine(task(), legs))
        kept.append([torch.load(leg.keep, weights_only=True) for leg in legs])
        for leg in legs:
            leg.keep.unlink()
    for mine, theirs in zip(*kept, strict=True):
        assert mine["run"]["control"] == theirs["run"]["control"]
        assert mine["run"]["done"] == theirs["run"]["done"] == 9
        assert torch.equal(mine["run"]["random"]["cpu"], theirs["run"]["random"]["cpu"])
        assert mine["run"]["batches"]["position"] == theirs["run"]["batches"]["position"]
        for part in ("model", "optimizer"):
            for one, other in zip(tensors(mine["run"][part]), tensors(theirs["run"][part]), strict=True):
                assert torch.allclose(one, other, rtol=1e-12, atol=1e-15)


def tensors(value):
    if isinstance(value, torch.Tensor):
        return [value]
    values = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else []
    return [tensor for each in values for tensor in tensors(each)]


def test_probes_and_figures_left_out():
    work = [Leg(trial, STEPS, metrics=False, probe=3) for trial in trials()]
    for result in agree(task(), work):
        assert len(result.probed) == 3
        assert result.metrics == {}


def test_results_say_who_did_them():
    results = list(Batched()(task(), trials(steps=3)))
    assert {result.engine for result in results} == {"batched"}
    assert all(result.seconds > 0 for result in results)


def draws_in_loss(model, batch):
    return loss(model, batch) * (1 + torch.rand(()) * 0)


def by_norms(parameters, lr):
    return optimizer("lamb", [{"params": list(parameters), "adapt": False}], lr)


def asks(model, batch):
    found = loss(model, batch)
    return found if found > 0 else -found


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"model": lambda: nn.Sequential(nn.Dropout(0.1), mlp())}, "draws random numbers, such as dropout's"),
        ({"loss": draws_in_loss}, "draws random numbers"),
        ({"loss": asks}, "cannot be done on stacked weights"),
        ({"feedback": "plateau()"}, "feedback .* looks at the loss of every step"),
        ({"amp": True}, "bfloat16"),
        ({"optimizer": named("adafactor")}, "Adafactor are not entry by entry and linear in the rate"),
        ({"optimizer": named("rprop")}, "Rprop"),
        ({"optimizer": lambda parameters, lr: optimizer("lars", [p for p in parameters if p.ndim > 1], lr)}, "LARS"),
        ({"optimizer": lambda parameters, lr: optimizer("lamb", [p for p in parameters if p.ndim > 1], lr)}, "LAMB"),
        ({"optimizer": lambda parameters, lr: optimizer("muon", [p for p in parameters if p.ndim > 1], lr)}, "Muon"),
        ({"model": lambda: nn.Sequential(nn.BatchNorm1d(6, momentum=None), mlp()).double()}, "stacked weights"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_batched_is_declined_before_anything_is_trained(changes, why):
    trained = []
    own = task(**changes)
    watched = replace(own, score=lambda model: trained.append(model) or 1.0)
    with pytest.raises(ValueError, match=why) as caught:
        list(Batched()(watched, trials()))
    assert str(caught.value).startswith("the task 'own' cannot be batched: ")
    assert len(str(caught.value).splitlines()) == 1
    assert not trained
    assert len(list(serial(own, trials(steps=2)))) == 4


def test_other_clipping_and_tasks_that_train_by_themselves_are_declined():
    clipped = replace(task(), clip=value_clipping(0.1))
    with pytest.raises(ValueError, match=r"value_clipping.* is not clipping by the global norm"):
        list(Batched()(clipped, trials()))
    with pytest.raises(ValueError, match="it trains by itself"):
        Batched()(task_named("frozenlake"), [])


def test_nothing_of_a_window_is_trained_if_one_of_it_is_declined():
    got = []
    with pytest.raises(ValueError, match="Adafactor"):
        got += Batched()(task(), [*trials(), *trials(optimizer="adafactor")])
    assert not got


def test_optimizers_are_tried_and_not_looked_up():
    layer = nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 2))
    takes = {name for name in kinds() if not why_not_linear(_made(name, layer))}
    assert {"adadelta", "adagrad", "adam", "adamax", "adamw", "nadam", "radam", "rmsprop", "sgd"} == takes & {
        name.lower() for name in vars(torch.optim)
    }
    assert not takes & {"lars", "lamb", "muon", "adafactor", "rprop", "asgd"}


def _made(name, layer):
    own = [p for p in layer.parameters() if p.ndim > 1]
    return optimizer(name, own, 0.1)


def test_a_wrong_gradient_would_be_noticed(monkeypatch):
    gradients = Stack.gradients

    def wrong(self, batch, dims):
        found, losses, buffers = gradients(self, batch, dims)
        return [found[0] * 1.001, *found[1:]], losses, buffers

    monkeypatch.setattr(Stack, "gradients", wrong)
    with pytest.raises(ValueError, match="not those of each member alone"):
        list(Batched()(task(), trials()))


def test_find_gives_the_same_answer():
    one, other = (find(task(), engine=engine) for engine in (serial, Batched()))
    assert one.rate is not None
    assert other.rate == pytest.approx(one.rate, rel=1e-6)
    assert len(one.results) == len(other.results)


@pytest.mark.parametrize("name", ["linear-regression", "digits-mlp"])
def test_built_in_tasks_in_float32_are_near(name):
    own = task_named(name)
    work = [Trial(name, {"lr": lr}, seed, 20) for lr in (0.001, 0.03) for seed in (0, 1)]
    agree(own, work, within=1e-4)
