"""The commands, in the order in which a person meets them. What needs torch is imported once it is to be done."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from stepsize._version import __version__
from stepsize.cli._compare import compare
from stepsize.cli._course import course
from stepsize.cli._diagnosis import diagnose_command
from stepsize.cli._drawing import plot, schedules
from stepsize.cli._init import init
from stepsize.cli._interrupts import load_torch
from stepsize.cli._options import (
    HOW,
    OUTPUT,
    RESUMING,
    WHAT,
    AsJson,
    Budget,
    High,
    Low,
    ScaleRate,
    Settle,
)
from stepsize.cli._report import report
from stepsize.cli._runs import runs
from stepsize.cli._scale_command import scale_command
from stepsize.cli._screen import Screen
from stepsize.cli._steer import WithNumbers, replay, steer
from stepsize.cli._watch import watch
from stepsize.cli._words import (
    ENGINE,
    JSON,
    LENGTH,
    PAGE,
    PLACE,
    RUN,
    SETTINGS,
    SHARD,
    SWEPT,
    TASK,
    VERIFY,
    Words,
    options,
)
from stepsize.task import CATALOGUE

app = typer.Typer(
    name="stepsize",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Chooses, schedules, watches and steers the learning rate of PyTorch training.",
    epilog="Start with: stepsize tune digits",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"stepsize {__version__}")
        raise typer.Exit


@app.callback()
def stepsize(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Chooses, schedules, watches and steers the learning rate of PyTorch training."""


@app.command(
    epilog="Examples: stepsize tune digits | stepsize tune digits --seed 1 --schedule 'warmup(10%) >> linear()'"
    " | stepsize tune digits --over optimizer,schedule --budget 6x"
)
@options(TASK, SETTINGS, RUN, VERIFY, PLACE, SHARD, ENGINE, PAGE, JSON)
def tune(
    words: Words,
    low: Low = 1e-6,
    high: High = 100.0,
    budget: Budget = None,
    settle: Settle = False,
    over: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=HOW,
            help="Race plans first: optimizer, schedule, or both, such as optimizer,schedule; or with values of your"
            " own: 'optimizer=adamw|sgd(momentum=0.9)'. The budget is then 4x when left out.",
        ),
    ] = None,
) -> int:
    """Find a rate, train with it under control and a guard, verify it on the way, and show the evidence."""
    load_torch()
    from stepsize.cli._answer import answer, finish
    from stepsize.cli._begin import job
    from stepsize.cli._over import plans_of
    from stepsize.finder import budget_of, check_range

    work = job("tune", words)
    check_range(low, high)
    if settle and over is not None:
        raise ValueError("--settle and --over do not go together; settle the rate of the plan that won: --settle alone")
    budget_of(budget, work.trial.steps)  # refused before there is a folder
    plans = None if over is None else plans_of(over, work.task)
    work.guard()
    work.verify()
    with work.opened(words["out"]):
        if plans is not None:
            found = work.find_plan(plans, low, high, budget or "4x")
            if found.best is None:
                answer(work)
                return 1
        finding = work.find(low, high, budget, settle) if plans is None or found.best is None else found.best.finding
        if finding.rate is None:
            answer(work, finding=finding, page=work.report())
            return 1
        work.choose(lr=finding.rate)
        trained = work.train()
        return finish(work, trained, finding)


