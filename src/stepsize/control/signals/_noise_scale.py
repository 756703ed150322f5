"""The gradient's noise scale: at how many of this run's batches the noise in their mean is as large as the gradient.

Formula, with the gradients g of an update's N parts (micro-batches of one process, parts of several), their mean G and
the mean m of their squared norms; E over updates, the last with a weight of 1/32:
    noise = (m - ||G||²) / (N - 1)        the trace of the covariance of G, unbiased
    noise_scale = E[noise] / E[||G||² - noise]

Times the examples of an update it is McCandlish's "simple" noise scale in examples. Batches far below it need a rate in
proportion to the batch; far above it more examples save no steps. A ratio of means, since a mean of ratios is biased.
``noise_scale/low`` and ``noise_scale/high`` hold it with 95 % probability where gradient and noise stand still;
``noise_scale/NAME`` is that of one parameter. Missing until the mean's square is above its noise. Cost: the norm of
each part's gradient, noted during the backward passes; nothing is copied, no pass repeated. Resuming begins it anew.

It needs two or more parts: ``accumulate=2`` or more, or several processes. A backward pass is a part, so each must be
of examples of its own, with one loss. A loop of one's own in which only the first process is watched hears that one's
parts alone, which is as unbiased and more uncertain; with ``control.wants_again()``, asked on every process before the
first backward pass of each update, all are heard, as in tasks.

What is healthy: nothing; it is a pointer. It grows several times over in a run, takes the loss for a sphere, and is
doubted: the batch up to which more is nearly free was found far from it (Merrill et al. 2025, arXiv 2505.23971).

Source: McCandlish et al. 2018, "An empirical model of large-batch training" (arXiv 1812.06162), appendix A.1; the
interval is Fieller's of a ratio of means (1954, "Some problems in interval estimation").
"""

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from stepsize.control.signals._signal import Signal, Update
from stepsize.optim import total_norm
from stepsize.state import mean_of_ranks, processes

NAME, KEPT = "noise_scale", 31 / 32
SURE = 1.959964  # standard deviations of 95 %


@dataclass(frozen=True)
class Ratio:
    """Smoothed means of pairs, the ratio of these, and its interval.

    Attributes:
        weight: of all pairs.
        weights: the sum of the squares of their weights.
        top, bottom: weighted sums.
        squares: weighted sums of top², top · bottom, bottom².
    """

    weight: float = 0.0
    weights: float = 0.0
    top: float = 0.0
    bottom: float = 0.0
    squares: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def with_pair(self, top: float, bottom: float, kept: float = KEPT) -> "Ratio":
        """One pair more.

        Args:
            top: above the line.
            bottom: below it.
            kept: of the weight of those before.
        """
        new = (top * top, top * bottom, bottom * bottom)
        return Ratio(
            kept * self.weight + 1,
            kept * kept * self.weights + 1,
            kept * self.top + top,
            kept * self.bottom + bottom,
            tuple(kept * old + product for old, product in zip(self.squares, new, strict=True)),  # type: ignore[arg-type]
        )

    @property
    def value(self) -> float | None:
        """Mean over mean; None while the lower one is not above 0."""
        return self.top / self.bottom if self.bottom > 0 else None

    def interval(self) -> tuple[float, float]:
        """The ratios that the pairs do not rule out; from 0 on, up to infinity where the lower mean may be 0."""
        share = self.weights / self.weight**2
        if not share < 1:
            return 0.0, math.inf
        x, y = self.top / self.weight, self.bottom / self.weight
        means = (x * x, x * y, y * y)
        pairs = zip(self.squares, means, strict=True)
        spread = [(square / self.weight - mean) * share / (1 - share) for square, mean in pairs]
        sure = (SURE + 2.37 * share / (1 - share)) ** 2  # Student's, to first order
        a, b, c = y * y - sure * spread[2], x * y - sure * spread[1], x * x - sure * spread[0]
        if a > 0:
            root = math.sqrt(max(b * b - a * c, 0.0))
            return max(0.0, (b - root) / a), max(0.0, (b + root) / a)
        if a < 0 < c:  # the ratios that are ruled out lie between one below 0 and one above
            return (b - math.sqrt(b * b - a * c)) / a, math.inf
        return 0.0, math.inf


def _before(update: Update) -> Any:
    parts = update.parts
    if parts is None or not parts.listens:
        return None
    named = {name: parameter for name, parameter in update.parameters.items() if parameter.requires_grad}
    squares, most = parts.squared_norms(list(named.values()))
    if parts.together:
        mean_of_ranks(squares)
    here = most if parts.calls == 1 else parts.calls  # a loop may do all its passes before it calls step
    count = here * processes()
    if problem := _problem(most, here, count, next(filter(None, map(_sharded, named, named.values())), "")):
        if NAME not in update.memory:
            update.memory[NAME] = {}
            warnings.warn(f"noise_scale is missing: {problem} (shown once)", UserWarning, stacklevel=2)
        return None
    whole = [None if parameter.grad is None else total_norm([parameter.grad.detach()]) for parameter in named.values()]
    wholes = torch.stack([squares.new_zeros(()) if norm is None else norm.to(squares).square() for norm in whole])
    noise = (squares * here - wholes) / (count - 1)
    return list(named), torch.stack([noise, wholes - noise]) / parts.scale() ** 2


def _sharded(name: str, parameter: Tensor) -> str:
    """The name of a parameter that FSDP shards, of version 2 or 1; empty of others."""
    return name if hasattr(parameter, "to_local") or getattr(parameter, "_fsdp_flattened", False) else ""


def _problem(most: int, calls: int, count: int, sharded: str) -> str:
    if sharded:
        return (
            f"{sharded} is sharded over processes (FSDP), so that its gradient is heard only once it is averaged; "
            "measure it with weights that are copied to each process (DDP), or on one process with accumulate=2 or more"
        )
    if not most:
        return "no gradient was heard on its way"
    if most > calls:
        return f"there were {most} backward passes to {calls} calls of step; give Control accumulate={most}"
    if count < 2:
        return (
            "an update has one part, and needs two or more: give accumulate=2 or more, or train with several processes"
        )
    return ""


def _after(update: Update, found: tuple[list[str], Tensor] | None) -> Mapping[str, float]:
    if found is None:
        return {}
    names, pairs = found
    kept: dict[str, Ratio] = update.memory.setdefault(NAME, {})
    wanted = [index for index, name in enumerate(names) if update.wants(f"{NAME}/{name}")]
    rows = torch.cat([pairs.sum(1, keepdim=True), pairs[:, wanted]], 1).T.tolist()
    values: dict[str, float] = {}
    for name, (noise, gradient) in zip(["", *(names[index] for index in wanted)], rows, strict=True):
        if math.isfinite(noise + gradient):
            kept[name] = kept.get(name, Ratio()).with_pair(noise, gradient)
        if name in kept and (value := kept[name].value) is not None:
            values[name] = value
    if "" in kept:
        low, high = kept[""].interval()
        values |= {"low": low} | ({"high": high} if math.isfinite(high) else {})
    return values


noise_scale = Signal(NAME, _after, _before, needs_parts=True)
"""In batches of an update."""
