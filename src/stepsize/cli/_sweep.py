"""The command that trains at many rates."""

import math
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from stepsize import _check
from stepsize.cli._begin import alone, engine_said, settled_task, steps_of
from stepsize.cli._job import StoppedError
from stepsize.cli._options import (
    Accumulate,
    Address,
    Amp,
    AsJson,
    Data,
    Deterministic,
    Device,
    EngineName,
    Epochs,
    Steps,
    TaskName,
    Threads,
    Workers,
)
from stepsize.cli._over import split
from stepsize.cli._picture import drawn
from stepsize.cli._screen import Screen
from stepsize.cli._start import from_start
from stepsize.engine import Auto
from stepsize.report import sweep_picture
from stepsize.sweep import Best, Halving, Sweep, chosen_engine, logspace, sweep, trials_of
from stepsize.watch import RunFolder

EXPORTS = (".csv", ".parquet")
Texts = list[str] | None


def sweep_command(
    task: TaskName,
    lr: Annotated[str, typer.Option(help="Rates: LOW:HIGH:COUNT by equal factors, or a list such as 0.01,0.1.")],
    seeds: Annotated[str, typer.Option(help="How many seeds, or which: 0,1,5.")] = "3",
    optimizer: Annotated[Texts, typer.Option(help="Optimizers: 'sgd(momentum=0.9),adamw'; may be repeated.")] = None,
    schedule: Annotated[Texts, typer.Option(help="A schedule; give it again for each that is compared.")] = None,
    batch_size: Annotated[str | None, typer.Option(help="Batch sizes, such as 32,64,128.")] = None,
    warmup: Annotated[str | None, typer.Option(help="Warm-up lengths, such as 0,100,5%.")] = None,
    weight_decay: Annotated[str | None, typer.Option(help="Weight decays, such as 0,0.01.")] = None,
    momentum: Annotated[str | None, typer.Option(help="Momenta (beta1 where there are betas), such as 0,0.9.")] = None,
    clip: Annotated[str | None, typer.Option(help="Largest gradient norms let through, such as 0.1,1.")] = None,
    stop_at: Annotated[
        str | None, typer.Option(help="Shares of the run at which the worse half of the rates stops: 0.25,0.5.")
    ] = None,
    steps: Steps = None,
    epochs: Epochs = None,
    engine: EngineName = None,
    workers: Workers = None,
    address: Address = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the sweep; the same one again goes on with it. sweeps/TASK-0001 ... if left out."),
    ] = None,
    export: Annotated[Path | None, typer.Option(help="Write all trials as a table: .csv or .parquet.")] = None,
    data: Data = None,
    device: Device = "cpu",
    amp: Amp = False,
    accumulate: Accumulate = 1,
    deterministic: Deterministic = False,
    threads: Threads = 1,
    as_json: AsJson = False,
) -> int:
    """Train at many rates over several seeds, and see how everything depends on the rate."""
    words = {**locals(), "batch_size": None}
    alone("sweep", "and see --engine and --workers")
    screen, (chosen, _) = Screen(as_json), settled_task(words)
    if export is not None and export.suffix.lower() not in EXPORTS:
        raise ValueError(_check.message("export", str(export), f"a file ending in {' or '.join(EXPORTS)}"))
    texts = {"batch_size": batch_size, "warmup": warmup, "weight_decay": weight_decay, "momentum": momentum}
    axes: dict[str, Any] = {axis: numbers(text) for axis, text in {**texts, "clip": clip}.items() if text is not None}
    if optimizer:
        axes["optimizer"] = [each for text in optimizer for each in split(text)]
    if schedule:
        axes["schedule"] = schedule
    rates, chosen_seeds = rates_of(lr), seeds_of_text(seeds)
    total = steps_of(chosen, words, _one_size(axes.get("batch_size", []), epochs))
    # what is wrong is refused before there is a folder
    count = len(trials_of(chosen, {**axes, "lr": rates}, chosen_seeds, total))
    stop = None if stop_at is None else Halving(tuple(_share(text) for text in split(stop_at)))
    how = engine_said(words) or chosen_engine(chosen, count)
    folder = RunFolder.fresh(chosen.name, from_start(Path("sweeps"))).path if out is None else from_start(out)
    place, export = folder.absolute(), None if export is None else from_start(export).absolute()
    how = how.kept_in(place) if isinstance(how, Auto) else how
    try:
        with screen.progress(f"sweep {chosen.name}", count) as bar:
            swept = sweep(
                chosen, rates, chosen_seeds, folder=place, steps=total, stop=stop, engine=how, progress=bar, **axes
            )
    except KeyboardInterrupt:
        raise StoppedError(_so_far(place, folder)) from None
    if isinstance(how, Auto) and how.choice is not None:
        screen.say(f"engine   {how.choice.why}")
    return told(screen, swept, export, folder=folder)


