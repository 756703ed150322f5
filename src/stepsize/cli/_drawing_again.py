"""Drawing again: the folder of a sweep, one or more runs, logs of others."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from stepsize.cli._compare import picture_at
from stepsize.cli._compared import compared
from stepsize.cli._damaged import damage_shown, typed_as
from stepsize.cli._screen import Screen
from stepsize.cli._swept import report_sweep
from stepsize.pages import comparison, picture
from stepsize.record import Run
from stepsize.sweeps import NAME, Sweep


def plot_one(path: Path, out: Path | None, columns: Mapping[str, str] | None, as_json: bool) -> int:
    """Draw what is in the folder of a sweep or a run, or in a log of others."""
    screen = Screen(as_json)
    if (path / NAME).exists():
        if out is not None and out.suffix.lower() == ".csv":
            return report_sweep(screen, Sweep.open(path, partial=True), out)
        return report_sweep(screen, Sweep.open(path, partial=True), picture=out, to_draw=True)
    if out is None and not path.is_dir():
        out = Path("run.png")
    with damage_shown(screen), typed_as("RUN", "path"):
        image = picture(Run.open(path, columns), path=None if out is None else picture_at(out))
    screen.say(f"picture  {image}")
    screen.answer(picture=str(image))
    return 0


def plot_runs(paths: Sequence[str], out: Path | None, by: str, columns: Mapping[str, str] | None, as_json: bool) -> int:
    """Several runs, sweeps or logs in one picture."""
    screen, out = Screen(as_json), picture_at(Path("runs.png") if out is None else out)
    found = compared(screen, paths, by, columns)
    comparison(found, out)
    for note in found.notes:
        screen.note(note)
    screen.say(f"picture  {out}")
    screen.answer(picture=str(out))
    return 0
