"""The rate found in a Transformers or Lightning trainer is that of the same loop by hand, and nothing else stays."""

import copy
import itertools
import math
import pickle
import warnings

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
    pytest.mark.filterwarnings("ignore:Checkpoint directory:UserWarning"),
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
            todo += [(f"{place}.{name}", member) for name, member in vars(thing).items()]
    found["random"] = (0, torch.get_rng_state(), None)
    return found


def differences(before, after):
    def same(a, b):
        if not isinstance(a, tuple):
            return a == b or a != a
        pairs = zip(a[1:], b[1:], strict=True)
        return a[0] == b[0] and all(p is q is None or (p is not None and torch.equal(p, q)) for p, q in pairs)

    names = before.keys() | after.keys()
    return [
        name for name in sorted(names) if name not in before or name not in after or not same(before[name], after[name])
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


@pytest.mark.parametrize("broken_at", [math.inf, 7, 50])
@pytest.mark.parametrize("own", [True, False])
def test_a_transformers_trainer_is_as_before_also_when_a_step_raises(tmp_path, broken_at, own):
    model = Model(broken_at)
    given = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    trainer = trainer_of(tmp_path, model, optimizers=(None if own else given, None), bf16=own)
    model.eval()
    model.net[0].weight.grad = torch.ones_like(model.net[0].weight)
    before = everything(trainer, given)
    if broken_at < math.inf:
        with pytest.raises(RuntimeError, match="broken"):
            find_in_trainer(trainer, "cosine()", put=False, **QUICK)
    else:
        assert find_in_trainer(trainer, "cosine()", put=False, **QUICK).rate > 0
    assert differences(before, everything(trainer, given)) == []


@pytest.mark.slow
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


@pytest.mark.slow
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
    trainer.model.items = seen = Endless()
    find_in_trainer(trainer, put=False, **QUICK)
    assert {items for _, items in seen.all} == {8, 16, 24}  # one batch in scores, whole and ragged windows in training


class Endless:
    """Notes what is appended, and is no list that anyone puts back."""

    def __init__(self):
        self.all = []

    def append(self, pair):
        self.all.append((pair[0], int(pair[1])))


def test_a_trainer_that_cannot_be_searched_says_why(tmp_path):
    trainer = trainer_of(tmp_path, max_steps=2)
    trainer.train()
    with pytest.raises(
        ValueError, match=r"trainer has begun to train, it is at step 2; find the rate before train\(\)"
    ):
        find_in_trainer(trainer)
    trainer = trainer_of(tmp_path)
    trainer.train_dataset = None
    with pytest.raises(ValueError, match="training requires a train_dataset"):
        find_in_trainer(trainer)
    optimizer = torch.optim.SGD(Model().parameters(), lr=0.1)
    trainer = trainer_of(tmp_path, optimizers=(optimizer, torch.optim.lr_scheduler.StepLR(optimizer, 3)))
    with pytest.raises(
        ValueError, match="trainer has a scheduler of its own, StepLR, which goes on from its own rates"
    ):
        find_in_trainer(trainer)
    with pytest.raises(TypeError, match="there is no option 'budgt' of the search; did you mean 'budget'"):
        drive_trainer(trainer_of(tmp_path), lr=linear(), find={"budgt": 60})


def test_a_trainer_without_a_loss_or_a_batch_and_options_that_are_none_are_refused_in_one_line(tmp_path):
    class Silent(Model):
        def forward(self, x, labels):
            return {"loss": None}

    with pytest.raises(TypeError, match="the loss that the trainer's model returns must be a tensor, got None"):
        find_in_trainer(trainer_of(tmp_path, Silent()), **QUICK)
    with pytest.raises(
        ValueError, match="loader must be one batch or more, got the trainer's data, which give 0 batch"
    ):
        find_in_trainer(trainer_of(tmp_path, per_device_train_batch_size=512, dataloader_drop_last=True), **QUICK)
    with pytest.raises(TypeError, match=r"find must be True, False or a mapping, got \{1: True\}; such as"):
        drive_trainer(trainer_of(tmp_path), lr="cosine()", find={1: True})


def test_training_does_not_begin_where_no_rate_is_found(tmp_path):
    trainer = trainer_of(tmp_path)
    drive_trainer(trainer, lr=linear(), find={"low": 1e-12, "high": 1e-11, **QUICK})
    with pytest.raises(RuntimeError, match=r"no usable rate: .*; look at data and model, or train at the rate"):
        trainer.train()
    assert trainer.finding.rate is None


class Module(pl.LightningModule):
    """Its optimization is automatic or manual, its rate in an attribute or in its hparams."""

    def __init__(self, lr=0.001, manual=False, broken_at=math.inf, schedulers=None):
        super().__init__()
        torch.manual_seed(0)
        self.save_hyperparameters("lr")
        self.net, self.norm = net(), nn.BatchNorm1d(4, dtype=torch.float64)
        self.broken_at, self.calls, self.schedulers = broken_at, itertools.count(1), schedulers
        self.automatic_optimization, self.rates, self.ended = not manual, [], 0

    def training_step(self, batch, index):
        if next(self.calls) == self.broken_at:
            raise RuntimeError("broken")
        loss = (self.net(self.norm(batch[0])) - batch[1]).square().mean()
        self.log("loss", loss, on_step=True, on_epoch=True)
        if not self.automatic_optimization:
            optimizer = self.optimizers()
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
        return {"loss": loss}

    def on_train_batch_end(self, outputs, batch, index):
        self.ended += 1

    def train_dataloader(self):
        return batches()

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.hparams.lr)
        optimizer.register_step_post_hook(lambda o, *_: self.rates.append(o.param_groups[0]["lr"]))
        return optimizer if self.schedulers is None else ([optimizer], self.schedulers(optimizer))


