"""The rate found in a Transformers or Lightning trainer is that of the same training by hand, and nothing else stays."""

import copy
import itertools
import math
import pickle

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from stepsize import RateSearch, cosine, from_function, linear, warmup
from stepsize.integrations import drive_trainer, find_in_module, find_in_trainer, lightning_callback

pl = pytest.importorskip("lightning.pytorch")
transformers = pytest.importorskip("transformers")
pytestmark = [
    pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec:FutureWarning"),
    pytest.mark.filterwarnings("ignore::lightning.pytorch.utilities.warnings.PossibleUserWarning"),
]
X = torch.randn(256, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
Y = X.sum(1, keepdim=True).tanh()
QUICK = {"budget": 60}


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1)).double()


class Model(nn.Module):
    """Two groups for Transformers' decay, dropout and a buffer, to be put back."""

    def __init__(self, broken_at=math.inf):
        super().__init__()
        torch.manual_seed(0)
        self.net, self.norm = net(), nn.BatchNorm1d(4, dtype=torch.float64)
        self.broken_at, self.calls = broken_at, itertools.count(1)

    def forward(self, x, labels):
        if next(self.calls) == self.broken_at:
            raise RuntimeError("broken")
        return {"loss": (self.net(self.norm(x)) - labels).square().mean()}


def settings_of(folder, **settings):
    quiet = {"report_to": "none", "disable_tqdm": True, "save_strategy": "no", "use_cpu": True, "logging_steps": 1}
    given = {"max_steps": 60, "optim": "adamw_torch", "lr_scheduler_type": "cosine", "weight_decay": 0.1, **settings}
    return transformers.TrainingArguments(str(folder), **quiet, **given)


def trainer_of(folder, model=None, kind=None, optimizers=(None, None), **settings):
    data = [{"x": x, "labels": y} for x, y in zip(X, Y, strict=True)]
    kind = kind or transformers.Trainer
    trainer = kind(model or Model(), settings_of(folder, **settings), train_dataset=data, optimizers=optimizers)
    trainer.remove_callback(transformers.PrinterCallback)
    return trainer


def first_rates(trainer):
    return [entry["learning_rate"] for entry in trainer.state.log_history if "learning_rate" in entry]


def everything(*things):
    """All that is reachable from things by attributes, as (place, what is there), tensors by their bits."""
    found, todo, seen = {}, [(type(thing).__name__, thing) for thing in things], set()
    while todo:
        place, thing = todo.pop()
        if isinstance(thing, torch.Tensor):
            grad = thing.grad if thing.is_leaf else None
            found[place] = (id(thing), thing.detach().clone(), None if grad is None else grad.clone())
        elif isinstance(thing, bool | int | float | str | None):
            found[place] = thing
        else:
            found[place] = id(thing)
        if id(thing) in seen or isinstance(thing, type):
            continue
        seen.add(id(thing))
        names = {cls.__module__.partition(".")[0] for cls in type(thing).__mro__}
        if isinstance(thing, dict):
            todo += [(f"{place}[{key if isinstance(key, str | int) else id(key)}]", v) for key, v in thing.items()]
        elif isinstance(thing, list | tuple):
            todo += [(f"{place}[{index}]", each) for index, each in enumerate(thing[:50])]
        if hasattr(thing, "__dict__") and names & {"transformers", "accelerate", "lightning", "torch", __name__}:
            todo += [(f"{place}.{name}", each) for name, each in vars(thing).items()]
    found["random"] = (0, torch.get_rng_state(), None)
    return found


def differences(before, after, known=()):
    def same(a, b):
        if not isinstance(a, tuple):
            return a == b or a != a
        pairs = zip(a[1:], b[1:], strict=True)
        return a[0] == b[0] and all(p is q is None or (p is not None and torch.equal(p, q)) for p, q in pairs)

    names = before.keys() | after.keys()
    return [
        name
        for name in sorted(names)
        if not any(each in name for each in known)
        if name not in before or name not in after or not same(before[name], after[name])
    ]


