"""The commands of the courses, in words; the files ``_courses`` and ``_topics`` do what they say."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from stepsize.cli._interrupts import load_torch
from stepsize.cli._options import OUTPUT, AsJson
from stepsize.cli._topics import Topic, topics

ALPHAS = ["constant(value=0.5)", "linear(start=0.5, end=0.001)"]
OWN_ALPHAS = " and ".join(ALPHAS)

course = typer.Typer(
    name="course",
    no_args_is_help=True,
    help="Every topic of the courses, as a program that runs in seconds and shows what came out; and two comparisons"
    " with settings of your own, `quadratic` and `frozenlake`.",
    epilog="Examples: stepsize course warmup   |   stepsize course quadratic   |   stepsize course frozenlake",
)
Out = Annotated[
    Path | None,
    typer.Option(rich_help_panel=OUTPUT, help="New folder for the results; runs/COURSE-0001 ... when left out."),
]


@course.command(
    epilog="Examples: stepsize course quadratic | stepsize course quadratic 1 100 --momentum 0.9 --steps 200"
    " | stepsize course quadratic 4 --lr 0.1,0.25,0.49"
)
def quadratic(
    eigenvalues: Annotated[
        list[float] | None,
        typer.Argument(help="Eigenvalues of the bowl's matrix, its curvatures: one or two; 1 and 10 when left out."),
    ] = None,
    lr: Annotated[
        list[str] | None,
        typer.Option(help="Rates whose paths are drawn: 0.1,0.9, or the option several times. Four when left out."),
    ] = None,
    momentum: Annotated[float, typer.Option(help="0 or more, below 1.")] = 0.0,
    rotation: Annotated[float, typer.Option(help="Of the bowl against the axes, in degrees.")] = 0.0,
    steps: Annotated[int, typer.Option(help="Steps of each descent.")] = 50,
    rates: Annotated[int, typer.Option(help="How many rates are tried, from a fiftieth of theory's bound on.")] = 40,
    out: Out = None,
    as_json: AsJson = False,
) -> int:
    """Gradient descent on a bowl at many rates: where it begins to diverge, measured and by theory."""
    load_torch()
    from stepsize.cli._courses import compared
    from stepsize.task.built_in import BowlCourse

    values = tuple(eigenvalues or (1.0, 10.0))
    bowl = BowlCourse(values, lr, momentum=momentum, rotation=rotation, steps=steps, rates=rates)
    return compared(bowl, out=out, as_json=as_json)


@course.command(
    epilog="Examples: stepsize course frozenlake | stepsize course frozenlake 'constant(value=0.1)'"
    " 'inverse_sqrt(every=100) * 0.5' --seeds 10 --episodes 2000"
)
def frozenlake(
    alphas: Annotated[
        list[str] | None,
        typer.Argument(help=f"Schedules that give alpha itself, over the episodes; {OWN_ALPHAS} when left out."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="How many learners for each schedule.")] = 20,
    seed: Annotated[int, typer.Option(help="The first learner's seed; the others' follow.")] = 0,
    episodes: Annotated[int, typer.Option(help="Episodes that each learner plays.")] = 10_000,
    out: Out = None,
    as_json: AsJson = False,
) -> int:
    """Q-learning with several schedules of alpha and many seeds: success against the episodes, with its spread."""
    load_torch()
    from stepsize.cli._courses import compared
    from stepsize.task.built_in import LakeCourse

    lake = LakeCourse(alphas or ALPHAS, seeds=seeds, seed=seed, episodes=episodes)
    return compared(lake, out=out, as_json=as_json)


def _command(topic: Topic) -> Callable[..., int]:
    def played(
        show: Annotated[bool, typer.Option("--show", help="Print the program instead of running it.")] = False,
        out: Out = None,
        as_json: AsJson = False,
    ) -> int:
        load_torch()
        from stepsize.cli._courses import demonstrated, shown

        return shown(topic, as_json) if show else demonstrated(topic, out=out, as_json=as_json)

    return played


for _topic in topics():
    course.command(
        _topic.name,
        short_help=f"{_topic.course}: {_topic.claim}",
        help=f"{_topic.slide[0].upper()}{_topic.slide[1:]}. The claim: {_topic.claim} What came out: {_topic.result}",
        epilog=f"Examples: stepsize course {_topic.name} | stepsize course {_topic.name} --show",
    )(_command(_topic))
