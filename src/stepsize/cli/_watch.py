"""The command that looks at a run while it trains in another process, or on another machine's disk."""

import dataclasses
import datetime
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from stepsize import _check
from stepsize.cli._compare import Columns, columns_of
from stepsize.cli._damaged import damage_shown, typed_as
from stepsize.cli._options import OUTPUT, AsJson
from stepsize.cli._problems import StoppedError
from stepsize.cli._runs import read_runs
from stepsize.cli._screen import Screen
from stepsize.cli._start import from_start
from stepsize.record import METRICS, RUN, RUNNING, Run, Standing, standing_of
from stepsize.state import at_work
from stepsize.watch import duration

RUNS = Path("runs")
QUIET = 30.0  # seconds without a line, after which that is shown
LOOKS = 30  # from which the pace is taken
GONE = "was killed; train --resume goes on"


def watch(
    run: Annotated[
        Path,
        typer.Argument(metavar="[RUN]", help="Folder of a run, or another tool's log; of a folder of runs the newest."),
    ] = RUNS,
    every: Annotated[float, typer.Option(help="Seconds between two looks.")] = 1.0,
    once: Annotated[
        bool, typer.Option("--once", rich_help_panel=OUTPUT, help="Show it once, as it stands, and end.")
    ] = False,
    column: Columns = None,
    as_json: AsJson = False,
) -> int:
    """Watch a run that trains elsewhere: loss, rate and its course to come, signals, events; Ctrl-C leaves it alone."""
    _check.number("every", every, above=0)
    screen, columns = Screen(as_json), columns_of(column)
    if once or as_json:
        with damage_shown(screen), typed_as("RUN", "path"):
            place = _chosen(from_start(run))
            looked = Run.open(place, columns)
        standing = _standing(looked, place, run)
        _painter(screen).once(standing)
        screen.answer(**_plain(standing))
        return 0
    try:
        return _followed(screen, run, every, columns)
    except KeyboardInterrupt:
        raise StoppedError(f"no longer watched; nothing has changed for {run}") from None


def _followed(screen: Screen, run: Path, every: float, columns: Mapping[str, str] | None) -> int:
    place = _begun(screen, run, every)
    painter, pace = _painter(screen), _Pace()
    try:
        with typed_as("RUN", "path"):
            for looked in Run.follow(place, every, columns, always=True):
                painter.show(_standing(looked, place, run, pace))
    finally:
        painter.stop()
    return 0


def _painter(screen: Screen) -> Any:
    from stepsize.watch import Painter  # loads Rich's live display

    return Painter(screen.people, "stepsize watch")


def _begun(screen: Screen, run: Path, every: float) -> Path:
    """The run's place, once there is one."""
    waits = False
    while True:
        place = _chosen(from_start(run))
        empty = not place.exists() or (place.is_dir() and not any(place.iterdir()))
        if not empty and (run != RUNS or place.name != RUNS.name):
            return place
        if not waits:
            waits = True
            screen.note(f"waiting for a run in {run}; Ctrl-C ends it")
        time.sleep(every)


def _chosen(place: Path) -> Path:
    """The run itself, or the newest of a folder of runs."""
    if place.is_dir() and not (place / RUN).exists() and (found := read_runs(place)[0]):
        return place / str(found[0]["folder"])
    return place


def _standing(looked: Run, place: Path, run: Path, pace: "_Pace | None" = None) -> Standing:
    """The run's present state, under the name that was typed, and whether it still moves."""
    name = str(run if place == from_start(run) else run / place.name)
    written = _written(place)
    standing = standing_of(looked, name, (pace or _Pace()).of(looked, written))
    if standing.status != RUNNING:
        return standing
    age = None if written is None else time.time() - written
    if at_work(place) is False:
        return dataclasses.replace(standing, note=GONE)
    if age is not None and age > QUIET:
        return dataclasses.replace(standing, note=f"nothing new for {duration(age)}")
    return standing


def _written(place: Path) -> float | None:
    """When something was written last, in seconds of the clock on the wall."""
    try:
        return (place / METRICS if place.is_dir() else place).stat().st_mtime
    except OSError:
        return None


class _Pace:
    """The pace of a run, as observed; before that, from its beginning to its last line."""

    def __init__(self) -> None:
        self._seen: list[tuple[float, float]] = []

    def of(self, looked: Run, written: float | None) -> float | None:
        """Positions of the clock a second; None where nothing is known.

        Args:
            looked: as it was read now.
            written: when its last line was.
        """
        line = looked.steps[-1] if looked.steps else {}
        here = line.get("position", line.get("step"))
        if here is None:
            return None
        if self._seen and here < self._seen[-1][1]:  # it was resumed from before
            self._seen = []
        if not self._seen or here > self._seen[-1][1]:
            self._seen = [*self._seen, (time.monotonic(), here)][-LOOKS:]
        (began, first), (now, last) = self._seen[0], self._seen[-1]
        if last > first:
            return float(last - first) / (now - began)
        return _since_begun(looked.facts, here, written)


def _since_begun(facts: Mapping[str, Any], here: float, written: float | None) -> float | None:
    """The mean pace of an uninterrupted run."""
    if written is None or facts.get("resumed_at") is not None:
        return None
    try:
        began = datetime.datetime.fromisoformat(facts.get("started", "")).timestamp()
    except ValueError:
        return None
    return here / (written - began) if written > began and here > 0 else None


def _plain(standing: Standing) -> dict[str, Any]:
    """The same as plain data, without the curves."""
    last = {name: course.last for name, course in standing.seen.items()}
    named = (
        "name",
        "task",
        "status",
        "done",
        "position",
        "total",
        "seconds_left",
        "rates",
        "figures",
        "events",
        "note",
    )
    loss = None if standing.loss is None or not standing.is_finite else float(standing.loss.values[-1])
    plain = {name: getattr(standing, name) for name in named}
    return {**plain, "loss": loss, "validation": last, "ratios": dict(standing.ratios)}
