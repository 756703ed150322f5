"""Under Lightning, Transformers and Accelerate each update has the formula's rate, and a resumed run never stopped."""

import json
import math
import pickle
from dataclasses import replace

import pytest
import torch
from children import ranks
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR

from stepsize import Control, Plan, Scheduler, cosine, from_torch, linear, plateau
from stepsize.control.feedback import _steering
from stepsize.integrations import drive_trainer, lightning_callback, on_resume
from stepsize.integrations._given import go_on

pl = pytest.importorskip("lightning.pytorch")
transformers = pytest.importorskip("transformers")
accelerate = pytest.importorskip("accelerate")

BASE = 0.5
BATCHES, EPOCHS = 5, 3
CUTS = plateau(of="val_loss", patience=0, factor=0.5)
pytestmark = [
    pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec:FutureWarning"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory:UserWarning"),
    pytest.mark.filterwarnings("ignore::lightning.pytorch.utilities.warnings.PossibleUserWarning"),
]


def flawed(*which):
    return pytest.param(*which, marks=pytest.mark.xfail(strict=True, raises=AssertionError))


def halves(updates, total):
    return [BASE * (1 + math.cos(math.pi * k / total)) / 2 for k in updates]


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))


def loss_of(model, step):
    x = torch.randn(8, 3, generator=torch.Generator().manual_seed(step))
    return (model(x) - x.sum(1, keepdim=True)).square().mean()


def cut(rates, at):
    return [rate * (0.5 if k >= at else 1.0) for k, rate in enumerate(rates)]


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def recorded(optimizer, rates):
    optimizer.register_step_post_hook(lambda o, *_: rates.append(o.param_groups[0]["lr"]))
    return optimizer


class Module(pl.LightningModule):
    """Its data depend on the step alone; what it logs is given; ``configure`` makes the entries of schedulers."""

    def __init__(self, configure=None, losses=(1.0,) * EPOCHS):
        super().__init__()
        self.net, self.configure, self.losses, self.rates = net(), configure, losses, []

    def train_dataloader(self):
        return torch.utils.data.DataLoader(range(BATCHES))

    val_dataloader = train_dataloader

    def measured(self):
        return 0.0 if self.trainer.sanity_checking else self.losses[min(self.current_epoch, len(self.losses) - 1)]

    def training_step(self, batch, index):
        self.log("train_loss", self.measured(), on_step=False, on_epoch=True)
        return loss_of(self.net, self.trainer.global_step)

    def validation_step(self, batch, index):
        self.log("val_loss", self.measured())

    def configure_optimizers(self):
        optimizer = recorded(torch.optim.SGD(self.parameters(), lr=BASE, momentum=0.9), self.rates)
        if self.configure is None:
            return optimizer
        return [optimizer], self.configure(optimizer, self.trainer.estimated_stepping_batches)


class Observing(Module):
    """Hands its losses over itself."""

    def on_validation_epoch_end(self):
        if not self.trainer.sanity_checking:
            self.lr_schedulers().observe(val_loss=self.trainer.callback_metrics["val_loss"])


def fit(folder, module, *callbacks, ckpt_path=None, **settings):
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    settings = {"max_epochs": EPOCHS, "limit_val_batches": 0, "enable_checkpointing": False, **quiet, **settings}
    trainer = pl.Trainer(accelerator="cpu", default_root_dir=folder, callbacks=[*callbacks], **settings)
    trainer.fit(module, ckpt_path=ckpt_path)
    return trainer


def in_lightning(way, losses=(1.0,) * EPOCHS, **plan):
    """The module, and the callbacks, by which one plan is put to work in one of three ways."""
    if way == "callback":
        return Module(losses=losses), lightning_callback(lr=cosine(), **plan)

    def configure(optimizer, total):
        scheduler = Scheduler(optimizer, cosine(), total, **plan)
        entries = [{"scheduler": scheduler, "interval": "step"}]
        if way == "entry":
            entries.append({"scheduler": scheduler, "reduce_on_plateau": True, "monitor": "val_loss"})
        return entries

    return ((Observing if way == "observe" else Module)(configure, losses),)


@pytest.mark.parametrize("way", ["callback", "scheduler"])
@pytest.mark.parametrize(("accumulate", "total"), [(1, 15), (2, 9)])
def test_lightning_gives_each_update_the_rate_of_the_formula(tmp_path, way, accumulate, total):
    module, *callbacks = in_lightning(way)
    fit(tmp_path, module, *callbacks, accumulate_grad_batches=accumulate)
    assert module.rates == pytest.approx(halves(range(total), total))


