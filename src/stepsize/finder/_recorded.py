"""What a run's folder says of its rate, beside its forks: the curvature along its updates."""

import warnings
from pathlib import Path

from stepsize.diagnosis import Seen, median_curvature
from stepsize.record import RUN, RecordWarning, Run


def curvature_in(folder: Path, done: int) -> float | None:
    """The curvature that a run's folder shows up to one of its checkpoints; None where there is none.

    Args:
        folder: of the run.
        done: steps at the checkpoint; what was written later does not count.
    """
    if not (folder / RUN).is_file():
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RecordWarning)  # what is damaged is left out, and said by whoever shows it
        return median_curvature(Seen.of(Run.open(folder)), done)
