"""A task, or a search, from a model, a loader and a loss function as people have them."""

import copy
import functools
import inspect
import io
import random
from collections import UserDict, namedtuple
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from children import ran
from torch import nn
from torch.nn import functional
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

from stepsize import Batched, Processes, Task, Trial, cosine, find, serial, sweep, task_named, train
from stepsize.state import RandomState
from stepsize.task._loader import Batches
from stepsize.task._run import to_device

pytestmark = pytest.mark.usefixtures("blank_pictures")

X = torch.randn(96, 4, generator=torch.Generator().manual_seed(0))
Y = (X.sum(1) > 0).long()
DATA = TensorDataset(X, Y)
Pair = namedtuple("Pair", "inputs targets")


class Noisy(Dataset):
    """Augments with every global generator there is."""

    def __len__(self):
        return len(X)

    def __getitem__(self, index):
        drawn = torch.rand(()) + np.random.rand() + random.random()
        return X[index] + 0.01 * drawn, Y[index]


class Stream(IterableDataset):
    def __init__(self, length=None):
        self.length = length

    def __iter__(self):
        generator = torch.Generator().manual_seed(1)
        done = 0
        while self.length is None or done < self.length:
            x = torch.randn(4, generator=generator)
            yield x, (x.sum() > 0).long()
            done += 1


class OneShot(IterableDataset):
    """Goes on where it was."""

    def __init__(self):
        self.rows = iter([(x, y) for x, y in zip(X, Y, strict=True)] * 20)

    def __iter__(self):
        return self.rows


class Encoding(UserDict):
    """What a tokenizer gives."""

    def __getattr__(self, name):
        if name == "data":
            raise AttributeError(name)
        return self.data[name]


class Returns(nn.Module):
    """Returns its loss as models of Transformers do."""

    def __init__(self, how):
        super().__init__()
        self.layer, self.how = nn.Linear(4, 2), how

    def forward(self, inputs, labels=None):
        logits = self.layer(inputs)
        loss = None if labels is None else functional.cross_entropy(logits, labels)
        return {"loss": loss} if self.how == "mapping" else SimpleNamespace(loss=loss, logits=logits)


def network():
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 2))


def adamw(parameters, lr):
    return torch.optim.AdamW(parameters, lr=lr)


def loader(data=DATA, **more):
    said = {"batch_size": 8, "shuffle": not isinstance(data, IterableDataset)}
    return DataLoader(data, **said | more)


def words(**changes):
    said = {"model": network(), "loader": loader(), "loss": nn.CrossEntropyLoss(), "optimizer": adamw, "steps": 20}
    return said | changes


def task(**changes):
    return Task.of(**words(**changes))


def drawn(source, count, seed=0):
    batches = Batches(source)(torch.Generator().manual_seed(seed))
    return [next(batches) for _ in range(count)]


def flat(batches):
    return torch.cat([each[0].flatten() for each in batches])


def bits(thing):
    buffer = io.BytesIO()
    torch.save(thing, buffer)
    return buffer.getvalue()


# what is given stays as it is


def everything(model, given):
    parts = [model.state_dict(), [p.grad for p in model.parameters()], [m.training for m in model.modules()]]
    generators = [each.get_state() for each in (given.generator, getattr(given.sampler, "generator", None)) if each]
    modes = [given.persistent_workers, given.sampler is given.batch_sampler.sampler]
    return bits([*parts, generators, modes])


@pytest.mark.parametrize("generator", [None, torch.Generator().manual_seed(3)], ids=["global", "own"])
@pytest.mark.parametrize("way", ["find", "train", "sweep"])
def test_what_is_given_is_bit_for_bit_what_it_was(way, generator, tmp_path):
    model, given = network(), loader(Noisy(), generator=generator)
    functional.cross_entropy(model(X), Y).backward()
    model[1].eval()
    said = words(model=model, loader=given)
    before, randomness = everything(model, given), RandomState.now()
    if way == "find":
        find(**said)
    elif way == "train":
        train(Task.of(**said), lr=0.01)
    else:
        sweep(Task.of(**said | {"steps": 4}), [0.01, 0.1], 1, folder=tmp_path, engine=serial)
    assert everything(model, given) == before
    assert randomness.equals(RandomState.now())


