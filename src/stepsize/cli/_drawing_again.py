"""Drawing again: the folder of a sweep, or of one or more runs."""

from pathlib import Path

from stepsize import _check
from stepsize.cli._damaged import said_of_record
from stepsize.cli._screen import Screen
from stepsize.cli._swept import told
from stepsize.pages import comparison, picture
from stepsize.sweeps import NAME, Sweep

FORMATS = (".png", ".svg", ".pdf")


def plot_folder(folder: Path, out: Path | None, as_json: bool) -> int:
    """Draw what is in the folder of a sweep or a run."""
    screen = Screen(as_json)
    if (folder / NAME).exists():
        if out is not None and out.suffix.lower() == ".csv":
            return told(screen, Sweep.open(folder, partial=True), out)
        return told(screen, Sweep.open(folder, partial=True), picture=out, to_draw=True)
    if out is not None:
        raise ValueError("the picture of a run goes into its folder; leave --out out")
    with said_of_record(screen):
        image = picture(folder)
    screen.say(f"picture  {image}")
    screen.answer(picture=str(image))
    return 0


def plot_runs(folders: list[Path], out: Path | None, as_json: bool) -> int:
    """Several runs in one picture."""
    screen, out = Screen(as_json), Path("runs.png") if out is None else out
    if out.suffix.lower() not in FORMATS:
        raise ValueError(_check.message("out", str(out), f"a file ending in {', '.join(FORMATS)}"))
    for folder in folders:
        if (folder / NAME).exists():
            raise ValueError(f"{folder} is a sweep, and plot compares runs; draw a sweep by itself")
    with said_of_record(screen):
        image = comparison(folders, out)
    screen.say(f"picture  {image}")
    screen.answer(picture=str(image))
    return 0
