"""Loss and accuracy of a classifier, a chunk of the data at a time."""

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy


def loss(network: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Cross entropy, in nats, of a batch: inputs, and classes of any shape [...]; the network gives [..., classes]."""
    output = network(batch[0])
    return cross_entropy(output.flatten(0, -2), batch[1].flatten())


@torch.no_grad()
def loss_and_accuracy(network: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> tuple[float, float]:
    """Mean cross entropy (nats) and share of right answers (0 to 1), on the network's device.

    Args:
        network: in the mode it is to be measured in.
        batches: of CPU tensors; the means are over all their classes.
    """
    device = next(network.parameters()).device
    total, right, count = 0.0, 0, 0
    for inputs, classes in batches:
        output = network(inputs.to(device)).float().flatten(0, -2)
        wanted = classes.to(device).flatten()
        total += float(cross_entropy(output, wanted, reduction="sum"))
        right += int((output.argmax(1) == wanted).sum())
        count += len(wanted)
    return total / count, right / count


def chunked(
    picked: Tensor, size: int, make: Callable[[Tensor], tuple[Tensor, Tensor]]
) -> Iterator[tuple[Tensor, Tensor]]:
    """The results of ``make`` for each chunk of the indices, in order, all of them."""
    for chunk in torch.split(picked, size):
        yield make(chunk)
