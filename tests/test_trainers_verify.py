"""A trainer that verifies its rate goes on as if it had not, to the bit; its forks are those of a loop by hand."""

import logging
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from children import ranks
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, RandomSampler, Sampler, TensorDataset

from stepsize import Control, RateSearch, Scheduler, cosine, warmup
from stepsize.control import levels
from stepsize.integrations import drive_trainer, lightning_callback

pl = pytest.importorskip("lightning.pytorch")
transformers = pytest.importorskip("transformers")
pytestmark = [
    pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec:FutureWarning"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory:UserWarning"),
    pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch ended"),
    pytest.mark.filterwarnings("ignore::lightning.pytorch.utilities.warnings.PossibleUserWarning"),
]
X = torch.randn(250, 4, generator=torch.Generator().manual_seed(0))
Y = X.sum(1, keepdim=True).tanh()
STEPS, QUARTER = 152, 38  # of 250 examples in batches of 8, so that the quarter lies within an epoch
PLAN = "warmup(5%) >> cosine()"
LOW = 3e-4
CASES = [
    ("sgd", 1),
    ("adamw", 3),
    *(pytest.param(*case, marks=pytest.mark.slow) for case in [("sgd", 3), ("tensor", 2)]),
]


def net(dropout=0.2):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(dropout), nn.BatchNorm1d(8), nn.Linear(8, 1))


def optimizer_of(kind, model, lr):
    if kind == "sgd":
        return torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    groups = [{"params": [p for p in model.parameters() if p.ndim > 1]}, {"params": [], "lr": lr / 2}]
    groups[1]["params"] = [p for p in model.parameters() if p.ndim < 2]
    return torch.optim.AdamW(groups, lr=torch.tensor(lr) if kind == "tensor" else lr, weight_decay=0.1)


def bits(model):
    return torch.cat([value.flatten().double() for value in model.state_dict().values()])


class Model(nn.Module):
    def __init__(self, broken_at=None, error=RuntimeError, dropout=0.2):
        super().__init__()
        self.net, self.broken_at, self.error, self.seen = net(dropout), broken_at, error, Calls()

    def forward(self, x, labels):
        if self.seen.count() == self.broken_at:
            raise self.error("broken")
        return {"loss": (self.net(x) - labels).square().mean()}


class Calls:
    """Counts, and nobody puts it back."""

    def __init__(self):
        self.calls = 0

    def count(self):
        self.calls += 1
        return self.calls


class Noisy(Dataset):
    """Draws from generators of its own."""

    def __init__(self):
        self.numbers, self.generator = np.random.default_rng(0), torch.Generator().manual_seed(0)

    def __len__(self):
        return len(X)

    def __getitem__(self, index):
        noise = self.numbers.normal() + torch.randn(4, generator=self.generator)
        return {"x": X[index] + 0.1 * noise, "labels": Y[index]}


class Shifted:
    """A collator that draws as well."""

    def __init__(self):
        self.draws = random.Random(0)

    def __call__(self, rows):
        shift = self.draws.random()
        return {name: torch.stack([row[name] for row in rows]) + 0.1 * shift for name in ("x", "labels")}


def trainer_of(folder, verify=False, kind="sgd", lr=0.01, data=None, model=None, collator=None, **settings):
    quiet = {"report_to": "none", "disable_tqdm": True, "save_strategy": "no", "use_cpu": True, "logging_steps": 1}
    arguments = transformers.TrainingArguments(str(folder), **{**quiet, "max_steps": STEPS, **settings})
    model = Model() if model is None else model
    data = [{"x": x, "labels": y} for x, y in zip(X, Y, strict=True)] if data is None else data
    optimizer = optimizer_of(kind, model, lr)
    trainer = transformers.Trainer(
        model, arguments, train_dataset=data, optimizers=(optimizer, None), data_collator=collator
    )
    trainer.remove_callback(transformers.PrinterCallback)
    drive_trainer(trainer, lr=PLAN, verify=verify)
    return trainer


