"""The commands, and those that find and train: tune, find, train, tasks."""

from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.table import Table

from stepsize._version import __version__
from stepsize.cli._begin import ScaleRate, job
from stepsize.cli._courses import course
from stepsize.cli._drawing import plot, schedules
from stepsize.cli._init import init
from stepsize.cli._job import Job
from stepsize.cli._options import AsJson, Budget, High, Low, Settle
from stepsize.cli._over import plans_of
from stepsize.cli._resume import resumed
from stepsize.cli._runs import runs
from stepsize.cli._screen import Screen
from stepsize.cli._sweep import sweep_command
from stepsize.cli._words import ENGINE, JSON, PLACE, RUN, SETTINGS, SHARD, TASK, Words, options
from stepsize.find import Finding, budget_of, check_range
from stepsize.task import BUILT_IN, Trained

app = typer.Typer(
    name="stepsize",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Chooses, schedules, watches and steers the learning rate of PyTorch training.",
    epilog="Start with: stepsize tune digits",
)

app.add_typer(course)
app.command(
    name="sweep",
    epilog="Examples: stepsize sweep digits --lr 1e-3:10:9 --seeds 3 | stepsize sweep digits --lr 1e-4:1:13"
    " --optimizer 'sgd(momentum=0.9),adamw' | stepsize sweep digits --lr 1e-2:1:5 --batch-size 16,64,256 --out mine",
)(sweep_command)
app.command(
    name="init",
    epilog="Examples: stepsize init | stepsize init gpt.py --template language-model"
    " | stepsize init --template lightning | stepsize init --template trainer",
)(init)
app.command(name="runs", epilog="Examples: stepsize runs | stepsize runs elsewhere --json")(runs)
app.command(
    name="plot",
    epilog="Examples: stepsize plot 'warmup(5%) >> cosine()' --total 1000 -o schedule.png"
    " | stepsize plot 'cosine()' 'linear()' --total 1000 -o both.svg | stepsize plot 'wsd()' --total 1000 -o table.csv"
    " | stepsize plot sweeps/digits-0001",
)(plot)
app.command(
    name="schedules",
    epilog="Examples: stepsize schedules | stepsize schedules cosine | stepsize schedules cosine -o cosine.png",
)(schedules)


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
@options(TASK, SETTINGS, RUN, PLACE, SHARD, ENGINE, JSON)
def tune(
    words: Words,
    low: Low = 1e-6,
    high: High = 100.0,
    budget: Budget = None,
    settle: Settle = False,
    over: Annotated[
        str | None,
        typer.Option(
            help="Race plans first: optimizer, schedule, or both, such as optimizer,schedule; or with values of your"
            " own: 'optimizer=adamw|sgd(momentum=0.9)'. The budget is then 4x when left out."
        ),
    ] = None,
) -> int:
    """Find a rate, train with it under control, and show the evidence."""
    work = job("tune", words)
    check_range(low, high)
    if settle and over is not None:
        raise ValueError("--settle and --over do not go together; settle the rate of the plan that won: --settle alone")
    budget_of(budget, work.trial.steps)  # refused before there is a folder
    plans = None if over is None else plans_of(over, work.task)
    with work.opened(words["out"]):
        if plans is not None:
            found = work.find_plan(plans, low, high, budget or "4x")
            if found.best is None:
                _answer(work)
                return 1
        finding = work.find(low, high, budget, settle) if plans is None or found.best is None else found.best.finding
        if finding.rate is None:
            _answer(work, finding=finding)
            return 1
        work.choose(lr=finding.rate)
        trained = work.train()
        return _finish(work, trained, finding)


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
    work = job("find", words)
    check_range(low, high)
    budget_of(budget, work.trial.steps)  # refused before there is a folder
    with work.opened(words["out"]):
        finding = work.find(low, high, budget, settle)
        if finding.rate is not None:
            work.folder.write(status="finished")
        image = work.picture()
        _answer(work, finding=finding, image=image)
        return 0 if finding.rate is not None else 1


