"""Several processes that train together: the run of one process, one decision each time, one that writes."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
import torch.distributed as dist
from children import child, once, side_by_side
from children import ranks as ranks_of
from test_checkpoints import same
from torch import nn

from stepsize import JsonLines, Task, Trial, find, sweep, train
from stepsize.cli import run as command
from stepsize.control import DEFAULT, plateau
from stepsize.engine import Leg, serial
from stepsize.task import Shuffled, TrainingInterrupted, _joint, led, ranks, steps_done, task_named, together

pytestmark = pytest.mark.xdist_group("distributed")  # what several processes trained is asked by one
STEPS = 50
PLAN = {"schedule": "warmup(5) >> cosine()", "clip": 0.05}
X = torch.randn(256, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
Y = (X[:, :1] * X[:, 1:2]).tanh()


def network():
    return nn.Sequential(nn.Linear(6, 17), nn.Tanh(), nn.Linear(17, 5), nn.Tanh(), nn.Linear(5, 1)).double()


def normed():
    layers = nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 1)
    return nn.Sequential(*layers).double()


def batches(generator, size):
    return Shuffled(len(X), size, generator, lambda picked, _: {"x": X[picked], "y": Y[picked], "of": 256})


def loss(model, batch):
    return (model(batch["x"]) - batch["y"]).square().mean()


def adamw(parameters, lr):
    return torch.optim.AdamW(parameters, lr=lr)


def score(model):
    return loss(model, {"x": X, "y": Y})


def metrics(model):
    return {"validation_loss": loss(model, {"x": X[:64], "y": Y[:64]})}


TASK = Task("bend", network, batches, loss, adamw, score, metrics, STEPS, batch_size=16, examples=lambda: len(X))
WILD = replace(TASK, name="wild", optimizer=lambda parameters, lr: torch.optim.SGD(parameters, lr=lr))
FED = replace(TASK, name="fed", feedback=plateau(of="validation_loss", patience=0, threshold=0.3, factor=0.5))


def seen(folder, task=TASK, **more):
    """Losses, figures and what the observers wrote."""
    signals = (*DEFAULT, "update_ratio", "curvature", "decrease_ratio")
    files = folder / "lines.jsonl", 3, folder / "validated.jsonl"
    lines = [JsonLines(*files, signals=signals)] if ranks().rank == 0 else []
    trained = train(task, lr=0.02, steps=STEPS, watch=lines, folder=folder, **PLAN, **more)
    return {
        "losses": trained.losses,
        "score": trained.score,
        "metrics": trained.metrics,
        "history": trained.history,
        "state": trained.state,
    }


def legs(folder, task=TASK):
    trial = Trial(task.name, {"lr": 0.02}, 0, STEPS)
    keep = folder / "leg.pt"
    (whole,) = serial(task, [trial])
    for until in (20, STEPS):
        (last,) = serial(task, [Leg(trial, until, keep, probe=3)])
    return {"whole": whole.losses, "parts": last.losses, "probed": last.probed, "kept": keep.exists()}


def interrupted(folder):
    """Ctrl-C reaches one process alone."""

    def pressed(generator, size):
        for index, batch in enumerate(batches(generator, size)):
            if index == 12 and ranks().rank == ranks().size - 1:
                os.kill(os.getpid(), signal.SIGINT)
            yield batch

    with pytest.raises(TrainingInterrupted) as stopped:
        train(replace(TASK, batches=pressed), lr=0.02, folder=folder)
    saved = torch.load(folder / "last.pt", weights_only=True)
    again = train(TASK, lr=0.02, folder=folder, resume=True)
    return {"steps": stopped.value.trained.steps, "saved": len(saved["losses"]), "losses": again.losses}


def usual():
    """A task of float32 with SGD and momentum, as most are."""
    return train(task_named("digits-mlp"), lr=0.05, steps=STEPS).losses


def refusals(folder):
    said = []

    def refused(function):
        with pytest.raises((TypeError, ValueError)) as caught:
            function()
        said.append(str(caught.value))

    own = torch.Generator().manual_seed(ranks().rank)
    refused(lambda: train(TASK, lr=0.02, batch_size=15))
    refused(lambda: train(replace(TASK, batches=lambda _, size: batches(own, size)), lr=0.02, steps=1))
    refused(lambda: train(replace(TASK, batches=lambda *_: iter([{"x": X.T, "y": Y}])), lr=0.02, steps=1))
    refused(lambda: train(replace(TASK, batches=lambda *_: iter([(X[:16], ["a"] * 16)])), lr=0.02, steps=1))
    refused(lambda: train(TASK, lr=0.02, folder=folder, resume=True))
    refused(lambda: sweep(TASK, [0.02], 1))
    refused(lambda: led(lambda: json.loads("{")))
    return said


def worker(rank, world, places):
    """Both ways in the same processes, which take longer to begin than to train."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{places[0] / 'meeting'}", rank=rank, world_size=world)
    try:
        for place, shard in zip(places, (False, True), strict=True):
            with together(shard) as here:
                assert (here.rank, here.size, here.shard) == (rank, world, shard)
                torch.save(trained_together(place, shard), place / f"rank-{rank}.pt")
    finally:
        dist.destroy_process_group()