def by_hand(trainer, schedule, size, total, **options):
    """The same search written out: windows of batches, the trainer's arguments by hand."""
    model = copy.deepcopy(trainer.model)
    decayed = [p for name, p in model.named_parameters() if "bias" not in name and "norm" not in name]
    others = [p for p in model.parameters() if all(p is not each for each in decayed)]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=trainer.args.learning_rate, betas=(0.9, 0.999), eps=1e-8)
    batches = list(trainer.get_train_dataloader())
    windows = [batches[at : at + size] for at in range(0, len(batches), size)]

    def loss_of(model, window):
        return sum(model(**batch)["loss"] for batch in window) / len(window)

    search = RateSearch(
        optimizer, model, lr=schedule, total=total, loader=windows, loss=loss_of, own_steps=True, **options
    )
    for run in search:
        for window in run.batches():
            model.train()
            losses = [model(**batch)["loss"] / len(window) for batch in window]
            for loss in losses:
                loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            run.step(sum(loss.detach() for loss in losses))
    return search.finding


def hugging_cosine(warm, total):
    def factor(t):
        t = math.floor(t)
        return t / warm if t < warm else (1 + math.cos(math.pi * ((t - warm) / (total - warm)))) / 2

    return from_function(factor, name="cosine_with_warmup")


@pytest.mark.parametrize("size", [1, 3])
def test_a_transformers_trainer_finds_what_the_loop_by_hand_finds_to_the_bit(tmp_path, size):
    given = {"warmup_steps": 6, "gradient_accumulation_steps": size, "max_steps": 60}
    finding = find_in_trainer(trainer_of(tmp_path, **given), **QUICK)
    expected = by_hand(trainer_of(tmp_path, **given), hugging_cosine(6, 60), size, 60, **QUICK)
    assert finding.rate == expected.rate
    assert [run.losses for run in finding.results] == [run.losses for run in expected.results]
    assert [run.probed for run in finding.results] == [run.probed for run in expected.results]


KNOWN = ("._hparams", ".dataloader_references")  # made on a look; weak references to a loader that is gone


@pytest.mark.parametrize("broken_at", [math.inf, 7, 50])
@pytest.mark.parametrize("own", [True, False])
def test_a_transformers_trainer_is_as_before_also_when_a_step_raises(tmp_path, broken_at, own):
    model = Model(broken_at)
    given = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    trainer = trainer_of(tmp_path, model, optimizers=(None if own else given, None))
    model.eval()
    model.net[0].weight.grad = torch.ones_like(model.net[0].weight)
    before = everything(trainer, given)
    if broken_at < math.inf:
        with pytest.raises(RuntimeError, match="broken"):
            find_in_trainer(trainer, "cosine()", keep=False, **QUICK)
    else:
        assert find_in_trainer(trainer, "cosine()", keep=False, **QUICK).rate > 0
    assert differences(before, everything(trainer, given), KNOWN) == []


def test_training_begins_with_the_rate_that_was_found_and_the_groups_keep_their_ratio(tmp_path):
    trainer = trainer_of(tmp_path, max_steps=8)
    finding = find_in_trainer(trainer, **QUICK)
    assert trainer.args.learning_rate == finding.rate
    trainer.train()
    assert first_rates(trainer)[0] == finding.rate
    model = Model()
    groups = [{"params": model.net.parameters(), "lr": 0.01}, {"params": model.norm.parameters(), "lr": 0.03}]
    optimizer = torch.optim.SGD(groups)
    trainer = trainer_of(tmp_path, model, optimizers=(optimizer, None), max_steps=8)
    finding = find_in_trainer(trainer, **QUICK)
    assert [group["lr"] for group in optimizer.param_groups] == [pytest.approx(finding.rate / 3), finding.rate]
    trainer.train()
    assert first_rates(trainer)[0] == pytest.approx(finding.rate / 3)


