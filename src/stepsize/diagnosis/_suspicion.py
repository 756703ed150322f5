"""Whether a rate deserves to be tried: less than what a rule needs to accuse it."""

import numpy as np

from stepsize.diagnosis._diagnose import diagnose
from stepsize.diagnosis._seen import Seen
from stepsize.diagnosis.rules._rate_too_low import curvature_of

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

    Source: measured, docs/decisions/0031-verify.md.
    """
    sizes, _ = curvature_of(seen)
    if len(sizes) and float(np.median(sizes)) < STRAIGHT:
        return True
    return any(symptom.name in ABOUT_RATE and symptom.severity != "info" for symptom in diagnose(seen))
