"""The runs of ``find_law``: kept in a file, a line each, from which the same call goes on."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stepsize.scale._columns import Columns, read_runs
from stepsize.scale._points_to_run import Runnable
from stepsize.task import Startable

FILE = "runs.csv"


class KeptRuns:
    """What is known of runs, by point and rate; written down as it comes.

    Args:
        task: whose.
        axes: over which.
        seed: of all.
        folder: where they are kept; nowhere when None.

    Attributes:
        cut: whether a last line was half written, as where a process was killed; its run is not known then.
    """

    def __init__(self, task: Startable, axes: Sequence[str], seed: int, folder: Path | str | None) -> None:
        self.names = [*axes, "lr", "loss", "seed", "task"]
        self.seed, self.task = seed, task.name
        self.file = None if folder is None else Path(folder) / FILE
        self._losses: dict[tuple[float, ...], dict[float, float]] = {}
        self.cut = self.file is not None and self.file.exists() and _cut(self.file)
        if self.file is not None and self.file.exists() and self.file.stat().st_size:
            self._read(self.file)
        elif self.file is not None:
            self._write(self.names)

    def _read(self, file: Path) -> None:
        with file.open(encoding="utf-8", newline="") as lines:
            names = next(csv.reader(lines), [])
            rest = next(csv.reader(lines), None)
        if names != self.names:
            raise ValueError(f"{file} holds runs over {', '.join(names[:-4])}; choose another folder for these axes")
        if rest is None:
            return
        columns = read_runs(file)
        if {*columns["task"]} != {self.task} or {*columns["seed"]} != {float(self.seed)}:
            raise ValueError(f"{file} holds runs of another task or seed; choose another folder")
        for row in zip(*(columns[name] for name in self.names), strict=True):
            place, rate, loss = row[: len(row) - 4], row[-4], row[-3]
            self._losses.setdefault(tuple(place), {})[rate] = loss

    def at(self, point: Runnable) -> dict[float, float]:
        """The losses at a point, by rate.

        Args:
            point: which.
        """
        return self._losses.setdefault(tuple(point.place.values()), {})

    def note(self, point: Runnable, rate: float, loss: float) -> None:
        """Keep a run.

        Args:
            point: where.
            rate: its rate.
            loss: its last loss.
        """
        self.at(point)[rate] = loss
        if self.file is not None:
            self._write([*point.place.values(), rate, loss, self.seed, self.task])

    def _write(self, row: Sequence[Any]) -> None:
        if self.file is not None:
            with self.file.open("a", encoding="utf-8", newline="") as lines:
                csv.writer(lines).writerow(row)

    def columns(self, points: Sequence[Runnable]) -> Columns:
        """The runs at these points, as a table.

        Args:
            points: which.
        """
        rows = [
            {**point.place, "lr": rate, "loss": loss}
            for point in points
            for rate, loss in sorted(self.at(point).items())
        ]
        return {name: [row[name] for row in rows] for name in self.names[:-2]}


def _cut(file: Path) -> bool:
    """Take a last line away that does not end; whether there was one."""
    held = file.read_bytes()
    whole = held[: held.rfind(b"\n") + 1]
    if len(whole) < len(held):
        with file.open("r+b") as lines:
            lines.truncate(len(whole))
    return len(whole) < len(held)
