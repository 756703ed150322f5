"""The outcome at a rate, agreed by all processes that train together: one mean, one decision."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import torch

from stepsize.state import gathered, processes


class Verdict(IntEnum):
    """A process's verdict on a rate; of several processes, the highest counts."""

    DONE = 0
    SKIPPED = 1  # the scaler left the step out
    LEFT = 2  # the loop was left
    MISSING = 3  # no loss was recorded


@dataclass(frozen=True)
class Outcome:
    """A verdict with the loss recorded and the probe's loss, None where there is none."""

    verdict: Verdict
    loss: float | None = None
    probed: float | None = None


def agreed(outcome: Outcome, device: torch.device) -> Outcome:
    """The highest verdict and the mean losses of all processes, the same on each; every one must call.

    A mean is there where every process has a value.
    """
    if processes() == 1:
        return outcome
    row = [
        float(outcome.verdict),
        _or_nan(outcome.loss),
        outcome.loss is not None,
        _or_nan(outcome.probed),
        outcome.probed is not None,
    ]
    rows = gathered(row, device)
    verdicts, losses, have_loss, probed, have_probed = zip(*rows, strict=True)
    return Outcome(
        Verdict(int(max(verdicts))),
        math.fsum(losses) / len(rows) if all(have_loss) and _finite(losses) else _worst(losses, have_loss),
        math.fsum(probed) / len(rows) if all(have_probed) and _finite(probed) else _worst(probed, have_probed),
    )


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _finite(values: tuple[float, ...]) -> bool:
    return all(map(math.isfinite, values))


def _worst(values: tuple[float, ...], there: tuple[float, ...]) -> float | None:
    """The first value that is not finite; None where a process has none."""
    return next((value for value in values if not math.isfinite(value)), None) if all(there) else None


def mean_of_each(values: Sequence[float]) -> list[float]:
    """The mean over all processes of each value, the same on each of them; every one must call.

    Where a process has a value that is not finite, that one. Of rows of different lengths, as far as the shortest goes.

    Args:
        values: of this process.
    """
    if processes() == 1:
        return list(values)
    rows = gathered(list(values))
    return [math.fsum(column) / len(column) if _finite(column) else _odd(column) for column in zip(*rows, strict=False)]


def _odd(values: tuple[float, ...]) -> float:
    return next(value for value in values if not math.isfinite(value))
