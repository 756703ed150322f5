"""Options that several commands share, and the panels in which help shows them."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

WHAT, HOW, WHERE, OUTPUT = "What to train", "How", "Where", "Output"
RESUMING = "A run that was stopped"
PANELS = (None, WHAT, RESUMING, HOW, WHERE, OUTPUT)  # in the order of help; None is that of arguments


class ScaleRate(StrEnum):
    """Rules by which the rate follows the batch size."""

    linear = "linear"
    sqrt = "sqrt"
    none = "none"


TaskName = Annotated[
    str,
    typer.Argument(
        metavar="TASK", help="A task's name (see `stepsize tasks`), or your own: train.py, or train.py:name."
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        rich_help_panel=WHAT, help="Seed of weights, data order and everything drawn; the task's, or 0, when left out."
    ),
]
Steps = Annotated[
    int | None, typer.Option(rich_help_panel=WHAT, help="Length of the run in steps; the task's own when left out.")
]
Out = Annotated[
    Path | None,
    typer.Option(rich_help_panel=OUTPUT, help="New folder for the run; runs/TASK-0001, -0002 ... when left out."),
]
Budget = Annotated[
    str | None,
    typer.Option(
        rich_help_panel=HOW,
        help="What finding may cost, about: 0.3x, 1x, 2x of the run, steps (600), or a time (90s, 10min); one run, but"
        " at most 600 steps, when left out.",
    ),
]
Settle = Annotated[
    bool,
    typer.Option(
        "--settle",
        rich_help_panel=HOW,
        help="Go on with longer runs where the rate is not to be trusted: three or six whole ones.",
    ),
]
Threads = Annotated[
    int,
    typer.Option(
        min=1,
        max=4096,
        rich_help_panel=WHERE,
        help="CPU threads: with one, small networks are quick and figures do not depend on cores.",
    ),
]
Epochs = Annotated[
    float | None, typer.Option(rich_help_panel=WHAT, help="Length of the run in epochs, instead of --steps.")
]
Data = Annotated[
    Path | None,
    typer.Option(
        rich_help_panel=WHAT,
        help="Folder of the data set, in the hub's layout, or a folder of several; as STEPSIZE_DATA.",
    ),
]
Device = Annotated[str, typer.Option(rich_help_panel=WHERE, help="Where to train: cpu, cuda, cuda:1 ...")]
Amp = Annotated[bool, typer.Option("--amp", rich_help_panel=HOW, help="Compute the loss in bfloat16 (autocast).")]
Accumulate = Annotated[int, typer.Option(min=1, rich_help_panel=HOW, help="Batches to one update.")]
Verify = Annotated[
    bool | None,
    typer.Option(
        "--verify/--no-verify",
        rich_help_panel=HOW,
        help="At a quarter of the run, if its record is suspicious, try other rates by short forks, for a tenth of the"
        " run at most.",
    ),
]
Apply = Annotated[
    bool | None,
    typer.Option("--apply/--no-apply", rich_help_panel=HOW, help="With --verify: go on at the rate that forks prefer."),
]
Deterministic = Annotated[
    bool,
    typer.Option(
        "--deterministic",
        rich_help_panel=HOW,
        help="Only algorithms that give the same bits each time; slower on a GPU.",
    ),
]
Shard = Annotated[
    bool,
    typer.Option(
        "--shard", rich_help_panel=WHERE, help="Under torchrun: spread the weights over the processes (FSDP2)."
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        rich_help_panel=WHERE, help="Of a Ray cluster, HOST:PORT or auto, for --engine ray; this machine if left out."
    ),
]
EngineName = Annotated[
    str | None,
    typer.Option(
        "--engine",
        rich_help_panel=WHERE,
        help="How trials get done: serial, processes, ray, batched, batched-compiled, or auto, which times them and"
        " chooses. Left out, serial; for sweeps processes, where the task can be sent to them.",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1,
        rich_help_panel=WHERE,
        help="Processes at once, one for each core if left out; of batched engines, trials at once.",
    ),
]
Low = Annotated[float, typer.Option(rich_help_panel=HOW, help="Lowest rate to try.")]
High = Annotated[float, typer.Option(rich_help_panel=HOW, help="Highest rate to try.")]
NoReport = Annotated[
    bool, typer.Option("--no-report", rich_help_panel=OUTPUT, help="Write no page of HTML at the end.")
]
AsJson = Annotated[
    bool,
    typer.Option(
        "--json", rich_help_panel=OUTPUT, help="One JSON object on standard output, the rest on standard error."
    ),
]