@pytest.mark.parametrize("library", ["stepsize", flawed("torch")])
def test_lightning_may_step_a_scheduler_once_an_epoch_as_it_does_unless_told(tmp_path, library):
    ours = library == "stepsize"
    module = Module(lambda o, total: [Scheduler(o, cosine(), total) if ours else CosineAnnealingLR(o, total)])
    fit(tmp_path, module)
    assert module.rates == pytest.approx(halves(range(15), 15))


@pytest.mark.parametrize("way", ["callback", "observe", "entry"])
def test_lightning_cuts_the_rate_when_what_is_validated_in_training_does_not_improve(tmp_path, way):
    module, *callbacks = in_lightning(way, losses=(1.0, 2.0, 0.5, 0.5), feedback=CUTS)
    fit(tmp_path, module, *callbacks, max_epochs=4, limit_val_batches=1)
    assert module.rates == pytest.approx(cut(halves(range(20), 20), 10))


def test_lightning_cuts_after_epochs_where_nothing_is_validated_and_not_when_it_only_validates(tmp_path):
    module, callback = in_lightning("callback", (1.0, 2.0, 0.5), feedback=replace(CUTS, of="train_loss"))
    trainer = fit(tmp_path, module, callback)
    assert module.rates == pytest.approx(cut(halves(range(15), 15), 10))
    module, callback = in_lightning("callback", feedback=CUTS)
    trainer = fit(tmp_path, module, callback, limit_val_batches=1, max_epochs=1)
    trainer.validate(module, verbose=False)
    assert callback.schedulers[0].log == []
    module, callback = in_lightning("callback", feedback=plateau())
    said = "feedback looks at 'loss', and the module has logged 'train_loss', 'val_loss' by now"
    with pytest.raises(ValueError, match=said):
        fit(tmp_path, module, callback, limit_val_batches=1)


@pytest.mark.parametrize(("name", "every"), [("train_loss", 1), ("val_loss", 1), ("val_loss", 2)])
def test_lightning_hands_a_measure_over_when_it_is_new_wherever_it_is_logged(tmp_path, name, every):
    losses = (1.0, 2.0, 0.5, 0.5)
    module, callback = in_lightning("callback", losses, feedback=replace(CUTS, of=name))
    fit(tmp_path, module, callback, max_epochs=4, limit_val_batches=1, check_val_every_n_epoch=every)
    cuts = {1: [10, 20], 2: []}[every]  # every second epoch: 2.0, then 0.5
    assert [event.position for event in callback.schedulers[0].log if event.what == "feedback"] == cuts


@pytest.mark.parametrize("way", ["callback", "scheduler"])
@pytest.mark.parametrize("step", [4, 5, 12])
def test_lightning_resumed_from_any_step_is_the_run_never_stopped(tmp_path, way, step):
    def run(**settings):
        module, *callbacks = in_lightning(way)
        saver = pl.callbacks.ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=1, save_top_k=-1)
        fit(tmp_path, module, *callbacks, saver, enable_checkpointing=True, **settings)
        return module

    whole, again = run(), run(ckpt_path=tmp_path / f"step={step}.ckpt")
    assert again.rates == whole.rates[step:]
    assert torch.equal(weights(again), weights(whole))
    torch.load(tmp_path / f"step={step}.ckpt", weights_only=True)


@pytest.mark.parametrize("way", ["callback", "observe"])
@pytest.mark.parametrize("epochs", [1, 2])
def test_lightning_resumed_after_a_validation_goes_on_with_what_feedback_has_seen(tmp_path, way, epochs):
    def run(**settings):
        module, *callbacks = in_lightning(way, (1.0, 2.0, 0.5), feedback=CUTS)
        saver = pl.callbacks.ModelCheckpoint(tmp_path, "{step}", save_top_k=-1)
        fit(tmp_path, module, *callbacks, saver, enable_checkpointing=True, limit_val_batches=1, **settings)
        return module

    whole, again = run(), run(ckpt_path=tmp_path / f"step={5 * epochs}.ckpt")
    assert whole.rates == pytest.approx(cut(halves(range(15), 15), 10))
    assert again.rates == whole.rates[5 * epochs :]
    assert torch.equal(weights(again), weights(whole))


