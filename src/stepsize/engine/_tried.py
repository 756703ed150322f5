"""A trial on the first batch before any training: members together must get the same as each alone."""

import copy
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from stepsize import _check
from stepsize.engine._declined import DeclinedError, check_run
from stepsize.engine._members import Members
from stepsize.engine._stacked import Stack
from stepsize.engine._updates import why_not_linear
from stepsize.state import own_randomness
from stepsize.task import Batchable, loss_of

NEAR = {torch.float64: 1e-11, torch.float32: 2e-3}  # relative distance of what ought to be equal
STEPS = 4  # that are tried compiled


def tried(runs: Sequence[Batchable], compiled: bool = False) -> Stack:
    """The runs stacked, if everything they would do together is what each does alone, as far as a batch can show.

    Args:
        runs: of one task, batch size and optimizer.
        compiled: whether steps are compiled, and tried so.

    Raises:
        DeclinedError: it is not, or something cannot be done with stacked tensors.
    """
    name = runs[0].task.name
    for run in runs:
        check_run(name, run)
    (batch,) = Members(runs).first(1)
    twin, used = _alone(runs[0], batch.of(0))
    own = {id(p) for group in runs[0].optimizer.param_groups for p in group["params"]}
    trained = [key for key, p in runs[0].model.named_parameters() if id(p) in own and key in used]
    if not trained:
        raise DeclinedError(name, "its optimizer has no parameter that its loss depends on")
    if why := why_not_linear(runs[0].optimizer):
        raise DeclinedError(name, why)
    try:
        stack = Stack(runs, trained, compiled)
        gradients, _, buffers = stack.gradients(batch.value, batch.dims)
    except Exception as error:
        raise DeclinedError(name, f"its step cannot be done on stacked weights ({_check.with_class(error)})") from error
    for index in sorted({0, len(runs) - 1}):
        if index:
            twin, _ = _alone(runs[index], batch.of(index))
        alike = dict(twin.named_parameters())
        pairs = [(gradients[place][index], alike[key].grad) for place, key in enumerate(trained)]
        pairs += [(stacked[index], alone) for stacked, alone in zip(buffers, twin.buffers(), strict=True)]
        _check_near(name, pairs, "the gradients of stacked weights")
    if compiled:
        _try_compiled(stack, runs)
    return stack


def _alone(run: Batchable, batch: Any) -> tuple[torch.nn.Module, set[str]]:
    """A copy of the run's model with the gradients and buffers of one batch, and which parameters the loss used."""
    twin = copy.deepcopy(run.model).train()
    with own_randomness(run.random) as ended:
        loss = loss_of(run.task, twin, batch)
        loss = loss if run.task.accumulate == 1 else loss / run.task.accumulate
        loss.backward()  # type: ignore[no-untyped-call]
    if not ended[0].equals(run.random):
        why = "its model or loss draws random numbers, such as dropout's, which each member would need of its own"
        raise DeclinedError(run.task.name, why)
    return twin, {key for key, p in twin.named_parameters() if p.grad is not None}


def _try_compiled(stack: Stack, runs: Sequence[Batchable]) -> None:
    """Some steps plainly, the same compiled; the stack is as it was then."""
    name, members = runs[0].task.name, Members(runs)
    batches = members.first(STEPS * members.accumulate)
    rates, thresholds = members.rates(STEPS, stack.dtype), members.thresholds(STEPS, stack.dtype)
    ends: list[list[Tensor]] = []
    steps, stack.compiled = stack.compiled, None
    try:
        for count in (None, steps):
            stack.compiled = count
            for place in range(STEPS):
                stack.step(batches[place::STEPS], rates[place], None if thresholds is None else thresholds[place])
            ends.append([tensor.clone() for tensor in (*stack.trained, *stack.buffers)])
            stack.load(runs)
    except Exception as error:
        raise DeclinedError(name, f"its step cannot be compiled ({_check.with_class(error)})") from error
    _check_near(name, list(zip(*ends, strict=True)), "what compiled steps reach")


def _check_near(name: str, pairs: Sequence[tuple[Tensor, Tensor | None]], what: str) -> None:
    """Raise unless tensors that ought to be equal are, as a whole and as far as their type can tell."""
    apart = whole = 0.0
    near = max(NEAR.get(one.dtype, 0.0) for one, _ in pairs) or 2e-2
    for one, other in pairs:
        if other is not None:
            apart += float((one.double() - other.double()).square().sum())
            whole += float(other.double().square().sum())
    if math.isfinite(whole) and not apart <= near**2 * max(whole, 1e-30):
        raise DeclinedError(name, f"{what} are not those of each member alone (off by {math.sqrt(apart / whole):.1g})")