class Data(pl.LightningDataModule):
    def train_dataloader(self):
        return batches()


def batches(size=8, **settings):
    return DataLoader(torch.utils.data.TensorDataset(X, Y), size, **settings)


def fitting(folder, *callbacks, **settings):
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False, "limit_val_batches": 0}
    given = {"max_epochs": 2, "enable_checkpointing": False, **quiet, **settings}
    return pl.Trainer(accelerator="cpu", default_root_dir=folder, callbacks=[*callbacks], **given)


def module_by_hand(schedule, size, total, **options):
    module = Module()
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.001)
    listed = [tuple(batch) for batch in batches()]
    windows = [listed[at : at + size] for at in range(0, len(listed), size)]

    def loss(module, batch):
        return (module.net(module.norm(batch[0])) - batch[1]).square().mean()

    def score(module, window):
        return sum(loss(module, batch) for batch in window) / len(window)

    search = RateSearch(
        optimizer, module, lr=schedule, total=total, loader=windows, loss=score, own_steps=True, **options
    )
    for run in search:
        for window in run.batches():
            optimizer.zero_grad()
            losses = [loss(module, batch) / size for batch in window]
            for each in losses:
                each.backward()
            nn.utils.clip_grad_norm_(module.parameters(), 0.5)
            optimizer.step()
            run.step(sum(each.detach() for each in losses))
    return search.finding


@pytest.mark.parametrize(("size", "total"), [(1, 64), (3, 22)])
def test_a_lightning_module_finds_what_the_loop_by_hand_finds_to_the_bit(tmp_path, size, total):
    trainer = fitting(tmp_path, gradient_clip_val=0.5, accumulate_grad_batches=size)
    schedule = warmup("10%") >> cosine()
    finding = find_in_module(Module(), trainer, lr=schedule, **QUICK)
    expected = module_by_hand(schedule, size, total, **QUICK)
    assert finding.rate == expected.rate
    assert [run.losses for run in finding.results] == [run.losses for run in expected.results]
    assert [run.probed for run in finding.results] == [run.probed for run in expected.results]


def test_manual_optimization_finds_what_automatic_optimization_finds(tmp_path):
    automatic, manual = (find_in_module(Module(manual=each), fitting(tmp_path), **QUICK) for each in (False, True))
    assert automatic.rate == manual.rate
    assert [run.losses for run in automatic.results] == [run.losses for run in manual.results]
    assert [run.probed for run in automatic.results] == [run.probed for run in manual.results]