def trained_together(place, shard):
    found = {"plain": seen(place / "plain"), "accumulated": seen(place / "two", replace(TASK, accumulate=2))}
    found |= {"fed": seen(place / "fed", FED), "legs": legs(place)}
    found["diverged"] = train(WILD, lr=1e30).losses
    found["usual"] = usual()
    found["interrupted"] = interrupted(place / "interrupted")
    if not shard:
        found["normed"] = seen(place / "normed", replace(TASK, model=normed))
        found["finding"] = find(TASK, low=1e-3, high=1).rate
        found["refused"] = refusals(place / "alone")
    return found


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """One process on the whole of each batch."""
    place = tmp_path_factory.mktemp("alone")
    found = {"plain": seen(place / "plain"), "accumulated": seen(place / "two", replace(TASK, accumulate=2))}
    found |= {"fed": seen(place / "fed", FED), "legs": legs(place), "place": place}
    found["diverged"] = train(WILD, lr=1e30).losses
    found["finding"] = find(TASK, low=1e-3, high=1).rate
    found["usual"] = usual()
    return found


@pytest.fixture(scope="module")
def both_ways(tmp_path_factory):
    places = [tmp_path_factory.mktemp("two") for _ in range(2)]
    train(TASK, lr=0.02, steps=STEPS, folder=places[0] / "alone")
    torch.multiprocessing.spawn(worker, (2, places), nprocs=2)
    return places


SLOW = [pytest.param(shard, marks=pytest.mark.slow, id=name) for shard, name in ((False, "copied"), (True, "sharded"))]


@pytest.fixture(scope="module", params=SLOW)
def two(request, both_ways):
    """Two processes, each on its half."""
    place = both_ways[request.param]
    found = [torch.load(place / f"rank-{rank}.pt", weights_only=False) for rank in (0, 1)]
    return {**found[0], "other": found[1], "place": place, "shard": request.param}


def close(first, second, tolerance=1e-12):
    first, second = (torch.tensor(each, dtype=torch.float64) for each in (first, second))
    torch.testing.assert_close(first, second, rtol=tolerance, atol=tolerance, equal_nan=True)


@pytest.mark.parametrize("kind", ["plain", "accumulated", "fed"])
def test_the_loss_curve_is_that_of_one_process_with_the_same_batches(kind, alone, two):
    ours, theirs = two[kind], alone[kind]
    assert len(ours["losses"]) == STEPS
    close(ours["losses"], theirs["losses"])
    close(ours["score"], theirs["score"])
    close([list(each.values()) for each in ours["history"]], [list(each.values()) for each in theirs["history"]])


def test_in_float32_the_loss_curve_is_that_of_one_process_to_1e_5(alone, two):
    assert len(two["usual"]) == STEPS
    close(two["usual"], alone["usual"], 1e-5)


def test_every_process_has_the_same_figures(two):
    for kind in ("plain", "accumulated", "fed", "normed"):
        for name in ("losses", "score", "metrics", "history"):
            assert kind not in two or two[kind][name] == two["other"][kind][name]
    for name in ("legs", "diverged", "interrupted", "usual", "finding", "refused"):
        assert two.get(name) == two["other"].get(name)


