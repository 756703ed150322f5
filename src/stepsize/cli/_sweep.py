"""The command that trains at many rates."""

from pathlib import Path
from typing import Any

from stepsize import _check, _extras
from stepsize.cli._begin import alone, engine_said, settled_task, steps_of
from stepsize.cli._over import number_of
from stepsize.cli._problems import StoppedError
from stepsize.cli._screen import Bar, Screen
from stepsize.cli._start import from_start
from stepsize.cli._swept import report_sweep
from stepsize.cli._words import Words, axes_of_words, split
from stepsize.engine import Auto
from stepsize.record import RunFolder
from stepsize.search import Progress
from stepsize.sweeps import (
    WAITING,
    Halving,
    Sweep,
    SweepFileError,
    chosen_engine,
    logspace,
    sweep,
    trials_of,
)

EXPORTS = (".csv", ".parquet")


def swept(words: Words, lr: str, seeds: str, stop_at: str | None, out: Path | None, export: Path | None) -> int:
    """Do what the words of the command ``sweep`` say, and return the exit code."""
    alone("sweep", "and see --engine and --workers")
    screen, (chosen, _) = Screen(words["as_json"]), settled_task(words)
    if export is not None:
        export = _checked(from_start(export))
    axes: dict[str, Any] = axes_of_words(words, chosen)
    rates, chosen_seeds = rates_of(lr), seeds_of_text(seeds)
    total = steps_of(chosen, words, _one_size(axes.get("batch_size", []), words["epochs"]))
    # what is wrong is refused before there is a folder
    count = len(trials_of(chosen, {**axes, "lr": rates}, chosen_seeds, total))
    stop = None if stop_at is None else Halving(tuple(_share(text) for text in split(stop_at)))
    how = engine_said(words) or chosen_engine(chosen, count)
    folder = RunFolder.fresh(chosen.name, from_start(Path("sweeps"))).path if out is None else from_start(out)
    place = folder.absolute()
    how = how.kept_in(place) if isinstance(how, Auto) else how
    try:
        with screen.progress(f"sweep {chosen.name}", count) as bar:
            hook = _waiting_said(screen, bar)
            found = sweep(
                chosen, rates, chosen_seeds, folder=place, steps=total, stop=stop, engine=how, progress=hook, **axes
            )
    except KeyboardInterrupt:
        raise StoppedError(f"stopped{_so_far(place, folder)}") from None
    except SweepFileError:
        raise
    except Exception:  # of a task, or a worker that died
        if there := _so_far(place, folder, least=1):
            screen.errors.print(f"sweep {chosen.name} failed{there}", soft_wrap=True)
        raise
    if isinstance(how, Auto) and how.choice is not None:
        screen.say(f"engine   {how.choice.why}")
    return report_sweep(screen, found, export, folder=folder, reports=not words["no_report"])


def _one_size(sizes: list[Any], epochs: float | None) -> int | None:
    """The batch size that epochs are counted with, if another than the task's."""
    if epochs is not None and len(sizes) > 1:
        raise ValueError(
            "--epochs has other steps at each batch size, and a sweep has trials of equal steps; give --steps, or each "
            "batch size a sweep of its own"
        )
    return sizes[0] if epochs is not None and sizes and isinstance(sizes[0], int) else None


def _checked(export: Path) -> Path:
    """The table's file in full, or an error where it cannot be written, as far as that is known before there is one."""
    if export.suffix.lower() not in EXPORTS:
        raise ValueError(_check.message("export", str(export), f"a file ending in {' or '.join(EXPORTS)}"))
    if export.is_dir() or not export.absolute().parent.is_dir():
        raise ValueError(_check.message("export", str(export), "a file in a folder that exists"))
    if export.suffix.lower() == ".parquet":
        for package in ("pandas", "pyarrow"):
            _extras.load(package, "tasks", "--export to .parquet")
    return export.absolute()


def _waiting_said(screen: Screen, bar: Bar) -> Progress:
    """A hook that moves the bar, and prints a line when it begins to wait for other processes."""
    waits = False

    def hook(done: int, total: int, note: str) -> None:
        nonlocal waits
        before, waits = waits, note.startswith(WAITING)
        if waits and not before:
            screen.errors.print(note, soft_wrap=True)
        bar(done, total, note)

    return hook


def _so_far(place: Path, folder: Path, least: int = 0) -> str:
    """How far a sweep that has ended came, and how to go on; empty where there is no sweep, or too few trials done."""
    try:
        swept = Sweep.open(place, partial=True)
    except SweepFileError:
        return ""
    there = sum(outcome.status != "open" for outcome in swept.outcomes)
    if there < least:
        return ""
    where = f"--out {folder}"
    return f"; {there} of {len(swept.outcomes)} trials are in {folder}, the same command with {where} goes on"


def rates_of(text: str) -> list[float]:
    """The rates of ``1e-4:1:13`` or ``0.01,0.1``."""
    if ":" not in text:
        return [number_of("--lr", rate) for rate in split(text)]
    parts = text.split(":")
    if len(parts) != 3:
        raise ValueError(_check.message("--lr", text, "LOW:HIGH:COUNT, such as 1e-4:1:13, or a list such as 0.01,0.1"))
    low, high, count = (number_of("--lr", part) for part in parts)
    try:
        return logspace(low, high, count)  # type: ignore[arg-type]
    except ValueError as error:
        raise ValueError(f"--lr LOW:HIGH:COUNT: {error}") from None


def seeds_of_text(text: str) -> int | list[int]:
    """A number of seeds, or the seeds of a list."""
    several = [number_of("--seeds", number) for number in split(text)]
    if not all(number.is_integer() for number in several):
        raise ValueError(_check.message("--seeds", text, "a whole number, or a list of them"))
    return [int(seed) for seed in several] if "," in text else int(several[0])


def _share(text: str) -> float:
    return number_of("--stop-at", text.removesuffix("%")) / (100 if text.endswith("%") else 1)
