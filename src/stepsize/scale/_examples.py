"""The noise scale of one set of examples, from the gradient of each by itself."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stepsize import _check

if TYPE_CHECKING:
    from torch import Tensor, nn

CHUNK, SURE = 64, 1.959964  # examples whose gradients are held at once; standard deviations of 95 %


@dataclass(frozen=True)
class NoiseScale:
    """The gradient's noise scale, in examples.

    Attributes:
        value: noise over gradient; infinite where no gradient stands out of the noise.
        low: lower end of an interval that holds it with 95 % probability, and
        high: its upper end.
        noise: the trace of the covariance of one example's gradient.
        gradient: the squared norm of the mean gradient, without what noise adds to it; may be below 0.

    Example:
        >>> from stepsize.scale import NoiseScale
        >>> NoiseScale(400.0, 300.0, 533.0, 2.0, 0.005).value
        400.0
    """

    value: float
    low: float
    high: float
    noise: float
    gradient: float


def example_noise(
    model: "nn.Module", loss: "Callable[[Tensor, Tensor], Tensor]", inputs: "Tensor", targets: "Tensor"
) -> NoiseScale:
    """The noise scale of the weights as they are now, from the gradient of each example by itself.

    Formula, with the gradients g of n examples and their mean G:
        noise = (mean ||g||² - ||G||²) n / (n - 1),  gradient = ||G||² - noise / n,  value = noise / gradient

    Exact and unbiased where the signal ``noise_scale`` needs many updates, at the price of a backward pass for every
    example, by ``torch.func.vmap``. The model is in its eval mode meanwhile, and nothing of it is changed. The interval
    is the jackknife's, over examples.

    Args:
        model: layers that treat examples one by one in eval mode.
        loss: of (outputs, targets), a mean over examples.
        inputs: of examples, [n, ...], n >= 3.
        targets: theirs, [n, ...].

    Raises:
        TypeError, ValueError: an argument is none of that, or a gradient is not finite.

    Example:
        >>> import torch
        >>> from stepsize.scale import example_noise
        >>> _ = torch.manual_seed(0)
        >>> found = example_noise(torch.nn.Linear(4, 1), torch.nn.MSELoss(), torch.randn(200, 4), torch.ones(200, 1))
        >>> 0 < found.low < found.value < found.high
        True

    Source: McCandlish et al. 2018 (arXiv 1812.06162), section 2.2 and appendix A.1.
    """
    import torch

    _checked(model, loss, inputs, targets)
    weights = {name: parameter.detach() for name, parameter in model.named_parameters() if parameter.requires_grad}
    held = {name: buffer.detach() for name, buffer in model.named_buffers()}
    training = {module: module.training for module in model.modules()}

    def of_one(given: Any, example: Any, target: Any) -> Any:
        return loss(torch.func.functional_call(model, {**given, **held}, (example[None],)), target[None]).reshape(())

    gradients = torch.func.vmap(torch.func.grad(of_one), in_dims=(None, 0, 0))

    def rows() -> Any:
        for part, answers in zip(torch.split(inputs, CHUNK), torch.split(targets, CHUNK), strict=True):
            yield torch.cat(
                [gradient.flatten(1).double() for gradient in gradients(weights, part, answers).values()], 1
            )

    model.eval()
    try:
        mean = torch.stack([part.sum(0) for part in rows()]).sum(0) / len(inputs)
        pairs = torch.cat([torch.stack([part.square().sum(1), part @ mean], 1) for part in rows()])
    finally:
        for module, was in training.items():
            module.training = was
    if not bool(torch.isfinite(pairs).all()):
        raise ValueError("gradients of inputs are not finite, and their noise is not known; look at loss and weights")
    return _found(pairs[:, 0], pairs[:, 1], float(mean.square().sum()))


def _found(squares: "Tensor", along: "Tensor", whole: float) -> NoiseScale:
    """From every example's squared norm and its product with the mean, whose squared norm is ``whole``."""
    n = len(squares)
    noise, gradient = _parts(float(squares.mean()), whole, n)
    means = (squares.sum() - squares) / (n - 1)
    wholes = (n * n * whole - 2 * n * along + squares) / (n - 1) ** 2
    noises, slopes = _parts(means, wholes, n - 1)
    if not gradient > 0 or not bool((slopes > 0).all()):
        return NoiseScale(math.inf if not gradient > 0 else noise / gradient, 0.0, math.inf, noise, gradient)
    logs = (noises / slopes).clamp_min(1e-300).log()
    off = math.sqrt(float((logs - logs.mean()).square().sum()) * (n - 1) / n)
    value = noise / gradient
    return NoiseScale(value, value * math.exp(-SURE * off), value * math.exp(SURE * off), noise, gradient)


def _parts(mean: Any, whole: Any, n: int) -> tuple[Any, Any]:
    noise = (mean - whole) * n / (n - 1)
    return noise, whole - noise / n


def _checked(model: Any, loss: Any, inputs: Any, targets: Any) -> None:
    from torch import Tensor, nn

    if not isinstance(model, nn.Module):
        raise TypeError(_check.message("model", model, "a torch.nn.Module"))
    if not callable(loss):
        raise TypeError(_check.message("loss", loss, "a function of outputs and targets"))
    for name, value in (("inputs", inputs), ("targets", targets)):
        if not isinstance(value, Tensor) or value.ndim < 1:
            raise TypeError(_check.message(name, value, "a tensor with an example in each row"))
    if len(inputs) < 3 or len(targets) != len(inputs):
        rows = f"{len(inputs)} and {len(targets)} rows"
        raise ValueError(f"inputs and targets must have as many rows, three or more, got {rows}")
