"""Models of one shape as one: their tensors stacked, one step for all of them, and what each of them is at the end.

    losses, gradients = vmap(grad_and_value(loss))(stacked weights, batch)

The model itself stays real, with its tied weights tied: over a model on the meta device ``functional_call`` gives wrong
gradients for them, silently.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

from stepsize.engine._compiled import Compiled
from stepsize.engine._members import Batch
from stepsize.engine._updates import copied, one_state, stacked_state, update, wide
from stepsize.optim import clip_factor
from stepsize.task import Batchable, measured


class Loss(nn.Module):
    """A task's loss as a module around the model, so that its tensors can be handed in.

    Args:
        run: whose model and loss.
    """

    def __init__(self, run: Batchable) -> None:
        super().__init__()
        self.model, self.task = run.model, run.task

    def forward(self, batch: Any) -> Tensor:
        loss = measured(self.task, self.model, batch)
        return loss if self.task.accumulate == 1 else loss / self.task.accumulate


class Stack:
    """The tensors of several members, and their steps.

    Args:
        runs: whose; alike but for their weights, rates and batches.
        trained: names of the parameters that the loss depends on and the optimizer has.
        compiled: whether whole steps are compiled.

    Raises:
        ValueError: the members' models or optimizers are not alike.
    """

    def __init__(self, runs: Sequence[Batchable], trained: Iterable[str], compiled: bool = False) -> None:
        self.count, self.wanted = len(runs), set(trained)
        self.loss = Loss(runs[0]).train()
        sorts = _sorted(runs[0].model, self.wanted)
        self.names = [[[f"model.{name}" for name in names] for names, _ in sort] for sort in sorts]
        self.trained, self.frozen, self.buffers = ([_room(self.count, tensor) for _, tensor in sort] for sort in sorts)
        groups = runs[0].optimizer.param_groups
        where = {id(p): place for place, group in enumerate(groups) for p in group["params"]}
        self.groups = [where[id(tensor)] for _, tensor in sorts[0]]
        tensors = {id(p): stacked for (_, p), stacked in zip(sorts[0], self.trained, strict=True)}
        self.optimizer = copied(runs[0].optimizer, tensors, {})
        self.dtype = torch.float64 if any(tensor.dtype == torch.float64 for tensor in self.trained) else torch.float32
        self.compiled = Compiled(self) if compiled else None
        self.load(runs)

    def load(self, runs: Sequence[Batchable]) -> None:
        """Take the tensors of these runs, as many as there is room for."""
        sorts = [_sorted(run.model, self.wanted) for run in runs]
        with torch.no_grad():
            for place, stacks in enumerate((self.trained, self.frozen, self.buffers)):
                for index, tensor in enumerate(stacks):
                    torch.stack([states[place][index][1].detach() for states in sorts], out=tensor)
        self.optimizer.state.clear()  # and the optimizer stays the same one, which a graph knows
        for index, tensor in enumerate(self.trained):
            states = [run.optimizer.state.get(sort[0][index][1], {}) for run, sort in zip(runs, sorts, strict=True)]
            if state := stacked_state(states, tensor.shape[1:]):
                self.optimizer.state[tensor] = state
        self.begun = False

    def unload(self, index: int, run: Batchable, *, state: bool) -> None:
        """Give a member's tensors back to its run.

        Args:
            index: the member's place.
            run: whose they are.
            state: whether the optimizer's state goes with them.
        """
        sorts = _sorted(run.model, self.wanted)
        with torch.no_grad():
            for sort, stacks in zip(sorts, (self.trained, self.frozen, self.buffers), strict=True):
                for (_, tensor), stacked in zip(sort, stacks, strict=True):
                    tensor.copy_(stacked[index])
        for (_, parameter), stacked in zip(sorts[0] if state else [], self.trained, strict=False):
            run.optimizer.state[parameter] = one_state(self.optimizer.state[stacked], index, stacked.shape)

    def step(self, batches: Sequence[Batch], rates: Tensor, thresholds: Tensor | None = None) -> Tensor:
        """One update of every member; the loss of each, shape (members,).

        Args:
            batches: one, or as many as are accumulated.
            rates: shape (groups, members).
            thresholds: of the gradients' norms, shape (members,), infinite for no clipping.
        """
        with torch.no_grad():
            if self.compiled is not None and self.begun:
                return self.compiled(batches, rates, thresholds)
            losses = self.plain_step([batch.value for batch in batches], batches[0].dims, rates, thresholds)
            self.begun = True
            if self.compiled is not None:
                self.compiled.settle()
        return losses

    def plain_step(self, batches: Sequence[Any], dims: Any, rates: Tensor, thresholds: Tensor | None) -> Tensor:
        """The same as ``step``, not compiled."""
        gradients, losses, buffers = self.gradients(batches[0], dims)
        for batch in batches[1:]:
            if self.buffers:
                torch._foreach_copy_(self.buffers, buffers)
            more, others, buffers = self.gradients(batch, dims)
            gradients, losses = [one + two for one, two in zip(gradients, more, strict=True)], losses + others
        if thresholds is not None:
            gradients = clipped(gradients, thresholds)
        if torch.compiler.is_compiling():  # a compiled step cannot hand out new tensors as gradients
            torch._foreach_copy_([tensor.grad for tensor in self.trained], gradients)  # type: ignore[misc]
        else:
            for tensor, gradient in zip(self.trained, gradients, strict=True):
                tensor.grad = gradient
        scales = [wide(rates[group], tensor) for group, tensor in zip(self.groups, self.trained, strict=True)]
        update(self.optimizer, self.trained, scales)
        if self.buffers:
            torch._foreach_copy_(self.buffers, buffers)
        return losses

    def gradients(self, batch: Any, dims: Any) -> tuple[list[Tensor], Tensor, list[Tensor]]:
        """Every member's gradients, losses and buffers after them.

        Args:
            batch: of a step.
            dims: which dimension of its tensors is the members'; None where they share it.
        """
        every = vmap(grad_and_value(self._one, has_aux=True), in_dims=(0, 0, 0, dims), randomness="error")
        gradients, (losses, buffers) = every(self.trained, self.frozen, self.buffers, batch)
        return list(gradients), losses, list(buffers)

    def _one(
        self, trained: list[Tensor], frozen: list[Tensor], buffers: list[Tensor], batch: Any
    ) -> tuple[Tensor, list[Tensor]]:
        """One member's loss, and its buffers after it, which the model may write to."""
        parts = (trained, frozen, [buffer.clone() for buffer in buffers])
        state = {
            name: tensor
            for aliases, tensors in zip(self.names, parts, strict=True)
            for names, tensor in zip(aliases, tensors, strict=True)
            for name in names
        }
        loss = functional_call(self.loss, state, (batch,), tie_weights=False)  # ties are among the names already
        return loss, [state[names[0]] for names in self.names[2]]


