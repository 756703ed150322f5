"""Sharded by FSDP2 or copied by DDP, over processes: the trajectories of one process that holds everything."""

import copy

import pytest
import torch
import torch.distributed as dist
from children import side_by_side
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from stepsize import Control
from stepsize.optim import LAMB, LARS, adaptive_clipping, gradient_norm, no_decay, norm_clipping, value_clipping

STEPS, BATCH = 30, 24
SCHEDULE = "warmup(5) >> cosine(25)"
RULES = {
    "LARS": lambda model: LARS(no_decay(model, adapt=False, lr=0.1), lr=4.0),
    "LARS outside": lambda model: LARS(no_decay(model, adapt=False, lr=0.1), lr=4.0, rate="outside"),
    "LAMB": lambda model: LAMB(no_decay(model, adapt=False), lr=0.02),
    "AdamW": lambda model: torch.optim.AdamW(no_decay(model), lr=0.01),
}
CLIPS = {
    "LARS": norm_clipping(0.3),
    "LARS outside": None,
    "LAMB": adaptive_clipping(0.05),
    "AdamW": value_clipping(0.02),
}


def network():
    """Layers of 33, 17 and 1 rows: uneven shards, and empty ones."""
    torch.manual_seed(0)
    layers = [nn.Linear(8, 33), nn.LayerNorm(33), nn.Tanh(), nn.Linear(33, 17), nn.Tanh(), nn.Linear(17, 1)]
    return nn.Sequential(*layers)


def batch(step):
    generator = torch.Generator().manual_seed(step)
    x = torch.randn(BATCH, 8, generator=generator)
    return x, (x[:, :1] * x[:, 1:2]).tanh()


def sharded(model, mesh):
    for layer in model:
        if isinstance(layer, nn.Linear):
            fully_shard(layer, mesh=mesh)
    return fully_shard(model, mesh=mesh)


def whole(tensor):
    tensor = tensor.detach()
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def compare(name, wrap, rank, world):
    """A wrapped model on its share of each batch, and the same unwrapped on the whole of it."""
    alone, start = network(), network()
    spread = wrap(network())
    ours, theirs = RULES[name](spread), RULES[name](alone)
    options = {"lr": SCHEDULE, "clip": CLIPS[name], "nonfinite": "raise"}
    controls = Control(ours, **options), Control(theirs, **options)
    for step in range(STEPS):
        x, y = batch(step)
        for model, mine in ((spread, slice(rank, None, world)), (alone, slice(None))):
            (model(x[mine]) - y[mine]).square().mean().backward()
        a, b = (control.step() for control in controls)
        torch.testing.assert_close(a.norm, b.norm, rtol=1e-5, atol=1e-7)
        assert type(a.norm) is torch.Tensor
        if CLIPS[name] is not None:
            torch.testing.assert_close(a.factor, b.factor, rtol=1e-5, atol=1e-7)
        if step == 15:  # a state, saved and loaded, changes nothing
            state = copy.deepcopy(ours.state_dict())
            ours.load_state_dict(state)
    for (key, mine), theirs, first in zip(
        spread.named_parameters(), alone.parameters(), start.parameters(), strict=True
    ):
        difference = (whole(mine) - theirs).norm() / (theirs - first).norm()
        assert difference < 1e-5, f"{name}, {key}: {difference}"


def worker(rank, world, place, kinds):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{place}", rank=rank, world_size=world)
    try:
        for kind in kinds:
            if kind == "replicated shards":
                mesh = init_device_mesh("cpu", (2, world // 2), mesh_dim_names=("replicate", "shard"))
            else:
                mesh = init_device_mesh("cpu", (world,))
                for name in ("LARS", "LAMB"):
                    compare(name, DistributedDataParallel, rank, world)
            for name in RULES:
                compare(name, lambda model, mesh=mesh: sharded(model, mesh), rank, world)
            traps(mesh)
    finally:
        dist.destroy_process_group()


def traps(mesh):
    """A DTensor norm's ``item`` is a part's, silently; ours is the whole's. Zero weights are seen on whichever rank."""
    model = sharded(network(), mesh)
    model(batch(0)[0]).square().mean().backward()
    gradients = [whole(p.grad) for p in model.parameters()]
    norm = gradient_norm(model.parameters())
    assert norm.item() == pytest.approx(torch.nn.utils.get_total_norm(gradients).item(), rel=1e-6)
    assert model[0].weight.grad.norm().item() != pytest.approx(gradients[0].norm().item(), rel=1e-6)
    with pytest.raises(ValueError, match="all zero"):
        LARS([model[0].weight.detach().mul(0).requires_grad_()], lr=1.0)
    weight = model[0].weight
    optimizer = LARS([weight], lr=1.0)
    before = whole(weight).clone()
    weight.grad = weight.grad.redistribute(placements=[dist.tensor.Replicate()] * mesh.ndim)
    with pytest.raises(TypeError, match="distribution of a gradient"):
        optimizer.step()
    assert torch.equal(before, whole(weight))


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path):
    side_by_side(worker, (2, tmp_path / "meeting", ["shards"]), 2)


@pytest.mark.slow
def test_four_processes_train_as_one(tmp_path):
    side_by_side(worker, (4, tmp_path / "meeting", ["shards", "replicated shards"]), 4)
