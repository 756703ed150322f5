"""TensorBoard's event files: every scalar, and the hyperparameters where they were written."""

import re
from itertools import islice
from pathlib import Path
from typing import Any

from stepsize.record.foreign._event_file import events_in
from stepsize.record.foreign._log import Log, Reader, number

PATTERN = "*.tfevents.*"
MOST = 1000  # files and folders that are looked at
WALL = "wall_time"
PARTS = {"train", "training", "validation", "val", "valid", "eval", "test"}  # folders that are parts of one run
OF_SETTINGS = re.compile(r"\d{10,}\.\d+")  # what torch's add_hparams calls the folder it makes


def _within(folder: Path) -> list[Path]:
    """The folder itself, or those below that have event files."""
    if any(folder.glob(PATTERN)):
        return [folder]
    found = sorted({file.parent for file in islice(folder.rglob(PATTERN), MOST)})
    return sorted({place.parent if place.name in PARTS else place for place in found})


class _Board:
    """The content of the event files of one folder.

    Attributes:
        points: of each tag, by step: value and time.
        settings: what the hparams tab shows.
    """

    def __init__(self, path: Path) -> None:
        self.points: dict[str, dict[int, tuple[float, float]]] = {}
        self.settings: dict[str, Any] = {}
        self._plugins: dict[str, str] = {}  # only the first point of a tag says what it is of
        for file in sorted(path.glob(PATTERN)) if path.is_dir() else [path]:
            for event in events_in(file):
                self._take(event)

    def _take(self, event: Any) -> None:
        if event.HasField("session_log") and event.session_log.status == event.session_log.START:
            for points in self.points.values():  # a run that goes on: what was at this step or later comes again
                for step in [step for step in points if step >= event.step]:
                    del points[step]
        for value in event.summary.value:
            plugin = value.metadata.plugin_data
            self._plugins.setdefault(value.tag, plugin.plugin_name)
            if plugin.plugin_name == "hparams":
                self.settings |= _settings(plugin.content)
            for scalar in _scalar(value, self._plugins[value.tag]):
                self.points.setdefault(value.tag, {})[event.step] = scalar, event.wall_time


def _scalar(value: Any, plugin: str) -> list[float]:
    """A value's number, in a list; TensorFlow 2 writes it as a tensor. Nothing for all else."""
    if value.HasField("simple_value"):
        return [value.simple_value]
    if plugin != "scalars" or not value.HasField("tensor"):
        return []
    from tensorboard.util import tensor_util

    try:
        found = tensor_util.make_ndarray(value.tensor)
        return [float(found.reshape(()))]
    except (TypeError, ValueError):
        return []


def _settings(content: bytes) -> dict[str, Any]:
    from tensorboard.plugins.hparams import plugin_data_pb2

    found: dict[str, Any] = {}
    try:
        data = plugin_data_pb2.HParamsPluginData.FromString(content)
    except Exception:  # protobuf's own error has no common name in its versions
        return {}
    for name, value in data.session_start_info.hparams.items():
        kind = value.WhichOneof("kind")
        if kind in ("number_value", "string_value", "bool_value"):
            found[name] = getattr(value, kind)
    return found


def _read(path: Path) -> Log:
    board = _Board(path)
    settings, points = board.settings, dict(board.points)
    for part in sorted(folder for folder in path.iterdir() if any(folder.glob(PATTERN))) if path.is_dir() else []:
        inner = _Board(part)
        if OF_SETTINGS.fullmatch(part.name):
            settings |= inner.settings
        points |= {name: found for tag, found in inner.points.items() if (name := _part_of(tag, part.name))}
    flat = sorted((step, tag, *point) for tag, found in points.items() for step, point in found.items())
    begun = min((wall for *_, wall in flat), default=0.0)
    rows = [{"": step, tag: number(value), WALL: wall - begun} for step, tag, value, wall in flat]
    return Log(path, rows, {"settings": settings} if settings else {}, step="")


def _part_of(tag: str, folder: str) -> str:
    """The name of a tag in a folder of its own: of torch's add_scalars, of Keras's parts; empty for another run's."""
    main = tag.replace("/", "_") + "_"
    if folder.startswith(main):
        return f"{tag}/{folder.removeprefix(main)}"
    return f"{folder}/{tag}" if folder in PARTS else ""


TENSORBOARD = Reader(
    "TensorBoard", "a folder of TensorBoard's event files", lambda path: ".tfevents." in path.name, _within, _read
)