def test_observers_of_the_first_process_see_the_whole_gradient_and_the_whole_update(alone, two):
    ours, theirs = (
        [json.loads(line) for line in (each["place"] / "plain" / "lines.jsonl").read_text().splitlines()]
        for each in (two, alone)
    )
    assert [line.keys() for line in ours] == [line.keys() for line in theirs]
    assert {"gradient_norm", "update_ratio", "curvature", "decrease_ratio"} <= ours[0].keys()
    # the decrease is a small difference of losses
    close([list(line.values()) for line in ours], [list(line.values()) for line in theirs], 1e-10)
    assert max(line["gradient_norm"] for line in ours) > PLAN["clip"]


def test_feedback_decides_once_and_at_the_same_steps(alone, two):
    ours, theirs = (each["fed"]["state"]["control"] for each in (two, alone))
    assert theirs["feedback"]["factor"] < 1
    assert ours["feedback"]["factor"] == theirs["feedback"]["factor"]


def test_a_rate_that_is_too_high_stops_all_at_the_same_step(alone, two):
    assert 0 < len(two["diverged"]) < STEPS
    close(two["diverged"][:1], alone["diverged"][:1])
    assert len(two["diverged"]) == len(alone["diverged"])


def test_legs_put_together_are_the_whole_trial_to_the_bit(alone, two):
    assert two["legs"]["parts"] == two["legs"]["whole"]
    assert not two["legs"]["kept"]
    close(two["legs"]["probed"], alone["legs"]["probed"])


def test_ctrl_c_at_one_process_stops_all_and_going_on_ends_as_if_never_stopped(two):
    found = two["interrupted"]
    assert 12 <= found["steps"] == found["saved"] < STEPS
    trained = two["legs"]["whole"]
    assert found["losses"] == trained


def test_the_checkpoint_is_that_of_a_plain_model_and_optimizer(alone, two):
    saved = torch.load(two["place"] / "plain" / "last.pt", weights_only=True)["run"]
    reference = torch.load(alone["place"] / "plain" / "last.pt", weights_only=True)["run"]
    model = network()
    model.load_state_dict(saved["model"])
    optimizer = adamw(model.parameters(), 0.02)
    optimizer.load_state_dict(saved["optimizer"])
    for name, tensor in reference["model"].items():
        assert type(saved["model"][name]) is torch.Tensor
        torch.testing.assert_close(saved["model"][name], tensor, rtol=1e-10, atol=1e-10)
    for entry, theirs in zip(
        saved["optimizer"]["state"].values(), reference["optimizer"]["state"].values(), strict=True
    ):
        torch.testing.assert_close(entry["exp_avg"], theirs["exp_avg"], rtol=1e-9, atol=1e-12)


def test_find_takes_one_decision(alone, two):
    if not two["shard"]:
        assert two["finding"] == two["other"]["finding"] == alone["finding"]


def test_what_is_drawn_in_training_differs_from_process_to_process_and_weights_do_not(two):
    if not two["shard"]:
        first, second = (each["normed"]["state"] for each in (two, two["other"]))
        assert same(first["optimizer"], second["optimizer"])
        assert all(torch.equal(first["model"][name], second["model"][name]) for name, _ in normed().named_parameters())
        one, other = first["processes"]["random"]
        assert not torch.equal(one["cpu"], other["cpu"])


def test_bad_input_is_refused_on_every_process(two):
    if not two["shard"]:
        size, drawn, rows, strings, world, swept, _ = two["refused"]
        assert "begin it without torchrun" in swept
        assert "batch_size must be a multiple of 2" in size
        assert "give 14 or 16" in size
        assert "differ from process to process; draw from the generator they are given" in drawn
        assert "first dimension of a batch's tensors must be 16" in rows
        assert "made of tensors with an example in each row" in strings
        assert "trained by one process, and here are 2 processes" in world


def test_a_run_of_two_processes_is_not_gone_on_with_by_one(two, tmp_path):
    with pytest.raises(ValueError, match=r"trained by 2 processes.*and here is one process"):
        train(TASK, lr=0.02, folder=two["place"] / "plain", resume=True, **PLAN)


