"""A model's loss and gradients over all processes that train together: copied to each (DDP), or sharded (FSDP2)."""

from collections.abc import Collection, Iterable, Mapping
from contextlib import nullcontext
from typing import Any

import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from stepsize import _check
from stepsize.control import Observer, Record, Signal
from stepsize.state import RandomState, mean_of_ranks
from stepsize.task._distributed import everyones, led
from stepsize.task._given import loss_of, measured
from stepsize.task._ranks import Ranks, leads, ranks

STREAM = 0x9E3779B9  # from one process's seed to the next; what is drawn in training differs from process to process


def placed(model: nn.Module) -> nn.Module:
    """A model as this process holds it: itself, or with its weights sharded over all, layer by layer.

    Each entry of a ``ModuleList`` or ``Sequential`` is gathered by itself when it is needed, the rest at once. With
    weights that are shared between layers everything is gathered at once.

    Args:
        model: on its device.
    """
    if not ranks().shard:
        return model
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    kind = next(model.parameters()).device.type
    mesh = init_device_mesh(kind, (ranks().size,))
    shared = len(list(model.named_parameters(remove_duplicate=False))) > len(list(model.parameters()))
    for layer in [] if shared else reversed(_layers(model)):
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh, reshard_after_forward=True)
    return model


def _layers(model: nn.Module) -> list[nn.Module]:
    holders = [module for module in model.modules() if isinstance(module, nn.ModuleList | nn.Sequential)]
    layers = dict.fromkeys(layer for holder in holders for layer in holder)
    plain = [layer for layer in layers if not isinstance(layer, nn.ModuleList | nn.ModuleDict)]
    return [layer for layer in plain if next(layer.parameters(), None) is not None and layer is not model]


class _Loss(nn.Module):
    """A task's loss as a module, so that the task's own function sees its own model and nothing around it."""

    def __init__(self, task: Any, model: nn.Module) -> None:
        super().__init__()
        self.task, self.model = task, model
        # one that is never used, or DDP says at length at each start that it looks for such without finding any
        self.unused = nn.Parameter(next(model.parameters()).detach().new_zeros(1))

    def forward(self, batch: Any) -> Tensor:
        return loss_of(self.task, self.model, batch)


class Joint:
    """The loss of batches whose gradients are averaged over all processes.

    Args:
        task: whose loss it is.
        model: from ``placed``.
    """

    def __init__(self, task: Any, model: nn.Module) -> None:
        self.ranks, self.model = ranks(), model
        self.loss = _Loss(task, model)
        # without it the buckets of gradients change after the first step, and with them the order of sums of three and
        # more processes: a resumed run would differ from an uninterrupted one in its last bits
        copied = self.ranks.size > 1 and not self.ranks.shard
        self.spread: Any = DistributedDataParallel(self.loss, find_unused_parameters=True) if copied else None

    def __call__(self, batch: Any, last: bool) -> Tensor:
        """The loss of this process's part of a batch.

        Args:
            batch: the part, on the model's device.
            last: whether gradients are averaged in its backward pass: with the last one of an update.
        """
        if self.spread is not None:
            with nullcontext() if last else self.spread.no_sync():
                loss: Tensor = self.spread(batch)
                return loss
        if self.ranks.shard:
            self.model.set_requires_gradient_sync(last)  # type: ignore[operator]
            for buffer in self.model.buffers():  # DDP does the same
                dist.broadcast(buffer, 0)
        return self.loss(batch)  # type: ignore[no-any-return]

    def alone(self, batch: Any, last: bool = True) -> Tensor:
        """The same loss by itself: where weights are copied, its gradients are averaged by nobody.

        Args:
            batch: as before.
            last: as before.
        """
        if self.ranks.shard:
            self.model.set_requires_gradient_sync(last)  # type: ignore[operator]
        return measured(self.loss.task, self.model, batch)

    def mean(self, loss: Tensor) -> Tensor:
        """The mean of all processes' losses, the same on each."""
        return loss if self.ranks.size == 1 else mean_of_ranks(loss)


class Wants:
    """Wants of each step what the first process's observers want, on the others: they must compute it with it.

    Args:
        watch: the observers.
    """

    def __init__(self, watch: Iterable[Observer]) -> None:
        self._watch = list(watch)
        self._first, self._wanted = 0, [frozenset[str | Signal]()]

    def agree(self, first: int, steps: int) -> None:
        """Learn what will be wanted.

        Args:
            first: the number of the next step.
            steps: how many follow.
        """
        numbers = range(first, first + steps)
        self._first = first
        self._wanted = led(
            lambda: [frozenset(n for observer in self._watch for n in observer.wants(k)) for k in numbers]
        )

    def wants(self, step: int) -> Collection[str | Signal]:
        place = step - self._first
        return self._wanted[place] if 0 <= place < len(self._wanted) else ()

    def begin(self, facts: Mapping[str, Any]) -> None:
        """Hand on to the first process's observers."""

    def on(self, record: Record) -> None:
        """The first process's observers write it down."""

    def end(self, status: str) -> None:
        """Hand on to the first process's observers."""


def stream(state: RandomState, seed: int) -> RandomState:
    """Where this process's draws in training begin: the first one's where a single one's would.

    Args:
        state: after the model was made.
        seed: of the trial.
    """
    return state if leads() else RandomState.seeded((seed + STREAM * ranks().rank) % 2**32)


def who(random: RandomState) -> dict[str, Any]:
    """The processes' part of a run's state; empty for one process.

    Args:
        random: where this process's draws are.
    """
    here = ranks()
    if here.size == 1:
        return {}
    return {"processes": {"size": here.size, "shard": here.shard, "random": everyones(random.state_dict())}}


def random_of(state: Mapping[str, Any]) -> RandomState:
    """Where this process's draws were.

    Args:
        state: of a run.

    Raises:
        ValueError: the run was trained by more or fewer processes, or otherwise.
    """
    here, saved = ranks(), state.get("processes", {"size": 1, "shard": False, "random": [state["random"]]})
    there = Ranks(size=saved["size"], shard=saved["shard"])
    if (there.size, there.shard) != (here.size, here.shard):
        raise ValueError(
            f"it was trained by {there}, and here {'is' if here.size == 1 else 'are'} {here}, which would not give "
            "the same figures; go on with as many as it was begun with"
        )
    if len(saved["random"]) != here.size:
        raise ValueError(_check.message("random states of state", len(saved["random"]), f"{here.size}, one a process"))
    return RandomState.from_state_dict(saved["random"][here.rank])