def trained(trainer, **options):
    """What is left of a training: each update's loss, gradient and rate, the weights, the random numbers to come."""
    torch.manual_seed(1)
    trainer.train(**options)
    names = ("loss", "grad_norm", "learning_rate")
    history = [[entry[name] for name in names] for entry in trainer.state.log_history if "loss" in entry]
    return history, bits(trainer.model), torch.rand(3)


def same(one, other):
    return one[0] == other[0] and all(map(torch.equal, one[1:], other[1:]))


@pytest.mark.parametrize(("kind", "size"), CASES)
def test_a_transformers_run_goes_on_to_the_bit_after_its_forks(tmp_path, kind, size):
    plain = trained(trainer_of(tmp_path, kind=kind, gradient_accumulation_steps=size))
    trainer = trainer_of(tmp_path, True, kind, gradient_accumulation_steps=size)
    assert same(plain, trained(trainer))
    assert len(plain[0]) == STEPS
    assert 0 < trainer.verified.cost.runs <= 0.1
    noted = [entry for entry in trainer.state.log_history if "verified_rate" in entry]
    assert [(entry["step"], entry["verified_rate"]) for entry in noted] == [(QUARTER, trainer.verified.rate)]
    assert noted[0]["epoch"] % 1 > 0


def test_generators_of_data_and_collator_go_on_too_in_transformers(tmp_path):
    runs = [
        trained(trainer_of(tmp_path, each, data=Noisy(), collator=Shifted(), remove_unused_columns=False))
        for each in (False, True)
    ]
    assert same(*runs)


