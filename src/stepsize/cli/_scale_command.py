"""The command that predicts rates for other batches, lengths and widths: its options, and which go together."""

from pathlib import Path
from typing import Annotated

import typer

from stepsize.cli._interrupts import load_torch
from stepsize.cli._options import HOW, OUTPUT, WHAT, ScaleRate
from stepsize.cli._scale import Repeats, of_runs
from stepsize.cli._screen import Screen
from stepsize.cli._words import ENGINE, JSON, LENGTH, PLACE, RUN, SETTINGS, Words, options


@options({}, SETTINGS, {"seed": RUN["seed"], **LENGTH}, PLACE, ENGINE, JSON)
def scale_command(
    words: Words,
    task: Annotated[
        str | None, typer.Argument(metavar="[TASK]", help="A task's name, or train.py:task; none with --runs.")
    ] = None,
    over: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=WHAT,
            help="What the rate depends on, with commas between. Of a task: steps or epochs, batch_size, its own axes,"
            " with the small runs' values between bars, or halves of the target's if none: 'steps,batch_size=8|16|32'."
            " Of --runs: columns; logarithmic, unless one ends in :linear.",
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(rich_help_panel=WHAT, help="The target, a number for every axis: N=2e9,D=1e11,bs=512."),
    ] = None,
    batch: Annotated[
        bool,
        typer.Option(
            "--batch",
            rich_help_panel=WHAT,
            help="Instead of --over and --at: up to which batch more is nearly free, by branches from a checkpoint.",
        ),
    ] = False,
    lr: Annotated[
        float | None, typer.Option(rich_help_panel=WHAT, help="With --batch, the run's rate; found when left out.")
    ] = None,
    rule: Annotated[
        ScaleRate,
        typer.Option(
            rich_help_panel=HOW, help="With --batch, how the branches' rates follow it: sqrt for Adam, linear for SGD."
        ),
    ] = ScaleRate.sqrt,
    runs: Annotated[
        Path | None,
        typer.Option(rich_help_panel=WHAT, help="Your own runs: a CSV file, or a sweep's folder or sweep.db."),
    ] = None,
    rate: Annotated[str, typer.Option(rich_help_panel=WHAT, help="Column of the rate in --runs.")] = "lr",
    loss: Annotated[
        str,
        typer.Option(rich_help_panel=WHAT, help="Column of the loss in --runs; empty, nan or inf where a run broke."),
    ] = "loss",
    repeats: Annotated[
        Repeats,
        typer.Option(rich_help_panel=HOW, help="Of runs with equal rate and axes: the mean loss, or the best one."),
    ] = Repeats.mean,
    budget: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=HOW,
            help="What the small runs may take, about: 0.5x of a run at the target, or so many of its steps; 1x, or no"
            " limit where --over has all values, when left out.",
        ),
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", rich_help_panel=HOW, help="Train at the target too, at three rates or more.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            rich_help_panel=OUTPUT,
            help="Of a task, the folder, scales/TASK-0001 ... if left out; the same one again goes on with it. Of"
            " --runs, a picture's file: .png, .svg or .pdf.",
        ),
    ] = None,
) -> int:
    """Predict the rate for a bigger batch, a longer run or a wider model from small runs, with an interval."""
    if batch:
        _check_batch(words, task is None or runs is not None or over is not None or at is not None, verify, budget)
        load_torch()
        from stepsize.cli._scale_task import of_batch

        return of_batch(words, lr, rule)
    if lr is not None or rule is not ScaleRate.sqrt:
        raise ValueError(f"--{'rule' if lr is None else 'lr'} is for --batch; leave it out")
    if over is None or at is None:
        raise ValueError(
            "give --over and --at, such as --over 'steps,batch_size=8|16|32' --at steps=400,batch_size=128"
        )
    if (task is None) == (runs is None):
        raise ValueError("give a task, whose small runs are trained, or your own runs by --runs, and one of the two")
    if runs is not None:
        _check_runs(words, verify)
        return of_runs(Screen(words["as_json"]), runs, over, at, rate, loss, repeats, out)
    usual = {"rate": "lr", "loss": "loss", "repeats": Repeats.mean}
    if others := [name for name, value in usual.items() if words[name] != value]:
        raise ValueError(f"--{others[0]} is for --runs; leave it out")
    load_torch()
    from stepsize.cli._scale_task import of_task

    return of_task(words, over, at, budget, verify, out)


def _check_batch(words: Words, misses: bool, verify: bool, budget: str | None) -> None:
    if misses or verify or budget is not None:
        raise ValueError("--batch goes with a task and --lr; leave --over, --at, --runs, --budget and --verify out")
    if others := [name for name in ENGINE if words[name] is not None]:
        raise ValueError(f"--{others[0]} is not for --batch, which trains one branch after the other; leave it out")


def _check_runs(words: Words, verify: bool) -> None:
    known = [*SETTINGS, "seed", *LENGTH, *ENGINE, "data", "budget"]
    if beside := [name for name in known if words[name] is not None] + ["verify"] * verify:
        option = beside[0].replace("_", "-")
        raise ValueError(f"--{option} is for a task's runs, and --runs are trained already; leave it out")
