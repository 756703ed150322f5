"""Reading the sides of a comparison: runs, sweeps, logs of others."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from stepsize import _check
from stepsize.cli._damaged import damage_shown, typed_as
from stepsize.cli._screen import Screen
from stepsize.cli._start import from_start
from stepsize.record import RUN, Comparison, Entry, Run, entry_of
from stepsize.record import compare as beside
from stepsize.sweeps import NAME, Sweep, entries_of

MOST = 12  # beside each other


def compared(screen: Screen, paths: Sequence[str], by: str, columns: Mapping[str, str] | None) -> Comparison:
    """The comparison of what is at some paths.

    Args:
        screen: shows their damage.
        paths: as they were typed.
        by: as in ``compare``.
        columns: of the logs of others.

    Raises:
        ValueError: there is nothing to be compared at one of them, or too much in all.
    """
    with damage_shown(screen), typed_as("RUN", "path"):
        entries = [entry for path in paths for entry in _entries(path, columns)]
    if not 2 <= len(entries) <= MOST:
        rule = f"two to {MOST} runs, logs, or variants of sweeps"
        raise ValueError(_check.message("RUN", [entry.name for entry in entries], rule))
    return beside(*entries, by=by)


def _entries(path: str, columns: Mapping[str, str] | None) -> list[Entry]:
    place = from_start(Path(path))
    if (place / NAME).exists():
        return entries_of(Sweep.open(place, partial=True), path)
    of_others = columns if not (place / RUN).exists() else None
    return [entry_of(Run.open(place, of_others), path)]
