"""Whether a rate deserves to be tried: less than what a rule needs to accuse it."""

import numpy as np

from stepsize import _check
from stepsize.diagnosis._diagnose import diagnose
from stepsize.diagnosis._seen import Seen
from stepsize.diagnosis.rules._rate_too_low import looks_of

STRAIGHT = 0.1  # curvature at the highest rate, median; of find's rates 4 in 141 are below, of a tenth of them most
ABOUT_RATE = ("rate-too-high", "rate-too-low", "diverging", "warmup-missing", "never-learnt")  # what a rate may explain


def is_suspicious(seen: Seen) -> bool:
    """Whether a rule says what the rate may explain, or the loss is nearly a straight line along the updates.

    Args:
        seen: a run, as far as it came.

    Example:
        >>> import numpy as np
        >>> from stepsize.diagnosis import Seen, Series, is_suspicious
        >>> steps = np.arange(0.0, 100.0, 20.0)
        >>> straight, curved = (Series(steps, np.full(5, size)) for size in (0.01, 0.5))
        >>> is_suspicious(Seen({"curvature": straight})), is_suspicious(Seen({"curvature": curved}))
        (True, False)

    Raises:
        TypeError: it is none.

    Source: measured, docs/decisions/0031-verify.md.
    """
    curvature = median_curvature(seen)
    if curvature is not None and curvature < STRAIGHT:
        return True
    return any(symptom.name in ABOUT_RATE and symptom.severity != "info" for symptom in diagnose(seen))


def median_curvature(seen: Seen, until: float | None = None) -> float | None:
    """The median curvature along a record's updates, as it were at the highest rate; None where none was recorded.

    Formula: with c = (g1 - g0) · d / abs(g0 · d) on one batch,
        median of abs(c) · highest rate / rate

    Args:
        seen: the record.
        until: the step before which it counts, >= 0; all of it when left out.

    Raises:
        TypeError, ValueError: an argument is invalid.

    Example:
        >>> import numpy as np
        >>> from stepsize.diagnosis import Seen, Series, median_curvature
        >>> steps = np.arange(0.0, 100.0, 20.0)
        >>> columns = {"curvature": Series(steps, np.full(5, 0.1)), "rate": Series(steps, np.linspace(1, 0.2, 5))}
        >>> median_curvature(Seen(columns), until=20), round(median_curvature(Seen(columns)), 2)
        (0.1, 0.17)
    """
    if not isinstance(seen, Seen):
        raise TypeError(_check.message("seen", seen, "a Seen", "make one with Seen.of(run)"))
    looks, shares = looks_of(seen, np.inf if until is None else _check.number("until", until, least=0))
    return float(np.median(looks / shares)) if len(looks) else None