def test_drive_trainer_finds_the_rate_before_training_and_not_when_it_goes_on(tmp_path):
    def driven(**settings):
        trainer = trainer_of(tmp_path, max_steps=6, **settings)
        drive_trainer(trainer, lr=linear(), find=QUICK)
        return trainer

    trainer, by_itself = driven(), trainer_of(tmp_path, max_steps=6)
    trainer.args.save_strategy, trainer.args.save_steps = "steps", 3
    expected = find_in_trainer(by_itself, linear(), **QUICK).rate
    trainer.train()
    assert trainer.finding.rate == expected
    assert first_rates(trainer) == pytest.approx([expected * (1 - k / 6) for k in range(6)])
    assert {"found_rate"} <= {name for entry in trainer.state.log_history for name in entry}
    again = driven()
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-3"))
    assert not hasattr(again, "finding")
    assert first_rates(again)[-3:] == first_rates(trainer)[-3:]


class Smoothed(nn.Module):
    """A classifier that takes ``num_items_in_batch`` and returns a loss over all of an update's items."""

    def __init__(self):
        super().__init__()
        self.layer, self.items = net(), []
        self.config = transformers.PretrainedConfig()

    def forward(self, x, labels=None, num_items_in_batch=None, **_):
        self.items.append((len(x), num_items_in_batch))
        loss = (self.layer(x) - labels).square()
        return {"loss": loss.mean() if num_items_in_batch is None else loss.sum() / num_items_in_batch}


def test_the_items_of_a_whole_update_are_counted_as_in_training_and_compute_loss_is_the_trainers_own(tmp_path):
    class Own(transformers.Trainer):
        def compute_loss(self, model, inputs, *args, **kwargs):
            self.calls = getattr(self, "calls", 0) + 1
            return super().compute_loss(model, inputs, *args, **kwargs)

    trainer = trainer_of(tmp_path, Smoothed(), kind=Own, gradient_accumulation_steps=3, max_steps=30)
    assert find_in_trainer(trainer, **QUICK).rate > 0
    assert not hasattr(trainer, "calls")
    seen = [int(items) for _, items in trainer.model.items]  # a list of the model's own is put back too
    assert seen == []
    trainer.model.items = seen = _Endless()
    find_in_trainer(trainer, keep=False, **QUICK)
    assert {items for _, items in seen.all} == {8, 16, 24}  # one batch in scores, whole and ragged windows in training


class _Endless:
    """Notes what is appended, and is no list that anyone puts back."""

    def __init__(self):
        self.all = []

    def append(self, pair):
        self.all.append((pair[0], int(pair[1])))


def test_a_trainer_that_cannot_be_searched_says_why(tmp_path):
    trainer = trainer_of(tmp_path, max_steps=2)
    trainer.train()
    with pytest.raises(ValueError, match=r"trainer has begun to train, it is at step 2; find the rate before train\(\)"):
        find_in_trainer(trainer)
    trainer = trainer_of(tmp_path)
    trainer.train_dataset = None
    with pytest.raises(ValueError, match="training requires a train_dataset"):
        find_in_trainer(trainer)
    optimizer = torch.optim.SGD(Model().parameters(), lr=0.1)
    trainer = trainer_of(tmp_path, optimizers=(optimizer, torch.optim.lr_scheduler.StepLR(optimizer, 3)))
    with pytest.raises(ValueError, match="trainer has a scheduler of its own, StepLR, which goes on from its own rates"):
        find_in_trainer(trainer)
    with pytest.raises(TypeError, match="there is no option 'budgt' of the search; did you mean 'budget'"):
        drive_trainer(trainer_of(tmp_path), lr=linear(), find={"budgt": 60})


def test_training_does_not_begin_where_no_rate_is_found(tmp_path):
    trainer = trainer_of(tmp_path)
    drive_trainer(trainer, lr=linear(), find={"low": 1e-12, "high": 1e-11, **QUICK})
    with pytest.raises(RuntimeError, match="no usable rate: .*; look at data and model, or train at the rate as it is"):
        trainer.train()
    assert trainer.finding.rate is None
