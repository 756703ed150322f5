"""Two processes that train together, are steered, and are killed: what ``steer_storm`` starts again and again."""

import io
import os
import random
import signal
import struct
import threading
import time
from pathlib import Path

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from stepsize import Control
from stepsize.control import Commands
from stepsize.state import write_atomic

RANKS = 2
ROW = struct.Struct("<ddd??")  # of one step: two rates, the clipping threshold, what the loop was asked for after it
PAUSE = 40  # steps from one checkpoint to the next
TOTAL = 10**6  # steps, of which a command cuts most off


def run(rank: int, folder: str, meeting: str, die: int | None, pause: float) -> None:
    """Train one rank to the end of the run, from its last checkpoint where there is one.

    Args:
        rank: of this process.
        folder: of the run.
        meeting: a file of its own, where the ranks find each other.
        die: a seed, where this process is to kill itself at one of its writes to the disk; None where it is not.
        pause: seconds between two steps.
    """
    torch.set_num_threads(1)
    place = Path(folder)
    os.dup2(os.open(place / "errors", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 2)  # of one that lost the other
    if die is not None:
        _die_in_a_write(random.Random(die))
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=RANKS)
    model, control, optimizer = begun(place)
    saved = place / "last.pt"
    if saved.exists():
        state = torch.load(saved, weights_only=True)
        model.module.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        control.load_state_dict(state["control"])
    rates = os.open(place / f"rates-{rank}", os.O_RDWR | os.O_CREAT, 0o600)
    done = int(control.position)
    Path(f"{meeting}-met").touch()
    while control.total is None or control.position < control.total:
        x = torch.randn(4, 6, generator=torch.Generator().manual_seed(2 * done + rank))
        (model(x) - x.sum(1, keepdim=True)).square().mean().backward()
        step = control.step()
        validates, saves = control.asked("validate"), control.asked("checkpoint")
        threshold = -1.0 if step.threshold is None else step.threshold
        os.pwrite(rates, ROW.pack(*step.values, threshold, validates, saves), done * ROW.size)
        done += 1
        if (saves or done % PAUSE == 0) and rank == 0:
            save(saved, model, optimizer, control)
        if pause:
            time.sleep(pause)
    if rank == 0:
        save(place / "end.pt", model, optimizer, control)
    dist.barrier()
    os.close(rates)
    os._exit(0)  # whatever else gloo has to say


def begun(place: Path) -> tuple[DistributedDataParallel, Control, torch.optim.Optimizer]:
    """The run as it begins."""
    torch.manual_seed(0)
    layers = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.Linear(5, 1))
    model = DistributedDataParallel(layers)
    optimizer, control = driven(layers, place)
    return model, control, optimizer


def driven(layers: torch.nn.Sequential, place: Path | None) -> tuple[torch.optim.Optimizer, Control]:
    """Its optimizer under control, steered from a folder, or by nobody."""
    groups = [
        {"params": layers[0].parameters(), "lr": 0.02, "name": "body"},
        {"params": layers[1].parameters(), "lr": 0.05, "name": "head"},
    ]
    optimizer = torch.optim.SGD(groups, lr=0.1, momentum=0.9)
    steer = None if place is None else Commands(place, verbs=["validate", "checkpoint"], resume=True)
    control = Control(optimizer, lr="warmup(50) >> cosine()", total=TOTAL, remind=False, steer=steer)
    return optimizer, control


def save(path: Path, model: DistributedDataParallel, optimizer: torch.optim.Optimizer, control: Control) -> None:
    """Write all of the run."""
    buffer = io.BytesIO()
    state = {"model": model.module.state_dict(), "optimizer": optimizer.state_dict(), "control": control.state_dict()}
    torch.save(state, buffer)
    write_atomic(path, buffer.getvalue())


def _die_in_a_write(seed: random.Random) -> None:
    """Kill this process before or after one of its fsyncs, of checkpoints and of answers to commands alike."""
    which, before, sync, count = seed.randrange(1, 9), seed.random() < 0.5, os.fsync, [0]
    lock = threading.Lock()

    def syncing(descriptor: int) -> None:
        with lock:
            count[0] += 1
            mine = count[0] == which
        if mine and before:
            os.kill(os.getpid(), signal.SIGKILL)
        sync(descriptor)
        if mine:
            os.kill(os.getpid(), signal.SIGKILL)

    os.fsync = syncing  # type: ignore[assignment]