def test_every_run_starts_from_the_weights_as_they_were_given_and_without_their_gradients():
    model = network()
    functional.cross_entropy(model(X), Y).backward()
    kept, made = copy.deepcopy(model.state_dict()), task(model=model)
    with torch.no_grad():
        model[0].weight.zero_()
    for seed in (0, 1):
        run = made.start(Trial(made.name, {"lr": 0.1}, seed, 20))
        assert all(torch.equal(each, kept[name]) for name, each in run.model.state_dict().items())
        assert all(parameter.grad is None for parameter in run.model.parameters())


def test_a_function_makes_the_model_under_the_seed_of_the_run():
    made = task(model=network)
    first, again, other = (
        made.start(Trial("network", {"lr": 0.1}, seed, 20)).model[0].weight.detach() for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_find_from_words_is_find_of_the_task_made_of_them():
    one, two = find(**words(model=network, seed=3)), find(task(model=network), seed=3)
    three = find(task(model=network, seed=3))
    assert [each.losses for each in one.results] == [each.losses for each in two.results]
    assert (one.rate, one.low, one.high) == (two.rate, two.low, two.high) == (three.rate, three.low, three.high)
    assert train(task(model=network, seed=3), lr=0.1).losses == train(task(model=network), lr=0.1, seed=3).losses


def test_a_schedule_is_said_as_such_or_by_its_text():
    assert task(schedule=cosine()).schedule == task(schedule="cosine()").schedule == "cosine()"
    model = network()
    assert find(task(model=model), schedule=cosine()).rate == find(task(model=model, schedule="cosine()")).rate


# loaders


ORDERS = {
    "shuffled": loader,
    "augmented": lambda: loader(Noisy()),
    "workers": lambda: loader(Noisy(), num_workers=2, persistent_workers=True),
    "weighted": lambda: DataLoader(DATA, 8, sampler=WeightedRandomSampler([1.0] * 96, 96)),
    "own sampler": lambda: DataLoader(
        DATA, batch_sampler=BatchSampler(RandomSampler(DATA, generator=torch.Generator()), 8, True)
    ),
    "distributed": lambda: DataLoader(DATA, 8, sampler=DistributedSampler(DATA, 1, 0)),
    "single": lambda: DataLoader(DATA, None, shuffle=True),
    "function": lambda: loader,
}


@pytest.mark.parametrize("name", ORDERS)
def test_batches_follow_from_the_seed_and_from_nothing_else(name):
    torch.manual_seed(0)
    first = flat(drawn(ORDERS[name](), 14))
    torch.manual_seed(1)
    assert torch.equal(first, flat(drawn(ORDERS[name](), 14)))
    assert not torch.equal(first, flat(drawn(ORDERS[name](), 14, seed=1)))


def test_each_epoch_has_every_example_in_another_order():
    batches = [each[0] for each in drawn(loader(), 24)]
    first, second = torch.cat(batches[:12]), torch.cat(batches[12:])
    assert not torch.equal(first, second)
    assert torch.equal(first.sum(1).sort().values, second.sum(1).sort().values)


@pytest.mark.parametrize("kind", ["list", "sequential", "stream"])
def test_data_in_a_fixed_order_keep_it(kind):
    source = {"list": list(loader(shuffle=False)), "sequential": loader(shuffle=False)}.get(kind, loader(Stream()))
    aside = Batches(source).aside
    assert aside == (16 if kind == "stream" else 0)
    expected = [batch for _, batch in zip(range(aside + 12), source, strict=False)][aside:]
    assert torch.equal(flat(drawn(source, 12)), flat(expected))


def test_batches_to_be_scored_on_are_others_in_order_or_at_all():
    for source in (list(loader(shuffle=False)), loader(shuffle=False), loader()):
        made = Batches(source)
        scored = list(made.set_aside(torch.Generator().manual_seed(0), 12))
        assert not torch.equal(flat(scored), flat(drawn(source, 12)))
        assert torch.equal(flat(scored).sort().values, flat(drawn(source, 12)).sort().values)
    scored = list(Batches(loader(Stream())).set_aside(torch.Generator(), 99))
    rows = {tuple(row.tolist()) for batch in scored for row in batch[0]}
    assert len(scored) == 16
    assert not any(tuple(row.tolist()) in rows for batch in drawn(loader(Stream()), 60) for row in batch[0])


@pytest.mark.parametrize("name", [*ORDERS, "stream"])
@pytest.mark.parametrize("at", [0, 5, 12, 17])
def test_a_loader_goes_on_where_it_was(name, at):
    source = Batches(ORDERS[name]() if name in ORDERS else loader(Stream()))
    first = source(torch.Generator().manual_seed(0))
    for _ in range(at):
        next(first)
    second = source(torch.Generator().manual_seed(5))
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert torch.equal(flat([next(first) for _ in range(15)]), flat([next(second) for _ in range(15)]))


class Stop(Exception):
    pass


class StopsAt:
    def __init__(self, step):
        self.step = step

    def wants(self, step):
        return {"loss"}

    def on_step(self, record):
        if record["step"] == self.step:
            raise Stop

    def on_observe(self, step, values):
        pass

    def on_event(self, step, event):
        pass


@pytest.mark.parametrize("source", [loader, lambda: loader(Noisy(), num_workers=1), lambda: loader(Stream())])
def test_a_training_that_was_stopped_ends_with_the_bits_of_one_that_was_not(source, tmp_path):
    made = task(loader=source(), steps=30)
    whole = train(made, lr=0.01, evaluate_every=4)
    with pytest.raises(Stop):
        train(made, lr=0.01, evaluate_every=4, folder=tmp_path, watch=[StopsAt(17)])
    resumed = train(
        task(loader=source(), model=made.model, steps=30, name=made.name),
        lr=0.01,
        evaluate_every=4,
        folder=tmp_path,
        resume=True,
    )
    assert resumed.losses == whole.losses
    assert resumed.score == whole.score
    assert bits(resumed.state["model"]) == bits(whole.state["model"])


@pytest.mark.slow
def test_engines_give_the_same_bits(quick_workers):
    made = task(steps=6)
    trials = [Trial(made.name, {"lr": lr}, 0, 6) for lr in (0.01, 0.1)]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        alone = {each.trial: (each.score, each.losses) for each in serial(made, trials)}
    finally:
        torch.set_num_threads(threads)
    assert {each.trial: (each.score, each.losses) for each in Processes(2)(made, trials)} == alone


def test_batched_runs_agree():
    made = task(model=nn.Linear(4, 2), optimizer=lambda parameters, lr: torch.optim.SGD(parameters, lr=lr), steps=6)
    trials = [Trial(made.name, {"lr": lr}, seed, 6) for lr in (0.01, 0.1) for seed in (0, 1)]
    alone = {each.trial: each.score for each in serial(made, trials)}
    together = {each.trial: each.score for each in Batched()(made, trials)}
    assert together == pytest.approx(alone, rel=1e-5)


def test_what_cannot_be_sent_to_another_process_is_said():
    def local(outputs, targets):
        return functional.cross_entropy(outputs, targets)

    made = task(loss=local)
    with pytest.raises(TypeError, match=r"cannot be sent to another process: loss cannot.*engine=serial"):
        list(Processes(1)(made, [Trial(made.name, {"lr": 0.1}, 0, 2)]))


def test_epochs_are_counted_in_passes_over_the_loader():
    made = task(steps=None, epochs=2.5)
    assert (made.steps, made.per_epoch) == (30, 12)
    accumulated = task(steps=None, epochs=2, accumulate=3)
    assert (accumulated.steps, accumulated.per_epoch) == (8, 4)


# losses and batches


def pairs(make):
    return [make(x, y) for x, y in loader(shuffle=False)]


def functions():
    yield "module", nn.CrossEntropyLoss(), pairs(lambda x, y: (x, y))
    yield "function", functional.cross_entropy, pairs(lambda x, y: [x, y])
    yield "partial", functools.partial(functional.cross_entropy, label_smoothing=0.1), pairs(Pair)
    yield "lambda", lambda logits, y: functional.cross_entropy(logits, y), pairs(lambda x, y: (x, y))
    yield (
        "model",
        lambda model, batch: functional.cross_entropy(model(batch["x"]), batch["y"]),
        pairs(lambda x, y: {"x": x, "y": y}),
    )
    yield (
        "batch",
        lambda m, batch: functional.cross_entropy(m(batch.x), batch.y),
        pairs(lambda x, y: Encoding({"x": x, "y": y})),
    )


@pytest.mark.parametrize(("function", "batches"), [each[1:] for each in functions()], ids=[e[0] for e in functions()])
def test_a_loss_function_is_called_as_its_parameters_say(function, batches):
    losses = train(task(loss=function, loader=batches, steps=60), lr=0.01).losses
    assert sum(losses[-5:]) < sum(losses[:5])


@pytest.mark.parametrize("how", ["mapping", "attribute"])
@pytest.mark.parametrize(
    "make",
    [
        lambda x, y: {"inputs": x, "labels": y},
        lambda x, y: Encoding({"inputs": x, "labels": y}),
        lambda x, y: (x, y),
        Pair,
    ],
    ids=["dict", "encoding", "tuple", "named tuple"],
)
def test_a_model_that_returns_its_loss_needs_no_function(how, make):
    finding = find(**words(model=Returns(how), loss=None, loader=pairs(make), steps=60))
    assert finding.rate is not None


@pytest.mark.slow
def test_models_and_encodings_of_transformers_are_taken_as_they_are():
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(vocab_size=20, n_positions=8, n_embd=16, n_layer=1, n_head=2)
    tokens = torch.randint(20, (40, 8), generator=torch.Generator().manual_seed(0))
    batches = [transformers.BatchEncoding({"input_ids": each, "labels": each}) for each in tokens.split(4)]
    finding = find(**words(model=transformers.GPT2LMHeadModel(config), loss=None, loader=batches, steps=60))
    assert finding.rate is not None
    assert all(each["input_ids"] is not None and len(each) == 2 for each in batches)


def test_a_batch_keeps_its_classes_when_it_is_moved():
    packed = nn.utils.rnn.pack_sequence([torch.ones(3), torch.ones(2)])
    batch = {"a": Encoding({"x": X}), "b": Pair(X, [Y]), "c": packed, "d": "text", "e": (1, None)}
    moved = to_device(batch, torch.device("meta"))
    assert [type(moved[name]) for name in "abcde"] == [type(batch[name]) for name in "abcde"]
    assert moved["a"].x.is_meta
    assert moved["b"].targets[0].is_meta
    assert moved["c"].data.is_meta
    assert batch["a"].x is X


def test_tasks_need_neither_score_nor_metrics():
    built = task_named("digits-mlp")
    plain = Task(
        **{name: getattr(built, name) for name in ("name", "model", "batches", "loss", "optimizer", "batch_size")},
        steps=20,
    )
    trained = train(plain, lr=0.01)
    assert trained.metrics == {}
    assert trained.score == train(plain, lr=0.01).score > 0
    run = plain.start(Trial(plain.name, {"lr": 0.01}, 0, 20))
    assert run.score() == run.score() > trained.score


# what is invalid


class Unfit(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 2)
        self.held = self.layer.weight * 2  # torch copies no tensor that was computed with a gradient


REFUSED = {
    "no model": ({"model": None}, "model is needed, got None"),
    "model": ({"model": 3}, "model must be a torch.nn.Module, or a function that makes one, got 3"),
    "model that cannot be copied": ({"model": Unfit()}, "model must be one that can be copied.*model=lambda"),
    "model class that needs more": ({"model": nn.Linear}, "model must be a function without arguments"),
    "no loader": ({"loader": None}, "loader is needed, got None"),
    "data set": ({"loader": DATA}, r"loader must be a loader of batches, not a data set, got 'TensorDataset'"),
    "iterator": ({"loader": iter(loader())}, "loader must be a DataLoader, a list.*got '_SingleProcess"),
    "generator": ({"loader": (each for each in [1])}, "loader must be a DataLoader, .*got 'generator'"),
    "text": ({"loader": "train"}, "loader must be a DataLoader, a list of batches.*got 'train'"),
    "number": ({"loader": 3}, "loader must be a DataLoader.*got 3"),
    "empty": ({"loader": []}, r"loader must be of one batch or more, got \[\]"),
    "part of the data": (
        {"loader": DataLoader(DATA, 8, sampler=DistributedSampler(DATA, 2, 0))},
        "sampler of loader must be one of all examples, got 'a DistributedSampler'; leave it out",
    ),
    "loss class": ({"loss": nn.MSELoss}, r"loss must be a function of .*make one of it"),
    "loss of one": (
        {"loss": lambda model: 1.0},
        r"loss must be a function of \(outputs, targets\) or of \(model, batch",
    ),
    "loss": ({"loss": "mse"}, "loss must be a function.*got 'mse'"),
    "optimizer": ({"optimizer": torch.optim.SGD(network().parameters())}, r"optimizer must be a function of .*lambda"),
    "optimizer text": ({"optimizer": "sgd"}, r"optimizer must be a function of \(parameters, lr\), got 'sgd'"),
    "no length": ({"steps": None}, "steps or epochs must say how long the run is, got neither"),
    "two lengths": ({"epochs": 2}, "steps and epochs both say how long the run is, got 20 and 2"),
    "steps": ({"steps": 0}, "steps must be a whole number >= 1, got 0"),
    "epochs": ({"steps": None, "epochs": -1}, "epochs must be a finite number > 0, got -1"),
    "epochs of a stream": (
        {"steps": None, "epochs": 1, "loader": loader(Stream())},
        "epochs cannot be counted, got 1, since the loader has no length; give steps=",
    ),
    "accumulate": ({"accumulate": 0}, "accumulate must be a whole number >= 1, got 0"),
    "device": ({"device": "gpu"}, "device must be a device of torch.*got 'gpu'"),
    "schedule": ({"schedule": "cosin()"}, "cosine"),
    "seed": ({"seed": -1}, "seed must be a whole number >= 0, got -1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_invalid_word_is_refused_in_one_line(case):
    changes, said = REFUSED[case]
    with pytest.raises((TypeError, ValueError), match=said) as caught:
        task(**changes)
    if case != "schedule":
        assert len(str(caught.value).splitlines()) == 1
    if case != "accumulate":
        with pytest.raises((TypeError, ValueError), match=said):
            find(**words(**changes))


def test_words_that_there_are_not_are_refused():
    with pytest.raises(TypeError, match=r"Task.of has no argument 'optimiser'; did you mean 'optimizer'"):
        task(optimiser=adamw)
    with pytest.raises(TypeError, match=r"Task.of has no argument 'batches'"):
        task(batches=lambda generator: None)
    assert "batches" not in inspect.signature(Task.of).parameters


def test_words_stand_in_a_tasks_place():
    with pytest.raises(TypeError, match="loader must be left out beside a task"):
        find(task(), loader=loader())
    with pytest.raises(TypeError, match=r"task must be a task, got None.*find\(model=..., loader="):
        find(steps=3)
    with pytest.raises(TypeError, match="optimizer is needed, got None"):
        find(model=network(), loader=loader())
    with pytest.raises(TypeError, match=r"find takes one task .*got Sequential, DataLoader; write find\(model="):
        find(network(), loader())


ENDS = {
    "ambiguous": ({"loss": lambda m, b: m(b[0]).sum()}, "unless its first parameter is called model"),
    "no pairs": ({"loader": pairs(lambda x, y: (x, y, y))}, r"batch of loader must be a pair .*got 'tuple of 3'"),
    "mapping": ({"loader": pairs(lambda x, y: {"x": x, "y": y})}, "got 'dict of x, y'; write loss=lambda model, batch"),
    "no loss": ({"loss": None, "loader": pairs(lambda x, _: x)}, "model must return an output with a loss"),
    "no labels": (
        {"model": Returns("attribute"), "loss": None, "loader": pairs(lambda x, _: {"inputs": x})},
        "got SimpleNamespace for a batch that is dict of inputs; give loss=, or add labels",
    ),
    "several": ({"loss": nn.CrossEntropyLoss(reduction="none")}, "must be of one element, got .*take its mean"),
    "goes on": ({"loader": DataLoader(OneShot(), 8)}, "loader must give the same batches for the same seed"),
    "ends": ({"loader": DataLoader(Stream(160), 8)}, "loader must give its batches again.*got 4 in pass 1"),
    "empty stream": ({"loader": DataLoader(Stream(0), 8)}, "loader must give its batches again.*got 0 in pass 1"),
}


@pytest.mark.parametrize("case", ENDS)
def test_what_shows_only_in_training_is_said_in_one_line(case):
    changes, said = ENDS[case]
    with pytest.raises((TypeError, ValueError), match=said) as caught:
        find(**words(**changes))
    assert len(str(caught.value).splitlines()) == 1


def test_what_a_persons_own_code_raises_stays_as_it_is():
    def loss(outputs, targets):
        return outputs.nothing

    with pytest.raises(AttributeError, match="nothing"):
        find(**words(loss=loss))


def test_a_saved_state_of_another_loader_is_refused():
    one = Batches(loader())(torch.Generator())
    other = Batches(loader(batch_size=4))(torch.Generator())
    with pytest.raises(ValueError, match="length of the saved loader must be 24, as here, got 12"):
        other.load_state_dict(one.state_dict())
    with pytest.raises(ValueError, match="position of the saved loader must be within an epoch"):
        one.load_state_dict({**one.state_dict(), "position": 13})
    with pytest.raises(ValueError, match="it lacks epoch"):
        one.load_state_dict({name: each for name, each in one.state_dict().items() if name != "epoch"})


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"steps": 50, "schedule": 3}, "schedule must be one schedule or its text, got 3"),
        ({"epochs": 1e300}, "epochs must be below .*, as many as can be counted, got 1e"),
        ({"stepss": 50}, "find has no argument 'stepss'; did you mean 'steps'"),
    ],
)
def test_find_says_what_is_wrong_by_the_name_that_was_given(words, said):
    given = {"model": torch.nn.Linear(1, 1), "loader": [(torch.ones(4, 1), torch.ones(4, 1))]}
    optimizer = lambda parameters, lr: torch.optim.SGD(parameters, lr=lr)  # noqa: E731
    with pytest.raises((TypeError, ValueError), match=said):
        find(**given, loss=torch.nn.MSELoss(), optimizer=optimizer, **words)


@pytest.mark.slow
def test_a_class_of_a_loss_is_known_by_its_code(tmp_path):
    (tmp_path / "parts.py").write_text("def loss(outputs, targets):\n    return (outputs - targets).square().mean()\n")
    (tmp_path / "net.py").write_text("import torch\n\nclass Net(torch.nn.Linear):\n    pass\n")
    code = (
        "import torch\nfrom net import Net\nfrom parts import loss\nfrom stepsize import Task\n"
        "from stepsize.task import sources_of\nx = torch.ones(8, 1)\n"
        "task = Task.of(model=Net(1, 1), loader=[(x, x)], loss=loss, steps=3,\n"
        "               optimizer=lambda parameters, lr: torch.optim.SGD(parameters, lr=lr))\n"
        "print(sorted(name for name in sources_of(task) if name.endswith('.py')))"
    )
    done = ran(["-c", code], cwd=tmp_path)
    assert done.stdout.strip() == "['net.py', 'parts.py']", done.stderr
