"""The commands: tune, find, train, plot, tasks."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from stepsize import _check
from stepsize._version import __version__
from stepsize.cli._job import Job, job
from stepsize.cli._screen import Screen
from stepsize.draw import draw
from stepsize.find import Finding, check_range
from stepsize.schedule import Schedule
from stepsize.task import BUILT_IN, Trained

app = typer.Typer(
    name="stepsize",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Chooses, schedules, watches and steers the learning rate of PyTorch training.",
    epilog="Start with: stepsize tune digits",
)

TaskName = Annotated[str, typer.Argument(metavar="TASK", help="A task's name; `stepsize tasks` lists them.")]
Seed = Annotated[int, typer.Option(help="Seed of weights, data order and everything drawn.")]
Steps = Annotated[int | None, typer.Option(help="Length of the run in steps; the task's own when left out.")]
Out = Annotated[Path | None, typer.Option(help="New folder for the run; runs/TASK-0001, -0002 ... when left out.")]
ScheduleText = Annotated[
    str | None,
    typer.Option("--schedule", help="A schedule, such as 'warmup(5%) >> cosine()'; the task's when left out."),
]
Clip = Annotated[float | None, typer.Option(help="Largest global gradient norm let through; the task's when left out.")]
Threads = Annotated[
    int, typer.Option(min=1, help="CPU threads: with one, small networks are quick and figures do not depend on cores.")
]
Low = Annotated[float, typer.Option(help="Lowest rate to try.")]
High = Annotated[float, typer.Option(help="Highest rate to try.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on standard output, the rest on standard error.")]


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
    epilog="Examples: stepsize tune digits   |   stepsize tune digits --seed 1 --schedule 'warmup(10%) >> linear()'"
)
def tune(
    task: TaskName,
    schedule: ScheduleText = None,
    clip: Clip = None,
    low: Low = 1e-6,
    high: High = 100.0,
    seed: Seed = 0,
    steps: Steps = None,
    out: Out = None,
    threads: Threads = 1,
    as_json: AsJson = False,
) -> int:
    """Find a rate, train with it under control, and show the evidence."""
    work = job("tune", task, as_json, seed, steps, schedule, clip, threads)
    check_range(low, high)
    work.open(out)
    finding = work.find(low, high)
    if finding.rate is None:
        _answer(work, finding=finding)
        return 1
    trained = work.train(finding.rate)
    return _finish(work, trained, finding)


@app.command(name="find", epilog="Examples: stepsize find digits   |   stepsize find digits --low 1e-4 --high 1 --json")
def find_command(
    task: TaskName,
    schedule: ScheduleText = None,
    clip: Clip = None,
    low: Low = 1e-6,
    high: High = 100.0,
    seed: Seed = 0,
    steps: Steps = None,
    out: Out = None,
    threads: Threads = 1,
    as_json: AsJson = False,
) -> int:
    """Find a rate by a handful of short real runs, with the schedule squeezed into them."""
    work = job("find", task, as_json, seed, steps, schedule, clip, threads)
    check_range(low, high)
    work.open(out)
    finding = work.find(low, high)
    if finding.rate is not None:
        work.folder.write(status="finished")
    image = work.picture()
    work.screen.say(f"picture  {image}")
    _answer(work, finding=finding, image=image)
    return 0 if finding.rate is not None else 1


@app.command(
    epilog="Examples: stepsize train digits --lr 0.1 | stepsize train digits --lr 0.1 --schedule 'linear()' --clip 1"
)
def train(
    task: TaskName,
    lr: Annotated[float, typer.Option(help="The learning rate.")],
    schedule: ScheduleText = None,
    clip: Clip = None,
    seed: Seed = 0,
    steps: Steps = None,
    out: Out = None,
    threads: Threads = 1,
    as_json: AsJson = False,
) -> int:
    """Train at a rate of your own, under control."""
    work = job("train", task, as_json, seed, steps, schedule, clip, threads)
    work.open(out, lr)
    return _finish(work, work.train(lr))


@app.command(epilog="Example: stepsize plot 'warmup(5%) >> cosine()' --total 1000 -o schedule.png")
def plot(
    schedule: Annotated[str, typer.Argument(metavar="SCHEDULE", help="A schedule, such as 'warmup(5%) >> cosine()'.")],
    total: Annotated[float, typer.Option(help="Length of the run in steps.")],
    per_epoch: Annotated[float | None, typer.Option(help="Steps in an epoch, for lengths such as 3ep.")] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="The picture: .png, .svg or .pdf.")] = Path("schedule.png"),
    as_json: AsJson = False,
) -> None:
    """Draw a schedule."""
    if out.suffix not in (".png", ".svg", ".pdf"):
        raise ValueError(_check.message("out", str(out), "a file ending in .png, .svg or .pdf"))
    laid = Schedule.parse(schedule).over(total, per_epoch)
    screen = Screen(as_json)
    ax = draw(laid)
    ax.set_title(str(laid), fontsize=10)
    ax.figure.savefig(out, dpi=150)
    screen.say(f"{laid}\nfirst {laid(0):.4g}   half-way {laid(total / 2):.4g}   end {laid(total):.4g}   picture {out}")
    screen.answer(
        schedule=str(laid), total=total, first=laid(0), half_way=laid(total / 2), end=laid(total), picture=str(out)
    )


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
    image = work.picture()
    figures = "   ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in trained.metrics.items())
    if trained.diverged:
        work.screen.say(f"diverged: the training loss was not finite at step {trained.steps}; try a lower rate")
    work.screen.say(f"trained  {trained.steps} steps in {trained.seconds:.1f} s   {figures}")
    work.screen.say(f"run      {work.folder.path}")
    work.screen.say(f"picture  {image}")
    work.screen.say(f"curves   tensorboard --logdir {work.folder.path.parent}")
    _answer(work, finding, trained, image)
    return 1 if trained.diverged else 0


def _answer(
    work: Job, finding: Finding | None = None, trained: Trained | None = None, image: Path | None = None
) -> None:
    facts = work.folder.facts()
    answer: dict[str, Any] = {"task": work.task.name, "rate": facts["rate"], "plan": facts["plan"], "seed": work.seed}
    steps = seconds = 0.0
    if finding is not None:
        steps, seconds = finding.cost.steps, finding.cost.seconds
        answer |= {"low": finding.low, "high": finding.high, "verdict": finding.verdict}
        answer["metrics"] = {"loss": min((result.score for result in finding.results), default=None)}
    if trained is not None:
        steps, seconds = steps + trained.steps, seconds + trained.seconds
        answer["metrics"] = {"loss": trained.score, **trained.metrics}
    answer["cost"] = {"steps": int(steps), "runs": steps / work.steps, "seconds": round(seconds, 3)}
    work.screen.answer(**answer, run=str(work.folder.path), picture=None if image is None else str(image))
