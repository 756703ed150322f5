"""Saying what of a record is damaged; needs no torch."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from stepsize.cli._screen import Screen
from stepsize.record import RecordWarning


@contextmanager
def said_of_record(screen: Screen) -> Iterator[None]:
    """Say on the screen, in a line each, what a block finds damaged in a run's record.

    Args:
        screen: where to.
    """
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always", RecordWarning)
        try:
            yield
        finally:
            for warning in found:
                if issubclass(warning.category, RecordWarning):
                    screen.note(str(warning.message))
    for warning in found:
        if not issubclass(warning.category, RecordWarning):
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
