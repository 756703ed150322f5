"""Sharpness: the largest eigenvalue of the loss's Hessian on the update's batch, beside what the rate allows.

Formula, with the Hessian H after the update, by power iteration on Hessian-vector products:
    v <- H v / ||H v||,  sharpness = v·H v;   sharpness/limit = 2 / rate

It begins with the last vector found, ends where the value changes by less than 1 in 1,000, and after 50 products at
most. Of a Hessian whose largest eigenvalue in size is negative, that. Cost: two backward passes a product, so on
request only; kept until the next time is one vector of the weights' size. Needs a loss that can be differentiated
twice, and not sharded weights.

What is healthy: plain gradient descent with all data sits at the limit, and is stable below it. With batches,
momentum (2 (1 + beta) / rate) or Adam (the preconditioned Hessian) it is another limit, so it says nothing alone.

Source: Cohen et al. 2021, "Gradient descent on neural networks typically occurs at the edge of stability"
(arXiv 2103.00065), section 2 and appendix B.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from stepsize.control.signals._signal import Signal, Update
from stepsize.optim import inner_product

NAME, MOST, CLOSE = "sharpness", 50, 1e-3


def _after(update: Update) -> Mapping[str, Any] | None:
    if update.again is None:
        return None
    with update.again.hessian() as product:
        vector = update.memory.get(NAME) or _first(update.again.parameters)
        value: Tensor | None = None
        for _ in range(MOST):
            size = inner_product(vector, vector).sqrt()
            vector = [part / size.to(part) for part in vector]
            image = product(vector)
            before, value = value, inner_product(vector, image)
            vector = image
            if before is not None and bool((value - before).abs() <= CLOSE * value.abs()):
                break
    update.memory[NAME] = vector if value is not None and bool(value != 0) else None
    rates = [rate for rate in update.rates.values() if rate > 0]
    return {"": value, **({"limit": 2 / max(rates)} if rates else {})}


def _first(parameters: list[Tensor]) -> list[Tensor]:
    """A vector to begin with, of numbers of its own, so that nobody else's draws change."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(parameter.shape, generator=generator).to(parameter) for parameter in parameters]


sharpness = Signal(NAME, _after, cost="again")
"""On the batch that the loop hands over; missing where it does not."""