@app.command(
    name="find", epilog="Examples: stepsize find digits | stepsize find digits --budget 2x --low 1e-4 --high 1 --json"
)
@options(TASK, SETTINGS, RUN, PLACE, SHARD, ENGINE, JSON)
def find_command(
    words: Words,
    low: Low = 1e-6,
    high: High = 100.0,
    budget: Budget = None,
    settle: Settle = False,
) -> int:
    """Find a rate by a handful of short real runs, with the schedule squeezed into them."""
    load_torch()
    from stepsize.cli._answer import answer
    from stepsize.cli._begin import job
    from stepsize.finder import budget_of, check_range

    work = job("find", words)
    check_range(low, high)
    budget_of(budget, work.trial.steps)  # refused before there is a folder
    if "guard" in work.trial.settings:
        raise ValueError("--guard is for training: rates are compared without one; leave it out, or use stepsize tune")
    with work.opened(words["out"]):
        finding = work.find(low, high, budget, settle)
        if finding.rate is not None:
            work.folder.write(status="finished")
        image = work.picture()
        answer(work, finding=finding, image=image)
        return 0 if finding.rate is not None else 1


@app.command(
    epilog="Examples: stepsize train digits --lr 0.1 | stepsize train digits --lr 0.1 --schedule 'linear()' --clip 1"
    " | stepsize train train.py:task --lr 3e-3 --epochs 5 --verify | stepsize train --resume runs/digits-0001"
    " | torchrun --nproc-per-node=2 -m stepsize train digits --lr 0.1"
)
@options({}, SETTINGS, RUN, VERIFY, PLACE, SHARD, PAGE, JSON)
def train(
    words: Words,
    context: typer.Context,
    task: Annotated[
        str | None, typer.Argument(metavar="[TASK]", help="A task's name, or train.py:task; the run's with --resume.")
    ] = None,
    lr: Annotated[
        float | None, typer.Option(rich_help_panel=WHAT, help="The learning rate, at the task's own batch size.")
    ] = None,
    scale_rate: Annotated[  # noqa: ARG001 - job reads it
        ScaleRate,
        typer.Option(
            rich_help_panel=WHAT, help="How the rate follows --batch-size: times its ratio, its root, or not at all."
        ),
    ] = ScaleRate.none,
    resume: Annotated[
        Path | None,
        typer.Option(rich_help_panel=RESUMING, help="Folder of a run that was stopped, to go on to its end."),
    ] = None,
    accept_changes: Annotated[
        bool,
        typer.Option(
            "--accept-changes",
            rich_help_panel=RESUMING,
            help="With --resume: go on although the task's code has changed.",
        ),
    ] = False,
    trust: Annotated[
        bool,
        typer.Option(
            "--trust",
            rich_help_panel=RESUMING,
            help="With --resume: run the code that the folder names, though others may have made it.",
        ),
    ] = False,
) -> int:
    """Train at a rate of your own, under control; or go on with a run that was stopped."""
    load_torch()
    from stepsize.cli._answer import finish
    from stepsize.cli._begin import job
    from stepsize.cli._resume import resumed

    if resume is not None:
        work = resumed(resume, context, trust, accept_changes)
        with work.reopened():
            return finish(work, work.train())
    if trust or accept_changes:
        raise ValueError(f"--{'trust' if trust else 'accept-changes'} goes with --resume RUN; leave it out")
    if task is None or lr is None:
        missing = "TASK, such as digits" if task is None else "--lr, the learning rate; `stepsize tune` finds one"
        raise ValueError(f"train needs {missing}")
    work = job("train", words)
    with work.opened(words["out"]):
        return finish(work, work.train())


@app.command(
    name="sweep",
    epilog="Examples: stepsize sweep digits --lr 1e-3:10:9 --seeds 3 | stepsize sweep digits --lr 1e-4:1:13"
    " --optimizer 'sgd(momentum=0.9),adamw' | stepsize sweep digits --lr 1e-2:1:5 --batch-size 16,64,256 --out mine",
)
@options(TASK, SWEPT, LENGTH, ENGINE, PLACE, PAGE, JSON)
def sweep_command(
    words: Words,
    lr: Annotated[
        str,
        typer.Option(rich_help_panel=WHAT, help="Rates: LOW:HIGH:COUNT by equal factors, or a list such as 0.01,0.1."),
    ],
    seeds: Annotated[str, typer.Option(rich_help_panel=WHAT, help="How many seeds, or which: 0,1,5.")] = "3",
    stop_at: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=HOW, help="Shares of the run at which the worse half of the rates stops: 0.25,0.5."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            rich_help_panel=OUTPUT,
            help="Folder of the sweep; the same one again goes on with it. sweeps/TASK-0001 ... if left out.",
        ),
    ] = None,
    export: Annotated[
        Path | None, typer.Option(rich_help_panel=OUTPUT, help="Write all trials as a table: .csv or .parquet.")
    ] = None,
) -> int:
    """Train at many rates over several seeds, and see how everything depends on the rate."""
    load_torch()
    from stepsize.cli._sweep import swept

    return swept(words, lr, seeds, stop_at, out, export)