def test_lightning_goes_on_to_another_length_as_chosen_and_not_without_a_choice(tmp_path):
    def run(epochs, resume=None, **settings):
        module, callback = Module(), lightning_callback(lr=linear(), resume=resume)
        saver = pl.callbacks.ModelCheckpoint(tmp_path, "{step}", save_top_k=-1)
        fit(tmp_path, module, callback, saver, enable_checkpointing=True, max_epochs=epochs, **settings)
        return module.rates

    first, checkpoint = run(2), tmp_path / "step=5.ckpt"
    assert first[5:] == pytest.approx([BASE * (1 - k / 10) for k in range(5, 10)])
    stretched = run(4, {"extend": "stretch"}, ckpt_path=checkpoint)
    assert stretched == pytest.approx([BASE / 2 * (1 - k / 15) for k in range(15)])
    with pytest.raises(ValueError, match=r"total was 10.0 when the state was saved and is 20.0 now") as caught:
        run(4, ckpt_path=checkpoint)
    assert 'choose with lightning_callback(..., resume={"extend": "keep"} or {"extend": "stretch"}' in str(caught.value)
    assert "load_state_dict" not in str(caught.value)
    fit(tmp_path, Module(), pl.callbacks.ModelCheckpoint(tmp_path, "none"), enable_checkpointing=True, max_epochs=1)
    with pytest.warns(UserWarning, match="training goes on at step 5, and no state of this callback was saved there"):
        run(2, ckpt_path=tmp_path / "none.ckpt")


