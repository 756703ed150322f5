"""Rules of the literature for another batch or another length: pure functions, each of which says where it holds.

They know nothing of one's own runs; a law fitted on those (``fit_law``) does.
"""

import math
from dataclasses import dataclass, field

from stepsize import _check

SHARE = 4.0  # a batch above this part of the noise scale is no longer small beside it
FAR = 8.0  # the factor of batches up to which rules were found to hold widely
FORGETFUL = 0.2  # of 1 - beta: above it an average over so few steps is none


@dataclass(frozen=True)
class Rescaled:
    """What a rule gives.

    Attributes:
        rule: its name.
        factor: of the rate, for ``Control.scale(factor)``.
        values: hyperparameters by name as the rule has them: ``lr`` and, as the rule says, ``beta1``, ``beta2``,
            ``eps``, ``weight_decay``.
        doubts: where the rule is not known to hold, in words; empty where it is.

    Example:
        >>> from stepsize.scale import linear_rule
        >>> new = linear_rule(0.1, batch=256, to=1024)
        >>> new.values, new.factor, new.doubts
        ({'lr': 0.4}, 4.0, ('a rate 4 times as high breaks many runs at their beginning: warm up from the old one',))
    """

    rule: str
    factor: float
    values: dict[str, float] = field(default_factory=dict)
    doubts: tuple[str, ...] = ()


def linear_rule(lr: float, *, batch: float, to: float, noise_scale: float | None = None) -> Rescaled:
    """The rate of SGD grows with the batch, while the run keeps its epochs.

    Formula:
        lr' = lr · k,  k = to / batch

    It holds for SGD, with or without momentum, as long as the batch is small beside the noise scale, and after a
    gradual warm-up from the old rate where the new one is more than twice as high.

    Args:
        lr: the rate at the old batch, > 0.
        batch: the old batch in examples, over all accumulation and processes, > 0.
        to: the new one, > 0.
        noise_scale: in examples, > 0, where it is known: of the signal ``noise_scale``.

    Raises:
        TypeError, ValueError: an argument is no such number.

    Example:
        >>> from stepsize.scale import linear_rule
        >>> linear_rule(0.1, batch=256, to=8192, noise_scale=2000).doubts[0]
        'a batch of 8192 is not small beside a noise scale of 2000: beyond 500 the rate grows more slowly'

    Source: Goyal et al. 2017, "Accurate, large minibatch SGD" (arXiv 1706.02677), sections 2.1 and 2.2.
    """
    lr, ratio, doubts = _checked(lr, batch, to, noise_scale)
    if ratio > 2:
        doubts += (f"a rate {ratio:.3g} times as high breaks many runs at their beginning: warm up from the old one",)
    return Rescaled("linear", ratio, {"lr": lr * ratio}, doubts)


def square_root_rule(
    lr: float,
    *,
    batch: float,
    to: float,
    beta1: float | None = None,
    beta2: float | None = None,
    eps: float | None = None,
    noise_scale: float | None = None,
) -> Rescaled:
    """The rate of Adam and RMSprop grows with the square root of the batch, while the run keeps its epochs.

    Formula:
        lr' = lr √k,  1 - beta' = k (1 - beta),  eps' = eps / √k,  k = to / batch

    It holds for Adam's kin as long as the batch is small beside the noise scale, so that noise makes most of the
    gradients' second moment, and as long as averages go over several steps: k (1 - beta) well below 1.

    Args:
        lr: the rate at the old batch, > 0.
        batch: the old batch in examples, over all accumulation and processes, > 0.
        to: the new one, > 0.
        beta1: the decay of the mean, 0 <= beta1 < 1; left out, it is not scaled.
        beta2: the decay of the second moment, likewise; RMSprop's alpha.
        eps: added to its root, >= 0; left out, it is not scaled.
        noise_scale: in examples, > 0, where it is known.

    Raises:
        TypeError, ValueError: an argument is no such number, or a beta would fall below 0.

    Example:
        >>> from stepsize.scale import square_root_rule
        >>> new = square_root_rule(1e-3, batch=256, to=1024, beta1=0.95, beta2=0.999, eps=1e-8)
        >>> {name: float(f"{value:.6g}") for name, value in new.values.items()}
        {'lr': 0.002, 'beta1': 0.8, 'beta2': 0.996, 'eps': 5e-09}

    Source: Malladi et al. 2022, "On the SDEs and scaling rules for adaptive gradient algorithms" (arXiv 2205.10287),
    section 5.
    """
    lr, ratio, doubts = _checked(lr, batch, to, noise_scale)
    values = {"lr": lr * math.sqrt(ratio)}
    for name, beta in (("beta1", beta1), ("beta2", beta2)):
        if beta is None:
            if ratio != 1:
                doubts += (f"{name} is not scaled along: the rule's 1 - {name} grows with the batch",)
            continue
        rest = ratio * (1 - _decay(name, beta))
        if rest >= 1:
            rule = f"above {1 - 1 / ratio:.6g} at a batch {ratio:.3g} times as large"
            raise ValueError(_check.message(name, beta, rule, "leave it out to keep it, or grow the batch by less"))
        if rest > FORGETFUL and ratio > 1:
            doubts += (f"{name} becomes {1 - rest:.3g}, an average over {1 / rest:.1f} steps: too few for the rule",)
        values[name] = 1 - rest
    if eps is not None:
        values["eps"] = _check.number("eps", eps, least=0) / math.sqrt(ratio)
    return Rescaled("square root", math.sqrt(ratio), values, doubts)