app.command(
    name="scale",
    epilog="Examples: stepsize scale digits --over 'steps,batch_size=8|16|32' --at steps=400,batch_size=128"
    " | stepsize scale digits --batch --lr 0.1 --rule linear"
    " | stepsize scale --runs runs.csv --rate lr --loss loss --over N,D,bs --at N=2e9,D=1e11,bs=512",
)(scale_command)
app.command(
    name="init",
    epilog="Examples: stepsize init | stepsize init gpt.py --template language-model"
    " | stepsize init --template lightning | stepsize init --template trainer",
)(init)


@app.command(epilog="Example: stepsize tasks")
def tasks(as_json: AsJson = False) -> None:
    """List the tasks there are."""
    screen = Screen(as_json)
    table = Table("task", "steps", "what it is", box=None)
    for name, (steps, about) in CATALOGUE.items():
        table.add_row(name, str(steps), about)
    screen.say(table)
    screen.answer(tasks=[{"name": name, "steps": steps, "about": about} for name, (steps, about) in CATALOGUE.items()])


app.command(
    name="schedules",
    epilog="Examples: stepsize schedules | stepsize schedules cosine | stepsize schedules cosine -o cosine.png",
)(schedules)
app.command(
    name="plot",
    epilog="Examples: stepsize plot 'warmup(5%) >> cosine()' --total 1000 -o schedule.png"
    " | stepsize plot 'cosine()' 'linear()' --total 1000 -o both.svg | stepsize plot 'wsd()' --total 1000 -o table.csv"
    " | stepsize plot sweeps/digits-0001",
)(plot)
app.command(
    name="report",
    epilog="Examples: stepsize report runs/digits-0001 | stepsize report sweeps/digits-0001 -o sweep.html"
    " | stepsize report runs/digits-0001 runs/digits-0002",
)(report)
app.command(
    name="steer",
    cls=WithNumbers,
    epilog="Examples: stepsize steer runs/digits-0001 scale 0.5 --wait | stepsize steer RUN set 3e-4 --group 'head*'"
    " | stepsize steer RUN cooldown 500 --at 2000 | stepsize steer RUN stop | stepsize steer RUN",
)(steer)
app.command(name="replay", epilog="Examples: stepsize replay runs/digits-0001 | stepsize replay RUN -o plan.yaml")(
    replay
)
app.command(
    name="watch",
    epilog="Examples: stepsize watch | stepsize watch runs/digits-0001 | stepsize watch out/trainer_state.json --once"
    " | ssh server stepsize watch runs/digits-0001",
)(watch)
app.command(
    name="compare",
    epilog="Examples: stepsize compare runs/digits-0001 runs/digits-0002 | stepsize compare runs/a trainer_state.json"
    " --by share | stepsize compare runs/a log.jsonl --column loss=my/loss --json",
)(compare)
app.command(
    name="diagnose",
    epilog="Examples: stepsize diagnose runs/digits-0001 | stepsize diagnose runs/digits-0001 --json --fail-on error"
    " | stepsize diagnose runs/digits-0001 --verify",
)(diagnose_command)
app.command(name="runs", epilog="Examples: stepsize runs | stepsize runs elsewhere --json")(runs)
app.add_typer(course)