class Two(pl.LightningModule):
    """Steps one optimizer once a batch, and the other twice."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.parts, self.rates = nn.ModuleList([net(), net()]), ([], [])

    train_dataloader = Module.train_dataloader

    def training_step(self, batch, index):
        for which in (0, 1, 1):
            optimizer = self.optimizers()[which]
            optimizer.zero_grad()
            self.manual_backward(loss_of(self.parts[which], self.trainer.global_step))
            optimizer.step()

    def configure_optimizers(self):
        parts = zip(self.parts, self.rates, strict=True)
        return [recorded(torch.optim.SGD(part.parameters(), lr=BASE), rates) for part, rates in parts]


def test_lightning_drives_each_of_two_optimizers_by_its_own_updates(tmp_path):
    module, callback = Two(), lightning_callback(lr=cosine(), total=30)
    fit(tmp_path, module, callback)
    assert module.rates[0] == pytest.approx(halves(range(15), 30))
    assert module.rates[1] == pytest.approx(halves(range(30), 30))
    again, saver = Two(), pl.callbacks.ModelCheckpoint(tmp_path, "{epoch}", save_top_k=-1)
    fit(tmp_path, Two(), callback, saver, enable_checkpointing=True)
    fit(tmp_path, again, callback, saver, enable_checkpointing=True, ckpt_path=tmp_path / "epoch=1.ckpt")
    assert again.rates == (module.rates[0][10:], module.rates[1][20:])
    assert torch.equal(weights(again), weights(module))


GAN = {0: "lr: cosine()", 1: Plan(linear(), momentum="linear()")}


@pytest.mark.parametrize("given", [GAN, list(GAN.values())])
@pytest.mark.parametrize("total", [{0: 15, 1: 30}, [15, 30]])
def test_lightnings_callback_has_a_plan_for_each_optimizer_of_a_gan(tmp_path, given, total):
    def run(**settings):
        module, callback = Two(), lightning_callback(plans=given, total=total)
        saver = pl.callbacks.ModelCheckpoint(tmp_path, "{epoch}", save_top_k=-1)
        fit(tmp_path, module, callback, saver, enable_checkpointing=True, **settings)
        return module

    whole, again = run(), run(ckpt_path=tmp_path / "epoch=1.ckpt")
    assert whole.rates[0] == pytest.approx(halves(range(15), 15))
    assert whole.rates[1] == pytest.approx([BASE * (1 - k / 30) for k in range(30)])
    assert again.rates == (whole.rates[0][10:], whole.rates[1][20:])
    assert torch.equal(weights(again), weights(whole))


@pytest.mark.parametrize("given", [{1: "lr: linear()"}, [None, "lr: linear()"]])
def test_lightnings_callback_leaves_an_optimizer_alone_that_has_no_plan(tmp_path, given):
    module, callback = Two(), lightning_callback(plans=given, total=30)
    saver = pl.callbacks.ModelCheckpoint(tmp_path, "{epoch}", save_top_k=-1)
    fit(tmp_path, module, callback, saver, enable_checkpointing=True)
    assert module.rates[0] == [BASE] * 15
    assert module.rates[1] == pytest.approx([BASE * (1 - k / 30) for k in range(30)])
    assert [scheduler is None for scheduler in callback.schedulers] == [True, False]
    again = lightning_callback(lr=linear(), total=30)
    with pytest.raises(ValueError, match="optimizer 0 was left alone when the checkpoint was saved and is driven now"):
        fit(tmp_path, Two(), again, saver, enable_checkpointing=True, ckpt_path=tmp_path / "epoch=1.ckpt")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"plans": {2: "lr: linear()"}}, "plans has one for optimizer 2, and the module has 2; optimizers are counted"),
        ({"plans": ["lr: linear()"]}, "plans has 1 and the module 2 optimizers; give a plan for each"),
        ({"lr": linear(), "total": {3: 9}}, "total has one for optimizer 3, and the module has 2"),
    ],
)
def test_lightnings_callback_names_optimizers_that_are_not_there(tmp_path, given, said):
    with pytest.raises(ValueError, match=said):
        fit(tmp_path, Two(), lightning_callback(**{"total": 30, **given}))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"plans": {}, "lr": linear()}, "plans has the plan of each optimizer, and lr came beside it"),
        ({"plans": {0: Plan(clip=1.0)}}, "clip must be left out: clipping is the trainer's, got 1.0; use Trainer"),
        ({"plans": {"generator": "lr: linear()"}}, "optimizer of plans must be a whole number >= 0, got 'generator'"),
        ({"plans": {0: 3}}, "plan of plans must be a Plan or its text, got 3"),
        ({"total": [10, -1], "lr": linear()}, "total must be a finite number > 0, got -1"),
    ],
)
def test_lightnings_callback_says_at_once_what_is_wrong_with_plans(given, said):
    with pytest.raises((TypeError, ValueError), match=said):
        lightning_callback(**given)


def test_lightnings_callback_drives_one_run_after_another_and_processes_that_are_spawned(tmp_path):
    callback = pickle.loads(pickle.dumps(lightning_callback(lr=cosine())))
    for _ in range(2):
        module = Module()
        fit(tmp_path, module, callback)
        assert module.rates == pytest.approx(halves(range(15), 15))


@pytest.mark.parametrize(
    ("module", "given", "said"),
    [
        (Module(lambda o, total: [CosineAnnealingLR(o, 9)]), {}, "a scheduler of its own, CosineAnnealingLR, and one"),
        (Module(lambda o, total: [Scheduler(o, cosine(9))]), {}, "a scheduler of its own, Scheduler, and one rate has"),
        (Module(), {"max_epochs": -1}, "needs the run's length; give total="),
    ],
)
def test_lightnings_callback_refuses_what_it_cannot_drive(tmp_path, module, given, said):
    with pytest.raises(ValueError, match=said):
        fit(tmp_path, module, lightning_callback(lr=cosine()), **given)


class Model(nn.Module):
    """Its losses in training depend on its data alone; those in evaluations are given."""

    def __init__(self, losses):
        super().__init__()
        self.net, self.losses = net(), iter(losses)

    def forward(self, x, return_loss=True):
        return {"loss": loss_of(self.net, int(x[0])) if self.training else torch.tensor(next(self.losses))}


class Rates(transformers.TrainerCallback):
    def __init__(self):
        self.rates = []

    def on_pre_optimizer_step(self, args, state, control, optimizer=None, **_):
        self.rates.append(optimizer.param_groups[0]["lr"])


class Observes(transformers.TrainerCallback):
    def on_evaluate(self, args, state, control, metrics=None, lr_scheduler=None, **_):
        lr_scheduler.observe(**metrics)


def trainer_of(folder, model, optimizers=(None, None), data=5, evaluated=None, **settings):
    quiet = {"report_to": "none", "disable_tqdm": True, "use_cpu": True}
    settings = {"learning_rate": BASE, "num_train_epochs": 3, "per_device_train_batch_size": 1, **quiet, **settings}
    arguments = transformers.TrainingArguments(folder, **{"logging_steps": 1, "save_strategy": "no", **settings})
    data = [{"x": k} for k in range(data)]
    evaluated = data[:1] if evaluated is None else evaluated
    trainer = transformers.Trainer(model, arguments, train_dataset=data, eval_dataset=evaluated, optimizers=optimizers)
    trainer.remove_callback(transformers.PrinterCallback)
    trainer.add_callback(Rates)
    return trainer


def in_transformers(way, folder, total=15, losses=(), feedback=None, resume=None, **settings):
    """The trainer that one plan drives in one of two ways."""
    model = Model(losses)
    if way == "hook":
        trainer = trainer_of(folder, model, **settings)
        drive_trainer(trainer, lr="cosine()", feedback=feedback, resume=resume)
        return trainer
    optimizer = torch.optim.AdamW(model.parameters(), lr=BASE)
    scheduler = Scheduler(optimizer, cosine(), total, feedback=feedback)
    trainer = trainer_of(folder, model, (optimizer, scheduler), **settings)
    if feedback is not None:
        trainer.add_callback(Observes)
    return trainer


def train(trainer, **settings):
    trainer.train(**settings)
    [recorder] = [each for each in trainer.callback_handler.callbacks if isinstance(each, Rates)]
    rates, recorder.rates = recorder.rates, []
    return rates


ways = pytest.mark.parametrize("way", ["hook", "optimizers"])
EVAL_CUTS = replace(CUTS, of="eval_loss")


@ways
@pytest.mark.parametrize(("accumulate", "total"), [(1, 15), (2, 9)])
def test_transformers_gives_each_update_the_rate_of_the_formula_and_logs_it(tmp_path, way, accumulate, total):
    trainer = in_transformers(way, tmp_path, total, gradient_accumulation_steps=accumulate)
    rates = train(trainer)
    assert rates == pytest.approx(halves(range(total), total))
    assert [entry["learning_rate"] for entry in trainer.state.log_history if "learning_rate" in entry] == rates


@ways
@pytest.mark.parametrize(("strategy", "step"), [("steps", 4), ("epoch", 5), ("epoch", 10)])
def test_transformers_resumed_is_the_run_never_stopped_feedback_too(tmp_path, way, strategy, step):
    def run(losses, **resume):
        saving = {"save_strategy": strategy, "save_steps": 4, "eval_strategy": "epoch"}
        trainer = in_transformers(way, tmp_path, losses=losses, feedback=EVAL_CUTS, **saving)
        return train(trainer, **resume), weights(trainer.model)

    losses = (1.0, 2.0, 0.5)
    rates, end = run(losses)
    again, same = run(losses[step // 5 :], resume_from_checkpoint=str(tmp_path / f"checkpoint-{step}"))
    assert rates == pytest.approx(cut(halves(range(15), 15), 10))
    assert again == rates[step:]
    assert torch.equal(same, end)


def test_transformers_feedback_takes_one_of_several_sets_and_only_what_is_evaluated_in_training(tmp_path):
    sets, feedback = {"a": [{"x": 0}], "b": [{"x": 1}]}, replace(CUTS, of="eval_b_loss")
    losses = (9.0, 1.0, 8.0, 2.0, 7.0, 0.5, 9.0, 9.0)
    trainer = in_transformers("hook", tmp_path, 15, losses, feedback, evaluated=sets, eval_strategy="epoch")
    assert train(trainer) == pytest.approx(cut(halves(range(15), 15), 10))
    trainer.evaluate()
    assert [event.what for event in trainer.lr_scheduler.log] == ["feedback"]


@pytest.mark.slow
def test_transformers_trains_anew_when_asked_again_and_to_another_length_as_chosen(tmp_path):
    saving = {"save_strategy": "epoch", "data": 4}
    trainer = in_transformers("hook", tmp_path, **saving)
    assert train(trainer) == train(trainer) == pytest.approx(halves(range(12), 12))
    longer = in_transformers("hook", tmp_path, resume={"plan": "new"}, num_train_epochs=6, **saving)
    checkpoint = str(tmp_path / "checkpoint-8")
    assert train(longer, resume_from_checkpoint=checkpoint) == pytest.approx(halves(range(8, 24), 24))
    with pytest.raises(ValueError, match=r"total was 12.0 when the state was saved and is 24.0 now") as caught:
        train(in_transformers("hook", tmp_path, num_train_epochs=6, **saving), resume_from_checkpoint=checkpoint)
    assert 'choose with drive_trainer(..., resume={"extend": "keep"} or {"extend": "stretch"}' in str(caught.value)
    assert "load_state_dict" not in str(caught.value)


@pytest.mark.parametrize(
    ("changed", "choice"),
    [({"plan": "linear(6)"}, "plan"), ({"lr": 0.25}, "base"), ({"total": 24}, "extend")],
)
@pytest.mark.parametrize("hook", ["lightning_callback", "drive_trainer"])
def test_every_difference_names_the_argument_of_the_hook(changed, choice, hook):
    def begun(plan="linear()", lr=BASE, total=12):
        return Scheduler(torch.optim.SGD(net().parameters(), lr=lr), plan, total)

    state = begun().state_dict()
    with pytest.raises(ValueError, match=rf'choose with {hook}\(\.\.\., resume=\{{"{choice}": ') as caught:
        go_on(begun(**changed), state, {}, hook)
    assert "load_state_dict" not in str(caught.value)
    with pytest.raises(ValueError, match=rf"where a trainer loads the state, on_resume\(scheduler, {choice}=\.\.\.\)"):
        begun(**changed).load_state_dict(state)


@pytest.mark.slow
def test_transformers_loads_a_given_scheduler_to_another_length_as_chosen(tmp_path):
    def trainer(total, epochs, **choice):
        model = Model(())
        optimizer = torch.optim.SGD(model.parameters(), lr=BASE)
        scheduler = Scheduler(optimizer, linear(), total)
        scheduler = on_resume(scheduler, **choice) if choice else scheduler
        given = {"save_strategy": "epoch", "data": 4, "num_train_epochs": epochs}
        return trainer_of(tmp_path, model, (optimizer, scheduler), **given)

    train(trainer(12, 3))
    checkpoint = str(tmp_path / "checkpoint-8")
    with pytest.raises(ValueError, match=r"total was 12.0 .* where a trainer loads the state, on_resume"):
        train(trainer(24, 6), resume_from_checkpoint=checkpoint)
    rates = train(trainer(24, 6, extend="stretch"), resume_from_checkpoint=checkpoint)
    assert rates == pytest.approx([BASE / 3 * (1 - k / 16) for k in range(16)])


def test_transformers_lambdas_of_another_length_do_not_resume_as_the_same():
    def control(total):
        optimizer = torch.optim.SGD(net().parameters(), lr=BASE)
        return Control(optimizer, lr=from_torch(transformers.get_cosine_schedule_with_warmup(optimizer, 10, total)))

    state = control(100).state_dict()
    control(100).load_state_dict(state)
    with pytest.raises(ValueError, match=r"plan was .* when the state was saved and is .* now"):
        control(200).load_state_dict(state)


@pytest.mark.filterwarnings("ignore:feedback looks at")
@pytest.mark.parametrize("name", ["eval_c_loss", "eval_loss"])
def test_transformers_feedback_on_none_of_several_sets_is_refused_when_all_have_come(tmp_path, name):
    sets = {"a": [{"x": 0}], "b": [{"x": 1}]}
    trainer = in_transformers(
        "hook", tmp_path, 15, [1.0] * 9, replace(CUTS, of=name), evaluated=sets, eval_strategy="epoch"
    )
    with pytest.raises(
        ValueError, match=f"feedback looks at '{name}', and the evaluation gave 'eval_a_loss', .*'eval_b"
    ):
        trainer.train()


@pytest.mark.filterwarnings("ignore:feedback looks at")
def test_drive_trainer_refuses_what_it_cannot_drive(tmp_path):
    def refused(said, trainer=None, **given):
        with pytest.raises((TypeError, ValueError), match=said):
            drive_trainer(trainer or trainer_of(tmp_path, Model(())), **given)

    model = Model(())
    optimizer = torch.optim.SGD(model.parameters(), lr=BASE)
    refused("trainer must be a transformers.Trainer, got 3", 3)
    scheduler = CosineAnnealingLR(optimizer, 9)
    refused("already, CosineAnnealingLR, and", trainer_of(tmp_path, model, (optimizer, scheduler)))
    refused("already, a plan, and one rate has one driver", in_transformers("hook", tmp_path))
    refused("of of feedback must be a metric of the trainer's evaluation, got 'loss'", feedback=plateau())
    refused("feedback looks at 'eval_loss', and the trainer never evaluates", feedback=EVAL_CUTS)
    trainer = in_transformers("hook", tmp_path, 15, (1.0,), replace(CUTS, of="eval_lo"), eval_strategy="epoch")
    with pytest.raises(ValueError, match="feedback looks at 'eval_lo', and the evaluation gave 'eval_loss', "):
        trainer.train()


@pytest.mark.parametrize("drive", [lightning_callback, drive_trainer])
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"clip": 1.0}, "clip must be left out: clipping is the trainer's, got 1.0; use Train"),
        ({"lrr": "cosine()"}, "there is no argument 'lrr'; did you mean 'lr'?"),
        ({"lr": "cosin()"}, "did you mean 'cosine'"),
        ({"per_epoch": 0}, "per_epoch must be a finite number > 0, got 0"),
        ({"resume": {"extends": "keep"}}, "no choice 'extends'; did you mean 'extend'"),
    ],
)
def test_hooks_say_at_once_what_is_wrong_with_a_plan(tmp_path, drive, given, said):
    args = [] if drive is lightning_callback else [trainer_of(tmp_path, Model(()))]
    with pytest.raises((TypeError, ValueError), match=said):
        drive(*args, **given)


@pytest.fixture
def _alone():
    accelerate.state.AcceleratorState._reset_state(reset_partial_state=True)
    accelerate.state.GradientState._reset_state()


def accelerated(kind, model, optimizer, accelerator, total):
    """A scheduler, given to ``prepare`` or not, or made of an optimizer that was."""
    if kind == "of the prepared":
        model, optimizer = accelerator.prepare(model, optimizer)
        return model, optimizer, Scheduler(optimizer, cosine(), total)
    shape = lambda k: (1 + math.cos(math.pi * k / total)) / 2  # noqa: E731
    scheduler = LambdaLR(optimizer, shape) if "torch" in kind else Scheduler(optimizer, cosine(), total)
    if "left out" in kind:
        return *accelerator.prepare(model, optimizer), scheduler
    return accelerator.prepare(model, optimizer, scheduler)


@pytest.mark.usefixtures("_alone")
@pytest.mark.filterwarnings("ignore:Detected call of .lr_scheduler.step")
@pytest.mark.parametrize(
    "kind",
    ["prepared", "left out", "of the prepared", flawed("torch left out")],
)
def test_accelerate_steps_that_a_gradient_scaler_leaves_out_do_not_move_the_clock(kind):
    rates, accelerator, model = [], accelerate.Accelerator(cpu=True), net()
    accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    optimizer = recorded(torch.optim.SGD(model.parameters(), lr=BASE), rates)
    model, optimizer, scheduler = accelerated(kind, model, optimizer, accelerator, 10)
    for step in range(12):
        accelerator.backward(loss_of(model, step) * (math.inf if step in (0, 5) else 1.0))
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
    assert rates == pytest.approx(halves(range(10), 10))


@pytest.mark.usefixtures("_alone")
@pytest.mark.parametrize("kind", ["prepared", "left out", "of the prepared"])
def test_accelerate_goes_on_from_its_own_checkpoint_as_if_never_stopped(tmp_path, kind):
    def run(steps, load=False, save=False):
        accelerate.state.AcceleratorState._reset_state(reset_partial_state=True)
        rates, accelerator, model = [], accelerate.Accelerator(cpu=True), net()
        optimizer = recorded(torch.optim.SGD(model.parameters(), lr=BASE, momentum=0.9), rates)
        model, optimizer, scheduler = accelerated(kind, model, optimizer, accelerator, 10)
        if kind != "prepared":
            accelerator.register_for_checkpointing(scheduler)
        if load:
            accelerator.load_state(tmp_path)
        for step in steps:
            accelerator.backward(loss_of(model, step))
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
        if save:
            accelerator.save_state(tmp_path)
        return rates, weights(model)

    whole, end = run(range(10))
    first, _ = run(range(4), save=True)
    last, same = run(range(4, 10), load=True)
    assert first + last == whole
    assert torch.equal(same, end)


@pytest.mark.usefixtures("_alone")
@pytest.mark.parametrize("kind", ["prepared", "left out", "of the prepared", "control"])
def test_accelerate_loads_a_state_of_another_length_as_chosen(tmp_path, kind):
    def begun(total, **choice):
        accelerate.state.AcceleratorState._reset_state(reset_partial_state=True)
        accelerator, model = accelerate.Accelerator(cpu=True), net()
        optimizer = torch.optim.SGD(model.parameters(), lr=BASE)
        if kind == "control":
            scheduler = Control(optimizer, lr=cosine(), total=total, remind=False)
        else:
            model, optimizer, scheduler = accelerated(kind, model, optimizer, accelerator, total)
        if kind != "prepared":
            accelerator.register_for_checkpointing(scheduler)
        return accelerator, on_resume(scheduler, **choice) if choice else scheduler

    accelerator, scheduler = begun(10)
    if kind == "control":
        for _ in range(4):
            scheduler.step()
    accelerator.save_state(tmp_path)
    accelerator, scheduler = begun(20)
    with pytest.raises(ValueError, match=r"total was 10.0 .* where a trainer loads the state, on_resume"):
        accelerator.load_state(tmp_path)
    accelerator, scheduler = begun(20, plan="new")
    accelerator.load_state(tmp_path)
    inner = getattr(scheduler, "scheduler", scheduler)
    done = 4 if kind == "control" else 0
    assert (inner.position, inner.preview([9]).rates["group0"][0]) == (done, pytest.approx(halves([9], 20)[0]))


@pytest.mark.parametrize(
    ("scheduler", "choice", "said"),
    [
        (3, {"plan": "new"}, "scheduler must be a Scheduler or Control, got 3"),
        (None, {}, "on_resume needs a choice; write for example"),
        (None, {"extend": "kep"}, "extend must be one of 'keep', 'stretch', 'cooldown', or a schedule, got 'kep'"),
        (None, {"plan": "old"}, "plan must be 'saved' or 'new', got 'old'"),
    ],
)
def test_on_resume_refuses_what_is_no_choice(scheduler, choice, said):
    given = scheduler or Scheduler(torch.optim.SGD(net().parameters(), lr=BASE), cosine(9))
    with pytest.raises((TypeError, ValueError), match=said):
        on_resume(given, **choice)


WORKER = """
import json, math, sys
import torch
from accelerate import Accelerator
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR
from stepsize import Scheduler, cosine, plateau