def test_weights_are_not_sharded_over_one_process():
    with pytest.raises(ValueError, match=r"shard must be False, since there is one process.*torchrun"):
        together(shard=True)


def wide():
    return nn.Sequential(nn.Linear(6, 301), nn.Tanh(), nn.Linear(301, 301), nn.Tanh(), nn.Linear(301, 1))


def single(generator, size):
    return Shuffled(len(X), size, generator, lambda picked, _: {"x": X[picked].float(), "y": Y[picked].float()})


def plain_ddp(module, find_unused_parameters):
    """DDP as it comes."""
    del module.unused
    return nn.parallel.DistributedDataParallel(module)


def three(rank, world, place):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{place / 'meeting'}", rank=rank, world_size=world)
    try:
        task = replace(
            TASK, model=wide, batches=single, batch_size=24, score=lambda model: 0.0, metrics=lambda model: {}
        )
        with together():
            ours = legs(place, task)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(_joint, "DistributedDataParallel", plain_ddp)
                theirs = legs(place, task)
        assert ours["parts"] == ours["whole"]
        assert theirs["parts"][:21] == theirs["whole"][:21]
        assert theirs["parts"] != theirs["whole"], "buckets no longer change after the first step"
        dist.barrier()
    finally:
        dist.destroy_process_group()
    os._exit(0)  # under load a thread of gloo's now and then aborts a process that ends as usual


@pytest.mark.slow
def test_three_processes_go_on_to_the_bit_which_plain_ddp_does_not(tmp_path):
    side_by_side(three, (3, tmp_path), 3)


def torchrun(*words):
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "-m", "stepsize"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return child([*launch, *words], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def once_done(folder, steps, process):
    """When a run's last checkpoint has so many steps."""
    once(lambda: (folder / "last.pt").exists() and steps_done(folder) >= steps, process)


@pytest.mark.slow
def test_torchrun_trains_and_goes_on_after_ctrl_c_and_kills_to_the_bit(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ("train", "digits-mlp", "--lr", "0.05", "--steps", "700", "--json", "--out")
    with ranks_of(["-m", "stepsize", *words, "whole"]) as both:
        (out, err), (nothing, _) = (rank.communicate(240) for rank in both)
    assert [rank.returncode for rank in both] == [0, 0], err
    assert json.loads(out)["metrics"]["accuracy"] > 0.9
    assert nothing == ""
    assert err.count("trained  700 steps") == 1
    assert "Warning" not in err
    assert {path.name for path in tmp_path.iterdir()} == {"whole"}

    folder = tmp_path / "stopped"
    with torchrun(*words, "stopped") as stopped:
        once_done(folder, 150, stopped)
        stopped.send_signal(signal.SIGINT)
        _, err = stopped.communicate(timeout=240)
    assert stopped.returncode == 1, err
    facts = json.loads((folder / "run.json").read_text())
    assert (facts["status"], facts["done"]) == ("interrupted", steps_done(folder))

    assert command(["train", "--resume", "stopped"]) == 2
    assert "begun with 2 processes, and here is one process" in capsys.readouterr().err
    assert json.loads((folder / "run.json").read_text()) == facts

    again = ["-m", "stepsize", "train", "--resume", "stopped"]
    with ranks_of(again) as both:
        once_done(folder, facts["done"] + 150, both[0])
        for rank in both:
            rank.send_signal(signal.SIGKILL)
    assert steps_done(folder) < 700

    with ranks_of(again) as both:
        assert [rank.wait(240) for rank in both] == [0, 0]
    for name in ("metrics.jsonl", "validation.jsonl"):
        assert (folder / name).read_text() == (tmp_path / "whole" / name).read_text()
    ours, theirs = (torch.load(place / "last.pt", weights_only=True)["run"] for place in (folder, tmp_path / "whole"))
    assert same(ours, theirs)


def test_what_needs_one_process_or_several_says_so(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert command(["train", "digits", "--lr", "0.1", "--shard"]) == 2
    assert "torchrun --nproc-per-node=2" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