def clipped(gradients: Sequence[Tensor], thresholds: Tensor) -> list[Tensor]:
    """Each member's gradients scaled to a norm of at most its threshold, as ``clip_by_norm`` does.

    Args:
        gradients: stacked.
        thresholds: shape (members,), infinite for no clipping.
    """
    count = len(thresholds)
    halves = (torch.float16, torch.bfloat16)  # whose own norms overflow
    kinds = [torch.float32 if gradient.dtype in halves else gradient.dtype for gradient in gradients]
    norms = [
        torch.linalg.vector_norm(gradient.reshape(count, -1), dim=1, dtype=kind)
        for gradient, kind in zip(gradients, kinds, strict=True)
    ]
    norm = torch.linalg.vector_norm(torch.stack(norms), dim=0)
    factor = clip_factor(norm, thresholds)
    return [gradient * wide(factor, gradient).to(gradient.dtype) for gradient in gradients]


Named = list[tuple[list[str], Tensor]]


def _sorted(model: nn.Module, wanted: set[str]) -> tuple[Named, Named, Named]:
    """The tensors of a model, each once with all its names: trained, not trained, and buffers."""
    parameters, buffers = (
        _aliases(model.named_parameters(remove_duplicate=False)),
        _aliases(model.named_buffers(remove_duplicate=False)),
    )
    trained = [pair for pair in parameters if wanted & set(pair[0])]
    return trained, [pair for pair in parameters if not wanted & set(pair[0])], buffers


def _aliases(named: Any) -> Named:
    found: dict[int, tuple[list[str], Tensor]] = {}
    for name, tensor in named:
        found.setdefault(id(tensor), ([], tensor))[0].append(name)
    return list(found.values())


def _room(count: int, like: Tensor) -> Tensor:
    return torch.empty((count, *like.shape), dtype=like.dtype, device=like.device)