def run(kind, prepared, accumulate, feedback=None):
    accelerator.gradient_accumulation_steps, accelerator.step = accumulate, 0
    model, data = torch.nn.Linear(1, 1), torch.randn(24, 1)
    optimizer, rates, total = torch.optim.SGD(model.parameters(), lr=0.5), [], 18 // accumulate
    optimizer.register_step_post_hook(lambda o, *_: rates.append(o.param_groups[0]["lr"]))
    if kind == "stepsize":
        scheduler = own = Scheduler(optimizer, cosine(), total, feedback=feedback)
    elif kind == "LambdaLR":
        scheduler = LambdaLR(optimizer, lambda k: (1 + math.cos(math.pi * k / total)) / 2)
    else:
        scheduler = CosineAnnealingLR(optimizer, total)
    model, optimizer, loader = accelerator.prepare(model, optimizer, torch.utils.data.DataLoader(data, 2))
    if prepared:
        scheduler = accelerator.prepare(scheduler)
    for epoch in range(3):
        for x in loader:
            with accelerator.accumulate(model):
                accelerator.backward(model(x).square().mean())
                optimizer.step()
                scheduler.step()
                optimizer.zero_grad()
        if feedback is not None:
            own.observe(loss=1.0 + epoch * (0.5 - accelerator.process_index))
    return rates