@app.command(
    epilog="Examples: stepsize train digits --lr 0.1 | stepsize train digits --lr 0.1 --schedule 'linear()' --clip 1"
    " | stepsize train train.py:task --lr 3e-3 --epochs 5 | stepsize train --resume runs/digits-0001"
    " | torchrun --nproc-per-node=2 -m stepsize train digits --lr 0.1"
)
@options({}, SETTINGS, RUN, PLACE, SHARD, JSON)
def train(
    words: Words,
    context: typer.Context,
    task: Annotated[
        str | None, typer.Argument(metavar="[TASK]", help="A task's name, or train.py:task; the run's with --resume.")
    ] = None,
    lr: Annotated[float | None, typer.Option(help="The learning rate, at the task's own batch size.")] = None,
    scale_rate: Annotated[  # noqa: ARG001 - job reads it
        ScaleRate, typer.Option(help="How the rate follows --batch-size: times its ratio, its root, or not at all.")
    ] = ScaleRate.none,
    resume: Annotated[Path | None, typer.Option(help="Folder of a run that was stopped, to go on to its end.")] = None,
    accept_changes: Annotated[
        bool, typer.Option("--accept-changes", help="With --resume: go on although the task's code has changed.")
    ] = False,
    trust: Annotated[
        bool,
        typer.Option(
            "--trust", help="With --resume: run the code that the folder names, though others may have made it."
        ),
    ] = False,
) -> int:
    """Train at a rate of your own, under control; or go on with a run that was stopped."""
    if resume is not None:
        work = resumed(resume, context, trust, accept_changes)
        with work.reopened():
            return _finish(work, work.train())
    if trust or accept_changes:
        raise ValueError(f"--{'trust' if trust else 'accept-changes'} goes with --resume RUN; leave it out")
    if task is None or lr is None:
        missing = "TASK, such as digits" if task is None else "--lr, the learning rate; `stepsize tune` finds one"
        raise ValueError(f"train needs {missing}")
    work = job("train", words)
    with work.opened(words["out"]):
        return _finish(work, work.train())


@app.command(epilog="Example: stepsize tasks")
def tasks(as_json: AsJson = False) -> None:
    """List the tasks there are."""
    screen = Screen(as_json)
    table = Table("task", "steps", "what it is", box=None)
    for task in BUILT_IN.values():
        table.add_row(task.name, str(task.steps), task.about)
    screen.say(table)
    screen.answer(tasks=[{"name": task.name, "steps": task.steps, "about": task.about} for task in BUILT_IN.values()])


def _finish(work: Job, trained: Trained, finding: Finding | None = None) -> int:
    measured = {**trained.metrics, **trained.test}
    figures = "   ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in measured.items())
    if trained.complaint:
        work.screen.say(trained.complaint)
    if trained.remark:
        work.screen.say(f"note     {trained.remark}")
    work.screen.say(f"trained  {trained.steps} steps in {trained.seconds:.1f} s   {figures}")
    work.screen.say(f"run      {work.folder.path}")
    image = work.picture()
    if any(work.place.glob("events.out.tfevents.*")):
        work.screen.say(f"curves   tensorboard --logdir {work.folder.path.parent}")
    _say_threads(work)
    _answer(work, finding, trained, image)
    return 1 if trained.diverged else 0


def _say_threads(work: Job) -> None:
    """Say it where a task has set another number of threads than the command was given."""
    count, said = torch.get_num_threads(), work.words["threads"]
    if count != said:
        work.folder.write(threads=count)
        work.screen.say(f"threads  {count}, which the task has set itself, instead of the {said} of --threads")


def _answer(
    work: Job, finding: Finding | None = None, trained: Trained | None = None, image: Path | None = None
) -> None:
    facts = work.folder.facts()
    answer: dict[str, Any] = {
        "task": work.task.name,
        "rate": facts["rate"],
        "plan": facts["plan"],
        "seed": work.trial.seed,
    }
    steps = seconds = 0.0
    if finding is not None:
        steps, seconds = finding.cost.steps, finding.cost.seconds
        answer |= {"low": finding.low, "high": finding.high, "verdict": finding.verdict, "doubts": finding.doubts}
        answer["metrics"] = {"loss": min((result.score for result in finding.results), default=None)}
    if trained is not None:
        steps, seconds = steps + trained.steps, seconds + trained.seconds
        answer["metrics"] = {"loss": trained.score, **trained.metrics, **trained.test}
    answer["cost"] = {"steps": int(steps), "runs": steps / work.trial.steps, "seconds": round(seconds, 3)}
    work.screen.answer(**answer, run=str(work.folder.path), picture=None if image is None else str(image))
