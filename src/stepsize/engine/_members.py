"""Runs that take their steps together: their batches, rates and thresholds, and what each has at the end.

The batches are drawn by the runs themselves, from their own random state, as in a run alone. Runs of one seed have the
same batches: they are drawn once.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten

from stepsize.schedule import Schedule
from stepsize.task import Batchable

MOST = 64e6  # bytes of batches that are drawn ahead
AHEAD = 100  # steps between two looks at whether losses are still finite, at most


class Batch(NamedTuple):
    """A batch of several members.

    Attributes:
        value: what the loss gets; with a dimension of members in front of its tensors where they have batches of their
            own.
        dims: for ``vmap``: None if the members share the batch, else which dimension of its tensors is theirs.
    """

    value: Any
    dims: Any

    def of(self, index: int) -> Any:
        """One member's batch.

        Args:
            index: its place.
        """
        if self.dims is None:
            return self.value
        leaves, structure = tree_flatten(self.value)
        return tree_unflatten([leaf[index] if isinstance(leaf, Tensor) else leaf for leaf in leaves], structure)


class Members:
    """Several runs at the same step.

    Args:
        runs: of one task and batch size, each at its own first step or all at the same later one.
    """

    def __init__(self, runs: Sequence[Batchable]) -> None:
        self.runs = list(runs)
        self.done = runs[0].done
        self.accumulate = runs[0].task.accumulate
        leaders: dict[int, Batchable] = {}
        for run in runs:
            leaders.setdefault(run.trial.seed, run)
        self.leaders = list(leaders.values())
        places = {seed: place for place, seed in enumerate(leaders)}
        self.which = torch.tensor([places[run.trial.seed] for run in runs], device=runs[0].device)

    def advance(self, steps: int) -> list[tuple[Batch, ...]]:
        """The batches of the next steps, one for each backward pass; the runs' own state is moved past them."""
        drawn = [run.drawn(steps * self.accumulate) for run in self.leaders]
        self.done += steps
        steps_of_members = [self._together(batches) for batches in zip(*drawn, strict=True)]
        count = self.accumulate
        return [tuple(steps_of_members[first : first + count]) for first in range(0, len(steps_of_members), count)]

    def first(self, count: int) -> list[Batch]:
        """The first batches of all members, drawn beside those that they train on."""
        return [self._together(batches) for batches in zip(*(run.fresh(count) for run in self.leaders), strict=True)]

    def _together(self, batches: Sequence[Any]) -> Batch:
        if len(batches) == 1:
            return Batch(batches[0], None)
        flat = [tree_flatten(batch) for batch in batches]
        leaves = [_stacked([parts[place] for parts, _ in flat], self.which) for place in range(len(flat[0][0]))]
        dims = [0 if isinstance(leaf, Tensor) else None for leaf in leaves]
        structure = flat[0][1]
        return Batch(tree_unflatten(leaves, structure), tree_unflatten(dims, structure))

    def rates(self, steps: int, dtype: torch.dtype) -> list[Tensor]:
        """For each of the next steps the rates, shape (groups, members)."""
        positions = np.arange(self.done, self.done + steps)
        rates = [list(run.control.preview(positions).rates.values()) for run in self.runs]
        found = torch.tensor(np.asarray(rates), dtype=dtype, device=self.runs[0].device)  # members, groups, steps
        return list(found.permute(2, 1, 0).contiguous().unbind())

    def thresholds(self, steps: int, dtype: torch.dtype) -> list[Tensor] | None:
        """For each of the next steps the clipping thresholds, shape (members,), infinite without; None for none."""
        ways = [run.control.plan.clip for run in self.runs]
        if all(way is None for way in ways):
            return None
        positions = np.arange(self.done, self.done + steps, dtype=np.float64)
        curves = [way(positions) if isinstance(way, Schedule) else np.full(steps, way or np.inf) for way in ways]
        found = torch.tensor(np.asarray(curves), dtype=dtype, device=self.runs[0].device)
        return list(found.T.contiguous().unbind())

    def ahead(self, most: int) -> int:
        """How many steps to draw batches for at once, at most ``most``."""
        (batch,) = self.runs[0].fresh(1)
        size = sum(leaf.nbytes for leaf in tree_flatten(batch)[0] if isinstance(leaf, Tensor))
        return max(1, min(most, AHEAD, int(MOST // max(1, size * self.accumulate * len(self.leaders)))))

    def settle(self, index: int, *, clock: bool) -> Batchable:
        """A run with its batches, random state and, where it will be kept, its clock where they are after these steps.

        Args:
            index: which run.
            clock: whether to move its control too.
        """
        run = self.runs[index]
        run.catch_up(self.leaders[int(self.which[index])], self.done, clock)
        return run


def _stacked(leaves: Sequence[Any], which: Tensor) -> Any:
    """One leaf for each member: tensors with a dimension of members in front, all else if it is equal."""
    if isinstance(leaves[0], Tensor):
        return torch.stack(list(leaves)).index_select(0, which)
    if any(leaf != leaves[0] for leaf in leaves[1:]):
        raise ValueError(f"batches of several seeds differ in {leaves[0]!r}, which is no tensor; use engine serial")
    return leaves[0]
