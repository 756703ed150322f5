"""Rules that read a rate off a range test's curve: plain functions of (rates, losses)."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stepsize import _check

Array = NDArray[np.float64]
FEWEST = 8  # points below which no rule says anything
WINDOW = 0.5  # decades on either side of a rate over which its slope is fitted
CERTAIN = 4.0  # standard errors that a slope must differ from zero by, since many windows are looked at


@dataclass(frozen=True)
class Suggestion:
    """A rate read off a curve by a rule, or none and why.

    Attributes:
        rate: the suggested learning rate, None where there is no signal.
        rule: the name of the rule.
        reason: one sentence.
    """

    rate: float | None
    rule: str
    reason: str


Rule = Callable[[ArrayLike, ArrayLike], Suggestion]


def smooth(losses: ArrayLike, beta: float = 0.98) -> Array:
    """Exponential moving average with bias correction; it lags behind by about 1 / (1 - beta) points.

    Formula:
        a_i = beta a_(i-1) + (1 - beta) loss_i,   smoothed_i = a_i / (1 - beta^(i+1))

    Args:
        losses: shape (n,).
        beta: weight of the past, >= 0 and < 1.

    Raises:
        ValueError: beta is outside [0, 1).

    Example:
        >>> from stepsize.probe import smooth
        >>> smooth([1.0, 1.0, 0.0], beta=0.5)
        array([1.        , 1.        , 0.42857143])

    Source: Gugger 2018, "How do you find a good learning rate"; fastai's recorder.
    """
    beta = _check.number("beta", beta, least=0)
    if not beta < 1:
        raise ValueError(_check.message("beta", beta, "< 1"))
    average, smoothed = 0.0, []
    for index, loss in enumerate(_array("losses", losses)):
        average = beta * average + (1 - beta) * loss
        smoothed.append(average / (1 - beta ** (index + 1)))
    return np.array(smoothed)


def steepest_by_log_rate(rates: ArrayLike, losses: ArrayLike) -> Suggestion:
    """Where the loss falls fastest per decade of the learning rate (not per unit of rate, not per step).

    Formula:
        argmin over i of the least-squares slope d loss / d log10 rate within half a decade on either side of
        rate i; no signal unless that slope is below zero by four of its standard errors.

    Args:
        rates: shape (n,), rising, > 0.
        losses: shape (n,), as recorded: the fit does the smoothing, without lag.

    Raises:
        ValueError: the shapes differ, or rates do not rise or are not positive.

    Example:
        >>> import numpy as np
        >>> from stepsize.probe import steepest_by_log_rate
        >>> rates = np.logspace(-5, 0, 51)
        >>> drop_at_1e_2 = 1 / (1 + (rates / 1e-2) ** 2)
        >>> steepest_by_log_rate(rates, drop_at_1e_2).rate
        0.01

    Source: Smith 2017, "Cyclical learning rates for training neural networks" (arXiv 1506.01186), section 3.3, with
    the axis named: d loss / d log rate.
    """
    rule = "steepest_by_log_rate"
    rate, loss = _curve(rates, losses)
    if len(rate) < FEWEST:
        return Suggestion(None, rule, f"no signal: {len(rate)} finite losses, and it takes {FEWEST}")
    decades = np.log10(rate)
    noise = float(np.median(np.abs(np.diff(loss)))) / (0.6745 * np.sqrt(2))  # robust, from neighbours
    slopes, falls = np.zeros_like(loss), np.zeros(len(loss), dtype=bool)
    for index, centre in enumerate(decades):
        near = np.abs(decades - centre) <= WINDOW
        if near.sum() < 5:
            near = np.argsort(np.abs(decades - centre), kind="stable")[:5]
        x, y = decades[near] - decades[near].mean(), loss[near] - loss[near].mean()
        spread = float(x @ x)
        slopes[index] = float(x @ y) / spread
        own = np.sqrt(float(np.sum((y - slopes[index] * x) ** 2)) / (len(x) - 2))  # noisier here than elsewhere?
        falls[index] = slopes[index] < -CERTAIN * max(noise, own) / np.sqrt(spread)
    if not falls.any():
        return Suggestion(None, rule, "no signal: the loss falls nowhere by more than its noise")
    best = int(np.argmin(np.where(falls, slopes, 0.0)))
    return Suggestion(float(rate[best]), rule, f"the loss falls by {-slopes[best]:.3g} per decade of rate here")


def valley(rates: ArrayLike, losses: ArrayLike) -> Suggestion:
    """The middle of the longest run of falling smoothed losses.

    Args:
        rates: shape (n,), rising, > 0.
        losses: shape (n,), as recorded; smoothed here with ``smooth``.

    Raises:
        ValueError: the shapes differ, or rates do not rise or are not positive.

    Example:
        >>> import numpy as np
        >>> from stepsize.probe import valley
        >>> rates = np.logspace(-5, 0, 51)
        >>> valley(rates, 1 / (1 + (rates / 1e-2) ** 2)).rate
        0.0031622776601683794

    Source: fastai, ``fastai/callback/schedule.py``, ``valley`` (a longest decreasing subsequence).
    """
    rule = "valley"
    rate, loss = _curve(rates, losses)
    if len(rate) < FEWEST:
        return Suggestion(None, rule, f"no signal: {len(rate)} finite losses, and it takes {FEWEST}")
    smoothed = smooth(loss)
    longest = np.ones(len(smoothed), dtype=int)
    for index in range(1, len(smoothed)):
        before = longest[:index][smoothed[:index] > smoothed[index]]
        longest[index] = 1 + (before.max() if len(before) else 0)
    end = int(np.argmax(longest))
    length = int(longest[end])
    if length < FEWEST // 2:
        return Suggestion(None, rule, f"no signal: the longest falling stretch has {length} points")
    start = end - length
    third = (end - start) / 3
    return Suggestion(
        float(rate[max(0, start) + int(third) + int(third / 2)]), rule, f"middle of {length} falling points"
    )


def minimum_tenth(rates: ArrayLike, losses: ArrayLike) -> Suggestion:
    """A tenth of the rate at which the smoothed loss is lowest.

    Args:
        rates: shape (n,), rising, > 0.
        losses: shape (n,), as recorded; smoothed here with ``smooth``.

    Raises:
        ValueError: the shapes differ, or rates do not rise or are not positive.

    Example:
        >>> import numpy as np
        >>> from stepsize.probe import minimum_tenth
        >>> rates = np.logspace(-3, 0, 31)
        >>> round(minimum_tenth(rates, (np.log10(rates) + 1) ** 2).rate, 4)
        0.0794

    Source: Gugger 2018, "How do you find a good learning rate".
    """
    rule = "minimum_tenth"
    rate, loss = _curve(rates, losses)
    if len(rate) < FEWEST:
        return Suggestion(None, rule, f"no signal: {len(rate)} finite losses, and it takes {FEWEST}")
    smoothed = smooth(loss)
    lowest = int(np.argmin(smoothed))
    if lowest == 0:
        return Suggestion(None, rule, "no signal: the loss only rises")
    return Suggestion(float(rate[lowest]) / 10, rule, f"the smoothed loss is lowest at {rate[lowest]:.3g}")


def probe_minimum_third(rates: ArrayLike, losses: ArrayLike) -> Suggestion:
    """A third of the rate at which the loss on a fixed probe is lowest.

    Formula:
        rate_i / 3,   i = argmin of the running mean of five losses; no signal unless it falls from its start to
        there by more than four standard deviations of the noise between neighbours (of all, and of the decade before).

    Args:
        rates: shape (n,), rising, > 0.
        losses: shape (n,), measured after each rate's step on batches that are never trained on. On the losses of
            training batches the lowest is a matter of luck.

    Raises:
        ValueError: the shapes differ, or rates do not rise or are not positive.

    Example:
        >>> import numpy as np
        >>> from stepsize.probe import probe_minimum_third
        >>> rates = np.logspace(-3, 0, 31)
        >>> round(probe_minimum_third(rates, (np.log10(rates) + 1) ** 2).rate, 4)
        0.0333
    """
    rule = "probe_minimum_third"
    rate, loss = _curve(rates, losses)
    if len(rate) < FEWEST:
        return Suggestion(None, rule, f"no signal: {len(rate)} finite losses, and it takes {FEWEST}")
    smoothed = np.array([np.mean(loss[max(0, index - 2) : index + 3]) for index in range(len(loss))])
    lowest = int(np.argmin(smoothed))
    near = (rate[1:-1] <= rate[lowest]) & (rate[1:-1] * 100**WINDOW >= rate[lowest])  # what comes after may blow up
    bends = np.abs(np.diff(loss, 2)) / (0.6745 * np.sqrt(6))  # a straight fall is no noise
    noise = max(float(np.median(bends)), float(np.median(bends[near])) if near.any() else 0.0)
    if not smoothed[0] - smoothed[lowest] > CERTAIN * noise:
        return Suggestion(None, rule, "no signal: the probe's loss falls by no more than its noise")
    border = ", where the test ended" if lowest == len(rate) - 1 else ""
    return Suggestion(float(rate[lowest]) / 3, rule, f"the probe's loss is lowest at {rate[lowest]:.3g}{border}")


def _array(name: str, values: ArrayLike) -> Array:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(_check.message(name, values, "an array of numbers")) from None
    if array.ndim != 1:
        raise ValueError(_check.message(name, values, "an array of shape (n,)"))
    return array


def _curve(rates: ArrayLike, losses: ArrayLike) -> tuple[Array, Array]:
    """Both as arrays, without the points from the first loss on that is not finite."""
    rate, loss = _array("rates", rates), _array("losses", losses)
    if rate.shape != loss.shape:
        raise ValueError(_check.message("shape of losses", loss.shape, f"that of rates, {rate.shape}"))
    if not (np.all(rate > 0) and np.all(np.diff(rate) > 0) and np.all(np.isfinite(rate))):
        raise ValueError(_check.message("rates", rates, "finite, positive and rising"))
    broken = np.flatnonzero(~np.isfinite(loss))
    end = int(broken[0]) if len(broken) else len(loss)
    return rate[:end], loss[:end]
