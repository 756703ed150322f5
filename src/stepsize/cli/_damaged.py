"""Faults of what a person named: a damaged record, a folder that is no run; needs no torch."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from stepsize.cli._screen import Screen
from stepsize.record import RecordWarning


@contextmanager
def damage_shown(screen: Screen) -> Iterator[None]:
    """Show on the screen, one line each, the damage that a block finds in a run's record.

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


@contextmanager
def typed_as(word: str, *parameters: str) -> Iterator[None]:
    """In errors of a block, call a parameter of Python by the word of the command's help.

    Args:
        word: such as ``RUN``.
        parameters: that hold what a person typed there.
    """
    try:
        yield
    except (TypeError, ValueError) as error:
        name, must, rest = str(error).partition(" must be ")
        if name not in parameters or type(error) not in (TypeError, ValueError):
            raise
        raise type(error)(f"{word}{must}{rest}") from None