torch.manual_seed(0)
accelerator = Accelerator(cpu=True)
assert accelerator.num_processes == 2
kinds = [("stepsize", True), ("stepsize", False), ("LambdaLR", True), ("CosineAnnealingLR", True)]
found = {f"{kind} {prepared} {a}": run(kind, prepared, a) for kind, prepared in kinds for a in (1, 2)}
found["feedback"] = run("stepsize", True, 1, plateau(patience=0, factor=0.5))
open(sys.argv[1] + "/" + str(accelerator.process_index), "w").write(json.dumps(found))
accelerator.end_training()
"""


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    """The rates of every update, by case, that both of two real processes have seen."""
    folder = tmp_path_factory.mktemp("two")
    with ranks(["-c", WORKER, folder]) as both:
        assert [rank.wait(timeout=120) for rank in both] == [0, 0]
    one, other = (json.loads((folder / name).read_text()) for name in "01")
    assert one == other
    return one


@pytest.mark.slow
@pytest.mark.parametrize(("accumulate", "total"), [(1, 18), (2, 9)])
@pytest.mark.parametrize(
    ("library", "prepared"),
    [("stepsize", True), ("stepsize", False), flawed("LambdaLR", True), flawed("CosineAnnealingLR", True)],
)
def test_accelerate_1382_two_processes_do_not_make_the_schedule_run_twice_as_fast(
    two_processes, library, prepared, accumulate, total
):
    assert two_processes[f"{library} {prepared} {accumulate}"] == pytest.approx(halves(range(total), total))


@pytest.mark.slow
def test_two_processes_cut_together_after_what_they_have_measured_on_the_mean(two_processes):
    # decided with the update after the second epoch's
    assert two_processes["feedback"] == pytest.approx(cut(halves(range(18), 18), 13))


def test_several_processes_agree_on_the_device_of_the_parameters(monkeypatch):
    devices = []
    monkeypatch.setattr(_steering, "several_processes", lambda: True)
    monkeypatch.setattr(_steering, "agreed", lambda values, device: devices.append(device) or values)
    optimizer = torch.optim.SGD([torch.zeros(1, device="meta", requires_grad=True)], lr=BASE)
    scheduler = Scheduler(optimizer, cosine(9), feedback=plateau(of="loss"))
    scheduler.observe(loss=1.0)
    optimizer.step()
    scheduler.step()
    assert devices == [torch.device("meta")]