def noise_scale_rule(lr: float, *, batch: float, to: float, noise_scale: float, power: float = 1.0) -> Rescaled:
    """The rate grows with the batch below the noise scale and stays beyond.

    Formula:
        lr' = lr ((1 + noise_scale / batch) / (1 + noise_scale / to)) ^ power

    It is the rate with which one step falls the most on a quadratic, for SGD at ``power`` 1; for Adam the source finds
    powers from 1/2 to 1. The noise scale grows in training, several times over, and is a pointer: its batch is often
    below the one up to which more is nearly free (Merrill et al. 2025, arXiv 2505.23971).

    Args:
        lr: the rate at the old batch, > 0.
        batch: the old batch in examples, over all accumulation and processes, > 0.
        to: the new one, > 0.
        noise_scale: in examples, > 0; of the signal ``noise_scale``, at the same stage of training.
        power: 1 for SGD, from 1/2 to 1 for Adam, > 0.

    Raises:
        TypeError, ValueError: an argument is no such number.

    Example:
        >>> from stepsize.scale import noise_scale_rule
        >>> round(noise_scale_rule(0.1, batch=100, to=1e9, noise_scale=900).values["lr"], 3)
        1.0

    Source: McCandlish et al. 2018, "An empirical model of large-batch training" (arXiv 1812.06162), section 2.2.
    """
    lr, ratio, doubts = _checked(lr, batch, to, None, bounded=True)
    noise_scale = _check.number("noise_scale", noise_scale, above=0)
    power = _check.number("power", power, above=0)
    factor = ((1 + noise_scale / batch) / (1 + noise_scale / to)) ** power
    if to > noise_scale and ratio > 1:
        doubts += (f"a batch of {to:.4g} is above the noise scale of {noise_scale:.4g}: more of it saves few steps",)
    return Rescaled("noise scale", factor, {"lr": lr * factor}, doubts)


def weight_decay_rule(weight_decay: float, *, lr: float, to_lr: float, steps: float, to_steps: float) -> Rescaled:
    """The weight decay of AdamW keeps its timescale as a share of the run, or of an epoch.

    Formula:
        weight_decay' = weight_decay · (lr · steps) / (to_lr · to_steps)
        timescale = 1 / (lr · weight_decay) steps: over how many of them weights are an average

    It holds for decay that is decoupled and multiplied by the rate, as in torch's AdamW, for another batch (steps of an
    epoch), another amount of data (steps of the run), another width (the rate moves).

    Args:
        weight_decay: the old one, >= 0.
        lr: the old rate, > 0.
        to_lr: the new one, > 0.
        steps: of the old run or epoch, > 0.
        to_steps: of the new one, > 0.

    Raises:
        TypeError, ValueError: an argument is no such number, or weights would change their sign by decay alone.

    Example:
        >>> from stepsize.scale import weight_decay_rule
        >>> weight_decay_rule(0.1, lr=1e-3, to_lr=2e-3, steps=4000, to_steps=1000).values
        {'lr': 0.002, 'weight_decay': 0.2}

    Source: Wang and Aitchison 2024, "How to set AdamW's weight decay as you scale model and dataset size"
    (arXiv 2405.13698), sections 3 and 4.
    """
    weight_decay = _check.number("weight_decay", weight_decay, least=0)
    lr, to_lr = _check.number("lr", lr, above=0), _check.number("to_lr", to_lr, above=0)
    steps, to_steps = _check.number("steps", steps, above=0), _check.number("to_steps", to_steps, above=0)
    found = weight_decay * (lr * steps) / (to_lr * to_steps)
    if found * to_lr >= 1:
        rule = f"below {to_steps / (lr * steps):.4g}, or the new decay times the rate is 1 or more"
        raise ValueError(_check.message("weight_decay", weight_decay, rule, "decay less, or train for more steps"))
    doubts: tuple[str, ...] = ()
    if found > 0 and found * to_lr * to_steps < 1:
        doubts = ("the timescale is longer than the steps given: in so short a run the decay hardly acts",)
    return Rescaled("weight decay", to_lr / lr, {"lr": to_lr, "weight_decay": found}, doubts)


def _decay(name: str, beta: float) -> float:
    if not _check.number(name, beta, least=0) < 1:
        raise ValueError(_check.message(name, beta, "below 1"))
    return float(beta)


def _checked(
    lr: float, batch: float, to: float, noise_scale: float | None, bounded: bool = False
) -> tuple[float, float, tuple[str, ...]]:
    """The rate, the ratio of the batches, and what rules for small batches are to be doubted for."""
    lr = _check.number("lr", lr, above=0)
    batch, to = _check.number("batch", batch, above=0), _check.number("to", to, above=0)
    ratio = to / batch
    if noise_scale is not None:
        limit = _check.number("noise_scale", noise_scale, above=0) / SHARE
        if max(to, batch) <= limit:
            return lr, ratio, ()
        beside = f"a batch of {max(to, batch):.4g} is not small beside a noise scale of {noise_scale:.4g}"
        return lr, ratio, (f"{beside}: beyond {limit:.4g} the rate grows more slowly",)
    if ratio > FAR and not bounded:
        much = f"{ratio:.3g} times the batch is far, and where the rule ends is not known"
        return lr, ratio, (f"{much}: measure the noise scale, or fit a law on runs of your own",)
    return lr, ratio, ()