def by_hand(kind, size, scaled=1.0, in_groups=False):
    """The run to its quarter in a loop, and the same forks of it."""
    model = net(0)
    optimizer = optimizer_of(kind, model, LOW)
    scheduler = Scheduler(optimizer, PLAN, STEPS, remind=False)
    groups = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    clipped = groups if in_groups else list(model.parameters())  # the order of a sum
    batches = [(X[at : at + 8], Y[at : at + 8]) for at in range(0, 250, 8)]
    windows = [batches[at : at + size] for at in range(0, len(batches), size)]

    def loss_of(_, window):
        return sum((model(x) - y).square().mean() for x, y in window) / len(window)

    def update(window):
        model.train()
        losses = [(model(x) - y).square().mean() / len(window) for x, y in window]
        for loss in losses:
            loss.backward()
        nn.utils.clip_grad_norm_(clipped, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return sum(loss.detach() for loss in losses)

    for number in range(QUARTER):
        update(windows[number % len(windows)])
        scheduler.step()
        if number == 9:
            scheduler.scale(scaled)
    for group, values in zip(optimizer.param_groups, levels(scheduler), strict=True):
        group["lr"] = values["lr"]
    search = RateSearch(
        optimizer,
        model,
        lr=scheduler.plan,
        total=STEPS,
        position=QUARTER,
        loader=windows,
        loss=loss_of,
        own_steps=True,
        around=max(values["lr"] for values in levels(scheduler)),
    )
    for run in search:
        for window in run.batches():
            run.step(update(window))
    return search.finding


class Scaling(transformers.TrainerCallback):
    def on_step_end(self, args, state, control, lr_scheduler=None, **_):
        if state.global_step == 10:
            lr_scheduler.scale(0.5)


@pytest.mark.parametrize("size", [1, 3])
def test_forks_of_a_transformers_run_are_those_of_the_loop_by_hand(tmp_path, size):
    settings = {"train_sampling_strategy": "sequential", "gradient_accumulation_steps": size}
    trainer = trainer_of(tmp_path, True, "adamw", LOW, model=Model(dropout=0), **settings)
    trainer.add_callback(Scaling())
    trained(trainer)
    found, expected = trainer.verified, by_hand("adamw", size, 0.5)
    assert found.rate == expected.rate > 10 * 0.5 * LOW
    assert [run.rate for run in found.results] == [run.rate for run in expected.results]
    assert [run.losses for run in found.results] == [run.losses for run in expected.results]
    assert [run.probed for run in found.results] == [run.probed for run in expected.results]


def test_apply_goes_on_at_the_rate_found_and_says_so(tmp_path):
    plain, applied = (trainer_of(tmp_path, each, "adamw", LOW) for each in (True, "apply"))
    histories = [trained(trainer)[0] for trainer in (plain, applied)]
    factor = applied.verified.rate / LOW
    assert plain.verified.rate == applied.verified.rate > 3 * LOW
    assert histories[0][:QUARTER] == histories[1][:QUARTER]
    rates = [[rate for *_, rate in history[QUARTER:]] for history in histories]
    assert rates[1] == pytest.approx([factor * rate for rate in rates[0]])
    events = [(event.what, event.value) for event in applied.lr_scheduler.log]
    assert events == [("scale", factor)]
    assert plain.lr_scheduler.log == []


def test_a_transformers_run_that_goes_on_from_a_checkpoint_verifies_before_its_quarter_and_not_after(tmp_path):
    saving = {"save_strategy": "steps", "save_steps": QUARTER}
    first = trainer_of(tmp_path, True, **saving)
    whole = trained(first)
    for at, verifies in ((QUARTER, True), (2 * QUARTER, False)):
        again = trainer_of(tmp_path, True, **saving)
        rest = trained(again, resume_from_checkpoint=str(tmp_path / f"checkpoint-{at}"))
        assert torch.equal(whole[1], rest[1])
        assert (again.verified is not None) == verifies
        assert not verifies or again.verified.results == first.verified.results


@pytest.mark.parametrize("broken_at", [QUARTER + 2, QUARTER + 12])
def test_a_fork_that_breaks_does_not_break_the_run(tmp_path, broken_at, caplog):
    plain = trained(trainer_of(tmp_path))
    trainer = trainer_of(tmp_path, True, model=Model(broken_at))
    logging.getLogger("transformers").propagate = True
    try:
        assert same(plain, trained(trainer))
    finally:
        logging.getLogger("transformers").propagate = False
    assert trainer.verified is None
    assert "the rate could not be verified: broken" in caplog.text


def test_a_fork_that_is_interrupted_leaves_the_run_as_it_was(tmp_path):
    whole = trainer_of(tmp_path, max_steps=STEPS)
    whole.add_callback(Stopping())
    expected = trained(whole)[1]
    trainer = trainer_of(tmp_path, True, model=Model(QUARTER + 12, KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        trained(trainer)
    assert torch.equal(bits(trainer.model), expected)


class Stopping(transformers.TrainerCallback):
    def on_step_end(self, args, state, control, **_):
        control.should_training_stop = state.global_step == QUARTER


class Stream(IterableDataset):
    def __iter__(self):
        return iter([{"x": x, "labels": y} for x, y in zip(X, Y, strict=True)])


class Unlike(Sampler):
    """Has something that nothing copies."""

    def __init__(self, data):
        self.data, self.held = data, (each for each in data)

    def __iter__(self):
        return iter(range(len(self.data)))

    def __len__(self):
        return len(self.data)


def test_a_trainer_whose_forks_could_not_be_left_again_says_so_before_it_trains(tmp_path):
    with pytest.raises(ValueError, match=r"verify: 3 forks of 3 steps .* a run of \d+ or more can be verified"):
        trainer_of(tmp_path, True, max_steps=60).train()
    with pytest.raises(ValueError, match="the stream Stream cannot be left as it was; use a DataLoader over"):
        trainer_of(tmp_path, True, data=Stream()).train()
    trainer = trainer_of(tmp_path, True)
    trainer._get_train_sampler = lambda data=None: Unlike(trainer.train_dataset)
    with pytest.raises(
        ValueError, match=r"verify needs copies of the training data's samplers \(.*Unlike.*\): cannot pickle"
    ):
        trainer.train()
    for wrong, error in ((1, TypeError), ("aply", ValueError)):
        with pytest.raises(error, match="verify must be True, False or 'apply'"):
            trainer_of(tmp_path, wrong)
        with pytest.raises(error, match="verify must be True, False or 'apply'"):
            lightning_callback(lr=PLAN, verify=wrong)


def test_a_rate_that_is_held_by_hand_is_not_verified(tmp_path, caplog):
    trainer = trainer_of(tmp_path, True)
    trainer.add_callback(type("Holding", (transformers.TrainerCallback,), {"on_step_end": hold})())
    logging.getLogger("transformers").propagate = True
    try:
        trained(trainer)
    finally:
        logging.getLogger("transformers").propagate = False
    assert trainer.verified is None
    assert "lr of group0 is held at 0.02 by hand, whatever its base and schedule are; release it first" in caplog.text


def hold(self, args, state, control, lr_scheduler=None, **_):
    if state.global_step == 5:
        lr_scheduler.set(0.02)


class Module(pl.LightningModule):
    def __init__(self, kind="sgd", lr=0.01, dropout=0.2):
        super().__init__()
        self.net, self.kind, self.lr = net(dropout), kind, lr
        self.history, self.epochs = [], []

    def training_step(self, batch, index):
        x, y = batch.values() if isinstance(batch, dict) else batch
        loss = (self.net(x) - y).square().mean()
        self.log("loss", loss, on_step=True, on_epoch=True)
        return loss

    def on_train_batch_end(self, outputs, batch, index):
        rates = [float(group["lr"]) for group in self.trainer.optimizers[0].param_groups]
        self.history.append((index, self.trainer.global_step, float(outputs["loss"]), rates))

    def on_train_epoch_end(self):
        self.epochs.append({name: float(value) for name, value in self.trainer.callback_metrics.items()})

    def configure_optimizers(self):
        return optimizer_of(self.kind, self, self.lr)


def loader(**settings):
    return DataLoader(TensorDataset(X, Y), 8, **settings)


def fitted(folder, verify, module=None, data=None, ckpt_path=None, more=(), plan=PLAN, **settings):
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    given = {"enable_checkpointing": False, "max_steps": STEPS, "gradient_clip_val": 1.0, **quiet, **settings}
    module = Module() if module is None else module
    callback = lightning_callback(lr=plan, verify=verify)
    trainer = pl.Trainer(accelerator="cpu", default_root_dir=folder, callbacks=[callback, *more], **given)
    torch.manual_seed(1)
    generator = torch.Generator().manual_seed(2)
    data = loader(shuffle=True, generator=generator) if data is None else data
    trainer.fit(module, data, ckpt_path=ckpt_path)
    return callback, ([module.history, module.epochs], bits(module), torch.rand(3), generator.get_state())


@pytest.mark.parametrize(("kind", "size"), CASES)
def test_a_lightning_run_goes_on_to_the_bit_after_its_forks(tmp_path, kind, size):
    plain, verified = (
        fitted(tmp_path, each, Module(kind), accumulate_grad_batches=size, max_epochs=-1) for each in (False, True)
    )
    assert same(plain[1], verified[1])
    assert len(plain[1][0][0]) >= STEPS
    assert plain[0].verified is None
    assert 0 < verified[0].verified.cost.runs <= 0.1


def test_generators_of_data_sampler_and_collator_go_on_too_in_lightning(tmp_path):
    def data():
        noisy = Noisy()
        drawn = RandomSampler(noisy, replacement=True, num_samples=250, generator=noisy.generator)
        return DataLoader(noisy, 8, sampler=drawn, collate_fn=Shifted(), generator=noisy.generator)

    runs = [fitted(tmp_path, each, data=data(), max_epochs=-1)[1] for each in (False, True)]
    assert same(*runs)


def test_forks_of_a_lightning_run_are_those_of_the_loop_by_hand(tmp_path):
    module = Module("adamw", LOW, dropout=0)
    callback, _ = fitted(tmp_path, True, module, loader(), max_epochs=-1)
    expected = by_hand("adamw", 1, in_groups=True)
    assert callback.verified.rate == expected.rate > 10 * LOW
    assert [run.losses for run in callback.verified.results] == [run.losses for run in expected.results]
    assert [run.probed for run in callback.verified.results] == [run.probed for run in expected.results]


def test_lightnings_callback_applies_logs_and_does_not_verify_again(tmp_path):
    logger = pl.loggers.CSVLogger(tmp_path)
    saver = pl.callbacks.ModelCheckpoint(tmp_path, "{step}", save_top_k=-1, every_n_train_steps=QUARTER)
    more = {"enable_checkpointing": True, "max_epochs": -1}
    whole, _ = fitted(tmp_path, "apply", Module("adamw", LOW), loader(), logger=logger, more=[saver], **more)
    factor = whole.verified.rate / LOW
    assert [(event.what, event.value) for event in whole.schedulers[0].log] == [("scale", factor)]
    assert factor > 3
    logger.save()
    assert f",{whole.verified.rate}" in (tmp_path / "lightning_logs/version_0/metrics.csv").read_text()
    for at, verifies in ((QUARTER, True), (2 * QUARTER, False)):
        path = tmp_path / f"step={at}.ckpt"
        callback, _ = fitted(tmp_path, "apply", Module("adamw", LOW), loader(), path, more=[saver], **more)
        assert (callback.verified is not None) == verifies
        assert callback.schedulers[0].get_last_lr() == whole.schedulers[0].get_last_lr()


class Two(Module):
    def configure_optimizers(self):
        return [optimizer_of("sgd", self, 0.1), optimizer_of("sgd", self, 0.1)]


def test_a_lightning_trainer_whose_forks_could_not_be_left_again_says_so_before_it_trains(tmp_path):
    with pytest.raises(ValueError, match=r"verify: 3 forks of 3 steps .* a run of \d+ or more can be verified"):
        fitted(tmp_path, True, max_steps=60)
    with pytest.raises(ValueError, match="verify begins at a quarter of the run, and its length is not known"):
        fitted(tmp_path, True, max_steps=-1, max_epochs=-1, plan="constant()")
    with pytest.raises(ValueError, match="the stream Stream cannot be left as it was"):
        fitted(tmp_path, True, data=DataLoader(Stream(), 8), max_epochs=-1)
    for module in (Two(), Module()):
        module.automatic_optimization = False
        with pytest.raises(ValueError, match="verify needs one optimizer that the trainer steps"):
            fitted(tmp_path, True, module, max_epochs=-1, gradient_clip_val=None)
    with pytest.raises(ValueError, match="verify must be left out beside plans"):
        lightning_callback(plans=["lr: linear()"], verify=True)


REFUSED = """
import os, sys
import pytest
from test_trainers_verify import fitted, trainer_of

with pytest.raises(ValueError, match={said!r}):
    {begin}
with open(os.path.join(sys.argv[1], os.environ["RANK"]), "w") as file:
    file.write("refused")
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "begin", "said"),
    [
        (2, "trainer_of(sys.argv[1], True).train()", "in one process, and several train this model; leave it out"),
        (1, 'fitted(sys.argv[1], True, strategy="ddp", devices=1, max_epochs=-1)', "the trainer's DDPStrategy may"),
    ],
)
def test_what_may_be_spread_over_several_devices_is_refused_before_it_trains(tmp_path, count, begin, said):
    script = REFUSED.format(begin=begin, said=said)
    with ranks(
        ["-c", f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n{script}", tmp_path], count
    ) as every:
        assert [rank.wait(timeout=240) for rank in every] == [0] * count
    assert {path.name: path.read_text() for path in tmp_path.iterdir() if path.is_file()} == dict.fromkeys(
        map(str, range(count)), "refused"
    )


def test_levels_are_what_the_schedules_multiply():
    groups = [{"params": [torch.zeros(1, requires_grad=True)], "lr": lr} for lr in (0.5, 0.1)]
    optimizer = torch.optim.SGD(groups, momentum=0.8)
    control = Control(optimizer, lr=warmup(2) >> cosine(4), momentum="linear(6)", remind=False)
    for _ in range(3):
        control.step()
    control.scale(0.5, group="group1")
    control.rebase(0.3, group="group0")
    assert levels(control) == [{"lr": 0.3, "momentum": 0.8}, {"lr": 0.05, "momentum": 0.8}]
    factor = optimizer.param_groups[0]["lr"] / 0.3
    assert optimizer.param_groups[1]["lr"] == pytest.approx(0.05 * factor)
    control.set(0.2, group="group1")
    with pytest.raises(ValueError, match=r"lr of group1 is held at 0\.2 by hand"):
        levels(control)