@pytest.mark.parametrize("manual", [False, True])
@pytest.mark.parametrize("broken_at", [math.inf, 7, 50])
def test_a_lightning_module_and_its_trainer_are_as_before_also_when_a_step_raises(tmp_path, manual, broken_at):
    module, trainer = Module(manual=manual, broken_at=broken_at), fitting(tmp_path)
    module.norm.eval()
    module.net[0].weight.grad = torch.ones_like(module.net[0].weight)
    generator = torch.Generator().manual_seed(3)
    loader = batches(shuffle=True, generator=generator)
    module.hparams, trainer.log_dir  # noqa: B018 - both make something at the first look
    before, state = everything(module, trainer), generator.get_state()
    if broken_at < math.inf:
        with pytest.raises(RuntimeError, match="broken"):
            find_in_module(module, trainer, loader, put=False, **QUICK)
    else:
        assert find_in_module(module, trainer, loader, put=False, **QUICK).rate > 0
    assert differences(before, everything(module, trainer)) == []
    assert torch.equal(generator.get_state(), state)


@pytest.mark.parametrize("data", [None, Data, batches])
def test_the_rate_is_put_where_the_module_reads_it_and_training_begins_with_it(tmp_path, data):
    module, trainer = Module(), fitting(tmp_path)
    data = data and data()
    finding = find_in_module(module, trainer, data, **QUICK)
    assert module.hparams.lr == finding.rate
    trainer.fit(module, data)
    assert module.rates == [finding.rate] * 64
    module = Module()
    module.speed = 0.5
    assert find_in_module(module, fitting(tmp_path), attr="speed", put=True, **QUICK).rate > 0
    assert module.hparams.lr == 0.001
    assert module.speed == pytest.approx(finding.rate * 0.5 / 0.001)  # its ratio to the optimizer's rate is kept


def test_the_modules_own_schedulers_are_the_schedule(tmp_path):
    def stepped(interval, every):
        return lambda o: [{"scheduler": torch.optim.lr_scheduler.StepLR(o, every, 0.5), "interval": interval}]

    by_epochs, by_steps = (Module(schedulers=stepped(*each)) for each in (("epoch", 1), ("step", 32)))
    said = "multi_step(at=[32], gamma=0.5)"
    rates = [find_in_module(module, fitting(tmp_path), **QUICK).rate for module in (by_epochs, by_steps)]
    expected = find_in_module(Module(), fitting(tmp_path), lr=said, **QUICK).rate
    assert rates == [expected, expected] != [find_in_module(Module(), fitting(tmp_path), **QUICK).rate] * 2