def _one_size(sizes: list[Any], epochs: float | None) -> int | None:
    """The batch size that epochs are counted with, if another than the task's."""
    if epochs is not None and len(sizes) > 1:
        raise ValueError(
            "--epochs has other steps at each batch size, and a sweep has trials of equal steps; give --steps, or each "
            "batch size a sweep of its own"
        )
    return sizes[0] if epochs is not None and sizes and isinstance(sizes[0], int) else None


def told(
    screen: Screen, swept: Sweep, export: Path | None = None, picture: Path | None = None, folder: Path | None = None
) -> int:
    """Show a sweep: a table of the best rates, the picture, one JSON object if asked for."""
    if export is not None:
        (swept.to_csv if export.suffix.lower() == ".csv" else swept.to_parquet)(export)
    folder = swept.folder if folder is None else folder
    screen.say(best_table(swept))
    screen.say(f"sweep    {folder}")
    shown = folder / "sweep.png" if picture is None else picture
    image = drawn(screen, lambda: sweep_picture(swept, picture), shown, f"stepsize plot {folder}")
    bests = swept.best()
    known = math.isfinite(swept.initial)
    breaks = swept.thresholds() if known else [None] * len(bests)
    lost = swept.sensitivities() if known else [None] * len(bests)
    found = [
        {"settings": dict(variant), **vars(best), "breaks_between": between, "sensitivity": sensitivity}
        for variant, best, between, sensitivity in zip(swept.variants, bests, breaks, lost, strict=True)
    ]
    screen.answer(
        task=swept.facts["task"],
        trials=swept.rows(),
        best=found,
        folder=str(folder),
        picture=None if image is None else str(image),
    )
    return 0 if any(best.rate is not None for best in bests) else 1


def best_table(swept: Sweep) -> Table:
    """The best rates, one row for each variant."""
    table = Table(box=None)
    for column in ("settings", "best rate", "between", "loss", "validation loss", "breaks above"):
        table.add_column(column, overflow="fold")
    bests, curves = swept.best(), swept.curves()
    validated = "validation_loss" if "validation_loss" in swept.measures else None
    others = swept.best(validated) if validated else [None] * len(bests)
    thresholds = swept.thresholds() if math.isfinite(swept.initial) else [(math.nan, math.inf)] * len(bests)
    for curve, best, other, threshold in zip(curves, bests, others, thresholds, strict=True):
        if best.rate is None:
            table.add_row(curve.name or "all", "every rate diverged")
            continue
        between = "" if best.low is None else f"{best.low:.2g} to {best.high:.2g}"
        breaks = "" if math.isinf(threshold[1]) else f"{threshold[0]:.3g}"
        border = ", border" if best.at_border else ""
        measured = "" if other is None else _validation(other)
        table.add_row(
            *(curve.name or "all", f"{best.rate:.3g}{border}", between),
            *(f"{best.value:.4g}", measured, breaks),
        )
    return table


def _validation(best: Best) -> str:
    return "" if best.rate is None else f"{best.value:.4g} at {best.rate:.3g}"


def _so_far(place: Path, folder: Path) -> str:
    swept = Sweep.open(place)
    there = sum(outcome.status != "open" for outcome in swept.outcomes)
    where = f"--out {folder}"
    return f"stopped; {there} of {len(swept.outcomes)} trials are in {folder}, the same command with {where} goes on"


def rates_of(text: str) -> list[float]:
    """The rates of ``1e-4:1:13`` or ``0.01,0.1``."""
    if ":" not in text:
        return [_number("--lr", each) for each in split(text)]
    parts = text.split(":")
    if len(parts) != 3:
        raise ValueError(_check.message("--lr", text, "LOW:HIGH:COUNT, such as 1e-4:1:13, or a list such as 0.01,0.1"))
    low, high, count = (_number("--lr", part) for part in parts)
    return logspace(low, high, int(count) if count == int(count) else count)  # type: ignore[arg-type]


def seeds_of_text(text: str) -> int | list[int]:
    """A number of seeds, or the seeds of a list."""
    several = [_number("--seeds", each) for each in split(text)]
    if any(seed != int(seed) for seed in several):
        raise ValueError(_check.message("--seeds", text, "a whole number, or a list of them"))
    return [int(seed) for seed in several] if "," in text else int(several[0])


def numbers(text: str) -> list[Any]:
    """The values of an axis: numbers where they are some, texts otherwise, which the axis itself checks."""
    return [_number_or_text(each) for each in split(text)]


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(_check.message(name, text, "a number")) from None


def _number_or_text(text: str) -> float | str:
    try:
        value = float(text)
    except ValueError:
        return text
    return int(value) if math.isfinite(value) and value == int(value) else value


def _share(text: str) -> float:
    return _number("--stop-at", text.removesuffix("%")) / (100 if text.endswith("%") else 1)
