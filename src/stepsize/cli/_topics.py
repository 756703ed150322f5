"""The courses' topics: the programs of the gallery, each by its name, with its claim and what came out."""

import contextlib
import re
import runpy
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from stepsize import _extras

HERE = Path(__file__).parents[1]
PLACES = (HERE / "courses", HERE.parents[1])  # in the wheel, and beside the source tree; laid out alike
GALLERY = Path("examples") / "gallery"
FIELD = re.compile(r"^:(Topic|Claim|Result): (.+)$", re.MULTILINE)
PICTURES = "picture.png"


@dataclass(frozen=True)
class Topic:
    """The content of a slide, as a program.

    Attributes:
        name: what people type.
        path: the program.
        course: A or B.
        slide: what the slide shows, in a few words.
        claim: what is claimed there.
        result: whether it held, and the figure.
    """

    name: str
    path: Path
    course: str
    slide: str
    claim: str
    result: str


def topics() -> list[Topic]:
    """All topics, in the order of the courses; none where the programs are not installed."""
    folder = next((place / GALLERY for place in PLACES if (place / GALLERY).is_dir()), None)
    return [] if folder is None else [_read(path) for path in sorted(folder.glob("[ab][0-9][0-9]_*.py"))]


def _read(path: Path) -> Topic:
    fields = dict(FIELD.findall(path.read_text(encoding="utf-8")))
    course, _, slide = fields["Topic"].partition(", ")
    name = path.stem.split("_", 1)[1].replace("_", "-")
    return Topic(name, path, course, slide, fields["Claim"].replace("``", ""), fields["Result"].replace("``", ""))


def play(topic: Topic, folder: Path, output: TextIO) -> tuple[list[str], list[Path], float]:
    """Run a topic's program in its own folder.

    Args:
        topic: which.
        folder: where its pictures go.
        output: where its lines go as they come.

    Returns:
        The lines that it printed, its pictures, and the seconds that it took.
    """
    matplotlib = _extras.load("matplotlib", "plot", f"stepsize course {topic.name}")
    _extras.load("sklearn.datasets", "tasks", f"stepsize course {topic.name}")
    matplotlib.use("Agg")
    pyplot = _extras.load("matplotlib.pyplot", "plot", f"stepsize course {topic.name}")
    lines, began = _Lines(output), time.perf_counter()
    folder = folder.absolute()
    with contextlib.chdir(topic.path.parent), contextlib.redirect_stdout(lines):
        try:
            runpy.run_path(str(topic.path))
            numbers = enumerate(pyplot.get_fignums())
            pictures = [_saved(pyplot.figure(number), folder, index) for index, number in numbers]
        finally:
            pyplot.close("all")
    return "".join(lines.kept).splitlines(), pictures, time.perf_counter() - began


def _saved(figure: Any, folder: Path, index: int) -> Path:
    path = folder / (PICTURES if index == 0 else f"picture-{index + 1}.png")
    figure.savefig(path, dpi=120)
    return path


class _Lines:
    """A stream that hands on what it is given, and keeps it."""

    def __init__(self, output: TextIO) -> None:
        self.output, self.kept = output, list[str]()

    def write(self, text: str) -> int:
        self.kept.append(text)
        return self.output.write(text)

    def flush(self) -> None:
        self.output.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.output, name)