class Two(pl.LightningModule):
    """Two optimizers, one stepped twice a batch; no loss is returned."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.parts, self.seen = nn.ModuleList([net(), net()]), set()

    train_dataloader = Module.train_dataloader

    def training_step(self, batch, index):
        optimizers = self.optimizers()
        for which in (0, 1, 1):
            optimizers[which].zero_grad()
            self.manual_backward((self.parts[which](batch[0]) - batch[1]).square().mean())
            optimizers[which].step()
        SEEN.add(tuple(optimizer.param_groups[0]["lr"] for optimizer in optimizers))

    def score(self):
        return sum((part(X) - Y).square().mean() for part in self.parts)

    def configure_optimizers(self):
        return [torch.optim.SGD(part.parameters(), lr=lr) for part, lr in zip(self.parts, (0.1, 0.4), strict=True)]


SEEN = set()


def test_two_optimizers_of_a_module_keep_their_ratio(tmp_path):
    SEEN.clear()
    module = Two()
    finding = find_in_module(module, fitting(tmp_path), lr=cosine(), put=False, probe=module.score, **QUICK)
    assert finding.rate > 0
    assert all(4 * first == pytest.approx(second) for first, second in SEEN)
    assert max(second for _, second in SEEN) == max(run.rate for run in finding.results)
    SEEN.clear()
    callback = lightning_callback(lr=cosine(), total=[64, 128], find={"probe": module.score, **QUICK})
    fitting(tmp_path, callback).fit(module)
    assert callback.finding.rate == finding.rate
    rates = [[0.25 * finding.rate, finding.rate]]
    assert [scheduler.base_lrs[0] for scheduler in callback.schedulers] == pytest.approx(rates[0])
    with pytest.raises(
        ValueError, match=r"training_step returned no loss, .*; return it, or under manual optimization"
    ):
        find_in_module(Two(), fitting(tmp_path), put=False, **QUICK)


def test_lightnings_callback_finds_the_rate_before_training_and_not_when_it_goes_on(tmp_path):
    expected = find_in_module(Module(), fitting(tmp_path), lr=linear(), **QUICK).rate
    callback = pickle.loads(pickle.dumps(lightning_callback(lr=linear(), find=QUICK)))
    saver = pl.callbacks.ModelCheckpoint(tmp_path, "{step}", save_top_k=-1)
    whole = Module()
    trainer = fitting(tmp_path, callback, saver, enable_checkpointing=True)
    trainer.fit(whole)
    assert callback.finding.rate == whole.hparams.lr == expected
    assert whole.rates == pytest.approx([expected * (1 - k / 64) for k in range(64)])
    assert (trainer.global_step, whole.ended) == (64, 64)
    again, callback = Module(), lightning_callback(lr=linear(), find=True)
    trainer = fitting(tmp_path, callback, saver, enable_checkpointing=True)
    trainer.fit(again, ckpt_path=tmp_path / "step=32.ckpt")
    assert callback.finding is None
    assert again.rates == whole.rates[32:]


def test_training_after_a_search_is_training_at_that_rate(tmp_path):
    callback = lightning_callback(lr=linear(), find=QUICK)
    found, by_hand = Module(), Module()
    for module, each in ((found, callback), (by_hand, lightning_callback(lr=linear()))):
        by_hand.hparams.lr = None if callback.finding is None else callback.finding.rate
        torch.manual_seed(1)
        fitting(tmp_path, each).fit(module, batches(shuffle=True))
    for one, other in zip(found.state_dict().values(), by_hand.state_dict().values(), strict=True):
        assert torch.equal(one, other)


def test_a_module_that_cannot_be_searched_says_why(tmp_path):
    trainer = fitting(tmp_path, max_steps=1, max_epochs=None)
    trainer.fit(Module())
    with pytest.raises(ValueError, match="trainer has begun to fit, it is at step 1; find the rate with a new one"):
        find_in_module(Module(), trainer)
    with pytest.raises(ValueError, match=r"module has none of the attributes lr, learning_rate, nor have its hparams"):
        find_in_module(Two(), fitting(tmp_path))
    with pytest.raises(ValueError, match="attr must be an attribute of the module or of its hparams, got 'speed'"):
        find_in_module(Module(), fitting(tmp_path), attr="speed")
    for attr in ("net", "training_step"):
        with pytest.raises(ValueError, match=f"attr must be the name of an attribute that has a rate, and '{attr}' is"):
            find_in_module(Module(), fitting(tmp_path), attr=attr)
    with pytest.raises(ValueError, match="the length of the run is not known; give total="):
        find_in_module(Module(), fitting(tmp_path, max_epochs=-1))
    with pytest.raises(ValueError, match="trained on no batch; give it training data"):
        find_in_module(Module(), fitting(tmp_path, limit_train_batches=0))
    with pytest.raises(ValueError, match="find must be left out beside plans"):
        lightning_callback(plans=["lr: linear()"], find=True)
    idle = Module()
    idle.configure_optimizers = lambda: None
    no_optimizer = pytest.warns(UserWarning, match="this fit will run with no optimizer")
    with no_optimizer, pytest.raises(ValueError, match="the module has no optimizer, so there is no rate"):
        find_in_module(idle, fitting(tmp_path))


def test_trls_trainer_finds_its_rate_and_its_metrics_are_as_before(tmp_path):
    trl = pytest.importorskip("trl")
    warnings.simplefilter("ignore")  # of what TRL itself takes from Transformers
    datasets = pytest.importorskip("datasets")
    tokenizers = pytest.importorskip("tokenizers")
    words = {word: place for place, word in enumerate(["<pad>", "<eos>", *"abcdefghij"])}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="<pad>"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>")
    rows = [{"text": " ".join("abcdefghij"[(i + k) % 10] for k in range(4 + i % 5))} for i in range(64)]
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(vocab_size=12, pad_token_id=0, eos_token_id=1, bos_token_id=1, **sizes)
    )
    quiet = {"use_cpu": True, "bf16": False, "report_to": "none", "disable_tqdm": True, "save_strategy": "no"}
    settings = trl.SFTConfig(str(tmp_path), max_steps=20, gradient_accumulation_steps=2, logging_steps=1, **quiet)
    data = datasets.Dataset.from_list(rows)
    trainer = trl.SFTTrainer(model, settings, train_dataset=data, processing_class=fast)
    trainer.remove_callback(transformers.PrinterCallback)
    before = everything(trainer)
    assert find_in_trainer(trainer, put=False, **QUICK).rate > 0
    assert differences(before, everything(trainer)) == []
    finding = find_in_trainer(trainer, **QUICK)
    trainer.train()
    assert first_rates(trainer)[0] == finding.rate
